import numpy as np
import pytest
import torch

from edge_ad import PatchCoreConfig
from edge_ad.features.patches import build_network
from edge_ad.networks.run import TorchRun
from edge_ad.networks.scattering import Scattering, morlets

ORIENTATIONS = len(morlets()) // 2
IMAGES = np.random.default_rng(0).integers(0, 180, (2, 64, 96, 3), dtype=np.uint8)


def features(images=IMAGES, **settings):
    config = PatchCoreConfig(backbone="scattering", size=images.shape[1:3], **settings)
    return TorchRun(build_network(config))(images)["features"]


def maps(image, layers=(2,)):
    """Of one image ``(3, H, W)`` in 0-1."""
    network = Scattering(layers)
    return network(((image - network.mean) / network.std)[None])


@pytest.mark.parametrize("layers", [(1,), (2, 3), (1, 2, 3, 4)])
@pytest.mark.parametrize("size", [(64, 96), (75, 49)])
def test_grids_are_those_of_the_resnets(layers, size):
    images = np.zeros((1, *size, 3), np.uint8)
    resnet = PatchCoreConfig(weights="untrained", size=size, layers=layers)
    assert (
        features(images, layers=layers).shape[:3]
        == (TorchRun(build_network(resnet))(images)["features"].shape[:3])
    )
    channels = Scattering(layers).channels
    assert features(images, layers=layers).shape[3] == sum(channels)
    assert [m.shape[1] for m in maps(torch.zeros(3, *size), layers)] == channels


def test_wavelets_do_not_see_a_constant_and_have_unit_norm():
    waves = morlets()
    assert np.abs(waves.sum(axis=(1, 2))).max() < 1e-6
    even, odd = np.split(waves, 2)
    assert np.hypot(even, odd).sum(axis=(1, 2)) == pytest.approx(1)
    assert even == pytest.approx(even[:, ::-1, ::-1])
    assert odd == pytest.approx(-odd[:, ::-1, ::-1])


def test_without_any_texture_brightness_changes_the_low_pass_alone_up_to_the_border():
    (dark,), (bright,) = (maps(torch.full((3, 64, 96), level)) for level in (0.1, 0.9))
    assert (bright - dark)[:, 0].min() > 0.5
    assert torch.allclose(bright[:, 1:], dark[:, 1:], atol=1e-4)


def test_four_times_the_light_is_twice_the_low_pass():
    texture = 0.1 + torch.rand(3, 64, 96, generator=torch.Generator().manual_seed(0)) / 8
    (dark,), (bright,) = maps(texture), maps(4 * texture)
    assert torch.allclose(bright[:, 0], 2 * dark[:, 0], rtol=1e-3)
    energies = slice(3, 3 + ORIENTATIONS)  # roots of energies, and those are as the image's root
    ratio = bright[:, energies] / dark[:, energies]
    assert ratio.mean() == pytest.approx(2**0.5, rel=0.05)


def test_a_grey_image_has_no_colour():
    grey = torch.rand(1, 64, 96, generator=torch.Generator().manual_seed(0)).expand(3, -1, -1)
    (found,), (black,) = maps(grey), maps(torch.zeros_like(grey))
    low_pass = (found - black)[0, :3]
    assert low_pass[1:].abs().max() < 1e-5
    assert low_pass[0].abs().max() > 0.1


def test_a_line_is_found_by_the_wavelets_across_it():
    image = torch.zeros(3, 64, 96)
    image[:, :, 48] = 1
    (found,) = maps(image, layers=(1,))
    finest = found[0, 3 : 3 + ORIENTATIONS, 8, 12]  # average energies at the first scale
    assert finest.argmax() == 0  # orientation 0 varies along x
    assert finest[0] > 2 * finest[ORIENTATIONS // 2]


def test_dark_and_bright_lines_differ():
    image = torch.full((3, 64, 96), 0.5)
    dark, bright = image.clone(), image.clone()
    dark[:, :, 48], bright[:, :, 48] = 0.2, 0.8
    (first,), (second,) = maps(dark), maps(bright)
    assert (first[:, 3:] - second[:, 3:]).abs().max() > 0.05


def test_turning_the_image_by_a_right_angle_turns_the_orientations():
    streaks = torch.rand(3, 64, 1, generator=torch.Generator().manual_seed(0))
    image = streaks.expand(3, 64, 64)
    (found,), (turned,) = maps(image, (1,)), maps(torch.rot90(image, 1, (1, 2)), (1,))
    energies = found[0, 3 : 3 + ORIENTATIONS].mean(dim=(1, 2))
    after = turned[0, 3 : 3 + ORIENTATIONS].mean(dim=(1, 2))
    assert torch.allclose(after, energies.roll(ORIENTATIONS // 2), rtol=0.02)
    assert not torch.allclose(after, energies, rtol=0.02)


def test_one_image_alone_has_the_features_it_has_in_a_batch():
    assert np.allclose(features(IMAGES[1:])[0], features()[1], rtol=1e-4, atol=1e-5)
