"""The section of benchmarks/README.md on `benchmarks.calibration`."""

from __future__ import annotations

from typing import Any

from benchmarks.calibration.plot import plot
from benchmarks.calibration.rates import WAYS, Row, rows
from benchmarks.harness.markdown import table

_ASKED = (0.1, 0.05, 0.025, 0.01)


def section(record: dict[str, Any]) -> str:
    plot(record)
    asked = {rate: _by_key(rows(record, rate)) for rate in _ASKED}
    smallest = _by_key(rows(record, None))
    draws = sorted({row.draws for row in smallest.values()})
    return (
        "## Rates of false rejects\n\n"
        "n good images drawn at random, their threshold by either way, and 100 other good images and "
        f"{record['defective']} defective ones to test; {_span(draws)} draws. The bank is a 10% greedy "
        "coreset, with equation 7, of ImageNet ResNet18's features at 112 px, projected to 64 "
        "dimensions, every second patch in rows and in columns, so that detectors are worse than at full "
        "size. All but magnetic tiles are generated parts. A cell is the mean "
        "share of good images rejected, with two standard errors over the draws, and in brackets the "
        "rate that is stated where it is not the one asked for. A dash: the scores support no such "
        "rate.\n\n"
        + table(
            [
                "images",
                "n",
                "draws",
                "way",
                *(f"asked {rate}" for rate in _percent(_ASKED)),
                "smallest rate",
                "defects found at it",
                "image AUROC",
            ],
            [
                [
                    source,
                    str(number),
                    str(smallest[source, number, way].draws),
                    way,
                    *(_cell(asked[rate].get((source, number, way)), rate) for rate in _ASKED),
                    _cell(smallest[source, number, way], None),
                    f"{smallest[source, number, way].found:.0%}",
                    f"{smallest[source, number, way].auroc:.4f}",
                ]
                for source, number, way in smallest
            ],
        )  # fmt: skip
        + "\n\n![Stated and realised rates of both ways](results/calibration.svg)"
    )


def _by_key(found: Any) -> dict[tuple[str, int, str], Row]:
    every = {(row.source, row.number, row.way): row for row in found}
    sources = list(dict.fromkeys(source for source, _, _ in every))
    return dict(
        sorted(
            every.items(),
            key=lambda item: (sources.index(item[0][0]), item[0][1], WAYS.index(item[0][2])),
        )
    )


def _cell(row: Row | None, asked: float | None) -> str:
    if row is None:
        return "-"
    realised = f"{row.rejected:.1%} ± {2 * row.error:.1%}"
    return realised if asked == row.stated else f"{realised} ({row.stated:.1%})"


def _percent(rates: tuple[float, ...]) -> list[str]:
    return [f"{rate * 100:g}%" for rate in rates]


def _span(draws: list[int]) -> str:
    return str(draws[0]) if len(draws) == 1 else f"{draws[0]} to {draws[-1]}"
