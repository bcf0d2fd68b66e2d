import hashlib
import pickle

import pytest
import torch
from safetensors.torch import save_file

from edge_ad.networks.registry import IMAGENET_FILES, build_backbone
from edge_ad.networks.settings import BACKBONES, LITE, OWN
from edge_ad.networks.weights import fingerprint, load_weights
from edge_ad_runtime.errors import ConfigError, FitError

# published counts of parameters, without the classifier (fc: 1000 x channels + 1000)
PARAMETERS = {
    "resnet18": 11_689_512 - 513_000,
    "resnet34": 21_797_672 - 513_000,
    "resnet50": 25_557_032 - 2_049_000,
    "resnet101": 44_549_160 - 2_049_000,
    "wide_resnet50_2": 68_883_240 - 2_049_000,
    "wide_resnet101_2": 126_886_696 - 2_049_000,
    "resnext101_32x8d": 88_791_336 - 2_049_000,
    "densenet201": 20_013_928 - 1_921_000 - 2 * 1920,  # nor the last batch norm
    # nor the last convolution and its batch norm
    "efficientnet_lite0": 4_652_008 - 1_281_000 - 320 * 1280 - 2 * 1280,
    "efficientnet_lite1": 5_416_680 - 1_281_000 - 320 * 1280 - 2 * 1280,
    "efficientnet_lite2": 6_092_072 - 1_281_000 - 352 * 1280 - 2 * 1280,
}


@pytest.fixture
def state():
    return build_backbone("resnet18", (1, 2)).state_dict()


def load(path):
    backbone = build_backbone("resnet18", (1,))
    load_weights(backbone, "resnet18", str(path))
    return backbone


@pytest.mark.parametrize("name", sorted({*BACKBONES} - {*OWN}))
def test_architectures_have_the_published_parameter_counts(name):
    with torch.device("meta"):
        backbone = build_backbone(name, (1, 2, 3, 4))
    assert sum(p.numel() for p in backbone.parameters()) == PARAMETERS[name]
    assert name in {*IMAGENET_FILES, *LITE}


def test_names_are_torchvisions():
    names = set(build_backbone("resnet50", (2,)).state_dict())
    assert {
        "conv1.weight",
        "bn1.running_mean",
        "layer1.0.conv3.weight",
        "layer2.0.downsample.0.weight",
        "layer2.0.downsample.1.running_var",
        "layer2.3.bn3.num_batches_tracked",
    } <= names
    assert not any(name.startswith("layer3") for name in names)


def test_densenets_names_are_torchvisions_those_of_its_published_file_too(tmp_path):
    backbone = build_backbone("densenet201", (1,))
    state = backbone.state_dict()
    name = "features.denseblock1.denselayer2.norm1.weight"
    assert {name, "features.conv0.weight", "features.norm0.bias"} <= set(state)
    assert "features.transition1.conv.weight" in build_backbone("densenet201", (2,)).state_dict()
    state[name] = torch.arange(96.0)
    published = {k.replace(".norm1.", ".norm.1.").replace(".conv2.", ".conv.2."): v
                 for k, v in state.items()}  # fmt: skip
    assert name not in published
    torch.save(published, tmp_path / "densenet.pth")
    load_weights(backbone, "densenet201", str(tmp_path / "densenet.pth"))
    assert torch.equal(backbone.state_dict()[name], torch.arange(96.0))


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_both_file_kinds_load_and_unused_layers_may_be_there_or_not(tmp_path, state, suffix):
    path = tmp_path / f"weights{suffix}"
    (save_file if suffix == ".safetensors" else torch.save)(state, path)
    assert torch.equal(load(path).conv1.weight, state["conv1.weight"])


def test_half_precision_weights_become_float32(tmp_path, state):
    save_file({name: v.half() if v.is_floating_point() else v for name, v in state.items()},
              tmp_path / "half.safetensors")  # fmt: skip
    assert load(tmp_path / "half.safetensors").conv1.weight.dtype == torch.float32


