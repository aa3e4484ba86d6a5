"""Where a reader puts voxels: one array, filled slice by slice. Others may use a slice before the rest is there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.core.volume import Affine


@dataclass(frozen=True)
class Plan:
    """A volume that is about to be read; fields as in `Volume`. It holds unless the reader takes room again."""

    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    affine: Affine
    slope: NDArray[np.float64]
    intercept: NDArray[np.float64]
    voi: tuple[float, float] | None = None

    @property
    def slice_bytes(self) -> int:
        """Size of one slice."""
        return self.shape[1] * self.shape[2] * self.dtype.itemsize


class Room:
    """Room in memory, with nobody waiting for slices."""

    def take(self, plan: Plan) -> NDArray[Any]:
        """The array ``(slices, rows, columns)`` of the planned type, to be filled; taken again, it begins anew."""
        return np.empty(plan.shape, plan.dtype)

    def ready(self, index: int) -> None:
        """Slice ``index`` is there, and will not change any more."""
