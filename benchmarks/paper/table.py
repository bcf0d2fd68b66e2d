"""Write PAPER.md and its plots from results/paper.json: python -m benchmarks.paper.table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness.markdown import table
from benchmarks.harness.record import read_record
from benchmarks.paper import numbers as paper
from benchmarks.paper.plot import METRICS, Runs, plot
from benchmarks.paper.rows import SEEDS, SHOTS, SWEEP, Row, rows

_INTRO = """# The PatchCore paper, run again

The tables and figures of Roth et al., "Towards Total Recall in Industrial Anomaly Detection" (CVPR 2022), by
`python -m benchmarks.paper.measure DATA_ROOT --weights {backbone}=FILE`, with the data and weights that were at hand: {data}; backbone
{backbone}. **The paper's own figures are means over the 15 categories of MVTec AD with WideResNet50**: beside ours they show
whether a trend is the same, not who is better. Each figure is image AUROC / pixel AUROC / PRO in percent, of the exported
artifact with exact search. The reduced MVTec AD categories have 10 test images, 2 of them good: their image AUROC moves in steps
of 6. `~` marks what was read off the paper's plots. [Record](results/paper.json), {cpu}, {cores} cores.
"""


def main() -> None:
    record = read_record("paper")
    runs: Runs = record["runs"]
    data = list(dict.fromkeys(key.split(" | ")[2] for key in runs))
    every = list(rows(record["backbone"]))
    machine = record["machine"]
    intro = _INTRO.format(
        backbone=record["backbone"],
        data=", ".join(data),
        cpu=machine["cpu"],
        cores=machine["cores"],
    )
    parts = [
        intro,
        _tables_1_to_3(_of(every, "Tables 1 to 3"), runs, data),
        _tables_s1_s2(runs, data),
        _plain("Table 4: larger inputs, more layers, ensembles (1%)", "Table 4", every, runs, data),
        _table_5(_of(every, "Table 5"), runs, data),
        _table_6(_of(every, "Table 6"), runs, data),
        _figure_4(every, runs, data),
        _figure_5(every, runs, data),
        _few_shots(every, runs, data),
        _table_s4(data),
        _plain("Table S6: backbones", "Table S6", every, runs, data),
    ]
    text = "\n".join(part.rstrip() + "\n" for part in parts)
    (Path(__file__).parents[1] / "PAPER.md").write_text(text, encoding="utf-8")


def _tables_1_to_3(every: list[Row], runs: Runs, data: list[str]) -> str:
    lines = [_line(row, runs, data) for row in every]
    ours = {row.label for row in every}
    lines += [
        [name, _paper(figures), *("" for _ in data)]
        for name, figures in paper.PEERS.items()
        if name not in ours
    ]
    wrong = [
        f"{fraction:.0%}: {paper.MISCLASSIFIED[fraction]} of 1,725 (the paper), "
        + ", ".join(
            f"{found['false_positives'] + found['false_negatives']} of {found['images_tested']} ({d})"
            for d in data
            if (found := runs.get(f"Tables 1 to 3 | PatchCore {fraction:.0%} | {d}"))
        )
        for fraction in paper.FRACTIONS
    ]
    return (
        f"## Tables 1 to 3: detection and segmentation\n\n{table(_head(data), lines)}\n\n"
        f"Misclassified at the best F1, bank of {'; '.join(wrong)}."
    )


def _tables_s1_s2(runs: Runs, data: list[str]) -> str:
    """Per category; the paper's own are known here for the bank of 1%."""
    lines = []
    for name in data:
        category = name.removesuffix("_reduced")
        found = runs.get(f"Tables 1 to 3 | PatchCore 1% | {name}")
        if found and category in paper.TABLE_S1_S2_AT_1_PERCENT:
            image, pixel = paper.TABLE_S1_S2_AT_1_PERCENT[category]
            lines.append([name, _paper((image, pixel, None)), _figures(found)])
    return "## Tables S1 to S3: by category, 1%\n\n" + table(["category", "paper", "ours"], lines)


def _table_s4(data: list[str]) -> str:
    """Per category with the largest network, whose weights have not been at hand."""
    known = {name: name.removesuffix("_reduced") for name in data}
    lines = [
        [category, f"{figure:.1f}", "not run" if category in known.values() else ""]
        for category, figure in paper.TABLE_S4.items()
    ]
    return (
        "## Table S4: WideResNet101 at 280 px, by category\n\n"
        "Image AUROC, layers 2+3, bank of 1%. Its means are in table 4.\n\n"
        + table(["category", "paper", "ours"], lines)
    )


def _plain(title: str, name: str, every: list[Row], runs: Runs, data: list[str]) -> str:
    lines = [_line(row, runs, data) for row in _of(every, name)]
    return f"## {title}\n\n{table(_head(data), lines)}"


def _table_5(every: list[Row], runs: Runs, data: list[str]) -> str:
    lines = []
    for row in every:
        _, seconds = paper.TABLE_5[row.label]
        found = [runs.get(f"Table 5 | {row.label} | {name}") for name in data]
        times = [
            f"{_figures(f)}; {_milliseconds(f['median_ms'])}" if f else "not run" for f in found
        ]
        lines.append([row.label, f"{_paper(row.paper)}; {seconds * 1e3:.0f} ms", *times])
    return (
        "## Table 5: time per image\n\n"
        f"{SWEEP} good images at most; median from file to map (the search alone in brackets), the detectors timed in "
        "turn on the same images. IVFPQ is faiss's, 4 sqrt(n) cells, 8 of them probed, a byte per 8 dimensions; the paper "
        f"does not give its own.\n\n{table(_head(data), lines)}"
    )


