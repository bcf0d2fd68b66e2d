"""The files of the operator page: small, on their own, and under a strict policy."""

import re
from pathlib import Path

import edge_ad_line.web
from edge_ad_line.web.answers import POLICY

STATIC = Path(edge_ad_line.web.__file__).with_name("static")
FILES = sorted(path for path in STATIC.rglob("*") if path.is_file())
FIRST_LOAD_BYTES = 60_000


def test_the_first_load_is_small():
    assert sum(path.stat().st_size for path in FILES) <= FIRST_LOAD_BYTES


def test_no_file_names_an_address_elsewhere_or_runs_what_is_inline():
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        known = {"http://www.w3.org/2000/svg"}  # a name, which nobody fetches
        assert set(re.findall(r"(?:https?:)?//[a-z][^\s'\"`)]*", text)) - comments(text) <= known
        assert not re.search(r"<script(?![^>]*\bsrc=)|\bon\w+=\"|style=\"|innerHTML|eval\(", text)


def comments(text):
    return set(re.findall(r"//[a-z][^\s'\"`)]*", text)) if "import " in text else set()


def test_every_import_and_every_file_of_the_page_is_there():
    names = {path.name for path in FILES}
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        found = re.findall(r"from '\./([^']+)'|/static/([\w.]+)", text)
        assert {a or b for a, b in found} <= names, path


def test_the_page_is_served_under_a_strict_policy(served):
    client = served()
    page = client.get("/")
    assert page.headers["content-type"].startswith("text/html")
    assert page.headers["content-security-policy"] == POLICY
    assert "unsafe" not in POLICY and "http" not in POLICY
    assert page.headers["x-content-type-options"] == "nosniff"
    assert client.get("/static/app.js").headers["content-type"].startswith("text/javascript")
    again = client.get("/", headers={"If-None-Match": page.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_answers_of_the_api_are_kept_nowhere(served):
    client = served()
    for path in ("/v1/status", "/nothing"):
        answer = client.get(path)
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["content-security-policy"] == POLICY
