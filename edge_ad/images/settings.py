"""The settings of every method that looks at images: what is seen of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Self

from edge_ad_runtime.artifact.bounds import AtLeast
from edge_ad_runtime.images.preprocess import Preprocessing
from edge_ad_runtime.settings import Settings, Spelling, setting

_GROUP = "Images"


def _parse_size(text: str) -> tuple[int, int]:
    """``224`` or ``HEIGHTxWIDTH`` to ``(height, width)``."""
    parts = text.lower().split("x")
    if len(parts) > 2 or not all(part.isdecimal() for part in parts):
        raise ValueError(f"{text!r} is neither a number nor HEIGHTxWIDTH, such as 192x256")
    return int(parts[0]), int(parts[-1])


def show_size(size: tuple[int, int]) -> str:
    """``(height, width)`` as it is typed: ``224`` or ``192x256``."""
    height, width = size
    return str(height) if height == width else f"{height}x{width}"


def size_setting(default: tuple[int, int]) -> Any:
    """The field `ImageSettings.size`, for a method that has another default."""
    return setting(
        default,
        help="Size of the network's input in pixels, one number or HEIGHTxWIDTH.",
        spelling=Spelling("SIZE", _parse_size, show_size),
        group=_GROUP,
    )


@dataclass(frozen=True, kw_only=True)
class ImageSettings(Settings):
    """What is seen of an image, and the seed of whatever is drawn by lot.

    Attributes:
        size: ``(height, width)`` of the network's input in pixels.
        resize_px: the pixels that the shorter side is scaled to before ``size`` is cut from the
            centre (the PatchCore paper scales to 256 and cuts 224). With None the whole image is
            stretched to ``size``.
        keep_aspect: with ``resize_px``, keep the image's proportions. Otherwise the image is
            stretched to the proportions of ``size``.
        seed: draws the shots, the hold-out, a coreset and untrained weights.
    """

    size: tuple[int, int] = size_setting((224, 224))
    resize_px: int | None = setting(
        None,
        help="Scale the image to this and cut SIZE from the centre; the PatchCore paper has 256.",
        unset="stretch the whole image to SIZE, so that all of it is inspected",
        names=("--resize",),
        group=_GROUP,
    )
    keep_aspect: bool = setting(
        False,
        help="With --resize, scale the shorter side to it and keep the proportions.",
        group=_GROUP,
    )
    seed: Annotated[int, AtLeast(0)] = setting(
        0,
        help="Seed of all draws by lot: the shots, the hold-out, a coreset, untrained weights.",
        group=_GROUP,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.preprocessing  # has the bounds of size and resize_px, for manifests too

    @property
    def preprocessing(self) -> Preprocessing:
        """How images are brought to the network's input size."""
        return Preprocessing(size=self.size, resize_px=self.resize_px, keep_aspect=self.keep_aspect)

    def resolved(self) -> Self:
        """The same settings, with what they leave to the machine decided as on this one."""
        return self
