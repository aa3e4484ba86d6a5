"""Where a clinician looks next: what the service advises is measured against ways that ask nobody."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

WORST, ADVISED, RANDOM, EVEN = "worst", "advised", "random", "even"
WAYS = (WORST, ADVISED, RANDOM, EVEN)
"""Who knows the truth goes to the worst slice; others to the slices that the service names, to any one of the mask, or to
the one of the mask that is farthest from all that were drawn on."""


def order(
    way: str, shown: NDArray[np.bool_], drawn: NDArray[np.bool_], advised: Sequence[int], hand: np.random.RandomState
) -> list[int] | None:
    """Acquisition slices in the order in which the clinician looks at them; None: at the worst one.

    Args:
        way: one of `WAYS`.
        shown, drawn: the mask, and all voxels that were drawn on, ``(slices, rows, columns)``.
        advised: slices that the service names, the best first.
        hand: chance.
    """
    if way == WORST:
        return None
    if way == ADVISED:
        return list(advised)
    masked = np.flatnonzero(shown.any(axis=(1, 2)))
    if way == RANDOM:
        return [int(index) for index in hand.permutation(masked)]
    known = np.flatnonzero(drawn.any(axis=(1, 2)))
    away = np.abs(masked[:, None] - known).min(axis=1, initial=len(shown))
    return [int(index) for index in masked[np.argsort(-away, kind="stable")]]
