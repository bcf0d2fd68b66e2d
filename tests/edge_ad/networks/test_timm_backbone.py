"""Without timm: what layers mean, and what is said. With it (an optional extra): real networks."""

import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from edge_ad import fit
from edge_ad.networks.registry import build_backbone
from edge_ad.networks.timm_backbone import _indices
from edge_ad.networks.weights import load_weights
from edge_ad_export import export
from edge_ad_runtime.errors import ConfigError


@pytest.fixture
def timm():
    return pytest.importorskip("timm", reason="timm is not installed", exc_type=ImportError)


def network(*reductions):
    stages = [{"reduction": reduction} for reduction in reductions]
    return SimpleNamespace(feature_info=SimpleNamespace(info=stages))


def test_a_layer_of_a_pyramid_is_its_last_map_at_that_resolution():
    assert _indices(network(2, 4, 8, 8, 16, 32), (1, 2, 4), "net") == (1, 3, 5)
    assert _indices(network(4, 8, 16, 32), (2, 3), "net") == (1, 2)


def test_a_layer_of_a_plain_transformer_is_a_quarter_of_its_depth():
    assert _indices(network(*[16] * 12), (1, 2, 3, 4), "vit") == (2, 5, 8, 11)


def test_a_layer_that_is_not_there_is_refused_and_those_that_are_named():
    with pytest.raises(ConfigError, match=r"timm:net has no layer 1 .* its maps are at 1/8, 1/16"):
        _indices(network(8, 16), (1, 2), "net")


def test_without_timm_the_message_says_what_to_install(parts, small, monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ConfigError, match=r"pip install 'edge-ad\[timm\]'"):
        fit(parts / "train/good", replace(small, backbone="timm:resnet18"))


@pytest.mark.parametrize("version", ["1.0.9", "1.0.25", "0.9.16"])
def test_a_timm_that_can_run_code_from_a_weights_file_is_refused(
    parts, small, monkeypatch, version
):
    monkeypatch.setitem(sys.modules, "timm", SimpleNamespace(__version__=version))
    with pytest.raises(ConfigError, match=rf"timm {version} can run code .*'timm>=1\.0\.26'"):
        fit(parts / "train/good", replace(small, backbone="timm:resnet18"))


@pytest.mark.parametrize(
    "name", ["convnext_atto", "efficientnet_b0", "swin_tiny_patch4_window7_224"]
)
def test_networks_of_several_kinds_fit_and_export(timm, parts, small, tmp_path, name):
    config = replace(small, backbone=f"timm:{name}", layers=(2, 3), size=(224, 224), shots=4)
    fitted = fit(parts / "train/good", config)
    assert fitted.kept.grid.tolist() == [28, 28]
    assert export(fitted, tmp_path / "a.edgead").verification.ok


def test_timms_resnet_gives_the_features_of_ours_from_the_same_file(timm, weights):
    image = torch.from_numpy(np.random.default_rng(0).standard_normal((1, 3, 64, 96), np.float32))
    maps = []
    for name in ("resnet18", "timm:resnet18"):
        backbone = build_backbone(name, (2, 3), (64, 96))
        load_weights(backbone, name, weights)
        maps.append(backbone(image))
    for ours, theirs in zip(*maps, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-4, atol=1e-4)


def test_untrained_weights_depend_on_the_seed_alone(timm):
    def first(seed):
        backbone = build_backbone("timm:convnext_atto", (1,))
        load_weights(backbone, "timm:convnext_atto", "untrained", seed=seed)
        return next(iter(backbone.state_dict().values()))

    assert torch.equal(first(1), first(1))
    assert not torch.equal(first(1), first(2))


def test_a_name_that_timm_does_not_know_is_refused(timm):
    with pytest.raises(ConfigError, match="has no network 'nosuchnet'"):
        build_backbone("timm:nosuchnet", (1,))


def test_a_size_that_the_network_cannot_take_is_refused(timm):
    with pytest.raises(ConfigError, match="cannot take 64 x 96 px"):
        build_backbone("timm:vit_tiny_patch16_224", (2,), (64, 96))
