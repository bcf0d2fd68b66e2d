"""From fit to verdict: exports of every precision and engine, all commands, and damage."""

import json
import os
import shutil
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest
from click.testing import CliRunner

from edge_ad import PatchCoreConfig, ReferenceDetector, fit
from edge_ad_export import ExportConfig, export
from edge_ad_runtime import Detector
from edge_ad_runtime.artifact import strict
from edge_ad_runtime.artifact.folder import hash_file
from edge_ad_runtime.artifact.manifest import FILE_NAME
from edge_ad_runtime.artifact.schema import Manifest
from edge_ad_runtime.commands.main import main
from edge_ad_runtime.errors import ArtifactError, ConfigError
from edge_ad_runtime.proof.verify import verify

needs_openvino = pytest.mark.skipif(not find_spec("openvino"), reason="openvino is not installed")


def run(*arguments, code=0):
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result


@pytest.fixture(scope="module")
def exported(spade, tmp_path_factory):
    out = tmp_path_factory.mktemp("spade") / "plate.edgead"
    export(spade, out, ExportConfig())
    return out


@pytest.fixture
def artifact(exported, tmp_path):
    """A copy to damage."""
    return shutil.copytree(exported, tmp_path / "plate.edgead")


@pytest.fixture
def resign():
    """Change the manifest's JSON, hash all files again and seal it, as an attacker could."""

    def change(folder, edit=lambda manifest: None):
        raw = json.loads((folder / FILE_NAME).read_text(encoding="utf-8"))
        raw["files"] = {name: vars(hash_file(folder / name)) for name in raw["files"]}
        edit(raw)
        text = strict.parse(Manifest, raw).sealed().to_text()
        (folder / FILE_NAME).write_text(text, encoding="utf-8")

    return change


def test_the_device_gives_the_references_values(spade, exported, parts):
    reference = ReferenceDetector(spade)
    with Detector.load(exported) as detector:
        assert verify(detector).ok
        for path in sorted((parts / "test").glob("*/000.png")):
            found, expected = detector.predict(path), reference.predict(path)
            assert found.score == pytest.approx(expected.score, rel=1e-4)
            assert found.verdict == expected.verdict
            assert np.abs(found.map - expected.map).max() <= 1e-4 * expected.map.max()


@pytest.mark.parametrize(
    ("precision", "engine"),
    [
        ("fp16", "onnxruntime"),
        ("int8", "onnxruntime"),
        pytest.param("fp32", "openvino", marks=needs_openvino),
        pytest.param("int8", "openvino", marks=needs_openvino),
    ],
)
def test_every_precision_verifies_on_every_engine(spade, precision, engine, tmp_path):
    export_config = ExportConfig(precision=precision, engine=engine, accept_loss=True)
    report = export(spade, tmp_path / "plate.edgead", export_config)
    assert report.verification.ok
    assert report.verification.engine == engine
    if precision != "fp32":
        gallery = np.load(report.path / "gallery.npy")
        assert gallery.shape == spade.kept.pooled.shape
        assert not np.array_equal(gallery, spade.kept.pooled)  # seen through the reduced network
        assert {*report.precision_loss.stages} == {
            *("pooled", "layer1", "layer2"),
            *("image_distances", "layer1_distances", "layer2_distances"),
        }


def test_the_manifest_says_what_is_compared(exported):
    (member,) = Detector.load(exported).manifest.members
    assert member.network.origin["pooled_layer"] == "2"
    assert member.network.origin["layers"] == "1, 2"
    assert member.head.neighbours == 4
    assert "12 images; there is an index from 50000 on" in member.head.search.reason
    rows = run("info", exported).stdout
    assert "spade (gallery-search)" in rows
    assert "12 images, the 4 nearest are compared with" in rows


def test_an_index_finds_the_same_images(spade, exported, parts, tmp_path):
    export(spade, tmp_path / "indexed.edgead", ExportConfig(search="hnsw"))
    detector, exact = Detector.load(tmp_path / "indexed.edgead"), Detector.load(exported)
    assert (detector.search, exact.search) == ("hnsw", "exact")
    assert Detector.load(tmp_path / "indexed.edgead", search="exact").search == "exact"
    for path in sorted((parts / "test").glob("*/000.png")):
        found, expected = detector.predict(path), exact.predict(path)
        assert found.score == pytest.approx(expected.score, rel=1e-6)
        assert np.allclose(found.map, expected.map, rtol=1e-5)


