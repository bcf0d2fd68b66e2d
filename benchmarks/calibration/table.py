"""The section of benchmarks/README.md on `benchmarks.calibration`."""

from __future__ import annotations

from typing import Any

from benchmarks.calibration.plot import plot
from benchmarks.calibration.rates import WAYS, Row, rows
from benchmarks.harness.markdown import table

_STEPS = ("same parts", "features", "isolated", "bank of all", "left out")
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


def section_of_cost(record: dict[str, Any]) -> str:
    """The steps of a fit by both ways."""
    steps = record["steps_s"]
    held_out = steps["8 held out"] * record["images"] // 5 / 8
    common = steps["features"] + steps["isolated"]
    before = common + steps["bank of the split"] + held_out
    after = common + steps["same parts"] + steps["bank of all"] + steps["left out"]
    return (
        "## What leaving each image out costs\n\n"
        f"The steps of a fit of {record['images']} magnetic tiles with ImageNet ResNet18 at 224 px, a 10% "
        "bank of 25,088 rows with all of them, in seconds of one thread. Of the 64 images that a split "
        "holds out 8 were scored, and their time scaled up.\n\n"
        + table(
            ["way", "same parts", "features", "isolated", "bank", "scores", "all"],
            [
                ["leave-one-out", *(f"{steps[key]:.1f}" for key in _STEPS), f"{after:.1f}"],
                [
                    "split, as it was",
                    *("-", f"{steps['features']:.1f}", f"{steps['isolated']:.1f}"),
                    *(f"{steps['bank of the split']:.1f}", f"{held_out:.1f}", f"{before:.1f}"),
                ],
            ],
        )
        + f"\n\nLeaving all images out takes {steps['left out'] / after:.0%} of the fit, which takes "
        f"{after / before:.2f} times as long as with a split."
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
