"""One way to compile inner loops: they release the interpreter lock, keep their machine code, and never reorder sums."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

Loop = TypeVar("Loop", bound=Callable[..., Any])


def compiled(loop: Loop) -> Loop:
    """Compile a function of arrays and numbers at its first call; later processes read the code from numba's cache.

    The cache is the folder that NUMBA_CACHE_DIR names, else the package's own, else the user's, the first that can be
    written; where none can, each process compiles anew.

    Without ``fastmath`` a floating-point sum keeps the order in which it is written, whatever the width of the machine's
    vectors: the same input gives the same bytes.
    """
    try:
        return cast(Loop, numba.njit(nogil=True, cache=True)(loop))
    except RuntimeError:  # numba found no folder
        return cast(Loop, numba.njit(nogil=True)(loop))


@compiled
def _nothing(number: int) -> int:
    return number


def cache_folder() -> Path | None:
    """Where the machine code of compiled loops is kept; None where nowhere."""
    path = _nothing.stats.cache_path  # type: ignore[attr-defined]
    return Path(path) if path else None