def test_a_search_in_the_graph_is_refused(spade, tmp_path):
    with pytest.raises(ConfigError, match="search is 'graph', which is for banks of patches"):
        export(spade, tmp_path / "a.edgead", ExportConfig(search="graph"))
    assert not list(tmp_path.iterdir())


def test_it_goes_through_every_command(exported, good, parts, tmp_path):
    assert "verified" in run("verify", exported).stdout
    image = parts / "test/stain/000.png"
    record = json.loads(run("score", exported, image, "--json", "--maps", tmp_path / "maps").stdout)
    assert record["mapped"] is True
    assert "regions" not in record  # the map has another unit than the threshold
    assert {*record["timings_ms"]} >= {"search", "alignment", "postprocess"}
    assert (tmp_path / "maps/000.png.png").exists()
    assert "alignment" in run("profile", exported, "--count", 2, "--warmup", 0).stdout
    figures = json.loads(run("evaluate", exported, parts, "--json").stdout)
    assert 0 <= figures["pixel_auroc"] <= 1
    assert figures["iou"] is None


def test_its_options_are_those_of_its_settings(good, cut_weights, tmp_path):
    (tmp_path / "good").mkdir()
    for path in good[:4]:
        shutil.copy(path, tmp_path / "good")
    options = ["--layers", "1,2", "--map", "suspicious", "--gallery-neighbours", 2, "--size", 64]
    run(
        *("fit", tmp_path / "good", "--method", "spade", "--out", tmp_path / "a.fit"),
        *("--backbone", "resnet18", "--weights", cut_weights, *options),
    )
    run("export", tmp_path / "a.fit", "--out", tmp_path / "a.edgead")
    head = Detector.load(tmp_path / "a.edgead").manifest.members[0].head
    assert (head.mapped, head.neighbours) == ("suspicious", 2)


def test_where_good_images_have_no_map_none_is_drawn_and_no_pixel_is_counted(
    good, config, parts, tmp_path
):
    fitted = fit(good, replace(config, mapped="suspicious"))
    out, maps = tmp_path / "plate.edgead", tmp_path / "maps"
    scores = sorted(
        ReferenceDetector(fitted).predict(p).score for p in parts.glob("test/*/000.png")
    )
    export(fitted, out, ExportConfig(threshold=(scores[1] + scores[2]) / 2))
    verdicts = {}
    for path in sorted((parts / "test").glob("*/000.png")):
        line = json.loads(run("score", out, path, "--json", "--maps", maps).stdout)
        verdicts[line["verdict"]] = path
        assert line["mapped"] == (line["verdict"] == "anomalous")
        assert (maps / "000.png.png").exists() == line["mapped"]
        (maps / "000.png.png").unlink(missing_ok=True)
    assert {*verdicts} == {"good", "anomalous"}
    text = run("score", out, verdicts["good"], "--maps", maps).stdout
    assert "no overlay: the artifact maps anomalous images alone" in text
    evaluated = run("evaluate", out, parts, "--report", tmp_path / "report").stdout
    assert "pixel AUROC  no maps of good images" in evaluated
    figures = json.loads(run("evaluate", out, parts, "--json").stdout)
    assert (figures["pixel_auroc"], figures["pro"]) == (None, None)
    assert figures["masks"] > 0


def test_with_patchcore_it_is_an_ensemble_on_one_scale(good, config, parts, tmp_path):
    split = {"calibration": "split", "holdout_fraction": 0.5}
    members = [
        fit(good, replace(config, **split, mapped="suspicious")),
        fit(
            good,
            PatchCoreConfig(
                backbone="resnet18", weights=config.weights, layers=(1, 2), size=config.size,
                coreset_fraction=0.05, holdout_fraction=0.5,
            ),
        ),
    ]  # fmt: skip
    out = tmp_path / "both.edgead"
    export(members, out, ExportConfig())
    with Detector.load(out) as detector:
        assert [member.record.head.kind for member in detector.members] == [
            *("gallery-search", "patch-search")
        ]
        assert verify(detector).ok
        references = [ReferenceDetector(member) for member in members]
        for path in sorted((parts / "test").glob("*/000.png")):
            found, each = detector.predict(path), [r.predict(path) for r in references]
            pairs = list(zip(each, detector.scales, strict=True))
            assert found.score == pytest.approx(np.mean([e.score / s for e, s in pairs]), rel=1e-4)
            # no member knows the verdict, so all images have a map
            expected = np.mean([e.map / s for e, s in pairs], axis=0)
            assert np.abs(found.map - expected).max() <= 1e-4 * expected.max()


