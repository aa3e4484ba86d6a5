"""What showing a volume needs to know of its intensities, gathered slice by slice, in any order, while the slices come."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_SAMPLED = 4_000_000  # voxels, about: of a larger volume a regular subset


def intensities(
    stored: NDArray[np.generic], slope: float | np.float64, intercept: float | np.float64
) -> NDArray[np.float32]:
    """Stored values of any shape → intensities."""
    found: NDArray[np.float32] = (stored.astype(np.float64) * slope + intercept).astype(np.float32)
    return found


class WindowSample:
    """Voxels from which the intensity window is taken: all, or of a large volume a regular subset, the same every time.

    Args:
        shape: slices, rows, columns of the volume.
        dtype: of its stored values.
        slope, intercept: ``(slices,)`` rescale of each slice.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        dtype: np.dtype[Any],
        slope: NDArray[np.float64],
        intercept: NDArray[np.float64],
    ) -> None:
        self._slope, self._intercept = slope, intercept
        self.step = max(1, int((shape[0] * shape[1] * shape[2] / _SAMPLED) ** (1 / 3)))
        one_rescale = bool((slope == slope[0]).all() and (intercept == intercept[0]).all())
        # Where few values are possible they are counted: that takes less time and room than keeping them all.
        self._lowest = int(np.iinfo(dtype).min) if dtype.kind in "iu" and dtype.itemsize <= 2 and one_rescale else None
        self._counts = np.zeros(0 if self._lowest is None else 1 << 8 * dtype.itemsize, np.int64)
        self._kept: dict[int, NDArray[np.float32]] = {}

    def add(self, index: int, image: NDArray[np.generic]) -> None:
        """Take what belongs to the sample of slice ``index``, stored values ``(rows, columns)``; each slice once."""
        if index % self.step:
            return
        part = image[:: self.step, :: self.step]
        if self._lowest is None:
            self._kept[index] = intensities(part, self._slope[index], self._intercept[index]).ravel()
        else:
            self._counts += np.bincount(part.ravel().astype(np.int32) - self._lowest, minlength=len(self._counts))

    def window(self) -> tuple[float, float]:
        """0.5 and 99.5 percentiles of the voxels that are not air, of the slices that were added.

        Air is what lies below a tenth of the way from the lowest intensity to the 99.9 percentile; that holds for the zero
        background of MR and for the -1000 HU of CT.

        Returns:
            ``(low, high)`` intensities, ``low < high``.
        """
        values, counts = self._values()
        if not values.size:
            return 0.0, 1.0
        lowest = float(values[0])
        [top] = _percentiles(values, counts, 99.9)
        body = int(np.searchsorted(values, np.float32(lowest + 0.1 * (top - lowest)), side="right"))
        body = body if body < len(values) else 0
        low, high = _percentiles(values[body:], None if counts is None else counts[body:], 0.5, 99.5)
        # An even image, or one that differs by no more than float32 can tell, gets a window that it lies at the low end of.
        even = high - low <= max(1e-6 * max(abs(low), abs(high)), 1e-30)
        return (low, low + max(1.0, 1e-6 * abs(low))) if even else (low, high)

    def _values(self) -> tuple[NDArray[np.float32], NDArray[np.int64] | None]:
        """Finite intensities, ascending, and how often each occurs; ``None``: once."""
        if self._lowest is None:
            kept = [self._kept[index] for index in sorted(self._kept)]
            every = np.concatenate(kept) if kept else np.zeros(0, np.float32)
            return np.sort(every[np.isfinite(every)]), None
        stored = np.flatnonzero(self._counts)
        values = intensities(stored + self._lowest, self._slope[0], self._intercept[0])
        order = slice(None, None, -1 if self._slope[0] < 0 else 1)
        finite = np.isfinite(values)
        return values[finite][order], self._counts[stored][finite][order]


def _percentiles(values: NDArray[np.float32], counts: NDArray[np.int64] | None, *percents: float) -> list[float]:
    """Percentiles of ascending values, each as often as counted, interpolated linearly as numpy does."""
    ends = np.arange(1, len(values) + 1) if counts is None else np.cumsum(counts)
    found = []
    for percent in percents:
        place = percent / 100 * (int(ends[-1]) - 1)
        below = int(place)
        low = float(values[np.searchsorted(ends, below, side="right")])
        high = float(values[np.searchsorted(ends, min(below + 1, int(ends[-1]) - 1), side="right")])
        found.append(low + (high - low) * (place - below))
    return found


class StoredRange:
    """The lowest and highest of a volume's values, of those that are numbers.

    Args:
        dtype: of the stored values.
        slope, intercept: ``(slices,)`` rescale of each slice.

    Attributes:
        stored: of the stored integers; ``None`` for floating point, and before the first slice.
    """

    def __init__(self, dtype: np.dtype[Any], slope: NDArray[np.float64], intercept: NDArray[np.float64]) -> None:
        self._slope, self._intercept = slope, intercept
        self._integers = dtype.kind in "iu"
        self.stored: tuple[int, int] | None = None
        self._intensities: list[tuple[float, float]] = []

    @property
    def intensities(self) -> tuple[float, float]:
        """Of the intensities; zeros where there are none."""
        if not self._intensities:
            return 0.0, 0.0
        return min(low for low, _ in self._intensities), max(high for _, high in self._intensities)

    def add(self, index: int, image: NDArray[Any]) -> None:
        """Look at slice ``index``, stored values ``(rows, columns)``."""
        if self._integers:
            low, high = int(image.min()), int(image.max())
            known = self.stored or (low, high)
            self.stored = min(low, known[0]), max(high, known[1])
            ends = np.array([low, high], image.dtype)
        else:
            ends = image[np.isfinite(image)]
        # Rescaling keeps or turns the order, so the ends of what is stored are those of the intensities.
        scaled = intensities(ends, self._slope[index], self._intercept[index])
        finite = scaled[np.isfinite(scaled)]
        self._intensities.append((float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0))