def test_missing_tensors_are_named(tmp_path, state):
    del state["layer1.0.conv2.weight"], state["bn1.running_var"]
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(FitError, match=r"lacks bn1.running_var, layer1.0.conv2.weight, which"):
        load(tmp_path / "w.safetensors")


def test_another_architecture_is_refused(tmp_path, state):
    state["layer1.0.conv1.weight"] = torch.zeros(64, 64, 1, 1)
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(
        FitError, match=r"shapes do not fit: layer1.0.conv1.weight \(64, 64, 1, 1\)"
    ):
        load(tmp_path / "w.safetensors")


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_are_refused(tmp_path, state, bad):
    state["layer1.1.bn2.weight"][3] = bad
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(FitError, match="NaN or infinite numbers in layer1.1.bn2.weight"):
        load(tmp_path / "w.safetensors")


class Evil:
    def __reduce__(self):
        return (print, ("code from a weight file ran",))


def test_a_pickle_that_runs_code_is_refused_and_does_not_run(tmp_path, capsys):
    torch.save({"conv1.weight": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(FitError, match="not a readable weight file"):
        load(tmp_path / "evil.pth")
    (tmp_path / "plain.pth").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(FitError, match="not a readable weight file"):
        load(tmp_path / "plain.pth")
    assert "ran" not in capsys.readouterr().out


@pytest.mark.parametrize("content", [b"", b"rubbish" * 100])
@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_damaged_weight_files_are_refused(tmp_path, content, suffix):
    path = tmp_path / f"w{suffix}"
    path.write_bytes(content)
    with pytest.raises(FitError, match="not a readable weight file"):
        load(path)


def test_a_file_that_is_not_there_is_said(tmp_path):
    with pytest.raises(ConfigError, match="there is no such file"):
        load(tmp_path / "none.pth")


def test_offline_the_message_says_which_file_to_put_where(tmp_path, monkeypatch):
    def offline(*args, **kwargs):
        from urllib.error import URLError

        raise URLError("no network")

    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(ConfigError) as caught:
        load("imagenet")
    assert "resnet18-f37072fd.pth" in str(caught.value)
    assert str(tmp_path / "checkpoints") in str(caught.value)


def test_a_cached_file_that_is_not_the_published_one_is_refused(tmp_path, monkeypatch, state):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    path = tmp_path / "checkpoints/resnet18-f37072fd.pth"
    path.parent.mkdir()
    torch.save(state, path)
    with pytest.raises(ConfigError, match="the published file's with f37072fd; delete it"):
        load("imagenet")


def test_a_cached_file_with_the_right_hash_is_used(tmp_path, monkeypatch, state):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    path = tmp_path / "weights.pth"
    torch.save(state, path)
    digits = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    (tmp_path / "checkpoints").mkdir()
    path.rename(tmp_path / f"checkpoints/resnet18-{digits}.pth")
    monkeypatch.setitem(IMAGENET_FILES, "resnet18", f"resnet18-{digits}.pth")
    assert torch.equal(load("imagenet").conv1.weight, state["conv1.weight"])


def test_untrained_weights_depend_on_the_seed_alone():
    def state(seed):
        backbone = build_backbone("resnet18", (1,))
        load_weights(backbone, "resnet18", "untrained", seed=seed)
        return fingerprint(backbone.state_dict())

    assert state(1) == state(1) != state(2)


@pytest.mark.parametrize("name", ["resnet18", "resnet34", "wide_resnet50_2"])
def test_weights_of_another_network_say_which_it_looks_like(name, tmp_path):
    state = build_backbone(name, (1, 2, 3)).state_dict()
    save_file(state, tmp_path / "weights.safetensors")
    other = "resnet50" if name != "resnet50" else "resnet18"
    with pytest.raises(FitError, match=f"this looks like {name}: give --backbone {name}"):
        load_weights(build_backbone(other, (2, 3)), other, str(tmp_path / "weights.safetensors"))
