import httpx
import pytest

from edge_ad_line.line import Line
from edge_ad_line.web_server import WebServer


class LineClient(httpx.Client):
    """A client, and the line that answers it."""

    line: Line


@pytest.fixture
def served(settings, opened):
    """Serve a line on a free port of the loopback, and give a client. More keys are settings."""
    running = []

    def make(part=None, web=None, **more):
        web = {"listen": "127.0.0.1:0", **(web or {})}
        line = opened(settings(part, web=web, **more))
        server = WebServer(line, line.config.web)
        server.start()
        client = LineClient(base_url=server.address, timeout=30, trust_env=False)
        client.line = line
        running.append((client, server))
        return client

    yield make
    for client, server in running:
        client.close()
        client.line.events.close()
        server.stop()


TOKENS = {"viewer": "v" * 24, "operator": "o" * 24, "engineer": "e" * 24}


@pytest.fixture
def tokens_file(tmp_path):
    """A file with a token for each role."""
    path = tmp_path / "tokens.toml"
    path.write_text(
        "".join(
            f'[[token]]\nname = "{role} 1"\nrole = "{role}"\ntoken = "{token}"\n'
            for role, token in TOKENS.items()
        )
    )
    path.chmod(0o600)
    return path


@pytest.fixture
def bearer():
    """The header of each role's token."""
    return lambda role: {"Authorization": f"Bearer {TOKENS[role]}"}
