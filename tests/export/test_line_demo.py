"""A line without a factory: its camera, its settings, and all of it until somebody ends it."""

import json
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="the extra [serve] is not installed")

from edge_ad_export.line_demo import LineDemoConfig, _free_port, drawing_camera, line_toml
from edge_ad_line.config import LineConfig
from edge_ad_runtime.images import decode_image

TINY = Path(__file__).parents[1] / "runtime/tiny.edgead"
_OPEN = urllib.request.build_opener(urllib.request.ProxyHandler({})).open


def test_each_picture_of_the_camera_is_another_part():
    with drawing_camera(LineDemoConfig()) as url:
        pictures = [_OPEN(url).read() for _ in range(3)]
    assert len(set(pictures)) == 3
    assert {decode_image(picture).shape for picture in pictures} == {(256, 320, 3)}


@pytest.mark.parametrize("broker", [None, 1883])
def test_its_settings_are_those_of_a_line(tmp_path, broker):
    path = tmp_path / "line.toml"
    path.write_text(line_toml(LineDemoConfig(port=8081), "http://127.0.0.1:9/part.png", broker))
    config = LineConfig.read(path)
    assert config.web.listen == "127.0.0.1:8081"
    assert [sink.kind for sink in config.sink] == ["json-lines"] + ["mqtt"] * (broker is not None)


def test_it_judges_parts_until_it_is_ended(tmp_path):
    shutil.copytree(TINY, tmp_path / "plate.edgead")
    port = _free_port()
    command = [sys.executable, "-m", "edge_ad_runtime", "line-demo", "--out", str(tmp_path)]
    command += ["--port", str(port), "--every-ms", "100"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            results = _results(port)
        finally:
            process.send_signal(signal.SIGTERM)
            out = process.communicate(timeout=60)[0]
    assert {result["part"] for result in results} == {"plate"}
    assert f"http://127.0.0.1:{port}" in out
    lines = (tmp_path / "verdicts.jsonl").read_text().splitlines()
    assert len(lines) >= len(results)  # what was judged was told before the end


def _results(port):
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            found = json.load(_OPEN(f"http://127.0.0.1:{port}/v1/results"))["results"]
        except OSError:
            found = []
        if len(found) >= 3:
            return found
        time.sleep(0.1)
    raise AssertionError("no part was judged")
