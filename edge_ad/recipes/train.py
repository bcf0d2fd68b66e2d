"""Train the backbone 'procedural': python -m edge_ad.recipes.train --out backbone.

Nothing is read but the code, as the images are drawn when they are needed. A checkpoint is written
every few hundred steps. A run that is started again goes on from it.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader
from tqdm import tqdm

from edge_ad.networks.normalisation import IMAGENET
from edge_ad.networks.procedural import Procedural
from edge_ad.networks.scattering import Scattering
from edge_ad.recipes.episodes import IMAGES, Episode, Episodes
from edge_ad.recipes.objective import outcome
from edge_ad.recipes.products import SIDE

_WARM_UP_STEPS, _RECORD_STEPS, _SAVE_STEPS = 200, 100, 500
_STANDARDISE_EPISODES = 61
_AVERAGE = 0.999  # decay of the weights' moving average, which is what is kept in the end
_MEAN, _STD = (value.view(3, 1, 1) for value in IMAGENET)

Stem = Callable[[Tensor], list[Tensor]]


class Standardise(nn.Module):
    """(x - mean) / std, channel by channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mean = nn.Buffer(torch.zeros(channels, 1, 1))
        self.std = nn.Buffer(torch.ones(channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Maps ``(N, C, h, w)`` to standardised ones of the same shape."""
        return (x - self.mean) / self.std

    def learn(self, batches: Sequence[Tensor]) -> None:
        """Learn the mean and the deviation from maps ``(N, C, h, w)``."""
        mean = torch.stack([m.mean(dim=(0, 2, 3)) for m in batches]).mean(dim=0)
        square = torch.stack([(m**2).mean(dim=(0, 2, 3)) for m in batches]).mean(dim=0)
        self.mean.copy_(mean[:, None, None])
        self.std.copy_((square - mean**2).clamp_min(1e-8).sqrt()[:, None, None])


class Learner(nn.Module):
    """The network and, before what is trained of it, the standardisation of the fixed maps."""

    def __init__(self) -> None:
        super().__init__()
        self.network = Procedural()
        channels = self.network.scattering.channels
        self.standardise = nn.ModuleList(Standardise(count) for count in channels)

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """The scattering's maps to the network's."""
        return self.network.head([f(m) for f, m in zip(self.standardise, maps, strict=True)])

    @torch.no_grad()
    def folded(self) -> Procedural:
        """The network alone, for maps that are not standardised.

        The standardisation goes into the 1 x 1 convolutions that come first. Their kernels are
        rounded to half precision before their biases make up for it.
        """
        network = copy.deepcopy(self.network)
        fine, coarse = self.standardise
        _fold(fine, network.enter_fine, network.enter_fine)
        _fold(fine, network.skip_fine, network.leave_fine)  # they are added: one bias is enough
        _fold(coarse, network.enter_coarse, network.enter_coarse)
        _fold(coarse, network.skip_coarse, network.leave_coarse)
        return network


def _fold(standardise: nn.Module, conv: nn.Conv2d, biased: nn.Conv2d) -> None:
    assert isinstance(standardise, Standardise)
    assert biased.bias is not None
    conv.weight.copy_((conv.weight / standardise.std[None]).half())
    biased.bias -= functional.conv2d(standardise.mean[None], conv.weight)[0, :, 0, 0]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of checkpoint and weights")
    parser.add_argument("--steps", type=int, default=2000, help="episodes")
    parser.add_argument("--fall", type=int, default=9500, help="steps for the rate to reach zero")
    parser.add_argument("--rate", type=float, default=6e-4, help="largest learning rate")
    parser.add_argument("--textures", type=int, default=1500, help="to choose from at any time")
    parser.add_argument("--workers", type=int, default=1, help="processes that draw")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu", help="cpu (the stem by OpenVINO) or cuda")
    train(parser.parse_args())


def train(options: argparse.Namespace) -> None:
    """Train up to ``options.steps``, from the checkpoint if there is one, and write the weights.

    It is one recipe, read from top to bottom: prepare or resume, then step, record and save. All of
    its parts work on the same state.
    """
    options.out.mkdir(parents=True, exist_ok=True)
    checkpoint = options.out / "checkpoint.pt"
    torch.manual_seed(options.seed)
    learner = Learner().to(options.device)
    trained = [p for p in learner.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=options.rate, weight_decay=0.02, betas=(0.9, 0.98))
    average, step = copy.deepcopy(learner), 0
    stem = _stem(learner.network.scattering, options.device)
    if checkpoint.exists():
        kept = torch.load(checkpoint, map_location=options.device, weights_only=True)
        learner.load_state_dict(kept["learner"])
        average.load_state_dict(kept["average"])
        optimiser.load_state_dict(kept["optimiser"])
        step = kept["step"]
    else:
        some = _episodes(options, 0)
        batches = [stem(_input(next(some), options.device)) for _ in range(_STANDARDISE_EPISODES)]
        for layer, standardise in enumerate(learner.standardise):
            assert isinstance(standardise, Standardise)
            standardise.learn([batch[layer] for batch in batches])
        average.load_state_dict(learner.state_dict())

    seen: list[tuple[float, float, float]] = []
    bar = tqdm(initial=step, total=options.steps, unit="step")
    for episode in _episodes(options, step):
        if step >= options.steps:
            break
        for group in optimiser.param_groups:
            group["lr"] = _rate(options, step)
        maps = stem(_input(episode, options.device))
        with torch.autocast(options.device, torch.bfloat16):
            found_maps = learner(maps)
        found = outcome(found_maps, torch.from_numpy(episode.change).to(options.device))
        if found is not None:
            optimiser.zero_grad(set_to_none=True)
            torch.autograd.backward(found.loss)
            norm = nn.utils.clip_grad_norm_(trained, 1.0)
            if torch.isfinite(norm):
                optimiser.step()
            seen.append((found.images, found.patches, found.auroc))
        _follow(average, learner, min(_AVERAGE, (step + 1) / (step + 10)))
        step += 1
        bar.update()
        if step % _RECORD_STEPS == 0:
            images, patches, auroc = np.mean(seen, axis=0)
            seen.clear()
            bar.set_postfix(images=f"{images:.3f}", patches=f"{patches:.3f}", auroc=f"{auroc:.3f}")
            line = {"step": step, "images": images, "patches": patches, "auroc": auroc}
            with (options.out / "log.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        if step % _SAVE_STEPS == 0 or step == options.steps:
            state = {"learner": learner.state_dict(), "average": average.state_dict(),
                     "optimiser": optimiser.state_dict(), "step": step}  # fmt: skip
            torch.save(state, checkpoint.with_suffix(".partial"))
            checkpoint.with_suffix(".partial").replace(checkpoint)
    write_weights(average.folded(), options.out / "procedural.safetensors")


def write_weights(network: Procedural, path: Path) -> None:
    """Write kernels in half precision, and biases and the fixed filters in single."""
    state = network.state_dict()
    for name, parameter in network.named_parameters():
        if parameter.ndim > 1:
            state[name] = parameter.half()
    save_file({name: value.contiguous().cpu() for name, value in state.items()}, path)
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")


def _episodes(options: argparse.Namespace, start: int) -> Iterator[Episode]:
    episodes = Episodes(options.seed, start, options.textures)
    ahead = 6 if options.workers else None
    return iter(
        DataLoader(episodes, batch_size=None, num_workers=options.workers, prefetch_factor=ahead)
    )


def _input(episode: Episode, device: str) -> Tensor:
    images = torch.from_numpy(episode.images).to(device).permute(0, 3, 1, 2).float()
    return (images - _MEAN.to(device)) / _STD.to(device)


def _rate(options: argparse.Namespace, step: int) -> float:
    """Linear warm-up and a cosine to zero."""
    warm = min(1.0, (step + 1) / _WARM_UP_STEPS)
    fallen = min(1.0, step / options.fall)
    return float(options.rate * warm * (0.5 + 0.5 * math.cos(math.pi * fallen)))


@torch.no_grad()
def _follow(average: nn.Module, learner: nn.Module, decay: float) -> None:
    for mean, value in zip(average.parameters(), learner.parameters(), strict=True):
        mean.lerp_(value, 1 - decay)


def _stem(scattering: Scattering, device: str) -> Stem:
    """What computes the fixed maps. On the CPU it is OpenVINO, in float32.

    There OpenVINO is twice as fast as torch.
    """
    if device != "cpu":
        return torch.no_grad()(scattering)
    import openvino  # of the extra 'bench'

    example = torch.zeros(IMAGES, 3, SIDE, SIDE)
    model = openvino.convert_model(torch.export.export(scattering, (example,)))
    hints = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    compiled = openvino.Core().compile_model(model, "CPU", hints)

    def run(x: Tensor) -> list[Tensor]:
        found = compiled(x.numpy())
        return [torch.from_numpy(found[i]) for i in range(len(scattering.layers))]

    return run


if __name__ == "__main__":
    main()
