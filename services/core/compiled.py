"""One way to compile inner loops: they release the interpreter lock, keep their machine code, and never reorder sums."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Loop = TypeVar("Loop", bound=Callable[..., Any])


def compiled(loop: Loop) -> Loop:
    """Compile a function of arrays and numbers at its first call; later processes read the code from numba's cache.

    Without ``fastmath`` a floating-point sum keeps the order in which it is written, whatever the width of the machine's
    vectors: the same input gives the same bytes.
    """
    return cast(Loop, numba.njit(nogil=True, cache=True)(loop))
