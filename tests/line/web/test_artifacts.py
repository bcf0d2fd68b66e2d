"""Another artifact over HTTP: upload, promote, roll back; what is refused leaves the old one."""

import pytest

from edge_ad_runtime.artifact.packed import pack

ARTIFACT = "/v1/parts/plate/artifact"
SCORE = "/v1/parts/plate/score"


@pytest.fixture
def packed(other, tmp_path):
    pack(other, tmp_path / "other.packed")
    return (tmp_path / "other.packed").read_bytes()


def live(client):
    return client.get("/v1/status").json()["parts"]["plate"]["artifact"]


def test_an_artifact_is_uploaded_promoted_and_rolled_back(served, packed, good):
    client = served()
    before = live(client)
    staged = client.post(ARTIFACT, content=packed)
    assert staged.status_code == 201, staged.text
    sha256 = staged.json()["sha256"]
    assert live(client) == before
    promoted = client.post(
        f"{ARTIFACT}/promote", json={"sha256": sha256, "reason": "tighter"}
    ).json()
    states = {artifact["sha256"]: artifact["state"] for artifact in promoted["artifacts"]}
    assert states == {sha256: "live", before: "previous"}
    assert client.post(SCORE, content=good).json()["artifact"] == sha256
    assert client.post(f"{ARTIFACT}/rollback", json={"reason": "too tight"}).status_code == 200
    assert live(client) == before
    audit = client.get("/v1/audit").json()
    assert [row["reason"] for row in audit["rows"]][-2:] == ["tighter", "too tight"]
    assert audit["is_whole"] is True
    assert list((client.line.store.folder / "uploads").iterdir()) == []


@pytest.mark.parametrize("damage", ["half", "flipped", "nothing", "text"])
def test_an_upload_that_is_damaged_is_refused_and_the_old_one_goes_on(served, packed, good, damage):
    client = served()
    before = live(client)
    middle = len(packed) // 2
    body = {
        "half": packed[:middle],
        "flipped": packed[:middle] + bytes([packed[middle] ^ 1]) + packed[middle + 1 :],
        "nothing": b"",
        "text": b"hello",
    }[damage]
    refused = client.post(ARTIFACT, content=body)
    assert refused.status_code == 422, refused.text
    assert refused.json()["error"]
    assert live(client) == before
    assert client.post(SCORE, content=good).status_code == 200


def test_a_change_without_a_reason_or_without_an_artifact_is_refused(served):
    client = served()
    for path, body in [
        ("promote", {"sha256": "0" * 64}),
        ("promote", {"sha256": "0" * 64, "reason": " "}),
        ("rollback", {}),
    ]:
        answer = client.post(f"{ARTIFACT}/{path}", json=body)
        assert (answer.status_code, "reason" in answer.json()["error"]) == (400, True)
    unknown = client.post(f"{ARTIFACT}/promote", json={"sha256": "0" * 64, "reason": "x"})
    assert unknown.status_code in (409, 422)
    assert client.post(f"{ARTIFACT}/rollback", json={"reason": "x"}).status_code in (409, 422)
