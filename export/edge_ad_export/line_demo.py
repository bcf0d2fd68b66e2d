"""A line without a factory: drawn parts pass a camera, and a browser shows what is made of them.

The camera is an HTTP server that draws another part for each picture. What judges them is
``edge-ad serve`` with a file of settings that may be copied for a real line.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np

from edge_ad.fitting.fitting import fit
from edge_ad.methods.patchcore.settings import PatchCoreConfig
from edge_ad.synthetic.parts import DEFECTS, HEIGHT_PX, WIDTH_PX, draw_part, write_parts
from edge_ad_export import ExportConfig, export
from edge_ad_runtime.artifact.atomic import write_file
from edge_ad_runtime.errors import ConfigError

Echo = Callable[[str], object]
_GOOD_PARTS = 80
_CONFIG = PatchCoreConfig(weights="default", size=(HEIGHT_PX, WIDTH_PX), coreset_fraction=0.02)
_BROKERS = ("mosquitto", "/usr/sbin/mosquitto")  # Debian has it where users' PATHs do not look
_WAIT_S = 60


@dataclass(frozen=True, kw_only=True)
class LineDemoConfig:
    """What the demonstration shows.

    Attributes:
        port: of the page, on the loopback.
        every_ms: between two parts.
        defective_fraction: how many parts have a defect.
        seed: of the drawing.
    """

    port: int = 8080
    every_ms: int = 1500
    defective_fraction: float = 0.08
    seed: int = 7


def run_line_demo(out: Path, config: LineDemoConfig, *, echo: Echo) -> None:
    """Run the line until Ctrl-C. An artifact that is in ``out`` already is taken.

    Raises:
        EdgeADError: a step failed.
    """
    artifact = out / "plate.edgead"
    if not artifact.exists():
        _make_artifact(out, artifact, echo)
    with ExitStack() as running:
        camera = running.enter_context(drawing_camera(config))
        broker = running.enter_context(_broker(out))
        settings = out / "line.toml"
        write_file(settings, line_toml(config, camera, broker).encode())
        echo(f"\nthe line is {settings}; to run it yourself: edge-ad serve {settings}")
        if broker is not None:
            echo(f"its messages: mosquitto_sub -p {broker} -v -t 'edge_ad/#'")
        echo(f"\nopen http://127.0.0.1:{config.port} in a browser; Ctrl-C ends it\n")
        _serve(settings)


def _make_artifact(out: Path, artifact: Path, echo: Echo) -> None:
    echo(f"drawing {_GOOD_PARTS} good parts, and learning what good looks like (a minute)")
    write_parts(out / "parts", good=_GOOD_PARTS, test_good=0, per_defect=0)
    fitted = fit(out / "parts/train/good", _CONFIG, progress=True)
    export(fitted, artifact, ExportConfig(), progress=True)


def line_toml(config: LineDemoConfig, camera: str, broker: int | None) -> str:
    """The settings of the line.

    Args:
        config: see `LineDemoConfig`.
        camera: where the camera gives pictures.
        broker: the port of an MQTT broker, if there is one.
    """
    text = f"""# Drawn parts on a line. See docs/line.md for what else may stand here.

[device]
site = "demo"
name = "station-1"
data = "line-data"      # results, images, artifacts

[[part]]
name = "plate"
artifact = "plate.edgead"
camera = "top"

[[camera]]
name = "top"
kind = "http"
url = "{camera}"
mode = "free-running"
every_ms = {config.every_ms}

[[sink]]
name = "log"
kind = "json-lines"
file = "verdicts.jsonl"

[web]
listen = "127.0.0.1:{config.port}"   # with tokens also where others can reach it
"""
    if broker is None:
        return text
    return (
        text + f'\n[[sink]]\nname = "broker"\nkind = "mqtt"\nhost = "127.0.0.1"\nport = {broker}\n'
    )


@contextmanager
def drawing_camera(config: LineDemoConfig) -> Iterator[str]:
    """A camera that draws another part for each picture, as PNG. Gives its address."""
    rng, lock = np.random.default_rng(config.seed), threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # noqa: N802 - the name is http.server's
            with lock:
                is_defective = rng.random() < config.defective_fraction
                defect = str(rng.choice(DEFECTS)) if is_defective else None
                image = draw_part(rng, defect).image
            _, png = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
            self.send_response(200)
            self.send_header("Content-Type", "image/png")
            self.send_header("Content-Length", str(len(png)))
            self.end_headers()
            self.wfile.write(png.tobytes())

        def log_message(self, format: str, *arguments: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/part.png"
        server.shutdown()


@contextmanager
def _broker(out: Path) -> Iterator[int | None]:
    """An MQTT broker on a free port of the loopback, if mosquitto is installed."""
    program = next(filter(None, map(shutil.which, _BROKERS)), None)
    if program is None:
        yield None
        return
    port = _free_port()
    settings = out / "mosquitto.conf"
    write_file(settings, f"listener {port} 127.0.0.1\nallow_anonymous true\n".encode())
    log = subprocess.DEVNULL
    with subprocess.Popen([program, "-c", str(settings)], stdout=log, stderr=log) as process:
        yield port
        process.terminate()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _serve(settings: Path) -> None:
    """``edge-ad serve``, as a user would run it. Ctrl-C reaches it too, and it ends by itself."""
    command = [sys.executable, "-m", "edge_ad_runtime", "serve", str(settings)]
    with subprocess.Popen(command) as process:
        try:
            code = process.wait()
        except BaseException:  # Ctrl-C, or an end by a signal: let it finish what waits
            process.terminate()
            process.wait(_WAIT_S)
            return
    if code != 0:
        raise ConfigError(f"edge-ad serve {settings} has ended with code {code}")
