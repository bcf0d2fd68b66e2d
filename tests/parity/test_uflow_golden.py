"""Values that the authors' own classes computed (mtailanian/uflow), on seeded latents."""

import numpy as np
import pytest
import torch

from edge_ad.methods.uflow.flow import Flow, likelihood, negative_log_likelihood
from edge_ad_runtime.decision.a_contrario.blocks import (
    chi2_quantile,
    half_window,
    log10_nfa_of_windows,
    log10_p_of_windows,
)
from edge_ad_runtime.decision.a_contrario.counting import log10_tests
from edge_ad_runtime.decision.a_contrario.nfa import significance_by_tree
from edge_ad_runtime.decision.a_contrario.tree import log10_nfa_of_regions

WINDOW, QUANTILE = 5, 0.9


@pytest.fixture(scope="module")
def nfa(data):
    with np.load(data / "golden/uflow_nfa.npz") as archive:
        return dict(archive)


def latents(golden, image):
    return [golden[name][image].astype(np.float64) for name in ("z1", "z2")]


def levels_of(z):
    return (z**2).mean(axis=0)


def test_the_number_of_tests_is_theirs(nfa):
    for text, expected in zip(nfa["n_tests_sizes"], nfa["log10_n_tests"], strict=True):
        grids = [(1, int(size)) for size in text.split(";")]
        # theirs is rounded to float32
        assert log10_tests(grids, "paper")[0][0] == pytest.approx(expected, rel=1e-7, abs=1e-7)


@pytest.mark.parametrize("image", [0, 1], ids=["noise", "a strong region"])
def test_the_tree_without_its_guard_gives_their_regions_and_their_map(nfa, image):
    z = latents(nfa, image)
    for scale, each in enumerate(z, 1):
        theirs = np.nan_to_num(nfa[f"tree_log10p_scale{scale}"][image], nan=0.0)
        zeros = np.zeros(each[0].size)  # log10 p alone
        found = log10_nfa_of_regions(levels_of(each), len(each), zeros, guarded=False)
        np.testing.assert_allclose(found, theirs, atol=1e-5)
    levels, channels = [levels_of(each) for each in z], [len(each) for each in z]
    significance = significance_by_tree(levels, channels, (64, 64), "paper", guarded=False)
    np.testing.assert_allclose(significance, nfa["nfa_tree"][image], rtol=1e-5)


@pytest.mark.parametrize("image", [0, 1], ids=["noise", "a strong region"])
def test_the_guard_changes_only_what_is_far_from_an_alarm(nfa, image):
    z = latents(nfa, image)
    levels, channels = [levels_of(each) for each in z], [len(each) for each in z]
    found = significance_by_tree(levels, channels, (64, 64), "paper")
    theirs = nfa["nfa_tree"][image]
    assert np.array_equal(found > 0, theirs > 0)
    assert found.max() == pytest.approx(theirs.max(), rel=2e-3)  # noise: 0.14 of 156
    np.testing.assert_allclose(found[theirs > 0], theirs[theirs > 0], rtol=1e-5)


def test_regions_of_equal_levels_are_theirs_where_theirs_are_there(nfa):
    """Theirs overwrite each other where log p is equal: 14 positions are lost there."""
    (z,) = nfa["z_ties"].astype(np.float64)
    theirs = nfa["tree_log10p_ties"]
    found = log10_nfa_of_regions(levels_of(z), len(z), np.zeros(z[0].size), guarded=False)
    there = ~np.isnan(theirs)
    np.testing.assert_allclose(found[there], theirs[there], atol=1e-5)
    assert np.isfinite(found).all()


@pytest.mark.parametrize("image", [0, 1], ids=["noise", "a strong region"])
def test_the_block_test_is_theirs(nfa, image):
    shares = [(z**2 >= chi2_quantile(QUANTILE)).mean(axis=0) for z in latents(nfa, image)]
    for scale, share in enumerate(shares):
        found = log10_p_of_windows(share, half_window(WINDOW, scale), QUANTILE)
        theirs = nfa[f"block_log10p_w5_p9_scale{scale + 1}"][image]
        np.testing.assert_allclose(found, theirs, atol=1e-9)
    found = -log10_nfa_of_windows(shares, (64, 64), WINDOW, QUANTILE)
    np.testing.assert_allclose(found, nfa["nfa_block_w5_p9"][image], atol=1e-5)


@pytest.fixture(scope="module")
def flow(data):
    with np.load(data / "golden/uflow_flow_small.npz") as archive:
        return {
            name: torch.from_numpy(archive[name])
            for name in archive
            if name != "modules" and archive[name].dtype.kind in "fi"
        }


def with_their_weights(golden):
    ours = Flow((8, 12, 16), steps=4, seed=0)
    names = [f"flow{width}_step{step}" for width in (4, 8, 16) for step in range(4)]
    steps = [step for stage in ours.stages for step in stage.children()]
    for name, step in zip(names, steps, strict=True):
        weights = {
            key: golden[f"w/{name}/{key}"]
            for key in ("permutation", "conv1_weight", "conv1_bias", "conv2_weight", "conv2_bias")
        }
        step.load_state_dict(
            {
                "permutation": weights["permutation"].long(),
                "scale": golden[f"w/{name}/global_scale"].view(-1, 1, 1),
                "offset": golden[f"w/{name}/global_offset"].view(-1, 1, 1),
                "subnet.0.weight": weights["conv1_weight"],
                "subnet.0.bias": weights["conv1_bias"],
                "subnet.2.weight": weights["conv2_weight"],
                "subnet.2.bias": weights["conv2_bias"],
            }
        )
    return ours


def relative(found, expected):
    return float((found - expected).abs().max() / expected.abs().max())


@torch.no_grad()
def test_one_step_of_the_flow_is_theirs(flow):
    step = with_their_weights(flow).stages[0][0]
    output, log_det = step(flow["step_input"])
    assert relative(output, flow["step_output"]) < 2e-5
    assert relative(log_det, flow["step_log_det"]) < 2e-5


@torch.no_grad()
def test_the_whole_flow_its_loss_and_its_likelihood_are_theirs(flow):
    ours = with_their_weights(flow)
    latents, log_det = ours([flow[f"feature{i}"] for i in (1, 2, 3)])
    for i, z in enumerate(latents, 1):
        assert relative(z, flow[f"z{i}"]) < 2e-4
    assert relative(log_det, flow["log_det"]) < 2e-4
    loss = negative_log_likelihood(latents, log_det)
    assert relative(loss, flow["half_z2"] - flow["log_det"]) < 2e-4
    assert float(loss.mean()) == pytest.approx(float(flow["loss"]), rel=2e-4)
    assert relative(likelihood(latents, (64, 64)), flow["likelihood"]) < 2e-4
