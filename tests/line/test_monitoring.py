"""The dashboard and the alerts name metrics that a line has, with labels that they have."""

import json
import re
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

import edge_ad_line

FOLDER = Path(edge_ad_line.__file__).with_name("monitoring")
DASHBOARD, ALERTS = FOLDER / "grafana.json", FOLDER / "alerts.yml"


@pytest.fixture
def labels(settings, opened, server, good, stain, tmp_path, other, wait_until):
    """The labels of each sample's name, of a line on which everything has happened."""
    from prometheus_client import generate_latest

    server.answer = lambda request: (200, "image/png", good)
    camera = {"kind": "http", "name": "top", "url": f"{server.url}/x", "mode": "free-running",
              "every_ms": 20, "frozen_after": 3}  # fmt: skip
    sink = {"kind": "json-lines", "name": "log", "file": str(tmp_path / "log.jsonl")}
    line = opened(settings({"camera": "top"}, camera=[camera], sink=[sink]))
    for image in (good, stain, b"no image"):
        line.score("plate", image)
    line.promote("plate", line.upload("plate", other, user="a"), user="a", reason="b")
    line.metrics.alive(1.0)
    line.metrics.dropped("top", "newer")
    wait_until(lambda: line.status()["cameras"]["top"]["fault"] == "frozen")
    text = generate_latest(line.metrics.registry).decode()
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def expressions():
    dashboard = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    for panel in dashboard["panels"]:
        yield from (target["expr"] for target in panel["targets"])
    yield from re.findall(
        r"expr: (?:>-\n)?((?:.+\n)(?:          .+\n)*)", ALERTS.read_text("utf-8")
    )


def test_every_metric_of_dashboard_and_alerts_is_one_of_the_lines(labels):
    named = set(re.findall(r"edge_ad_\w+", "\n".join(expressions())))
    assert len(named) >= 20
    assert named <= set(labels)


def test_every_label_that_is_asked_for_is_there(labels):
    for expression in expressions():
        for name, selector in re.findall(r"(edge_ad_\w+)\{([^}]*)\}", expression):
            asked = set(re.findall(r"(\w+)=~?\"", selector)) - {"instance"}
            assert asked <= labels[name], expression
        for name, kept in re.findall(r"by \(([^)]*)\) \(\w*\(?(edge_ad_\w+)", expression):
            asked = {label.strip() for label in name.split(",")} - {"instance"}
            assert asked <= labels[kept], expression


def test_the_dashboard_leaves_no_metric_of_the_line_out(labels):
    shown = "\n".join(expressions())
    for name in labels:
        if name.startswith("edge_ad_") and not name.endswith("_created"):
            assert re.sub(r"_(sum|count|bucket)$", "", name) in shown, name


def test_panels_do_not_lie_on_one_another():
    cells = set()
    for panel in json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]:
        at = panel["gridPos"]
        for x in range(at["x"], at["x"] + at["w"]):
            for y in range(at["y"], at["y"] + at["h"]):
                assert (x, y) not in cells and x < 24
                cells.add((x, y))


def test_every_alert_says_in_words_what_is_wrong():
    text = ALERTS.read_text(encoding="utf-8")
    alerts = re.findall(r"- alert: (\w+)", text)
    assert len(set(alerts)) == len(alerts) == text.count("summary: ") == text.count("severity: ")
