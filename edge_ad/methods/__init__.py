"""Ways to learn what good parts look like. Each has a folder and a line in `METHODS`.

A method's folder holds two modules that this page asks for:

    settings.py     ``Settings``, a frozen dataclass whose fields are the options of ``fit``
    method.py       ``METHOD``, a `Method`

It usually holds a third, ``reference.py``, the slow truth that `Method.reference` gives. Settings
are imported when ``edge-ad fit --help`` lists options, and so they must not import torch. The
method is imported when it is used. ``docs/adding-a-method.md`` goes through one from end to end.
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
    from edge_ad_runtime.artifact.head_records import Certificate, HeadRecord

METHODS: dict[str, str] = {  # name of --method: its package
    "patchcore": "edge_ad.methods.patchcore",
    "padim": "edge_ad.methods.padim",
    "spade": "edge_ad.methods.spade",
    "uflow": "edge_ad.methods.uflow",
    "energy": "edge_ad.methods.energy",
}


class Method(Protocol):
    """One way to learn what good parts look like.

    The split, the hold-out, the threshold, the record and the folder are `edge_ad.fitting`'s, and
    everything about artifacts is the export's. A method holds no state: what it learns is in the
    network that `train` gives and in what `gather` gives.

    Attributes:
        Kept: the type of what `gather` keeps. It is a frozen dataclass of arrays, and an optional
            one may be None. The fit folder saves the arrays by the names of the fields.
    """

    Kept: type

    def train(self, images: GoodImages, settings: Any, *, progress: bool) -> nn.Module:
        """The network, pretrained or trained on these images, and ready for inference.

        It takes images ``(N, H, W, 3)`` uint8 RGB and gives a dict of named outputs. The first axis
        of each output is the batch's.

        Raises:
            FitError: there are too few images, or numbers are not finite.
        """

    def restore(self, settings: Any, state: Mapping[str, Tensor]) -> nn.Module:
        """The network of a fit folder, where ``state`` is its whole ``state_dict()``."""

    def gather(self, run: Run, images: GoodImages, settings: Any, *, progress: bool) -> Gathered:
        """What good images leave behind when seen through ``run``: a bank, a gallery, or nothing.

        The export calls it again with a network of reduced precision, so no second function learns
        from images. ``images.screened`` then says that outliers have already been left out.

        Raises:
            FitError: there are too few images for the settings.
        """

    def reference(self, run: Run, kept: Any, settings: Any) -> Reference:
        """The slow truth, which shares no code with the head."""

    def lower(self, network: nn.Module, kept: Any, settings: Any) -> Lowered:
        """What a device needs of a fitted method: see `Lowered`."""

    def describe(self, kept: Any) -> str:
        """What was kept, in a few words for people: ``bank of 5676 patches x 384``."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Gathered:
    """What good images have left behind.

    Attributes:
        kept: what the method keeps, of the type `Method.Kept`.
        left_out: ``(N,)`` float64, for each of the images the score that it would have had if it
            had not been learned from, and nan for an image that was excluded. It is what
            ``leave-one-out`` sets the threshold with, and None with another calibration, or where
            there are too few images for it.
        isolated: for each image the patch that is least like all other images. The most isolated
            image comes first: it is where to look for a part that is not good. The tuple is empty
            if the method does not look for such patches.
        certificate: how well a bank covers the patches that it was chosen from. None if the method
            keeps no bank of patches.
    """

    kept: Any
    left_out: NDArray[np.float64] | None = None
    isolated: tuple[IsolatedPatch, ...] = ()
    certificate: Certificate | None = None


class Reference(Protocol):
    """The slow truth about an image.

    Attributes:
        map_in_unit_of_score: whether the map is in the unit of the score, so that an image is
            anomalous where its map is above the threshold.
    """

    @property
    def map_in_unit_of_score(self) -> bool: ...  # noqa: D102

    def trace(self, preprocessed: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        """The value of every stage of the head, by its name, with ``map`` and ``score`` last.

        Args:
            preprocessed: ``(H, W, 3)`` RGB, as the network takes it.
        """


@dataclass(frozen=True, kw_only=True, eq=False)
class Lowered:
    """What a device needs of a fitted method.

    Attributes:
        network: the module to export, which `Method.train` gave. It gives a dict of named outputs.
        head: what the runtime is to do with the outputs.
        arrays: the head's files, by name.
        tail: a module that turns the network's outputs into those that the head needs, inside the
            same graph. With None the head takes the network's outputs as they are. The tail's
            ``forward`` names the outputs that it takes and gives a dict of the others. It is
            float32 in every precision, because it holds what was learned through the network.
        origin: where the network comes from. It is for people, and the runtime never acts on it.
        in_float: the names of the submodules of ``network`` that int8 must leave in float. Whatever
            comes before the first weight of the others is left in float too.
        in_half: a function that gives the same network computing in half precision. None means that
            the network cannot.
        amplification: how many times farther than usual the outputs may be from torch's, because
            the network makes the rounding of what comes before it larger.
        no_int8: why the network cannot compute in int8, in a clause. It is empty if it can.
    """

    network: nn.Module
    head: HeadRecord
    arrays: Mapping[str, NDArray[Any]]
    tail: nn.Module | None = None
    origin: Mapping[str, str]
    in_float: tuple[str, ...] = ()
    in_half: Callable[[], nn.Module] | None = None
    amplification: float = 1.0
    no_int8: str = ""


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
