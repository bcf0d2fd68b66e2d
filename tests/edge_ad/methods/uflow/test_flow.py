import pytest
import torch
from torch.func import jacrev

from edge_ad.methods.uflow.flow import Flow, Step, negative_log_likelihood, normalised
from edge_ad_runtime.errors import ConfigError

CHANNELS = (8, 12, 16)


def features(count=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    grids = zip(CHANNELS, (16, 8, 4), strict=True)
    return [torch.randn(count, c, side, side + side // 4, generator=generator) for c, side in grids]


def roughened(flow):
    """Far from the identity, so that nothing that is left out goes unseen."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=generator)
    return flow


def test_sizes_of_resnet18_are_the_published_ones():
    assert Flow((64, 128, 256), steps=4, seed=0).widths == (84, 80, 128)
    assert sum(p.numel() for p in Flow((64, 128, 256), 4, 0).parameters()) == pytest.approx(
        1.48e6, rel=0.01
    )


def test_the_loss_of_a_batch_is_the_mean_of_the_losses_of_its_images():
    flow, batch = roughened(Flow(CHANNELS, steps=4, seed=0)), features()
    together = negative_log_likelihood(*flow(batch))
    alone = [negative_log_likelihood(*flow([f[i : i + 1] for f in batch])) for i in range(4)]
    torch.testing.assert_close(together, torch.cat(alone), rtol=1e-5, atol=1e-3)


def test_the_log_determinant_is_that_of_the_jacobian():
    step = roughened(Step(5, 3, torch.tensor([3, 0, 4, 1, 2]))).double()
    x = torch.randn(5, 2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    jacobian = jacrev(lambda x: step(x[None])[0][0])(x).reshape(x.numel(), x.numel())
    torch.testing.assert_close(step(x[None])[1][0], torch.linalg.slogdet(jacobian).logabsdet)


def test_a_whole_flow_keeps_all_values_and_its_log_determinant():
    flow = roughened(Flow((8, 8), steps=2, seed=3)).double()
    sizes = [(8, 4, 4), (8, 2, 2)]
    flat = torch.randn(160, dtype=torch.float64, generator=torch.Generator().manual_seed(4))

    def latents(flat):
        parts = flat.split([128, 32])
        found, _ = flow([part.view(1, *size) for part, size in zip(parts, sizes, strict=True)])
        return torch.cat([z.flatten() for z in found])

    assert latents(flat).shape == flat.shape
    log_det = flow(
        [part.view(1, *s) for part, s in zip(flat.split([128, 32]), sizes, strict=True)]
    )[1]
    torch.testing.assert_close(log_det[0], torch.linalg.slogdet(jacrev(latents)(flat)).logabsdet)


def test_a_seed_gives_the_same_flow_and_leaves_the_global_generator_alone():
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    one, other = Flow(CHANNELS, 4, seed=5).state_dict(), Flow(CHANNELS, 4, seed=5).state_dict()
    assert torch.equal(torch.rand(1), expected)
    assert all(torch.equal(one[name], other[name]) for name in one)
    differs = Flow(CHANNELS, 4, seed=6).state_dict()
    name = "stages.0.0.permutation"  # part of the state, so it is saved
    assert not torch.equal(one[name], differs[name])


def test_normalised_features_have_no_scale_of_their_own():
    x = 5 + 3 * features()[1]
    torch.testing.assert_close(normalised(x), normalised(10 * x), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(
        normalised(x), torch.nn.functional.layer_norm(x, x.shape[1:]), rtol=1e-5, atol=1e-5
    )


def test_too_few_channels_to_go_up_are_refused():
    with pytest.raises(ConfigError, match="has 7 channels, the flow needs 8"):
        Flow((16, 7), steps=1, seed=0)
