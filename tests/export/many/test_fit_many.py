"""Cells are done once, a bad one is a row, and a run that is killed goes on where it was."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
from click.testing import CliRunner

from edge_ad_export.many import running
from edge_ad_export.many.live_table import LiveTable
from edge_ad_export.many.plan import read_plan
from edge_ad_runtime.commands.main import main

SETTINGS = """
[defaults]
weights = "untrained"
layers = [1]
size = 64

[[setting]]
name = "few"
coreset_fraction = 0.02

[[setting]]
name = "more"
coreset_fraction = 0.05
"""


@pytest.fixture
def plan(parts, tmp_path):
    """Two parts and two settings; one of the parts has labelled images."""
    shutil.copytree(parts / "train/good", tmp_path / "lid")
    shutil.copytree(parts / "train/good", tmp_path / "plate")
    shutil.copytree(parts / "test", tmp_path / "labelled/test")
    text = SETTINGS + "".join(
        f'[[part]]\nname = "{name}"\ngood = "{name}"\n{more}\n'
        for name, more in (("lid", 'test = "labelled"'), ("plate", ""))
    )
    path = tmp_path / "parts.toml"
    path.write_text(text)
    return path


def run(plan, *more):
    arguments = ["fit-many", str(plan), "--out", str(plan.parent / "fits"), *more]
    return CliRunner().invoke(main, arguments)


def cells(plan):
    return {folder.name: folder.stat().st_ino for folder in (plan.parent / "fits/cells").iterdir()}


def test_all_cells_are_done_once_and_compared(plan, monkeypatch):
    result = run(plan)
    assert result.exit_code == 0, result.output
    assert "4 of 4 cells are done, 0 of them before" in result.stdout
    assert result.stderr.count("MB (") == 4
    first = cells(plan)
    assert sorted(name.rpartition(".")[0] for name in first) == [
        "lid.few", "lid.more", "plate.few", "plate.more",
    ]  # fmt: skip
    rows = json.loads((plan.parent / "fits/cells.json").read_text())
    assert [row["figures"]["image_auroc"] is None for row in rows] == [False, False, True, True]
    assert all(row["figures"]["covering_ratio"] == 2 for row in rows)
    page = (plan.parent / "fits/index.html").read_text()
    assert page.count("(best)") == 2
    assert "by the highest image AUROC on its labelled images" in page
    assert "no labelled image was looked at" in page
    monkeypatch.setattr(running, "run_cell", lambda cell, out: 1 / 0)  # nothing is left to do
    again = run(plan)
    assert "4 of 4 cells are done, 4 of them before" in again.stdout
    assert cells(plan) == first


def test_a_bad_part_is_a_row_and_running_again_does_what_is_missing(plan):
    bad = plan.parent / "plate/003.png"
    content = bad.read_bytes()
    bad.write_bytes(content[:100])
    result = run(plan)
    assert result.exit_code == 1
    assert "2 of 4 cells are done" in result.stdout
    assert "2 of 4 cells failed: plate.few: " in result.stderr
    assert "003.png" in result.stderr
    assert (plan.parent / "fits/index.html").read_text().count("failed: ") == 2
    first = cells(plan)
    bad.write_bytes(content)
    result = run(plan)
    assert result.exit_code == 0
    assert "4 of 4 cells are done, 2 of them before" in result.stdout
    assert first.items() <= cells(plan).items()


def test_a_part_that_is_not_there_does_not_stop_the_others(plan):
    shutil.rmtree(plan.parent / "lid")
    result = run(plan)
    assert result.exit_code == 1
    assert "lid: no such folder" in result.stderr
    assert len(cells(plan)) == 2


def test_a_run_that_is_killed_goes_on_where_it_was(plan):
    out = plan.parent / "fits"
    command = [sys.executable, "-m", "edge_ad_runtime", "fit-many", str(plan), "--out", str(out)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)
    while not list(out.glob("cells/[a-z]*")):  # until the first cell is done
        assert process.poll() is None
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    first = cells(plan)
    done = [name for name in first if not name.startswith(".")]
    result = run(plan)
    assert result.exit_code == 0
    assert f"4 of 4 cells are done, {len(done)} of them before" in result.stdout
    last = cells(plan)
    assert {name: last[name] for name in done} == {name: first[name] for name in done}
    assert len(last) == 4  # what was half done is gone


def test_cells_on_ray_are_those_of_this_process(plan, two_on_ray):
    result = run(plan, "--cluster", "local")
    assert result.exit_code == 0, result.output
    on_ray = json.loads((plan.parent / "fits/cells.json").read_text())
    shutil.rmtree(plan.parent / "fits")
    assert run(plan).exit_code == 0
    inline = json.loads((plan.parent / "fits/cells.json").read_text())
    for one, other in zip(on_ray, inline, strict=True):
        assert one["key"] == other["key"]
        assert one["figures"]["spread"] == pytest.approx(other["figures"]["spread"], rel=1e-3)
        assert one["figures"]["image_auroc"] == other["figures"]["image_auroc"]


def test_the_table_shows_what_runs_and_what_failed_first(plan):
    all_cells = read_plan(plan)
    out = plan.parent / "fits"
    (out / "cells").mkdir(parents=True)
    table = LiveTable(all_cells, out)
    (out / "cells/.plate.few.step").write_text("export")
    table.tell(3, running.Row(cell=all_cells[3], error="no such folder"))
    lines = table.lines(40)
    assert lines[0].startswith("2 waiting, 1 running, 1 failed; ")
    assert [line.split(maxsplit=1)[1] for line in lines[1:]] == [
        "waiting", "waiting", "export ...", "failed: no such folder",
    ]  # fmt: skip
    assert len(table.lines(3)) == 3
    assert "export ..." in "".join(table.lines(3))
