import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from edge_ad import PatchCoreConfig
from edge_ad.evaluation.metrics import auroc
from edge_ad.features.patches import build_network
from edge_ad.features.whitening import learn_whitening
from edge_ad.methods.patchcore.bank import build_bank
from edge_ad.methods.patchcore.method import PatchCore
from edge_ad.networks.procedural import WEIGHTS, Procedural
from edge_ad.networks.run import TorchRun
from edge_ad.recipes.generated_parts import draw_category
from edge_ad_runtime.errors import ConfigError, FitError
from edge_ad_runtime.heads import Opening, open_head
from edge_ad_runtime.heads.in_memory import InMemory

IMAGES = np.random.default_rng(0).integers(0, 180, (2, 64, 96, 3), dtype=np.uint8)


def features(images=IMAGES, **settings):
    settings = {"backbone": "procedural", "weights": "default", **settings}
    config = PatchCoreConfig(size=images.shape[1:3], **settings)
    return TorchRun(build_network(config))(images)["features"]


@pytest.mark.parametrize("size", [(64, 96), (75, 49), (33, 32)])
def test_grids_are_those_of_the_resnets(size):
    images = np.zeros((1, *size, 3), np.uint8)
    resnet = features(images, backbone="resnet18", weights="untrained")
    assert features(images).shape == (*resnet.shape[:3], sum(Procedural().channels))


def test_the_packaged_weights_are_small_finite_and_in_half_precision():
    state = load_file(WEIGHTS)
    assert WEIGHTS.stat().st_size < 8e6
    assert all(torch.isfinite(value).all() for value in state.values())
    kernels = {name for name, _ in Procedural().named_parameters() if name.endswith("weight")}
    assert {n for n, value in state.items() if value.dtype == torch.float16} == kernels
    filters = Procedural().scattering.state_dict(prefix="scattering.")
    # from formulas: the last digit of a sine is each processor's own
    assert all(torch.allclose(state[n], value, rtol=0, atol=1e-7) for n, value in filters.items())


def test_one_image_alone_has_the_features_it_has_in_a_batch():
    alone, together = features(IMAGES[1:])[0], features()[1]
    assert np.abs(alone - together).max() < 1e-4 * together.std()


def test_other_layers_are_refused():
    with pytest.raises(ConfigError, match=r"layers is \[1, 2\]; the backbone 'procedural' has 2,3"):
        features(layers=(1, 2))


def test_weights_of_ones_own_are_read_from_a_file_and_a_wrong_one_is_refused(tmp_path):
    state = load_file(WEIGHTS)
    save_file({n: v.float() for n, v in state.items()}, tmp_path / "own.safetensors")
    assert np.array_equal(features(weights=str(tmp_path / "own.safetensors")), features())
    del state["merge.conv1.weight"]
    save_file(state, tmp_path / "short.safetensors")
    with pytest.raises(FitError, match=r"lacks merge\.conv1\.weight"):
        features(weights=str(tmp_path / "short.safetensors"))


@pytest.mark.parametrize(
    "settings",
    [
        {"weights": "default", "backbone": "resnet18"},
        {"weights": "default", "backbone": "timm:resnet18"},
        {"weights": "untrained", "backbone": "scattering"},
        {"weights": "imagenet", "backbone": "scattering"},
        {"weights": "imagenet", "backbone": "procedural"},
    ],
)
def test_backbones_and_weights_that_do_not_go_together_are_refused(settings):
    with pytest.raises(ConfigError, match="give --weights"):
        PatchCoreConfig(**settings)


def test_auto_is_resolved_by_the_weights_and_not_by_what_is_installed(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert PatchCoreConfig().resolved_backbone == "efficientnet_lite0"
    with pytest.raises(ConfigError, match=r"'edge-ad\[lite\]'.* or take --backbone procedural"):
        PatchCoreConfig().resolved()
    assert PatchCoreConfig(backbone="procedural").resolved().weights == "default"
    assert PatchCoreConfig(weights="untrained").resolved_backbone == "resnet18"
    assert PatchCoreConfig(backbone="procedural").resolved_whiten
    assert not PatchCoreConfig(backbone="procedural", whiten=False).resolved_whiten
    assert not PatchCoreConfig(backbone="efficientnet_lite0").resolved_whiten
    assert not PatchCoreConfig(weights="untrained").resolved_whiten


def test_it_sees_parts_that_are_missing_moved_or_turned_over():
    category = draw_category("populated", seed=0)
    config = PatchCoreConfig(backbone="procedural", coreset_fraction=0.01)
    network = build_network(config)
    run = TorchRun(network)
    good = run(category.good)["features"]
    network.whitening = learn_whitening(good.reshape(-1, good.shape[-1]))
    bank, _ = build_bank(run(category.good)["features"], config)
    lowered = PatchCore().lower(network, bank, config)
    size = category.good.shape[1:3]
    head = open_head(lowered.head, InMemory(lowered.arrays), Opening(size=size))
    outputs = [run(image[np.newaxis])["features"][0] for image in category.test]
    scores = [head.judge({"features": each}, with_map=False).score for each in outputs]
    assert auroc(np.array(scores), category.is_defective) > 0.9  # the fixed filters: 0.83
