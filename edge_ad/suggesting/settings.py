"""What a search for settings is asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from edge_ad_runtime.artifact.bounds import Above, AtLeast
from edge_ad_runtime.settings import Settings, setting


@dataclass(frozen=True, kw_only=True)
class SuggestSettings(Settings):
    """What is tried, and what it may cost.

    Attributes:
        weights: a weight file of a further network to try. With None those are tried that are
            installed.
        backbone: the network of ``weights``.
        budget_ms: what an image may take on this machine. Settings that are estimated to take more
            are not suggested. With None time is no matter, but of settings that are as good the
            faster is suggested.
        images: how many good images are looked at, drawn by the seed.
        seed: draws the images, the damage and the patches.
    """

    weights: str | None = setting(
        None,
        help="A weight file of a further network to try, such as ImageNet's.",
        unset="what is installed",
    )
    backbone: str = setting("resnet18", help="The network of --weights.")
    budget_ms: Annotated[float, Above(0)] | None = setting(
        None,
        help="What an image may take on this machine, in milliseconds, by estimate.",
        unset="any time",
    )
    images: Annotated[int, AtLeast(8)] = setting(
        40, help="So many of the good images are looked at, drawn by seed."
    )
    seed: Annotated[int, AtLeast(0)] = setting(
        0, help="Seed of all draws by lot: images, damage, patches."
    )
