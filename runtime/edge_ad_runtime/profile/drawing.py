"""The latency as an SVG: a histogram, and its course over time where a pace was kept."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from edge_ad_runtime.profile.latency import Latency
from edge_ad_runtime.profile.pace import Pace

_BINS = 48
_SLICES = 300  # the time axis has so many, and each shows its range and its median
_WIDTH, _LEFT = 640, 10  # px
_PANEL = 240  # px, the height of a panel, whose base line is at 200
_BASE = 200
_BAR, _LINE, _LIMIT = "#4477aa", "#222", "#cc3311"


def draw_latency(latency: Latency, budget_ms: float | None, pace: Pace | None) -> str:
    """Draw one panel, or two if a pace was kept."""
    panels = [_histogram(latency, budget_ms)]
    if pace is not None:
        panels.append(f'<g transform="translate(0 {_PANEL})">{_course(pace)}</g>')
    height = _PANEL * len(panels)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" '
        f'viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif" font-size="11">'
        f'<rect width="100%" height="100%" fill="white"/>{"".join(panels)}</svg>\n'
    )


def _histogram(latency: Latency, budget_ms: float | None) -> str:
    totals = np.asarray(latency.samples_ms["total"])
    marks = {"p50": latency.stages["total"].p50_ms, "p99": latency.stages["total"].p99_ms}
    if budget_ms is not None:
        marks["budget"] = budget_ms
    right = max(totals.max(), *marks.values()) * 1.05
    counts, edges = np.histogram(totals, bins=_BINS, range=(0, right))
    per_ms = (_WIDTH - 2 * _LEFT) / right
    bars = "".join(
        f'<rect x="{_LEFT + edge * per_ms:.1f}" y="{_BASE - bar:.1f}" '
        f'width="{right / _BINS * per_ms - 1:.1f}" height="{bar:.1f}" fill="{_BAR}"/>'
        for edge, bar in zip(edges, counts / counts.max() * 130, strict=False)
    )
    title = f"{latency.artifact}: {latency.images} images, {latency.engine}, {latency.search}"
    return (
        _title(f"{title} search")
        + bars
        + _marks({name: _LEFT + at * per_ms for name, at in marks.items()}, marks)
        + _axis(right, "total per image, ms")
    )


def _course(pace: Pace) -> str:
    """Draw the range and the median of the latency in each slice of time, and the budget across."""
    latencies = np.asarray(pace.latencies_ms)
    seconds = pace.frames / pace.fps
    top = max(float(latencies.max()), pace.budget_ms) * 1.05
    due = np.arange(len(latencies)) / pace.frames  # as a share of the whole time
    slices = [latencies[due * _SLICES // 1 == i] for i in range(_SLICES)]

    def x(i: float) -> float:
        return _LEFT + i / _SLICES * (_WIDTH - 2 * _LEFT)

    def y(ms: float) -> float:
        return _BASE - ms / top * 160

    ranges = "".join(
        f'<path d="M{x(i):.1f} {y(part.min()):.1f}V{y(part.max()) - 1:.1f}" stroke="{_BAR}" '
        'stroke-opacity="0.4" stroke-width="2"/>'
        for i, part in enumerate(slices)
        if part.size
    )
    medians = " ".join(
        f"{x(i):.1f},{y(float(np.median(part))):.1f}" for i, part in enumerate(slices) if part.size
    )
    limit = y(pace.budget_ms)
    return (
        _title(f"{pace.fps:g} images a second: {pace.misses} of {pace.frames} deadlines missed")
        + ranges
        + f'<polyline points="{medians}" fill="none" stroke="{_LINE}"/>'
        + f'<path d="M{_LEFT} {limit:.1f}H{_WIDTH - _LEFT}" stroke="{_LIMIT}" '
        f'stroke-dasharray="3 2"/><text x="{_LEFT + 3}" y="{limit - 3:.1f}">'
        f"budget {pace.budget_ms:g} ms, highest {latencies.max():.1f} ms</text>"
        + _axis(seconds, "time, s (latency from due to verdict: median, range)")
    )


def _title(text: str) -> str:
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return f'<text x="{_LEFT}" y="16" font-size="13">{text}</text>'


def _marks(at_px: Mapping[str, float], ms: Mapping[str, float]) -> str:
    return "".join(
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{30 + 12 * i}" y2="{_BASE}" '
        f'stroke="{_LIMIT if name == "budget" else _LINE}" stroke-dasharray="3 2"/>'
        f'<text x="{x + 3:.1f}" y="{38 + 12 * i}">{name} {ms[name]:.1f} ms</text>'
        for i, (name, x) in enumerate(at_px.items())
    )


def _axis(right: float, text: str) -> str:
    """Draw the base line from 0 to ``right``, with its ticks and a text that says what it shows."""
    ticks = "".join(
        f'<text x="{_LEFT + at * (_WIDTH - 2 * _LEFT) / right:.1f}" y="{_BASE + 15}" '
        f'text-anchor="middle">{at:g}</text>'
        for at in _round_ticks(right)
    )
    return (
        f'<line x1="{_LEFT}" x2="{_WIDTH - _LEFT}" y1="{_BASE}" y2="{_BASE}" stroke="{_LINE}"/>'
        f'{ticks}<text x="{_WIDTH / 2}" y="{_BASE + 32}" text-anchor="middle">{text}</text>'
    )


def _round_ticks(right: float) -> list[float]:
    step = 10 ** np.floor(np.log10(right))
    step = next(step * part for part in (0.1, 0.2, 0.5, 1) if right / (step * part) <= 10)
    return [round(float(at), 6) for at in np.arange(0, right, step)]
