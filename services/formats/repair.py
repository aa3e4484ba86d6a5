"""Repairs of a stack that a user asked for: uneven slices resampled along the normal, tilted ones sheared to stand upright.

Both change voxels, so they are never done unasked, and what was done stays with the volume as a warning. Interpolation is
linear, of intensities; what no slice covers gets the lowest intensity.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from services.core.volume import Volume
from services.formats.source import check_size

Values = NDArray[np.float32]


@dataclass(frozen=True)
class Repairs:
    """What a user has asked for.

    Attributes:
        resample: fill gaps and even out the distance of slices.
        shear: straighten a stack whose slices are shifted against each other (gantry tilt).
    """

    resample: bool = False
    shear: bool = False


NO_REPAIRS = Repairs()


@dataclass(frozen=True)
class Repair:
    """What a stack needs.

    Attributes:
        heights_mm: ``(slices,)`` ascending, along the normal.
        normal: ``(3,)`` unit vector, LPS.
        drift: shift of the image for each mm of height, in rows and columns; zeros where it stands upright.
        uneven: whether the heights are.
        tilt_degrees: of the stack against its normal.
    """

    heights_mm: NDArray[np.float64]
    normal: NDArray[np.float64]
    drift: tuple[float, float]
    uneven: bool
    tilt_degrees: float


def repaired(volume: Volume, repair: Repair, name: str) -> Volume:
    """The volume with even, upright slices: float32 intensities, in a frame that is large enough for all of them.

    Args:
        volume: slices in order, at the heights that ``repair`` states.
        repair: what is done.
        name: of a file of the series, for errors.

    Raises:
        TooLarge: what comes out would be larger than is read.
    """
    heights = repair.heights_mm - repair.heights_mm[0]
    shifts = heights[:, None] * np.array(repair.drift)
    before = np.floor(np.minimum(shifts.min(axis=0), 0) + 1e-6).astype(int)
    after = np.ceil(np.maximum(shifts.max(axis=0), 0) - 1e-6).astype(int)
    step = float(np.median(np.diff(heights)))
    count = int(heights[-1] / step + 1e-3) + 1 if repair.uneven else len(heights)
    step = step if repair.uneven else heights[-1] / (count - 1)
    rows, columns = (int(n) for n in np.array(volume.shape[1:]) + after - before)
    check_size(name, count, rows, columns)

    lowest = np.float32(min(float(np.nanmin(volume.intensity(s))) for s in range(len(heights))))
    voxels = np.empty((count, rows, columns), np.float32)
    made = 0
    for number in range(count):
        at = min(number * step, heights[-1])
        above = int(np.searchsorted(heights, at - 1e-3 * step))
        below = above if abs(heights[above] - at) <= 1e-3 * step else above - 1
        part = 0.0 if below == above else (at - heights[below]) / (heights[above] - heights[below])
        made += below != above
        voxels[number] = sum(
            np.float32(weight) * _shifted(_shifted(volume.intensity(s), shifts[s, 0], 0, before[0], after[0], lowest),
                                          shifts[s, 1], 1, before[1], after[1], lowest)
            for s, weight in ((below, 1 - part), (above, part)) if weight
        )  # fmt: skip
    affine = volume.affine.copy()
    affine[:3, 3] += affine[:3, 1] * before[0] + affine[:3, 2] * before[1]
    affine[:3, 0] = repair.normal * step
    warnings = list(volume.warnings)
    if repair.uneven:
        warnings.append(
            f"Slices were missing or uneven; on request the volume was resampled, {made} of its {count} slices in between."
        )
    if repair.tilt_degrees:
        warnings.append(
            f"The slices were tilted by {repair.tilt_degrees:.1f}° (gantry tilt) and were straightened on request."
        )
    return replace(
        volume,
        voxels=voxels,
        affine=affine,
        slope=np.ones(count),
        intercept=np.zeros(count),
        warnings=tuple(warnings),
        source=None,
    )


def _shifted(image: Values, shift: float, axis: int, before: int, after: int, fill: np.float32) -> Values:
    """An image moved by ``shift`` pixels along an axis, in a frame that begins ``before`` (≤ 0) and ends ``after`` it."""
    image = np.moveaxis(image, axis, 0)
    places = np.arange(before, len(image) + after) - shift
    places = np.where(np.abs(places - np.rint(places)) < 1e-6, np.rint(places), places)
    low = np.floor(places).astype(int)
    weight = (places - low).astype(np.float32)[:, None]
    first, second = _rows(image, low, fill), _rows(image, low + 1, fill)
    moved = np.where(weight == 0, first, (1 - weight) * first + weight * second)
    return np.moveaxis(moved.astype(np.float32), 0, axis)


def _rows(image: Values, numbers: NDArray[np.intp], fill: np.float32) -> Values:
    inside = (numbers >= 0) & (numbers < len(image))
    return np.where(inside[:, None], image[np.clip(numbers, 0, len(image) - 1)], fill)
