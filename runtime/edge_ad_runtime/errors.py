"""Everything edge_ad refuses, and why.

::

    EdgeADError
      ConfigError(ValueError)     a setting that cannot work, named as the user typed it
      ImageError                  .path; unreadable, or a shape that cannot be used
      FitError                    too few images, features not finite
      ExportError                 the artifact could not be made
        ParityError               .max_abs_difference, .tolerance; exported is not as trained
      ArtifactError               .path; not found, manifest wrong, corrupt, too new
      EngineError                 an engine is missing, or failed
      ClusterError                the machines that share the work cannot be had, or die
      ShapeError(ValueError)      features, index, grid or manifest disagree

The command line turns any of these into one line and exit code 1; anything else is our bug and
keeps its traceback.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any


class EdgeADError(Exception):
    """Base of everything edge_ad raises on purpose. It may be raised in another process."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (type(self), self.args, self.__dict__)


class EdgeADWarning(UserWarning):
    """Something works, but not as well as it could; the command line tells it in one line."""


class ConfigError(EdgeADError, ValueError):
    """A setting that cannot work, named as the user typed it."""


class ImageError(EdgeADError):
    """An image that cannot be read or used; ``path`` is None for an array."""

    def __init__(self, message: str, *, path: Path | None = None) -> None:
        super().__init__(message if path is None else f"{path}: {message}")
        self.path = path


class FitError(EdgeADError):
    """Fitting cannot go on: too few images, or numbers that are not finite."""


class ExportError(EdgeADError):
    """The artifact could not be made or written."""


class ParityError(ExportError):
    """The exported network does not give the trained network's values."""

    def __init__(self, message: str, *, max_abs_difference: float, tolerance: float) -> None:
        super().__init__(message)
        self.max_abs_difference = max_abs_difference
        self.tolerance = tolerance


class ArtifactError(EdgeADError):
    """The artifact at ``path`` is missing, damaged, inconsistent or too new."""

    def __init__(self, message: str, *, path: Path) -> None:
        super().__init__(f"{path}: {message}")
        self.path = path


class EngineError(EdgeADError):
    """An inference engine is not installed, or failed."""


class ClusterError(EdgeADError):
    """The machines that share the work cannot be reached, or die whenever they are given it."""


class ShapeError(EdgeADError, ValueError):
    """Two arrays, or an array and the manifest, disagree about a shape."""


def _restored(kind: type[EdgeADError], args: tuple[Any, ...], state: dict[str, Any]) -> EdgeADError:
    """An error as it was. Its constructor, which may want more than ``args``, is not called."""
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(state)
    return error