def _milliseconds(median_ms: dict[str, float]) -> str:
    search = f" ({median_ms['search']:.0f})" if "search" in median_ms else ""
    return f"{median_ms['total']:.0f}{search} ms"


def _table_6(every: list[Row], runs: Runs, data: list[str]) -> str:
    tile = runs.get("Tables 1 to 3 | PatchCore 10% | magnetic-tile")
    ours = f"{100 * tile['image_auroc']:.1f}" if tile else "not run"
    mstc = [
        found for row in every for d in data if (found := runs.get(f"Table 6 | {row.label} | {d}"))
    ]
    frames = f"{100 * mstc[0]['pixel_auroc']:.1f}" if mstc else "not run: no frames here"
    lines = [
        ["magnetic tile, image AUROC", *_listed(paper.TABLE_6["magnetic-tile"]), ours],
        ["mSTC, pixel AUROC", *_listed(paper.TABLE_6["mSTC"]), frames],
    ]
    head = ["data", "the paper's peers", "paper, PatchCore 10%", "ours, 10%"]
    return f"## Table 6: other data\n\n{table(head, lines)}"


def _listed(figures: dict[str, float]) -> list[str]:
    peers = [f"{name} {value}" for name, value in figures.items() if not name.startswith("Patch")]
    return [", ".join(peers), str(figures["PatchCore-10%"])]


def _figure_4(every: list[Row], runs: Runs, data: list[str]) -> str:
    own = _of(every, "Figure 4")
    sizes = [row for row in own if row.label.startswith("p =")]
    layers = [row for row in own if row not in sizes]
    plot("figure_4", [sizes, layers], runs, data)
    lines = [_line(row, runs, data) for row in own]
    return _figure("Figure 4: neighbourhood and layers", "figure_4", lines, data)


def _figure_5(every: list[Row], runs: Runs, data: list[str]) -> str:
    own = _of(every, "Figure 5")
    kinds = ("greedy", "random", "proxies", "stride")
    groups = [[row for row in own if row.label.startswith(kind)][::-1] for kind in kinds]
    plot("figure_5", groups, runs, data)
    lines = [_line(row, runs, data) for row in own]
    return _figure("Figure 5: subsampling", "figure_5", lines, data)


def _figure(title: str, file: str, lines: list[list[str]], data: list[str]) -> str:
    return (
        f"## {title}\n\n{SWEEP} good images at most, bank of 1% unless said otherwise.\n\n"
        f"![{title}](results/paper_{file}.svg)\n\n{table(_head(data), lines)}"
    )


def _few_shots(every: list[Row], runs: Runs, data: list[str]) -> str:
    """Mean and half the range over the draws, and the methods that the paper compares with."""
    lines = []
    for shots in SHOTS:
        figures = paper.TABLE_S5.get(shots, (None, None, None))
        cells = []
        for name in data:
            keys = [
                f"Figure 6 and table S5 | {shots} shots, draw {i + 1} | {name}"
                for i in range(SEEDS)
            ]
            found = [runs[key] for key in keys if key in runs]
            cells.append(
                " / ".join(_spread([run[m] for run in found]) for m in METRICS)
                if found
                else "not run"
            )
        lines.append([f"PatchCore, {shots}", _paper(figures), *cells])
    own = _of(every, "Figure 6 and table S5")
    peers = [row for row in own if row.label.startswith(tuple(paper.TABLE_S5_PEERS))]
    lines += [_line(row, runs, data) for row in peers]
    plot(
        "figure_6",
        [[row for row in own if row.label.endswith("draw 1") and row not in peers]],
        runs,
        data,
    )
    return (
        "## Figure 6 and table S5: few shots\n\n"
        f"PatchCore has a bank of 25%; mean and half the range over the draws, of which there are {SEEDS} (the plot: the first).\n\n"
        f"![Few shots](results/paper_figure_6.svg)\n\n{table(['method, shots', *_head(data)[1:]], lines)}"
    )


def _spread(values: Sequence[float]) -> str:
    if len(values) == 1:
        return f"{100 * values[0]:.1f}"
    mean, spread = sum(values) / len(values), (max(values) - min(values)) / 2
    return f"{100 * mean:.1f} ± {100 * spread:.1f}"


def _of(every: list[Row], name: str) -> list[Row]:
    return [row for row in every if row.table == name]


def _head(data: list[str]) -> list[str]:
    return ["setting", "paper", *data]


def _line(row: Row, runs: Runs, data: list[str]) -> list[str]:
    found = [runs.get(f"{row.table} | {row.label} | {name}") for name in data]
    cells = [_figures(f) if f else "not run" for f in found]
    return [
        row.label,
        ("~" if row.approximate and any(row.paper) else "") + _paper(row.paper),
        *cells,
    ]


def _paper(figures: paper.Figures) -> str:
    return " / ".join("-" if f is None else f"{f:.1f}" for f in figures) if any(figures) else ""


def _figures(found: dict[str, Any]) -> str:
    if "refused" in found:
        return f"cannot run: {found['refused']}"
    return " / ".join("-" if found[m] is None else f"{100 * found[m]:.1f}" for m in METRICS)


if __name__ == "__main__":
    main()
