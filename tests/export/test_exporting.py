import json
from dataclasses import replace

import numpy as np
import onnx
import pytest

from edge_ad import ReferenceDetector, fit
from edge_ad.networks.run import TorchRun
from edge_ad_export import ExportConfig, export
from edge_ad_export.graph.onnx_graph import to_onnx
from edge_ad_export.graph.parity import check_parity
from edge_ad_export.search import _queries
from edge_ad_runtime import Detector
from edge_ad_runtime.artifact.folder import Artifact
from edge_ad_runtime.decision.calibration import moved_to_rate
from edge_ad_runtime.engines import Graph, open_engine
from edge_ad_runtime.errors import ArtifactError, ConfigError, ExportError, ParityError
from edge_ad_runtime.proof.new_threshold import write_with_threshold
from edge_ad_runtime.proof.verify import verify
from edge_ad_runtime.search.exact import ExactSearch


@pytest.fixture(scope="module", params=["exact", "hnsw", "auto", "graph"])
def exported(request, fitted, tmp_path_factory):
    out = tmp_path_factory.mktemp("export") / "plate ü.edgead"
    return export(fitted, out, ExportConfig(search=request.param))


def test_the_artifact_verifies_and_scores_as_the_reference_does(exported, fitted, parts):
    detector = Detector.load(exported.path)
    assert verify(detector).ok
    reference = ReferenceDetector(fitted)
    for path in sorted((parts / "test").glob("*/*.png")):
        expected, found = reference.predict(path), detector.predict(path)
        assert found.score == pytest.approx(expected.score, rel=1e-4)
        assert found.verdict == expected.verdict


def test_the_report_and_the_manifest_say_the_same(exported):
    manifest = Detector.load(exported.path).manifest
    (member,) = manifest.members
    search = member.head.search
    assert exported.searches == (f"{search.kind}: {search.reason}",)
    assert exported.size_bytes == sum(f.size_bytes for f in manifest.files.values())
    assert ("index.hnsw" in manifest.files) == (search.kind == "hnsw")
    assert search.reason
    assert member.network.origin["weights"] == "untrained"
    assert (member.folder, member.scale) == ("", 1)


def test_the_manifest_carries_the_certificate_of_the_fit(exported, fitted):
    (member,) = Detector.load(exported.path).manifest.members
    assert member.head.bank.certificate == fitted.record.certificate
    assert member.head.bank.certificate.ratio == 2


def test_nothing_but_the_artifact_is_left(exported):
    assert [p.name for p in exported.path.parent.iterdir()] == [exported.path.name]


def test_the_reference_images_have_high_scores_among_them(exported):
    detector = Detector.load(exported.path)
    verdicts = {
        detector.predict(exported.path / ref.file).verdict for ref in detector.manifest.reference
    }
    assert "anomalous" in verdicts


def test_the_graph_has_a_dynamic_batch_uint8_input_and_a_cast_first(fitted):
    graph = onnx.load_from_string(to_onnx(fitted.network(), (64, 80))).graph
    (image,), (features,) = graph.input, graph.output
    assert (image.name, features.name) == ("image", "features")
    assert image.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    sizes = [d.dim_param or d.dim_value for d in image.type.tensor_type.shape.dim]
    assert isinstance(sizes[0], str)
    assert sizes[1:] == [64, 80, 3]
    assert [node.op_type for node in graph.node if "image" in node.input] == ["Cast"]


def test_the_graph_holds_no_paths_of_this_machine(fitted):
    graph = to_onnx(fitted.network(), (64, 80))
    for word in (b"edge_ad/features/patches.py", b"stack_trace", b"/home", b"File "):
        assert word not in graph


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_any_batch_runs_and_agrees_with_torch(fitted, batch):
    network = fitted.network()
    images = np.random.default_rng(0).integers(0, 256, (batch, 64, 80, 3), dtype=np.uint8)
    engine = open_engine("onnxruntime", Graph(onnx=to_onnx(network, (64, 80))))
    found, expected = engine.run(images), TorchRun(network)(images)
    assert found.keys() == expected.keys() == {"features"}
    assert np.allclose(found["features"], expected["features"], rtol=1e-4, atol=1e-4)


def test_a_graph_with_other_weights_is_a_parity_error(fitted):
    network = fitted.network()
    graph = to_onnx(network, (64, 80))
    network.backbone.conv1.weight *= 1.01
    with pytest.raises(ParityError) as caught:
        check_parity(TorchRun(network), Graph(onnx=graph), fitted.held_out)
    assert caught.value.max_abs_difference > caught.value.tolerance


