"""What cannot run on a machine is a row that says why, in the record and in the table."""

import sys
from pathlib import Path

import numpy as np

from benchmarks.peers.environments import Environment
from benchmarks.peers.in_turn import judge, measure
from benchmarks.peers.measure import prepare
from benchmarks.peers.table import section
from benchmarks.peers.ways import REFERENCE, Way
from edge_ad_runtime.images import read_image

TINY = Path(__file__).parents[2] / "runtime/tiny.edgead"
MADE = {
    "here": Environment(python=Path(sys.executable)),
    "nowhere": Environment(python=Path("none"), refused="pip install x: no such package"),
}


def way(name, environment="here", artifact=TINY, **settings):
    command = ("edge_ad", str(artifact), "onnxruntime")
    settings = {"name": name, "environment": environment, "command": command, **settings}
    return Way(truth=REFERENCE, **settings)


def test_what_cannot_run_is_a_row_and_the_others_go_on(tmp_path):
    images = [read_image(TINY / f"reference/0-{kind}.png")[:64, :80] for kind in ("good", "stain")]
    np.save(tmp_path / "test.npy", images)
    ways = [
        way("edge_ad"),
        way("in bf16", refused="this processor has no bf16"),
        way("not there", artifact=tmp_path),
        way("not installed", environment="nowhere"),
    ]
    rows = measure(ways, MADE, tmp_path, len(images))
    judge(rows, [1.0, 2.0], np.array([False, True]))
    assert [row["name"] for row in rows] == [way.name for way in ways]
    assert (len(rows[0]["ms"]), len(rows[0]["scores"])) == (2, 2)
    assert "refused" not in rows[0]
    assert rows[1]["refused"] == "this processor has no bf16"
    assert "holds no manifest.json" in rows[2]["refused"]
    assert rows[3]["refused"] == "pip install x: no such package"

    fit_there = prepare(MADE["nowhere"], tmp_path, "anomalib", "prepare")
    record = {
        "bank_images": 1, "bank_rows": 1, "test": [1, 2], "searches": {"edge_ad": "exact"},
        "ways": [{**row, "install_bytes": 0} for row in rows],
        "fit": {"edge_ad": {"features_s": 1, "coreset_s": 1}, "anomalib": fit_there},
    }  # fmt: skip
    text = section(record)
    assert "| in bf16 | cannot run here: this processor has no bf16 |" in text
    assert "| anomalib | cannot run here: pip install x: no such package |" in text


def test_a_preparation_that_fails_says_why(tmp_path):
    found = prepare(MADE["here"], tmp_path, "that_is_not_there")
    assert found["refused"].endswith("No module named benchmarks.peers.children.that_is_not_there")
