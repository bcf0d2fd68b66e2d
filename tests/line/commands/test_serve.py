"""`edge-ad serve` as systemd and a person run it: checked, ready, alive, reloaded, stopped."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading

import pytest
from click.testing import CliRunner

from edge_ad_line.commands import serve as home
from edge_ad_runtime.commands.main import main

LINE = """
[device]
site = "plant"
name = "dev"
data = "data"

[[part]]
name = "plate"
artifact = "{artifact}"
camera = "top"
threads = 1

[[camera]]
kind = "folder"
name = "top"
folder = "spool"
every_ms = 10

[[sink]]
kind = "json-lines"
name = "lines"
file = "lines.jsonl"

[store]
reserve_bytes = 65536

[web]
listen = "127.0.0.1:0"
"""


@pytest.fixture
def file(tmp_path, tiny):
    (tmp_path / "spool").mkdir()
    path = tmp_path / "line.toml"
    path.write_text(LINE.format(artifact=tiny), encoding="utf-8")
    return path


class Served:
    """The command in a process of its own, with what it tells systemd and people."""

    def __init__(self, file):
        self.told, self.said = [], []
        address = str(file.with_name("notify"))
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "edge_ad_runtime", "serve", str(file)],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "NOTIFY_SOCKET": address, "WATCHDOG_USEC": "200000"},
        )
        for target in (self._listen, self._read):
            threading.Thread(target=target, daemon=True).start()

    def _listen(self):
        while content := self._socket.recv(4096):
            self.told += content.decode().splitlines()

    def _read(self):
        for text in self._process.stderr:
            self.said.append(text.rstrip())

    def send(self, number):
        self._process.send_signal(number)

    def wait(self):
        return self._process.wait(timeout=30)

    def close(self):
        self._process.kill()
        self._process.wait()
        self._socket.close()


@pytest.fixture
def served(file):
    found = Served(file)
    yield found
    found.close()


def test_a_service_is_ready_alive_reloaded_and_stopped_with_what_waits_done(
    served, file, good, wait_until
):
    wait_until(lambda: "READY=1" in served.told, timeout_s=30)
    wait_until(lambda: "WATCHDOG=1" in served.told)
    assert served.told[0] == "STATUS=verifying the artifacts"
    text = file.read_text()

    file.write_text(text.replace("every_ms", "every_m"))
    served.send(signal.SIGHUP)
    wait_until(lambda: any("unknown key 'camera[0].every_m'" in said for said in served.said))
    assert any("nothing was changed" in said for said in served.said)

    file.write_text(text.replace("lines.jsonl", "others.jsonl"))
    served.send(signal.SIGHUP)
    wait_until(lambda: any(said.endswith("line.toml: taken") for said in served.said))

    (file.parent / "spool" / "a.png").write_bytes(good)
    others = file.with_name("others.jsonl")
    wait_until(lambda: others.exists() and others.read_text().endswith("\n"))
    assert json.loads(others.read_text())["verdict"] == "good"

    served.send(signal.SIGTERM)
    assert served.wait() == 0
    assert "STOPPING=1" in served.told
    assert not [said for said in served.said if "Traceback" in said]


def check(file):
    return CliRunner().invoke(main, ["serve", str(file), "--check"])


def test_a_check_says_of_each_thing_what_was_found(file):
    result = check(file)
    assert result.exit_code == 0, result.output
    for what in ("data", "part plate", "camera top", "sink lines", "web"):
        assert f"ok      {what}: " in result.output


def test_a_check_names_everything_that_is_wrong_and_starts_nothing(file, server):
    server.stop()
    (file.parent / "lines.jsonl").mkdir()
    text = file.read_text().replace("tiny.edgead", "nobody.edgead").replace('"spool"', '"no"')
    text = text.replace("127.0.0.1:0", "0.0.0.0:0")
    text += f'[[camera]]\nkind = "http"\nname = "side"\nurl = "{server.url}"\n'
    file.write_text(text)
    result = check(file)
    assert result.exit_code == 1
    for what, found in {
        "part plate": "no such folder",
        "camera top": "cannot be watched",
        "camera side": "refused",
        "sink lines": "cannot be written",
        "web": "token",
    }.items():
        (row,) = [r for r in result.output.splitlines() if r.startswith(f"FAILED  {what}: ")]
        assert found in row
    assert "5 of these cannot work" in result.output
    assert not (file.parent / "data/line.sqlite").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("site =", "sight ="), "unknown key 'device.sight'"),
        (('camera = "top"', 'camera = "side"'), "no [[camera]] of that name; there are: top"),
        (('kind = "folder"', 'kind = "flodder"'), "camera[0].kind: expected one of"),
        (("threads = 1", "threads = 0"), "part[0].threads"),
        (("[device]", "[device"), "line.toml: "),
    ],
)
def test_a_wrong_key_is_named_with_its_file(file, change, message):
    file.write_text(file.read_text().replace(*change))
    result = CliRunner().invoke(main, ["serve", str(file)])
    assert result.exit_code == 1
    assert message in result.output
    assert len(result.output.splitlines()) == 1


def test_without_the_extra_the_command_says_what_to_install(file, monkeypatch):
    monkeypatch.setattr(home, "_NEEDED", ("nobody_has_this",))
    result = CliRunner().invoke(main, ["serve", str(file)])
    assert result.exit_code == 1
    assert "pip install 'edge-ad-runtime[serve]'" in result.output


def test_scoring_imports_nothing_of_the_line(tiny, good):
    code = (
        "import sys\nfrom click.testing import CliRunner\n"
        "from edge_ad_runtime.commands.main import main\n"
        f"assert CliRunner().invoke(main, ['score', {str(tiny)!r},"
        f" {str(tiny / 'reference/0-good.png')!r}]).exit_code == 0\n"
        "found = {'edge_ad_line', 'starlette', 'uvicorn', 'prometheus_client', 'paho'}\n"
        "print(found & {name.partition('.')[0] for name in sys.modules})"
    )
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert child.stdout == "set()\n"