def test_hnsw_that_cannot_meet_the_tolerance_is_refused_and_leaves_nothing(
    fitted, tmp_path, monkeypatch
):
    monkeypatch.setattr("edge_ad_export.search.choice._EF_SEARCHES", (4,))
    config = ExportConfig(search="hnsw", links=2, ef_construction=2, map_tolerance=1e-5)
    with pytest.raises(ExportError, match="hnsw misses the map tolerance"):
        export(fitted, tmp_path / "a.edgead", config)
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_threshold_in_the_making_is_caught_by_the_last_replay(
    fitted, tmp_path, monkeypatch
):
    monkeypatch.setattr("edge_ad_runtime.heads.maps.cv2.GaussianBlur", lambda image, *a, **k: image)
    with pytest.raises(ExportError, match="not written, it does not verify .* map is off"):
        export(fitted, tmp_path / "a.edgead", ExportConfig(search="exact"))
    assert list(tmp_path.iterdir()) == []


def test_equation_7_can_be_left_out(fitted, tmp_path):
    config = replace(fitted.config, reweight_neighbours=0)
    plain = replace(fitted, config=config, kept=replace(fitted.kept, neighbours=None))
    report = export(plain, tmp_path / "a.edgead", ExportConfig(search="exact"))
    assert not (report.path / "bank_neighbours.npy").exists()
    assert report.verification.ok


def test_two_exports_of_one_fit_have_equal_files(fitted, tmp_path):
    for name in ("one", "two"):
        export(fitted, tmp_path / name, ExportConfig(search="exact"))
    one, two = (Detector.load(tmp_path / name).manifest for name in ("one", "two"))
    assert one == two


def test_an_existing_artifact_is_not_overwritten_unasked(fitted, tmp_path):
    out = tmp_path / "a.edgead"
    export(fitted, out, ExportConfig(search="exact"))
    with pytest.raises(ConfigError, match="already exists"):
        export(fitted, out)
    export(fitted, out, ExportConfig(search="exact", seed=5), overwrite=True)
    assert [p.name for p in tmp_path.iterdir()] == ["a.edgead"]
    assert verify(Detector.load(out)).ok


def test_weight_files_are_named_without_their_folder(fitted, tmp_path):
    config = replace(fitted.config, weights="/home/somebody/secret/net.pth")
    out = tmp_path / "a.edgead"
    export(replace(fitted, config=config), out, ExportConfig(search="exact"))
    text = (out / "manifest.json").read_text()
    assert json.loads(text)["members"][0]["network"]["origin"]["weights"] == "net.pth"
    assert "somebody" not in text


@pytest.mark.parametrize(
    "settings",
    [
        {"search": "ivf"},
        {"map_tolerance": 2},
        {"links": 1},
        {"bank_precision": "int8"},
        {"threshold": float("nan")},
        {"ef_construction": 3},
        {"reference_images": 0},
    ],
)
def test_settings_that_cannot_work_are_refused(settings):
    with pytest.raises(ConfigError, match=next(iter(settings))):
        ExportConfig(**settings)


@pytest.fixture(scope="module")
def members(parts, small):
    config = replace(small, holdout_fraction=0.5)
    return [
        fit(parts / "train/good", replace(config, **settings))
        for settings in ({"layers": (1,)}, {"convention": "anomalib"}, {"convention": "inspection"})
    ]


@pytest.fixture(scope="module")
def ensemble(members, tmp_path_factory):
    out = tmp_path_factory.mktemp("ensemble") / "plate.edgead"
    return export(members, out, ExportConfig(search="hnsw"))


def test_an_ensemble_scores_as_its_references_do_on_one_scale(ensemble, members, parts):
    detector = Detector.load(ensemble.path)
    assert verify(detector).ok
    references = [ReferenceDetector(member) for member in members]
    scales = [member.scale for member in detector.manifest.members]
    assert len(set(scales)) == 3
    for path in sorted((parts / "test").glob("*/000.png")):
        expected = [reference.predict(path) for reference in references]
        found = detector.predict(path)
        scores = [
            prediction.score / scale for prediction, scale in zip(expected, scales, strict=True)
        ]
        assert found.score == pytest.approx(np.mean(scores), rel=1e-4)
        maps = [prediction.map / scale for prediction, scale in zip(expected, scales, strict=True)]
        assert np.abs(found.map - np.mean(maps, axis=0)).max() < 0.05 * found.map.max()


def test_a_good_part_scores_about_1_in_an_ensemble(ensemble, parts):
    detector = Detector.load(ensemble.path)
    scores = [detector.predict(path).score for path in sorted((parts / "test/good").iterdir())]
    assert np.median(scores) == pytest.approx(1, rel=0.3)


