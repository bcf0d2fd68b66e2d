"""Keep BLAS on one thread while an index is searched.

BLAS threads wait for more work by spinning. After a product of matrices they are in the way of the
graph search's own threads, so that on two cores the search takes twice as long. The limit holds for
the whole process, so the searches are counted. The first search sets the limit and the last one
lifts it, and those in between do not wait for one another.

Threadpoolctl 3.8 lets only the thread that has set a limit change it, and silently does nothing for
others. Here the last search out may be another thread's than the first one in.
"""

from __future__ import annotations

from threading import Lock
from types import TracebackType
from typing import Any

import threadpoolctl


class _OnOneThread:
    """A limit that several searches share."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._inside = 0
        self._libraries: threadpoolctl.ThreadpoolController | None = None
        self._limit: Any = None

    def __enter__(self) -> None:
        with self._lock:
            self._inside += 1
            if self._inside > 1:
                return
            if self._libraries is None:  # finding them takes a while, so it is done once
                self._libraries = threadpoolctl.ThreadpoolController()
            _disown()
            self._limit = self._libraries.limit(limits=1, user_api="blas")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                _disown()
                self._limit.restore_original_limits()
                _disown()


def _disown() -> None:
    """Let the calling thread change what another one has set; before 3.8 every thread may."""
    openblas = getattr(threadpoolctl, "OpenBLASController", None)
    clear = getattr(openblas, "clear_controlling_thread", None)
    if clear is not None:
        clear(force=True)


BLAS_ON_ONE_THREAD = _OnOneThread()
