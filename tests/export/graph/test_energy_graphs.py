"""The graph of an energy and its gradient in every engine, against automatic differentiation."""

from importlib.util import find_spec

import numpy as np
import pytest
import torch

from edge_ad import EnergyConfig
from edge_ad.methods.energy.local_energy import LocalEnergy
from edge_ad.methods.energy.network import build_network
from edge_ad.methods.energy.scores import Scores, energies_of
from edge_ad_export.graph.appended import appended
from edge_ad_export.graph.onnx_graph import checked, to_onnx
from edge_ad_runtime.engines import Graph, open_engine

ENGINES = [name for name in ("onnxruntime", "openvino") if find_spec(name)]
KINDS = {
    "pixels": {"space": "pixels", "width": 8},
    "features": {"backbone": "resnet18", "weights": "untrained", "layers": (1,)},
}
SIZES = [(48, 64), (47, 65)]


class Exported:
    """A graph, and what automatic differentiation makes of the same images."""

    def __init__(self, kind, size):
        rng = np.random.default_rng(0)
        self.images = rng.integers(0, 256, (4, *size, 3), np.uint8)
        network = build_network(EnergyConfig(size=size, **KINDS[kind]))
        with torch.no_grad():
            values = network.values(torch.from_numpy(self.images))
            network.level.copy_(values.mean(dim=(0, 2, 3))[:, None, None])
            network.spread.copy_(values.std(dim=(0, 2, 3))[:, None, None])
            for parameter in network.energy.parameters():  # biases are 0 at first
                parameter.add_(0.02 * torch.randn(parameter.shape))
        self.onnx = to_onnx(network, size)
        x = ((values - network.level) / network.spread).double().requires_grad_()
        energy = network.energy.double()(x)
        (gradient,) = torch.autograd.grad(energy.sum(), x)
        gradient = gradient[
            :, :, network.margin : -network.margin, network.margin : -network.margin
        ]
        self.expected = {
            "raw_energy": energy.detach().numpy(),
            "gradient_magnitude": gradient.abs().sum(dim=1).numpy(),
            "gradient_norm": gradient.square().sum(dim=(1, 2, 3)).sqrt().numpy(),
        }


@pytest.fixture(scope="module", params=[(k, s) for k in KINDS for s in SIZES], ids=str)
def exported(request):
    torch.manual_seed(0)
    return Exported(*request.param)


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("batch", [1, 4])
def test_an_engine_gives_the_gradient_of_automatic_differentiation(name, batch, exported):
    engine = open_engine(name, Graph(onnx=exported.onnx), threads=1)
    found = engine.run(exported.images[:batch])
    assert found.keys() == exported.expected.keys()
    for output, expected in exported.expected.items():
        assert found[output].dtype == np.float32
        np.testing.assert_allclose(
            found[output], expected[:batch], rtol=0, atol=1e-5 * np.abs(expected).max()
        )


def test_tensorrt_builds_a_plan_of_it_and_its_scores(exported):
    pytest.importorskip("tensorrt_rtx")
    from edge_ad_runtime.engines.tensorrt.build import build_plan
    from edge_ad_runtime.engines.tensorrt.library import open_library

    tail = Scores(energies_of(exported.expected["raw_energy"]), "energy")
    graph = checked(appended(exported.onnx, tail))
    plan = build_plan(open_library("tensorrt_rtx"), Graph(onnx=graph), capability=(8, 9))
    assert b"accelerators={sm89 }" in plan


@pytest.mark.parametrize("name", ENGINES)
def test_a_scale_of_as_many_channels_as_come_in_is_no_trap(name):
    """OpenVINO gave another gradient where convolutions forth and back had weights in common."""
    energy = LocalEnergy(8, 8, (2, 1), 3, seed=0).eval()

    class Gradient(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.energy = energy

        def forward(self, image):
            x = image.float().permute(0, 3, 1, 2).repeat(1, 3, 1, 1)[:, :8] / 255
            return {"gradient": self.energy.energy_and_gradient(x)[1]}

    images = np.random.default_rng(0).integers(0, 256, (2, 33, 40, 3), np.uint8)
    network = Gradient().requires_grad_(False)
    expected = network(torch.from_numpy(images))["gradient"].numpy()
    found = open_engine(name, Graph(onnx=to_onnx(network, (33, 40))), threads=1).run(images)
    np.testing.assert_allclose(found["gradient"], expected, atol=1e-5 * np.abs(expected).max())
