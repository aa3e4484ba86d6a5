"""How much mask each slice holds, for the picture of the volume under the image."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from tablet_client.state.geometry import Plane, PlaneInfo


class SliceBand:
    """Pixels at or above each level, a row for every slice of every plane: any threshold is a look-up."""

    def __init__(self, planes: Mapping[Plane, PlaneInfo]) -> None:
        self._above = {plane: np.zeros((info.slices, 256), np.int32) for plane, info in planes.items()}

    def put(self, plane: Plane, index: int, levels: NDArray[np.uint8]) -> None:
        """A slice's probability × 255, ``(rows, columns)``."""
        counts = np.bincount(levels.reshape(-1), minlength=256)
        self._above[plane][index] = np.cumsum(counts[::-1])[::-1]

    def pixels(self, plane: Plane, threshold: int) -> NDArray[np.int32]:
        """Pixels of the mask in each slice known so far: ``(slices,)``."""
        return self._above[plane][:, threshold]

    def clear(self) -> None:
        """Nothing is known any more."""
        for above in self._above.values():
            above[:] = 0
