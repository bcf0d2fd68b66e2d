import json
from xml.etree import ElementTree

import numpy as np
import pytest

from edge_ad_runtime import Detector
from edge_ad_runtime.artifact.folder import hash_file
from edge_ad_runtime.artifact.manifest import read_manifest
from edge_ad_runtime.errors import ArtifactError
from edge_ad_runtime.proof.verify import verify


def test_an_untouched_artifact_verifies(tiny):
    report = verify(Detector.load(tiny))
    assert report.ok
    assert report.first_failure is None
    assert [stage.stage for stage in report.stages] == [
        *("preprocess", "features", "distances", "map", "score", "verdict", "regions")
    ]
    assert report.not_checked == ()
    assert report.images == 2
    assert json.loads(report.to_json())["ok"] is True
    assert ElementTree.fromstring(report.to_junit()).get("failures") == "0"


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m["preprocessing"].update(resize_px=100),
        lambda m: m["preprocessing"].update(resize_px=80),
    ],
)
def test_another_preprocessing_fails_at_preprocess_even_if_the_manifest_is_sealed_again(
    artifact, resign, change
):
    resign(artifact, change)
    report = verify(Detector.load(artifact))
    assert not report.ok
    assert report.first_failure.stage == "preprocess"
    assert ElementTree.fromstring(report.to_junit()).find(".//failure") is not None


def fail_at(detector, stage, monkeypatch):
    if stage == "features":
        run = detector.engine.run

        def scaled(images):
            return {name: value * np.float32(1.001) for name, value in run(images).items()}

        monkeypatch.setattr(detector.engine, "run", scaled)
    elif stage == "distances":
        search = detector.members[0].head._search
        nearest = search.nearest

        def too_far(queries, k):
            found = nearest(queries, k)
            return found._replace(distances=found.distances * 1.2)

        monkeypatch.setattr(search, "nearest", too_far)
    elif stage == "map":
        black = np.zeros((64, 80), np.float32)
        monkeypatch.setattr(
            "edge_ad_runtime.heads.patch_search.anomaly_map", lambda *arguments: black
        )


@pytest.mark.parametrize("stage", ["features", "distances", "map"])
def test_the_first_failing_stage_is_named(tiny, stage, monkeypatch):
    detector = Detector.load(tiny)
    fail_at(detector, stage, monkeypatch)
    assert verify(detector).first_failure.stage == stage


def test_equation_7_switched_off_fails_at_score_even_if_sealed_again(artifact, resign):
    resign(artifact, lambda m: m["members"][0]["head"]["scoring"].update(reweight_neighbours=None))
    assert verify(Detector.load(artifact)).first_failure.stage == "score"


@pytest.mark.parametrize("factor", [0.1, 3])
def test_another_threshold_fails_at_verdict_even_if_sealed_again(artifact, set_threshold, factor):
    set_threshold(artifact, factor * read_manifest(artifact).calibration.threshold)
    failure = verify(Detector.load(artifact)).first_failure
    assert (failure.stage, failure.worst_difference) == ("verdict", 1)


def test_regions_that_are_not_the_references_fail_at_regions(tiny, monkeypatch):
    detector = Detector.load(tiny)
    find_regions = detector.regions
    monkeypatch.setattr(detector, "regions", lambda *arguments: find_regions(*arguments)[1:])
    failure = verify(detector).first_failure
    assert failure.stage == "regions"
    assert failure.worst_difference == 1


def test_a_pixel_near_the_threshold_on_this_machine_fails_nothing(tiny, monkeypatch):
    """Regions are found in the reference's own map, so this machine's rounding cannot join two."""
    detector = Detector.load(tiny)
    run = detector.engine.run

    def rounded(images):
        return {name: value * np.float32(1.00002) for name, value in run(images).items()}

    monkeypatch.setattr(detector.engine, "run", rounded)
    report = verify(detector)
    assert report.ok
    assert report.stages[-1].worst_difference == 0


def test_an_artifact_of_before_there_were_regions_verifies_and_says_so(artifact, resign):
    resign(artifact, lambda manifest: manifest["tolerances"].pop("regions"))
    report = verify(Detector.load(artifact))
    assert report.ok
    assert report.stages[-1].stage == "verdict"
    assert report.not_checked == ("regions",)


def test_a_tolerance_of_regions_is_refused(artifact, resign):
    resign(artifact, lambda manifest: manifest["tolerances"].update(regions=1.0))
    with pytest.raises(ArtifactError, match="regions is 1; 0 is the most that proves anything"):
        Detector.load(artifact)


def test_reference_values_of_another_artifact_are_refused(artifact, resign):
    path = artifact / "reference/values.npz"
    np.savez(path, allow_pickle=False, something=np.zeros(3))

    def rehash(manifest):
        entry = hash_file(path)
        manifest["files"]["reference/values.npz"] = {
            "size_bytes": entry.size_bytes,
            "sha256": entry.sha256,
        }

    resign(artifact, rehash)
    with pytest.raises(ArtifactError, match="not the reference values"):
        verify(Detector.load(artifact))


def test_an_artifact_without_reference_images_cannot_be_verified(artifact, resign):
    resign(artifact, lambda manifest: manifest.update(reference=[]))
    with pytest.raises(ArtifactError, match="carries no reference images"):
        verify(Detector.load(artifact))
