"""The page of a report: figures, what they mean, settings, and all images to sort and filter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files

from edge_ad.evaluation.evaluate import Evaluation, ScoredImage
from edge_ad_runtime.escaping import shown

_OUTCOMES = {
    (False, "good"): "accepted",
    (False, "anomalous"): "rejected",
    (True, "anomalous"): "found",
    (True, "good"): "missed",
}
_SHOW = {
    "all": "all images",
    "wrong": "all that are wrong",
    "rejected": "good, rejected",
    "missed": "defective, missed",
    "accepted": "good, accepted",
    "found": "defective, found",
}
_SORT = {
    "wrong": "most wrong first",
    "falling": "highest score first",
    "rising": "lowest score first",
    "name": "by name",
}


def page(
    evaluation: Evaluation, pictures: Sequence[tuple[str, ScoredImage]], made: Mapping[str, str]
) -> str:
    """The HTML, in one function that reads from top to bottom as the browser shows it.

    Args:
        evaluation: what was measured.
        pictures: the name of each picture in the folder, and the image that it shows.
        made: what the artifact is and when this was made, by what it is called.
    """
    style, script = (
        files("edge_ad.evaluation").joinpath(name).read_text(encoding="utf-8")
        for name in ("report.css", "report.js")
    )
    worst = sorted(pictures, key=lambda each: -wrongness(each[1], evaluation.threshold))
    found = sorted({image.kind for _, image in pictures})
    kinds = {"all": "all labels", **{kind: kind for kind in found}}
    lines = "\n".join(evaluation.remarks).splitlines()
    remarks = "".join(f"<p>{_text(line)}</p>" for line in lines)
    errors = "".join(f"<li>{_text(error)}</li>" for error in evaluation.errors)
    return f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{_text(evaluation.artifact)}</title>
<style>{style}</style>
<h1>{_text(evaluation.artifact)} on {evaluation.images} images</h1>
{f'<div class="remarks">{remarks}</div>' if remarks else ""}
<div class="facts">
<div><h2>Figures</h2>{_table(_figures(evaluation))}</div>
<div><h2>Defects</h2>{_table(_defects(evaluation))}</div>
<div><h2>Made with</h2>{_table(made)}</div>
</div>
{f"<h2>Could not be read</h2><ul>{errors}</ul>" if errors else ""}
<p><img class="curves" src="curves.png" alt="histogram of scores, ROC, precision and recall"></p>
<h2>Images</h2>
<p class="legend">
<span><i style="color:#2878ff"></i>labelled as defective</span>
<span><i style="color:#d73228"></i>map above the threshold</span>
<span><i style="color:#ffdc00;outline:1px solid #000"></i>the patch that decided</span>
</p>
<div class="controls">
<select id="show" aria-label="show">{_options(_SHOW)}</select>
<select id="kind" aria-label="label">{_options(kinds)}</select>
<select id="sort" aria-label="order">{_options(_SORT)}</select>
<input id="find" type="search" placeholder="part of a path" aria-label="part of a path">
<span id="count"></span>
</div>
<div class="images">
{"".join(_figure(name, image, evaluation.threshold) for name, image in worst)}
</div>
<script>{script}</script>
</html>
"""


def wrongness(image: ScoredImage, threshold: float) -> float:
    """How far the score is on the wrong side of the threshold. Below 0 if it is on the right one.

    >>> image = ScoredImage(path="", kind="good", is_defective=False, score=3, verdict="anomalous")
    >>> wrongness(image, 2.0)
    1.0
    """
    above = float(image.score - threshold)
    return -above if image.is_defective else above


def _figures(evaluation: Evaluation) -> dict[str, str]:
    def known(value: float | None, why_not: str) -> str:
        return why_not if value is None else f"{value:.4f}"

    promise = "none: no good image was left out of the fit"
    if evaluation.promised_rate is not None and evaluation.promised_interval is not None:
        low, high = evaluation.promised_interval
        promise = f"{evaluation.promised_rate:.1%} (90% interval {low:.1%} to {high:.1%})"
    return {
        "image AUROC": f"{evaluation.image_auroc:.4f}",
        "pixel AUROC": known(evaluation.pixel_auroc, evaluation.why_no_pixels),
        "PRO (30%)": known(evaluation.pro, evaluation.why_no_pixels),
        "IoU at the threshold": known(evaluation.iou, evaluation.why_no_iou),
        "threshold": f"{evaluation.threshold:.6g}",
        "promised false rejects": promise,
        "good, accepted / rejected": f"{evaluation.true_goods} / {evaluation.false_rejects}",
        "defective, found / missed": f"{evaluation.detected} / {evaluation.missed}",
        "best F1": f"{evaluation.f1_best:.4f} at {evaluation.f1_best_threshold:.6g}",
        **_at_best(evaluation),
    }


def _at_best(evaluation: Evaluation) -> dict[str, str]:
    """The confusion at the threshold of the best F1, at and above which images are defective."""
    good = [image.score for image in evaluation.scores if not image.is_defective]
    defective = [image.score for image in evaluation.scores if image.is_defective]
    rejected = sum(score >= evaluation.f1_best_threshold for score in good)
    found = sum(score >= evaluation.f1_best_threshold for score in defective)
    return {
        "there, good": f"{len(good) - rejected} / {rejected}",
        "there, defective": f"{found} / {len(defective) - found}",
    }


def _defects(evaluation: Evaluation) -> dict[str, str]:
    return {
        kind.kind: f"AUROC {kind.auroc:.4f}, found {kind.detected} of {kind.images}"
        for kind in evaluation.by_kind
    }


def _table(rows: Mapping[str, str]) -> str:
    cells = (
        f"<tr><th>{_text(name)}</th><td>{_text(text)}</td></tr>" for name, text in rows.items()
    )
    return f"<table>{''.join(cells)}</table>"


def _options(names: Mapping[str, str]) -> str:
    return "".join(
        f'<option value="{_text(value)}">{_text(name)}</option>' for value, name in names.items()
    )


def _figure(name: str, image: ScoredImage, threshold: float) -> str:
    outcome = _OUTCOMES[image.is_defective, image.verdict]
    wrong = outcome in ("rejected", "missed")
    sign = ">" if image.verdict == "anomalous" else "&le;"
    return (
        f'<figure class="{"wrong" if wrong else "right"}" data-outcome="{outcome}" '
        f'data-kind="{_text(image.kind)}" data-score="{image.score:.9g}" '
        f'data-wrong="{wrongness(image, threshold):.9g}" data-path="{_text(image.path)}">'
        f'<a href="{escape(name)}"><img loading="lazy" src="{escape(name)}" alt=""></a>'
        f"<figcaption><b>{_text(image.kind)}, {outcome}</b>, score {image.score:.4g} {sign} "
        f"{threshold:.4g}<br>{_text(image.path)}{_text(image.why)}</figcaption></figure>\n"
    )


def _text(value: str) -> str:
    return escape(shown(value))
