"""Values that anomalib 2.7.0's PaDiM computed on the same images with the same weights.

20 good transistors are learned from, 10 others are scored. The channels that anomalib drew are
given, so that nothing is left to chance.
"""

import numpy as np
import pytest

from edge_ad import FittedDetector, PadimConfig, ReferenceDetector
from edge_ad.features.layers import pretrained
from edge_ad.fitting.calibrate import learned_threshold
from edge_ad.fitting.fitted import SCHEMA, FitImage, FitRecord
from edge_ad.images.good import GoodImages
from edge_ad.methods.padim import learning
from edge_ad.methods.padim.embedding import Embedding
from edge_ad.methods.padim.method import METHOD
from edge_ad.methods.padim.reduction import Selection
from edge_ad.methods.padim.reference import PadimReference
from edge_ad.networks.run import TorchRun
from edge_ad_export import ExportConfig, export
from edge_ad_runtime import Detector
from edge_ad_runtime.images import read_image

TOLERANCE = 1e-4  # theirs is float32 throughout, with another sum


@pytest.fixture(scope="module")
def golden(data):
    with np.load(data / "golden/padim_anomalib_r18_transistor.npz") as archive:
        return dict(archive)


@pytest.fixture(scope="module")
def images(data):
    return data / "data/mvtec-mini"


@pytest.fixture(scope="module", params=["few", "many"])
def fitted(request, golden, images, weights):
    """A fit with anomalib's channels. 20 images are few, and may be learned as many are too."""
    config = PadimConfig(
        convention="anomalib", backbone="resnet18", weights=weights, size=(256, 256)
    )
    backbone = pretrained(config)
    network = Embedding(backbone, Selection(backbone.channels, golden["idx"])).eval()
    good = GoodImages([images / name for name in golden["train_files"]], config.preprocessing)
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "many":
            patch.setattr(learning, "rank_kept", lambda images, dimensions: dimensions)
        gathered = METHOD.gather(TorchRun(network), good, config, progress=False)
    assert gathered.kept.are_of_few == (request.param == "few")
    record = FitRecord(
        schema=SCHEMA,
        method=config.method,
        calibration=learned_threshold(gathered.left_out, None, "leave-one-out"),
        images=(FitImage(path="golden", sha256="", held_out=False, left_out_score=None),),
        isolated=(),
        versions={},
    )
    (_, first) = next(good.batches())
    return FittedDetector(
        config=config,
        record=record,
        state=network.state_dict(),
        kept=gathered.kept,
        held_out=first[:2],
        originals=tuple(first[:1]),
    )


@pytest.fixture(scope="module")
def detector(fitted, tmp_path_factory):
    path = tmp_path_factory.mktemp("padim") / "golden.edgead"
    export(fitted, path, ExportConfig(reference_images=1))
    return Detector.load(path)


def close(found, expected):
    return np.abs(found - expected).max() <= TOLERANCE * np.abs(expected).max()


def test_means_and_inverse_covariances_are_theirs(golden, fitted):
    run = TorchRun(fitted.network())
    reference = PadimReference(run, fitted.kept, fitted.config)
    order = golden["idx"].argsort()  # ours are in the network's order, theirs as they were drawn
    at = golden["positions"]
    assert close(fitted.kept.mean[at], golden["mean"][:, order])
    lengths = np.linalg.norm(fitted.kept.mean, axis=1).reshape(fitted.kept.grid)
    assert close(lengths, golden["mean_norm"])
    for position, theirs in zip(at, golden["inv_cov"], strict=True):
        assert close(reference.inverse_covariance(position), theirs[order][:, order])
    for position, theirs in zip(at, golden["cov_unregularised"], strict=True):
        inverse = reference.inverse_covariance(position)
        covariance = np.linalg.inv(inverse) - fitted.config.epsilon * np.eye(len(order))
        assert close(covariance, theirs[order][:, order])


def test_embeddings_are_theirs(golden, fitted, images):
    order = golden["idx"].argsort()
    image = read_image(images / golden["test_files"][0])
    found = TorchRun(fitted.network())(image[np.newaxis])["embedding"]
    at = golden["positions"]
    assert close(found.reshape(-1, len(order))[at], golden["embedding_test0"][:, order])


def test_distances_maps_and_scores_are_theirs_through_torch_and_through_the_artifact(
    golden, fitted, detector, images
):
    reference = ReferenceDetector(fitted)
    shown = golden["map_of"].tolist()
    for i, (name, score) in enumerate(zip(golden["test_files"], golden["score"], strict=True)):
        image = read_image(images / name)
        for found in (reference.predict(image), detector.predict(image)):
            assert found.score == pytest.approx(score, rel=TOLERANCE)
            if i in shown:
                assert close(found.map, golden["map"][shown.index(i)])
        if i in shown:
            (outputs,) = detector.members[0].run(image[np.newaxis])
            distances = golden["distance"][shown.index(i)]
            assert close(outputs["anomaly"], distances)
            assert close(reference.trace(image)["anomaly"], distances)
