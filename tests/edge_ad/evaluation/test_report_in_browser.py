"""A report in Chromium: sorted, filtered, at every width, and printed."""

import base64
from itertools import pairwise
from pathlib import Path

import pytest

from edge_ad.evaluation.evaluate import evaluate
from edge_ad.evaluation.report import write_report
from edge_ad.images.labelled import list_test_images
from edge_ad_export import ExportConfig, export
from edge_ad_runtime import Detector

WIDTHS = (700, 1280, 2500)


@pytest.fixture(scope="module")
def report(fitted, parts, tmp_path_factory):
    """A report of drawn parts."""
    folder = tmp_path_factory.mktemp("report")
    export(fitted, folder / "a.edgead", ExportConfig(search="exact"))
    with Detector.load(folder / "a.edgead") as detector:
        evaluation = evaluate(detector, list_test_images(parts))
        write_report(evaluation, detector, folder / "report")
    return folder / "report", evaluation


@pytest.fixture
def page(chromium, report):
    folder, _ = report
    chromium.get("about:blank")
    chromium.get((folder / "index.html").as_uri())
    return chromium


def choose(page, control, value):
    """What a person does with a control: its value changes, and the page hears of it."""
    page.execute_script(
        "const c = document.querySelector(arguments[0]); c.value = arguments[1];"
        "c.dispatchEvent(new Event('input'))",
        f"#{control}",
        value,
    )


def shown(page, key):
    """That attribute of each image that can be seen, in order."""
    return page.execute_script(
        "return [...document.querySelectorAll('.images figure')]"
        ".filter(f => f.offsetParent).map(f => f.dataset[arguments[0]])",
        key,
    )


@pytest.mark.parametrize(("order", "sign"), [("rising", 1), ("falling", -1)])
def test_images_are_sorted_by_score(page, report, order, sign):
    choose(page, "sort", order)
    scores = [sign * float(score) for score in shown(page, "score")]
    assert len(scores) == report[1].images
    assert all(a <= b for a, b in pairwise(scores))


def test_images_are_sorted_by_name(page):
    choose(page, "sort", "name")
    paths = shown(page, "path")
    assert paths == sorted(paths)


def test_the_most_wrong_come_first(page):
    wrong = [float(each) for each in shown(page, "wrong")]
    assert wrong == sorted(wrong, reverse=True)


def test_images_are_filtered_by_outcome_label_and_path(page, report):
    _, evaluation = report
    choose(page, "show", "found")
    assert set(shown(page, "outcome")) <= {"found"}
    assert len(shown(page, "outcome")) == evaluation.detected
    choose(page, "show", "all")
    choose(page, "kind", "good")
    good = evaluation.true_goods + evaluation.false_rejects
    assert shown(page, "kind") == ["good"] * good
    choose(page, "kind", "all")
    name = Path(evaluation.scores[0].path).name
    choose(page, "find", name.upper())
    assert shown(page, "path")
    assert all(name in path for path in shown(page, "path"))
    counted = page.execute_script("return document.querySelector('#count').textContent")
    assert counted == f"{len(shown(page, 'path'))} of {evaluation.images} images"


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_wider_than_the_window(page, width):
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    assert page.execute_script("return document.documentElement.scrollWidth") <= width
    broken = page.execute_script(
        "return [...document.images].filter(i => i.complete && !i.naturalWidth).length"
    )
    assert broken == 0


def test_it_is_printed_without_its_controls(page):
    choose(page, "show", "found")  # what is printed is what is shown
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        display = page.execute_script(
            "return getComputedStyle(document.querySelector('.controls')).display"
        )
        assert display == "none"
    finally:
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    pdf = base64.b64decode(page.execute_cdp_cmd("Page.printToPDF", {})["data"])
    assert pdf.startswith(b"%PDF")
