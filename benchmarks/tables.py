"""Write benchmarks/README.md from the records in results/: python -m benchmarks.tables.

Each section is the ``table.py`` of its question's folder. (PAPER.md is `benchmarks.paper.table`'s.)
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.a_contrario import table as a_contrario
from benchmarks.accuracy import table as accuracy
from benchmarks.backbones import table as backbones
from benchmarks.before import table as before
from benchmarks.calibration import table as calibration
from benchmarks.cluster import table as cluster
from benchmarks.coreset import table as coreset
from benchmarks.edge import table as edge
from benchmarks.engines import table as engines
from benchmarks.harness.record import read_record
from benchmarks.int8 import table as int8
from benchmarks.line import table as line
from benchmarks.line_drift import table as line_drift
from benchmarks.line_http import table as line_http
from benchmarks.magnetic_tile import table as magnetic_tile
from benchmarks.methods import energy_table as energy
from benchmarks.methods import table as methods
from benchmarks.methods import uflow_table
from benchmarks.mvtec_mini import table as mvtec_mini
from benchmarks.peers import table as peers
from benchmarks.robustness import table as robustness
from benchmarks.scale import table as scale
from benchmarks.search import table as search
from benchmarks.search import tried_table as tried
from benchmarks.settings import table as settings
from benchmarks.together import table as together
from benchmarks.waits import table as waits

_INTRO = """# Benchmarks

Each figure below is derived from a raw record in [results/](results/) (machine, commit, versions, every sample), by
`python -m benchmarks.tables`. Ratios are from one run on one machine; absolute times are from shared machines and noisy.
To repeat: `EDGE_AD_DATA=FOLDER make bench`, FOLDER holding `data/` (magnetic-tile, mvtec-mini) and
`weights/resnet18_imagenet_layers1-3.safetensors`. The PatchCore paper's own tables and figures are on [a page of their own](PAPER.md).
"""

_SECTIONS = {  # by the record's name, in the page's order
    "coreset": coreset.section,
    "scale": scale.section,
    "cluster": cluster.section,
    "search": search.section,
    "tried": tried.section,
    "magnetic_tile": magnetic_tile.section,
    "mvtec_mini": mvtec_mini.section,
    "methods": methods.section,
    "methods_energy": energy.section,
    "methods_energy_cost": energy.section_of_cost,
    "methods_energy_choice": energy.section_of_choice,
    "methods_beside": methods.section_beside,
    "methods_uflow": uflow_table.section,
    "a_contrario": a_contrario.section,
    "accuracy": accuracy.section,
    "calibration": calibration.section,
    "calibration_cost": calibration.section_of_cost,
    "settings": settings.section,
    "backbones": backbones.section,
    "edge": edge.section,
    "engines": engines.section,
    "int8": int8.section,
    "peers": peers.section,
    "together": together.section,
    "waits": waits.section,
    "before": before.section,
    "robustness": robustness.section,
    "line": line.section,
    "line_http": line_http.section,
    "line_drift": line_drift.section,
}


def main() -> None:
    parts = [_INTRO]
    for name, section in _SECTIONS.items():
        record = read_record(name)
        if record:
            where = f"{_machines(record)}; [record](results/{name}.json)"
            parts.append(f"{section(record)}\n\n{where}.\n")
    (Path(__file__).parent / "README.md").write_text("\n".join(parts), encoding="utf-8")


def _machines(record: dict[str, Any]) -> str:
    """Where it was measured; of parts measured on several machines, how many on each."""
    origins = record.get("origins", {}).values() or [record["machine"]]
    counts = Counter(f"{one['cpu']}, {one['cores']} cores" for one in origins)
    if len(counts) == 1:
        return next(iter(counts))
    return "; ".join(f"{count} parts on {where}" for where, count in counts.most_common())


if __name__ == "__main__":
    main()