@pytest.mark.parametrize("name", ["gallery.npy", "layer1.npy", "layer2.npy"])
def test_a_changed_byte_a_shorter_file_and_a_missing_one_are_refused(artifact, name):
    content = (artifact / name).read_bytes()
    changed = bytearray(content)
    changed[len(content) // 2] ^= 1
    for found, message in (
        (changed, "SHA-256 is not the manifest's"),
        (content[:-1], "bytes, the"),
    ):
        (artifact / name).write_bytes(found)
        with pytest.raises(ArtifactError, match=message):
            Detector.load(artifact)
    (artifact / name).unlink()
    with pytest.raises(ArtifactError, match="missing"):
        Detector.load(artifact)
    os.mkfifo(artifact / name)
    with pytest.raises(ArtifactError, match="cannot be read"):
        Detector.load(artifact)


@pytest.mark.parametrize("name", ["gallery.npy", "layer1.npy", "layer2.npy"])
@pytest.mark.parametrize(
    "change",
    [lambda a: a[:-1], lambda a: a.astype(np.float64), lambda a: a.reshape(len(a), -1, 1)],
    ids=["fewer images", "float64", "another shape"],
)
def test_arrays_of_another_export_are_refused(artifact, resign, name, change):
    np.save(artifact / name, change(np.load(artifact / name)))
    resign(artifact)
    with pytest.raises(ArtifactError, match="come from different exports") as caught:
        Detector.load(artifact)
    assert caught.value.path == artifact / name


@pytest.mark.parametrize("name", ["gallery.npy", "layer1.npy", "layer2.npy"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_arrays_that_are_not_finite_are_refused(artifact, resign, name, value):
    array = np.load(artifact / name)
    array.flat[-3] = value
    np.save(artifact / name, array)
    resign(artifact)
    with pytest.raises(ArtifactError, match="not finite"):
        Detector.load(artifact)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda head: head.update(neighbours=13), "13 neighbours of a gallery of 12"),
        (lambda head: head["gallery"].update(images=13), "come from different exports"),
        (lambda head: head["gallery"].update(dimension=127), "come from different exports"),
        (lambda head: head["layers"][0].update(grid=[20, 16]), "come from different exports"),
        (lambda head: head["layers"][0].update(output="layer2"), "none twice"),
        (lambda head: head["layers"][0].update(output="../layer1"), "a word of small letters"),
        (lambda head: head["layers"].pop(), "tolerances are of"),
        (lambda head: head["layers"].clear(), "at least one"),
        (lambda head: head.update(mapped="sometimes"), "mapped: expected one of"),
        (lambda head: head.update(pixel_neighbours=0), "pixel_neighbours: expected int from 1"),
        (lambda head: head.update(search={"kind": "graph", "reason": ""}), "search.kind"),
    ],
)
def test_manifests_that_contradict_themselves_or_the_files_are_refused(
    artifact, resign, edit, message
):
    with pytest.raises((ArtifactError, ValueError), match=message):
        resign(artifact, lambda manifest: edit(manifest["members"][0]["head"]))
        Detector.load(artifact)


def test_a_threshold_that_no_image_can_reach_is_refused(artifact, resign):
    known_of_nothing = {"images": 0, "scores": [], "false_reject_rate": 1.0}
    given = {"method": "given", "threshold": 1e9, "requested_rate": None, **known_of_nothing}
    resign(artifact, lambda manifest: manifest["calibration"].update(given))
    with pytest.raises(ArtifactError, match="no image could be anomalous: the threshold is 1e"):
        Detector.load(artifact)


def test_files_changed_under_a_running_detector_never_change_a_score(artifact, good):
    with Detector.load(artifact) as detector:
        before = detector.predict(good[0])
        for name in ("layer1.npy", "layer2.npy"):
            content = (artifact / name).read_bytes()
            (artifact / name).write_bytes(np.random.default_rng(0).bytes(len(content)))
            with pytest.raises(ArtifactError, match="has changed since it was loaded"):
                detector.predict(good[0])
            os.truncate(artifact / name, 0)  # of a mapped file: SIGBUS
            with pytest.raises(ArtifactError, match="has changed since it was loaded"):
                detector.predict(good[0])
            (artifact / name).write_bytes(content)
            assert np.array_equal(detector.predict(good[0]).map, before.map)
        (artifact / "gallery.npy").write_bytes(b"")
        shutil.rmtree(artifact)
        assert np.array_equal(detector.predict(good[0]).map, before.map)
