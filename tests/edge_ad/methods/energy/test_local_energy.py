"""The gradient that is written out by hand is that of automatic differentiation."""

import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx

from edge_ad.methods.energy.local_energy import LocalEnergy

SIZES = [(32, 40), (33, 40), (32, 41), (35, 47)]


def energy_of(strides, kernel=3):
    energy = LocalEnergy(5, 8, strides, kernel, seed=3)
    with torch.no_grad():
        for name, parameter in energy.named_parameters():
            if name.endswith("bias"):  # they are 0 at first
                parameter.normal_(std=0.3)
    return energy.double()


def values(batch, size):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(batch, 5, *size, generator=generator, dtype=torch.double)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("strides", [(2, 2, 2), (1, 2), (2,)])
def test_the_gradient_is_that_of_automatic_differentiation(strides, batch, size):
    energy, x = energy_of(strides), values(batch, size).requires_grad_()
    found, gradient = energy.energy_and_gradient(x)
    torch.testing.assert_close(found, energy(x))
    (expected,) = torch.autograd.grad(energy(x).sum(), x)
    torch.testing.assert_close(gradient, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("strides", [(2, 2, 2), (1, 2), (2,)])
def test_the_gradient_is_that_of_a_traced_graph(strides, size):
    energy, x = energy_of(strides), values(2, size)

    def gradient_of(v):
        return torch.func.grad(lambda u: energy(u).sum())(v)

    traced = make_fx(gradient_of)(values(2, size))  # forward operations alone, as in an export
    torch.testing.assert_close(energy.energy_and_gradient(x)[1], traced(x), rtol=1e-10, atol=1e-12)


def test_it_can_be_differentiated_again_which_is_what_score_matching_does():
    energy, x = energy_of((2,)), values(1, (8, 9)).requires_grad_()
    assert torch.autograd.gradcheck(lambda v: energy.energy_and_gradient(v)[1].sum(), x)


def test_an_energy_is_a_sum_of_local_terms():
    """What is far away in one image changes its own terms and no others."""
    energy, x = energy_of((2, 2)), values(1, (64, 96))
    left, right = x.clone(), x.clone()
    left[..., :20, :20] += 1
    right[..., 40:, 70:] += 1
    both = left + right - x
    found = energy(torch.cat([left, right, both])) - energy(x)
    torch.testing.assert_close(found[0] + found[1], found[2])


@torch.no_grad()
def test_an_energy_is_never_below_0_and_its_gradient_does_not_level_off():
    energy, x = energy_of((2, 2)), values(1, (32, 32))
    norms = []
    for factor in (0, 1, 10, 100):
        found, gradient = energy.energy_and_gradient(factor * x)
        assert found >= 0
        norms.append(float(gradient.norm()))
    assert norms[3] > 5 * norms[2] > 25 * norms[1]


def test_a_seed_gives_the_same_energy_and_leaves_torchs_own_generator_alone():
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    one, other = (LocalEnergy(3, 8, (2,), 3, seed=5).state_dict() for _ in range(2))
    assert torch.equal(torch.rand(1), expected)
    assert all(torch.equal(one[name], other[name]) for name in one)
    third = LocalEnergy(3, 8, (2,), 3, seed=6).state_dict()
    assert not torch.equal(one["linear.weight"], third["linear.weight"])
