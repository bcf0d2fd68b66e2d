import json
import shutil
from pathlib import Path

import pytest

from edge_ad_runtime.artifact.folder import Artifact, hash_file
from edge_ad_runtime.artifact.manifest import FILE_NAME, read_manifest

TINY = Path(__file__).with_name("tiny.edgead")


@pytest.fixture(scope="session")
def tiny() -> Path:
    """The committed artifact; read it, never write it."""
    return TINY


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    """A copy of the committed artifact to damage, in a path with a space and an umlaut."""
    return shutil.copytree(TINY, tmp_path / "Prüfling Nr 7.edgead")


@pytest.fixture
def resign():
    """Change the manifest's JSON and seal it again, as an attacker or a bad tool could."""

    def change(folder: Path, edit) -> None:
        from edge_ad_runtime.artifact import strict
        from edge_ad_runtime.artifact.schema import Manifest

        raw = json.loads((folder / FILE_NAME).read_text(encoding="utf-8"))
        edit(raw)
        manifest = strict.parse(Manifest, raw).sealed()
        (folder / FILE_NAME).write_text(manifest.to_text(), encoding="utf-8")
        assert read_manifest(folder) == manifest

    return change


@pytest.fixture
def set_threshold(resign):
    """Give the artifact a threshold of which nothing is known, and seal the manifest over it."""

    def change(folder: Path, threshold: float) -> None:
        of_nothing = {"images": 0, "scores": [], "false_reject_rate": 1.0, "interval": [0.0, 1.0]}
        given = {"method": "given", "threshold": threshold, "requested_rate": None, **of_nothing}
        resign(folder, lambda manifest: manifest["calibration"].update(given))

    return change


@pytest.fixture(scope="session")
def good_image(tiny: Path) -> Path:
    return tiny / Artifact.open(tiny).manifest.reference[0].file


@pytest.fixture
def reseal(artifact, resign):
    """Give a file other content, and seal the manifest over it."""

    def change(name: str, content: bytes) -> None:
        (artifact / name).write_bytes(content)
        entry = vars(hash_file(artifact / name))
        resign(artifact, lambda manifest: manifest["files"].update({name: entry}))

    return change
