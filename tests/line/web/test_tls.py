"""TLS by a certificate of the settings, which is refused at the start if it cannot be used."""

import shutil
import ssl
import subprocess
from dataclasses import replace

import httpx
import pytest

from edge_ad_line.web_server import WebServer
from edge_ad_runtime.errors import ConfigError


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate for the loopback, and its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("tls")
    command = (
        f"{openssl} req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=line "
        f"-addext subjectAltName=IP:127.0.0.1 -keyout {folder}/key.pem -out {folder}/line.pem"
    )
    subprocess.run(command.split(), check=True, capture_output=True)
    return folder / "line.pem", folder / "key.pem"


def test_the_line_answers_over_tls_and_the_cookie_is_for_tls_alone(
    served, certificate, tokens_file
):
    files = {"certificate_file": str(certificate[0]), "key_file": str(certificate[1])}
    client = served(web={**files, "tokens": str(tokens_file)})
    trusted = ssl.create_default_context(cafile=str(certificate[0]))
    with httpx.Client(base_url=client.base_url, verify=trusted, trust_env=False) as secure:
        assert secure.get("/v2/health/live").status_code == 200
        signed = secure.post("/v1/session", json={"token": "o" * 24})
        assert "; Secure" in signed.headers["set-cookie"]
        assert secure.get("/v1/session").json()["role"] == "operator"


def test_a_certificate_that_cannot_be_used_is_refused_at_the_start(
    settings, opened, certificate, tmp_path
):
    good, key = map(str, certificate)
    junk = tmp_path / "junk.pem"
    junk.write_text("no certificate")
    line = opened(settings(web={"listen": "127.0.0.1:0"}))
    for given, said in [
        ({"certificate_file": good}, "come together"),
        ({"certificate_file": good, "key_file": str(tmp_path / "none.pem")}, "no such file"),
        ({"certificate_file": str(junk), "key_file": key}, "cannot be used"),
        ({"certificate_file": good, "key_file": str(junk)}, "cannot be used"),
    ]:
        with pytest.raises(ConfigError, match=said):
            WebServer(line, replace(line.config.web, **given))
