"""`suggest`: try a few settings on a folder of good images, and rank them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_ad.images.labelled import TestImage
from edge_ad.methods.patchcore.settings import PatchCoreConfig
from edge_ad.suggesting.candidates import candidates
from edge_ad.suggesting.ranking import Ranked, held_apart, rank
from edge_ad.suggesting.sample import draw_sample
from edge_ad.suggesting.settings import SuggestSettings
from edge_ad.suggesting.trial import Trial, by_network, trials
from edge_ad_runtime.progress import ProgressBar


@dataclass(frozen=True, kw_only=True, eq=False)
class Suggestion:
    """What was tried.

    Attributes:
        ranked: all settings, the suggested ones first.
        held_apart_auroc: what choosing by the labels is worth, on images that did not choose. None
            without labels, or with too few.
        learned: how many good images the banks were made of.
        judged: how many images were judged.
    """

    ranked: tuple[Ranked, ...]
    held_apart_auroc: float | None
    learned: int
    judged: int

    @property
    def config(self) -> PatchCoreConfig:
        """The suggested settings."""
        return self.ranked[0].trial.config


def suggest(
    good: Sequence[Path],
    labelled: Sequence[TestImage] = (),
    settings: SuggestSettings | None = None,
    *,
    found: Callable[[Trial], None] = lambda trial: None,
    progress: bool = False,
) -> Suggestion:
    """Try settings on some of the images, and rank them.

    Args:
        good: the files of good images.
        labelled: good and defective images, which rank the settings if there are any.
        settings: what is tried and what it may cost.
        found: what to call with each trial as it is finished.
        progress: show a bar for each network on stderr.

    Raises:
        FitError: there are too few good images, or a network's weights are damaged.
        ImageError: an image cannot be read.
        ConfigError: there is no such network or weight file.
    """
    settings = settings or SuggestSettings()
    sample = draw_sample(good, labelled, images=settings.images, seed=settings.seed)
    height, width = sample.learned[0].shape[:2]
    done: list[Trial] = []
    for group in by_network(candidates((height, width), settings)):
        size = f"{group[0].size[0]}x{group[0].size[1]}"
        with ProgressBar[None](
            total=sample.runs,
            desc=f"{group[0].backbone} {size}",
            unit="image",
            disable=not progress,
        ) as bar:
            done += trials(group, sample, tick=bar.update)
        for trial in done[-len(group) :]:
            found(trial)
    return Suggestion(
        ranked=tuple(rank(done, settings.budget_ms)),
        held_apart_auroc=held_apart(done, settings.seed),
        learned=len(sample.learned),
        judged=sample.runs - len(sample.learned),
    )
