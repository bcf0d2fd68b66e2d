"""What a colleague would say of these images and settings: a line each, with what answers it."""

from __future__ import annotations

import math
from collections.abc import Iterator

from edge_ad.images.facts import ImageFacts
from edge_ad.images.settings import show_size
from edge_ad.methods.settings import FitSettings

_WISE = 50  # good images
_SHRUNK = 1.5
_SEEN_PX = 3  # of the network's input: what is smaller hardly moves a patch
_STRETCHED = 1.25
_DARKER = 0.75  # the darkest image's brightness in units of the brightest's
_DIRECTED = 0.6  # the share of images whose part has a direction
_ALIGNED = 0.6
_LEAST_FOR_DIRECTION = 8
_STEP_PX = 32


def advise(facts: ImageFacts, config: FitSettings) -> tuple[str, ...]:
    """The lines, the weightiest first.

    Args:
        facts: of the good images.
        config: the settings that they are fitted with.
    """
    return tuple(
        (
            *_of_shrinking(facts, config),
            *_of_shapes(facts, config),
            *_of_directions(facts, config),
            *_of_brightness(facts),
            *_of_few(facts),
        )
    )


def _of_shrinking(facts: ImageFacts, config: FitSettings) -> Iterator[str]:
    (height, width), (rows, cols) = facts.usual_shape, config.size
    if config.resize_px is not None:  # the shorter side, whatever is cut from it
        rows = cols = config.resize_px
        height = width = min(height, width)
    shrink = max(height / rows, width / cols)
    if shrink < _SHRUNK:
        return
    larger = _size(facts.usual_shape, min(2.0, shrink) * math.sqrt(config.size[0] * config.size[1]))
    yield (
        f"{_text(facts.usual_shape)} is shrunk to {_text(config.size)}: one pixel is {shrink:.1f} "
        f"of yours, and details under {math.ceil(_SEEN_PX * shrink)} pixels are lost. If your "
        f"defects are so small: --size {larger} (and --layers 1,2), which takes longer"
    )


def _of_shapes(facts: ImageFacts, config: FitSettings) -> Iterator[str]:
    ratios = [height / width for height, width in facts.shapes]
    if max(ratios) > 1.05 * min(ratios):
        shapes = ", ".join(f"{n} of {_text(shape)}" for shape, n in sorted(facts.shapes.items()))
        yield (
            f"sizes are mixed: {shapes}. Each is stretched to {_text(config.size)} in its own way, "
            "and a good part looks different in each: fit each size by itself, or scale alike with "
            f"--resize {max(config.size)} --keep-aspect, which looks at the centre alone"
        )
        return
    if len(facts.shapes) > 1:
        shapes = ", ".join(f"{n} of {_text(shape)}" for shape, n in sorted(facts.shapes.items()))
        yield (
            f"sizes are mixed: {shapes}. If they show the part at different scales, fit each by "
            "itself"
        )
    height, width = facts.usual_shape
    stretch = (height / width) / (config.size[0] / config.size[1])
    if config.resize_px is None and not 1 / _STRETCHED < stretch < _STRETCHED:
        kept = _size(facts.usual_shape, math.sqrt(config.size[0] * config.size[1]))
        yield (
            f"{_text((height, width))} is stretched to {_text(config.size)}; --size {kept} keeps "
            "its proportions"
        )


def _of_directions(facts: ImageFacts, config: FitSettings) -> Iterator[str]:
    few = facts.looked_at < _LEAST_FOR_DIRECTION
    if few or facts.directions < _DIRECTED or facts.alignment > _ALIGNED:
        return
    if config.method == "padim":
        yield (
            "the parts lie in all directions, and padim compares each place with the same place of "
            "other images: --method patchcore does not"
        )
        return
    yield (
        "the parts lie in all directions, so that each is seen in few images: show more good ones "
        f"(there are {facts.images}), keep more of what they show (--coreset-fraction 0.2), or "
        "have the camera's software turn the part before it is saved"
    )


def _of_brightness(facts: ImageFacts) -> Iterator[str]:
    darkest, brightest = facts.brightness
    if darkest < _DARKER * brightest:
        yield (
            f"brightness varies from {darkest:.0f} to {brightest:.0f} (mean grey level): fix the "
            "camera's exposure, or see that the good images show all of it; --contact-sheet shows "
            "whether the darkest and the brightest stand alone"
        )


def _of_few(facts: ImageFacts) -> Iterator[str]:
    if facts.images < _WISE:
        yield (
            f"{facts.images} good images are few, {_WISE} or more are wise: what is good but not "
            "among them is called anomalous. With so few, set the threshold by hand when the line "
            "has shown more (edge-ad threshold --set)"
        )


def _size(shape: tuple[int, int], side: float) -> str:
    """A size of about ``side`` squared pixels in the proportions of ``shape``, as it is typed."""
    ratio = math.sqrt(shape[0] / shape[1])
    sides = (side * ratio, side / ratio)
    rows, cols = (max(_STEP_PX, round(s / _STEP_PX) * _STEP_PX) for s in sides)
    return show_size((rows, cols))


def _text(shape: tuple[int, int]) -> str:
    return f"{shape[0]} x {shape[1]}"
