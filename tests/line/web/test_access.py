"""Tokens, roles, and pages of other sites."""

import pytest
from starlette.routing import Route

from edge_ad_line.web.access import Access, read_tokens
from edge_ad_runtime.errors import ConfigError

SCORE = "/v1/parts/plate/score"
NEEDS = [
    ("GET", "/v1/results", "viewer"),
    ("GET", "/v1/results/x", "viewer"),
    ("GET", "/v1/results/x/image", "viewer"),
    ("GET", "/v1/results/x/overlay", "viewer"),
    ("GET", "/v1/review", "viewer"),
    ("GET", "/v1/status", "viewer"),
    ("GET", "/v1/session", "viewer"),
    ("GET", "/v1/parts/plate/artifact", "viewer"),
    ("GET", "/metrics", "viewer"),
    ("GET", "/v2", "viewer"),
    ("GET", "/v2/models/plate", "viewer"),
    ("POST", SCORE, "operator"),
    ("POST", "/v1/parts/plate/trigger", "operator"),
    ("POST", "/v1/results/x/review", "operator"),
    ("POST", "/v2/models/plate/infer", "operator"),
    ("POST", "/v1/parts/plate/artifact", "engineer"),
    ("POST", "/v1/parts/plate/artifact/promote", "engineer"),
    ("POST", "/v1/parts/plate/artifact/rollback", "engineer"),
    ("GET", "/v1/audit", "engineer"),
]
ROLES = ["viewer", "operator", "engineer"]


def test_every_endpoint_needs_its_role_and_no_more(served, tokens_file, bearer):
    client = served(web={"tokens": str(tokens_file)})
    for method, path, needed in NEEDS:
        nobody = client.request(method, path)
        assert (nobody.status_code, path) == (401, path)
        assert nobody.headers["www-authenticate"] == "Bearer"
        for role in ROLES:
            status = client.request(method, path, headers=bearer(role)).status_code
            may = ROLES.index(role) >= ROLES.index(needed)
            assert (status != 403, path, role) == (may, path, role)
            assert status != 401


def test_the_list_above_has_every_route_that_is_guarded(served, tokens_file):
    client = served(web={"tokens": str(tokens_file)})
    from edge_ad_line.web import create_app

    free = {"/", "/static/{name:path}", "/v2/health/live", "/v2/health/ready"}
    listed = {(method, path.replace("/plate", "/{part}").replace("/x", "/{id}"))
              for method, path, _ in NEEDS}  # fmt: skip
    for route in create_app(client.line).routes:
        assert isinstance(route, Route)
        if route.path in free or "{version}" in route.path or route.path == "/v1/events":
            continue
        if route.path == "/v1/session" and "GET" not in route.methods:
            continue
        if route.path.endswith("{part}/ready"):
            continue
        assert (min(route.methods - {"HEAD"}), route.path) in listed


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer x", "Basic b29v", "Bearer " + "v" * 23, "Bearer \xff"]
)
def test_a_token_that_is_not_known_is_refused(served, tokens_file, header):
    client = served(web={"tokens": str(tokens_file)})
    headers = {"Authorization": header.encode("latin-1")}
    assert client.get("/v1/status", headers=headers).status_code == 401


def test_a_panel_signs_in_with_a_cookie_that_no_script_reads(served, tokens_file):
    client = served(web={"tokens": str(tokens_file)})
    assert client.get("/").status_code == 200
    assert client.get("/static/app.js").status_code == 200
    assert client.post("/v1/session", json={"token": "x" * 24}).status_code == 401
    signed = client.post("/v1/session", json={"token": "o" * 24})
    cookie = signed.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=strict" in cookie
    assert client.get("/v1/session").json() == {
        "name": "operator 1", "role": "operator", "is_open": False
    }  # fmt: skip
    client.delete("/v1/session")
    assert client.get("/v1/session").status_code == 401


def test_the_audit_trail_has_the_name_of_the_token(served, tokens_file, bearer, good, wait_until):
    client = served(web={"tokens": str(tokens_file)})
    found = client.post(SCORE, content=good, headers=bearer("operator")).json()
    client.post(
        f"/v1/results/{found['id']}/review", json={"label": "good"}, headers=bearer("operator")
    )
    audit = client.get("/v1/audit", params={"newest": 1}, headers=bearer("engineer")).json()
    assert audit["rows"][0]["user"] == "operator 1"
    assert audit["is_whole"] is True


def test_a_page_of_another_site_changes_nothing(served, good):
    client = served()
    answer = client.post(SCORE, content=good, headers={"Origin": "https://evil.example"})
    assert answer.status_code == 403
    assert client.get("/v1/results").json()["results"] == []
    own = str(client.base_url).rstrip("/")
    assert client.post(SCORE, content=good, headers={"Origin": own}).status_code == 200


def test_without_tokens_another_name_of_this_device_is_no_address(served):
    """A page of a site whose name was made to lead here could otherwise read all."""
    client = served()
    assert client.get("/v1/status", headers={"Host": "evil.example"}).status_code == 403
    assert client.get("/v1/status", headers={"Host": "localhost:1"}).status_code == 200


def test_without_tokens_others_must_not_reach_the_line(settings, opened):
    from edge_ad_line.web import create_app

    line = opened(settings(web={"listen": "0.0.0.0:0"}))
    with pytest.raises(ConfigError, match="there are no tokens"):
        create_app(line)


def test_a_file_of_tokens_that_others_may_read_is_refused(tokens_file):
    tokens_file.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod o-r"):
        read_tokens(tokens_file)


@pytest.mark.parametrize(
    "text, said",
    [
        ("", "token"),
        ("token = []", r"there is no \[\[token\]\]"),
        ('[[token]]\nname = "a"\nrole = "boss"\ntoken = "' + "a" * 24 + '"', "role"),
        ('[[token]]\nname = "a"\nrole = "viewer"\ntoken = "short"', "20 to 200"),
        ('[[token]]\nname = "a"\nrole = "viewer"\ntoken = "' + "a" * 24 + '"\nx = 1', "x"),
        (2 * ('[[token]]\nname = "a"\nrole = "viewer"\ntoken = "' + "a" * 24 + '"\n'), "same name"),
        ("[[token", "tokens.toml"),
    ],
)
def test_a_file_of_tokens_that_is_wrong_says_where(tmp_path, text, said):
    path = tmp_path / "tokens.toml"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(ConfigError, match=said):
        read_tokens(path)


def test_tokens_are_not_kept_as_they_are(tokens_file):
    access = Access(read_tokens(tokens_file))
    assert "o" * 24 not in str(vars(access))
    assert access.known("o" * 24).role == "operator"
    assert access.known("\udcff") is None
