"""The section of benchmarks/README.md on `benchmarks.scale`."""

from __future__ import annotations

from typing import Any

from benchmarks.harness.markdown import table


def section(record: dict[str, Any]) -> str:
    rows = [
        [
            f"{run['rows']:,}",
            f"{run['features_gb']:.1f} GB, {'scratch file' if run['in_a_scratch_file'] else 'in memory'}",
            f"{run['bank_rows']:,}",
            f"{run['bank_s']:.0f} s",
            f"{run['peak_anonymous_gb']:.2f} GB",
            f"{run['model_gb']:.2f} GB",
        ]
        for run in record["runs"]
    ]
    limit = record["memory_limit_bytes"]
    under = (
        f" Run under a hard limit of {limit / 1e9:.0f} GB, page cache included." if limit else ""
    )
    return (
        "## Memory at scale\n\n"
        f"Real patch features repeated with noise, {record['width']:,} wide; a bank of 1% and the neighbours of "
        "equation 7. The peak is of anonymous memory, which cannot be written back to a file (features that fit in 2 GB "
        f"stay in memory and count).{under} The model: 4 x 129 bytes for each row and each chosen one, 16 bytes a row, or "
        "afterwards twice the bank; and 0.6 GB.\n\n"
        + table(["patches", "features", "bank", "time", "peak", "model, without features"], rows)
    )