def test_the_threshold_of_an_ensemble_moves_in_its_own_unit(ensemble, tmp_path):
    before = Artifact.open(ensemble.path)
    calibration = before.manifest.calibration
    moved = moved_to_rate(calibration, 0.5, before.manifest.sha256)
    assert moved.threshold in calibration.scores
    assert moved.threshold < calibration.threshold
    assert write_with_threshold(before, moved, tmp_path / "moved.edgead").ok
    folders = {path.parent.name for path in (tmp_path / "moved.edgead").rglob("bank.npy")}
    assert folders == {"member-1", "member-2", "member-3"}


def test_an_ensemble_lists_its_members(ensemble):
    files = Detector.load(ensemble.path).manifest.files
    assert {name for name in files if name.endswith("bank.npy")} == {
        f"member-{i}/bank.npy" for i in (1, 2, 3)
    }
    assert [search.split(": ")[0] for search in ensemble.searches] == ["hnsw"] * 3


@pytest.mark.parametrize("neighbours", [1, 3])
def test_the_search_in_the_graph_finds_the_exact_searchs_rows(
    fitted, parts, tmp_path, monkeypatch, neighbours
):
    monkeypatch.setattr("edge_ad_export.graph.search_in_graph._CHUNK_ROWS", 50)  # of a bank of 160
    config = replace(fitted.config, neighbours=neighbours)
    several = replace(fitted, config=config)
    for kind in ("graph", "exact"):
        export(several, tmp_path / kind, ExportConfig(search=kind))
    graph, exact = (Detector.load(tmp_path / kind) for kind in ("graph", "exact"))
    for path in sorted((parts / "test").glob("*/000.png")):
        found, expected = graph.predict(path), exact.predict(path)
        assert found.score == pytest.approx(expected.score, rel=1e-5)
        assert np.allclose(found.map, expected.map, rtol=1e-4, atol=1e-5)
        assert found.evidence["exact"]
        assert found.evidence["scanned"] == expected.evidence["scanned"]
    assert graph.search == "graph"
    with pytest.raises(ArtifactError, match="from different exports"):
        graph.members[0].head.replay(
            "distances",
            {
                "features": np.zeros((16, 20, 192), np.float32),
                "rows": np.full((320, neighbours), 160),
            },
        )


def test_a_bank_too_large_for_a_graph_is_refused(fitted, tmp_path, monkeypatch):
    monkeypatch.setattr("edge_ad_export.search.MOST_IN_GRAPH_BYTES", 1000)
    with pytest.raises(ExportError, match="does not fit into a graph"):
        export(fitted, tmp_path / "a.edgead", ExportConfig(search="graph"))
    assert list(tmp_path.iterdir()) == []


def test_half_precision_rows_halve_the_bank_and_hardly_move_the_scores(fitted, parts, tmp_path):
    paths = {p: tmp_path / p for p in ("float32", "float16")}
    for precision, out in paths.items():
        export(fitted, out, ExportConfig(search="hnsw", bank_precision=precision))
    sizes = [(out / "bank.npy").stat().st_size - 128 for out in paths.values()]
    assert sizes[0] == 2 * sizes[1]
    full, half = (Detector.load(out) for out in paths.values())
    assert verify(half).ok
    for path in sorted((parts / "test").glob("*/000.png")):
        assert half.predict(path).score == pytest.approx(full.predict(path).score, rel=1e-3)
        assert half.predict(path).score != full.predict(path).score


def test_features_too_large_for_half_precision_are_refused(fitted, tmp_path):
    huge = replace(fitted, kept=replace(fitted.kept, features=fitted.kept.features * 1e6))
    with pytest.raises(ExportError, match="above 65504"):
        export(huge, tmp_path / "a.edgead", ExportConfig(bank_precision="float16"))


def test_a_search_is_chosen_with_patches_that_the_bank_does_not_know(parts, small):
    config = replace(small, calibration="leave-one-out", coreset_fraction=1.0)
    fitted = fit(sorted((parts / "train/good").iterdir())[:3], config)
    run = TorchRun(fitted.network())
    bank = ExactSearch(fitted.kept.features)
    own = run(fitted.held_out[:1])["features"].reshape(-1, fitted.kept.features.shape[1])
    asked = np.concatenate(_queries(fitted, run, []))
    # its images themselves are in the bank, which is why they are mirrored
    assert np.median(bank.nearest(asked).distances) > 100 * bank.nearest(own).distances.max()
