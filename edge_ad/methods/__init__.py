"""Ways to learn what good parts look like; a folder each, and a line in `METHODS`.

A method's folder holds two modules that this page asks for:

    settings.py     ``Settings``: a frozen dataclass; its fields are the options of ``fit``
    method.py       ``METHOD``: a `Method`

and usually a third, ``reference.py``, the slow truth that `Method.reference` gives. Settings are
imported when ``edge-ad fit --help`` lists options, and so without torch; the method is imported
when it is used. ``docs/adding-a-method.md`` goes through one from end to end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from edge_ad_runtime.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from edge_ad.features.isolation import IsolatedPatch
    from edge_ad.images.good import GoodImages
    from edge_ad.networks.run import Run
    from edge_ad_runtime.artifact.head_records import HeadRecord

METHODS: dict[str, str] = {  # name of --method: its package
    "patchcore": "edge_ad.methods.patchcore",
}


class Method(Protocol):
    """One way to learn what good parts look like.

    The split, the hold-out, the threshold, the record and the folder are `edge_ad.fitting`'s, and
    everything about artifacts is the export's. A method holds no state: what it learns is in the
    network that `train` gives and in what `gather` gives.

    Attributes:
        Kept: the type of what `gather` keeps: a frozen dataclass of arrays, None where optional.
            The fit folder saves them by the names of the fields.
    """

    Kept: type

    def train(self, images: GoodImages, settings: Any, *, progress: bool) -> nn.Module:
        """The network: pretrained, or trained on these images.

        It takes images ``(N, H, W, 3)`` uint8 RGB and gives a dict of named outputs, the first axis
        of each the batch's, ready for inference.

        Raises:
            FitError: too few images, or numbers that are not finite.
        """

    def restore(self, settings: Any, state: Mapping[str, Tensor]) -> nn.Module:
        """The network of a fit folder; ``state`` is its ``state_dict()``, all of it."""

    def gather(self, run: Run, images: GoodImages, settings: Any, *, progress: bool) -> Gathered:
        """What good images leave behind, seen through ``run``: a bank, a gallery, nothing.

        It is called again at export with a network of reduced precision, so that there is no second
        road: ``images.screened`` says that outliers have been left out before.

        Raises:
            FitError: too few images for the settings.
        """

    def reference(self, run: Run, kept: Any, settings: Any) -> Reference:
        """The slow truth, which shares no code with the head."""

    def lower(self, network: nn.Module, kept: Any, settings: Any) -> Lowered:
        """What a device needs."""

    def describe(self, kept: Any) -> str:
        """What was kept, in a few words for people: ``bank of 5676 patches x 384``."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Gathered:
    """What good images have left behind.

    Attributes:
        kept: of the type `Method.Kept`.
        isolated: per image the patch that is least like all other images, the most isolated image
            first: where to look for a part that is not good. Empty if the method does not look.
    """

    kept: Any
    isolated: tuple[IsolatedPatch, ...] = ()


class Reference(Protocol):
    """The slow truth about an image."""

    def trace(self, preprocessed: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        """The value of every stage of the head, by its name; ``map`` and ``score`` at the end.

        Args:
            preprocessed: ``(H, W, 3)`` RGB, as the network takes it.
        """


@dataclass(frozen=True, kw_only=True, eq=False)
class Lowered:
    """What a device needs of a fitted method.

    Attributes:
        network: the module to export, that of `Method.train`; it gives a dict of named outputs.
        head: what the runtime is to do with the outputs.
        arrays: the head's files, by name.
        tail: what turns the network's outputs into those that the head needs, inside the same
            graph; None: they are the same. Its ``forward`` names the outputs that it takes and
            gives a dict of the others. It is float32 in every precision, as it holds what was
            learned through the network.
        origin: where the network comes from, for people; the runtime never acts on it.
        in_float: submodules of ``network`` that int8 must leave in float, by name. Whatever comes
            before the first weight of the others is left in float too.
        in_half: gives the same network computing in half precision; None: it cannot.
    """

    network: nn.Module
    head: HeadRecord
    arrays: Mapping[str, NDArray[Any]]
    tail: nn.Module | None = None
    origin: Mapping[str, str]
    in_float: tuple[str, ...] = ()
    in_half: Callable[[], nn.Module] | None = None


def settings_class(name: str) -> Any:
    """The settings of a method, a frozen dataclass.

    Raises:
        ConfigError: there is no method of that name.
    """
    return _module(name, "settings").Settings


def load_method(name: str) -> Method:
    """The method of that name.

    Raises:
        ConfigError: there is none.
    """
    method: Method = _module(name, "method").METHOD
    return method


def _module(name: str, module: str) -> Any:
    if name not in METHODS:
        raise ConfigError(f"method is {name!r}; known are {', '.join(METHODS)}")
    return import_module(f"{METHODS[name]}.{module}")
