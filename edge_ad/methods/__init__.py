"""Ways to learn what good parts look like; a folder each, and a line in `METHODS`.

A method's folder holds three modules that this page asks for:

    settings.py     ``Settings``: a frozen dataclass; its fields are the options of ``fit``
    method.py       ``METHOD``: a `Method`
    reference.py    the slow truth that `Method.reference` gives

Settings are imported when ``edge-ad fit --help`` lists options, and so without torch; the method is
imported when it is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from edge_ad_runtime.errors import ConfigError

METHODS: dict[str, str] = {  # name of --method: its package
    "patchcore": "edge_ad.methods.patchcore",
}


def settings_class(name: str) -> Any:
    """The settings of a method, a frozen dataclass.

    Raises:
        ConfigError: there is no method of that name.
    """
    return _module(name, "settings").Settings


def _module(name: str, module: str) -> Any:
    if name not in METHODS:
        raise ConfigError(f"method is {name!r}; known are {', '.join(METHODS)}")
    return import_module(f"{METHODS[name]}.{module}")
