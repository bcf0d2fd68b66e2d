"""Values that anomalib 2.7.0 computed on the same inputs with the same weights.

Its convention is ours: mean over 3x3 with zeros counted, layer 3 bilinear to layer 2, equation 7
with b = 9, m* counted. The golden inputs are normalised floats; they were uint8 images, and are
again here, so that the exported graph can take them.
"""

import numpy as np
import pytest

from edge_ad import FittedDetector, PatchCoreConfig
from edge_ad.bank import Bank, nearest_bank_rows
from edge_ad.calibrate import split_conformal
from edge_ad.features import build_network, extract
from edge_ad.fitted import SCHEMA, FitImage, FitRecord
from edge_ad.reference import ReferenceDetector
from edge_ad.weights import fingerprint
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
    features = extract(network, images)
    patches = features.reshape(-1, features.shape[-1])
    backbone = network.backbone.state_dict()
    record = FitRecord(
        schema=SCHEMA,
        config=config,
        grid=features.shape[1:3],
        dimension=patches.shape[1],
        weights_sha256=fingerprint(backbone),
        calibration=split_conformal(np.ones(4), None),
        images=(FitImage(path="golden", sha256="", held_out_score=None),),
        versions={},
    )
    return FittedDetector(
        record=record,
        backbone=backbone,
        bank=Bank(features=patches, neighbours=nearest_bank_rows(patches, 9)),
        held_out=images,
        originals=tuple(images),
    )


@pytest.mark.parametrize("shape", ["", "_rect"], ids=["square", "rectangular"])
def test_features_and_scores_are_anomalibs(golden, weights, shape, tmp_path):
    bank_images = to_uint8(golden[f"bank_input{shape}"])
    test_images = to_uint8(golden[f"test_input{shape}"])
    config = PatchCoreConfig(weights=weights, size=bank_images.shape[1:3])
    fitted = fitted_on_every_patch(bank_images, config)

    expected = golden[f"anomalib_embedding_first16{shape}"]
    assert np.allclose(fitted.bank.features[:16], expected, rtol=1e-4, atol=1e-4)

    reference = ReferenceDetector(fitted)
    export(fitted, tmp_path / "golden.edgead", ExportConfig(search="exact"))
    detector = Detector.load(tmp_path / "golden.edgead")
    exported = detector.features(bank_images[0]).reshape(-1, 384)[:16]
    assert np.allclose(exported, expected, rtol=1e-4, atol=1e-4)
    for i, image in enumerate(test_images):
        trace = reference.trace(image)
        expected_score = golden[f"anomalib_pred_score{shape}"][i]
        assert trace.score == pytest.approx(expected_score, rel=1e-4)
        assert detector.predict(image).score == pytest.approx(expected_score, rel=1e-4)
        expected_distance = golden[f"anomalib_max_patch_distance{shape}"][i]
        assert trace.distances.max() == pytest.approx(expected_distance, rel=1e-4)
