"""A line that needs no camera and no broker: the committed artifact, folders, loopback."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

pytest.importorskip("paho.mqtt", reason="the extra [serve] is not installed")

from edge_ad_line.config import LineConfig  # noqa: E402
from edge_ad_line.line import Line  # noqa: E402
from edge_ad_runtime.artifact import strict  # noqa: E402
from edge_ad_runtime.artifact.folder import Artifact, hash_file  # noqa: E402
from edge_ad_runtime.artifact.manifest import FILE_NAME  # noqa: E402
from edge_ad_runtime.artifact.schema import Manifest  # noqa: E402
from edge_ad_runtime.decision.calibration import moved_to_threshold  # noqa: E402
from edge_ad_runtime.proof.new_threshold import write_with_threshold  # noqa: E402

TINY = Path(__file__).parents[1] / "runtime/tiny.edgead"
GOOD = TINY / "reference/0-good.png"
STAIN = TINY / "reference/0-stain.png"


@pytest.fixture(scope="session")
def wait_until():
    """Wait for what threads do, and fail if they do not."""

    def wait(is_true, timeout_s=30.0):
        until = time.monotonic() + timeout_s
        while not is_true():
            assert time.monotonic() < until, "it did not come"
            time.sleep(0.005)

    return wait


@pytest.fixture
def settings(tmp_path):
    """Settings of a line in ``tmp_path``, as its file would be read. More keys are added."""

    def make(part=None, **more):
        raw = {
            "device": {"site": "plant", "name": "dev", "data": str(tmp_path / "data")},
            "part": [{"name": "plate", "artifact": str(TINY), "threads": 1, **(part or {})}],
            "store": {"reserve_bytes": 65536},
            **more,
        }
        return strict.parse(LineConfig, raw)

    return make


@pytest.fixture
def opened():
    """Open lines, start them, and close them at the end."""
    lines = []

    def make(config):
        lines.append(Line.open(config))
        lines[-1].start()
        return lines[-1]

    yield make
    for line in lines:
        line.drain()
        line.close()


@pytest.fixture(scope="session")
def good() -> bytes:
    return GOOD.read_bytes()


@pytest.fixture(scope="session")
def stain() -> bytes:
    return STAIN.read_bytes()


class LoopbackServer:
    """An HTTP server whose answers a test decides, and which can be gone and come back."""

    def __init__(self):
        self.answer = lambda request: (200, "text/plain", b"")
        self.requests = []
        self.port = 0
        self._server = None
        self.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def start(self):
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                outer.requests.append((self.command, self.path, dict(self.headers), body))
                found = outer.answer(self)
                if found is None:
                    return
                status, kind, content = found
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_OPTIONS = do_POST

            def log_message(self, *arguments):
                """Say nothing."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request, client_address):
                """A client that has hung up is what is tested."""

        self._server = Server(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self):
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


@pytest.fixture
def server():
    found = LoopbackServer()
    yield found
    found.stop()


@pytest.fixture(scope="session")
def tiny() -> Path:
    """The committed artifact; read it, never write it."""
    return TINY


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """Another verified artifact: the committed one with the threshold 0.9."""
    out, artifact = tmp_path / "other.edgead", Artifact.open(TINY)
    calibration = moved_to_threshold(artifact.manifest.calibration, 0.9, artifact.manifest.sha256)
    assert write_with_threshold(artifact, calibration, out, threads=1).ok
    return out


@pytest.fixture
def resign():
    """Change an artifact's manifest and seal it again."""

    def change(folder: Path, edit) -> None:
        raw = json.loads((folder / FILE_NAME).read_text(encoding="utf-8"))
        edit(raw)
        text = strict.parse(Manifest, raw).sealed().to_text()
        (folder / FILE_NAME).write_text(text, encoding="utf-8")

    return change


@pytest.fixture
def reseal_file(resign):
    """Seal an artifact's manifest over what a file has become."""

    def change(folder: Path, name: str) -> None:
        entry = vars(hash_file(folder / name))
        resign(folder, lambda manifest: manifest["files"].update({name: entry}))

    return change
