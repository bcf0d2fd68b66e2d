"""Values that two public implementations computed on the same inputs with the same weights.

anomalib 2.7.0 and patchcore-inspection, every patch of four tiles in the bank. The golden inputs
are normalised floats; they were uint8 images, and are again here, so that the exported graph can
take them.
"""

from typing import Any

import numpy as np
import pytest

from edge_ad import FittedDetector, PatchCoreConfig, ReferenceDetector
from edge_ad.features.patches import build_network
from edge_ad.fitting.calibrate import learned_threshold
from edge_ad.fitting.fitted import SCHEMA, FitImage, FitRecord
from edge_ad.methods.patchcore.bank import Bank, nearest_bank_rows
from edge_ad.networks.run import TorchRun
from edge_ad_export import ExportConfig, export
from edge_ad_runtime import Detector

MEAN = np.array([0.485, 0.456, 0.406], np.float32)
STD = np.array([0.229, 0.224, 0.225], np.float32)


@pytest.fixture(scope="module")
def golden(data):
    with np.load(data / "golden/patchcore_parity_r18_mtd.npz") as archive:
        return dict(archive)


def to_uint8(normalised: np.ndarray) -> np.ndarray:
    """(N, 3, H, W) normalised to (N, H, W, 3) uint8; exact, or these are not uint8 images."""
    values = (normalised.transpose(0, 2, 3, 1) * STD + MEAN) * 255
    assert np.abs(values - values.round()).max() < 1e-3
    return values.round().astype(np.uint8)


def fitted_on_every_patch(images: np.ndarray, config: PatchCoreConfig) -> FittedDetector:
    network = build_network(config)
    features = TorchRun(network)(images)["features"]
    patches = features.reshape(-1, features.shape[-1])
    b = config.scoring.reweight_neighbours
    record = FitRecord(
        schema=SCHEMA,
        method=config.method,
        calibration=learned_threshold(np.ones(4), None),
        images=(FitImage(path="golden", sha256="", held_out=False, left_out_score=None),),
        isolated=(),
        versions={},
    )
    return FittedDetector(
        config=config,
        record=record,
        state=network.state_dict(),
        kept=Bank(
            features=patches,
            neighbours=nearest_bank_rows(patches, b) if b else None,
            grid=np.array(features.shape[1:3]),
        ),
        held_out=images,
        originals=tuple(images[:1]),
    )


CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "anomalib": ("", {"convention": "anomalib"}),
    "anomalib, rectangular": ("_rect", {"convention": "anomalib"}),
    "inspection": ("", {"convention": "inspection"}),
    "inspection, rectangular": ("_rect", {"convention": "inspection"}),
    "inspection, p 5, k 3": (
        "_p5_k3",
        {"convention": "inspection", "patch_size": 5, "neighbours": 3},
    ),
    "inspection, stride 2": ("_stride2", {"convention": "inspection", "stride": 2}),
}


@pytest.mark.parametrize("case", CASES)
def test_features_scores_and_maps_are_theirs_through_torch_and_through_the_artifact(
    golden, weights, case, tmp_path
):
    suffix, settings = CASES[case]
    shape = "_rect" if suffix == "_rect" else ""
    bank_images = to_uint8(golden[f"bank_input{shape}"])
    test_images = to_uint8(golden[f"test_input{shape}"])
    name = settings["convention"]
    features = golden[f"{name}_embedding_first16{suffix}"]
    scores = golden[f"{name}_{'pred_score' if name == 'anomalib' else 'score'}{suffix}"]
    maps = golden[f"{name}_map{suffix}"]

    config = PatchCoreConfig(weights=weights, size=bank_images.shape[1:3], **settings)
    fitted = fitted_on_every_patch(bank_images, config)
    reference = ReferenceDetector(fitted)
    export(fitted, tmp_path / "golden.edgead", ExportConfig(search="exact"))
    detector = Detector.load(tmp_path / "golden.edgead")

    assert np.allclose(fitted.kept.features[:16], features, rtol=1e-4, atol=1e-4)
    (outputs,) = detector.members[0].run(bank_images[:1])
    exported = outputs["features"].reshape(-1, features.shape[1])[:16]
    assert np.allclose(exported, features, rtol=1e-4, atol=1e-4)
    for image, score, heat in zip(test_images, scores, maps, strict=True):
        for found in (reference.predict(image), detector.predict(image)):
            assert found.score == pytest.approx(score, rel=1e-4)
            assert np.abs(found.map - heat).max() <= 1e-4 * heat.max()
    if name == "anomalib":  # its image score without equation 7
        expected = golden[f"anomalib_max_patch_distance{suffix}"]
        largest = [reference.trace(image)["distances"].max() for image in test_images]
        assert largest == pytest.approx(expected, rel=1e-4)
