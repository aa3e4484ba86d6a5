"""A random walker on a stack of slices: how likely is it that a walk from a voxel ends at the object (Grady 2006)?

Solved is the screened Poisson equation on the grid of voxels: neighbours are bound to each other, the more alike the
stronger; strokes are fixed, and every voxel is bound to a prior. Slices far apart are bound less than pixels. The image is
halved within its slices a few times, solved coarse to fine by successive over-relaxation (red and black voxels in turn), so
the time grows with the number of voxels alone. Values are 0 (background) to 1 (object).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from services.core.compiled import compiled

Values = NDArray[np.float32]
Levels = NDArray[np.uint8]
Seeds = NDArray[np.int8]

FREE, BACKGROUND, OBJECT = -1, 0, 1
"""What a seed says."""

_LEAST_BOND = 1e-4
_NOTHING = 0.004  # less than one of 255 levels
_MARGIN = 4  # pixels around what a coarser grid found
_RELAXATION = np.float32(1.6)


@dataclass(frozen=True)
class Problem:
    """What is to be solved; all arrays ``(slices, rows, columns)``.

    Attributes:
        image: uint8 intensities over the volume's window.
        prior: float32, 0 to 1.
        weight: float32 above 0, how strongly a voxel is bound to its prior; the bond of two equal pixels is 1.
        seeds: int8, `FREE`, `BACKGROUND` or `OBJECT`.
        spacing_mm: distance of slices, rows and columns.
        edge: how fast bonds weaken with the difference of intensities: exp(−edge · (difference / 255)²).
    """

    image: Levels
    prior: Values
    weight: Values
    seeds: Seeds
    spacing_mm: tuple[float, float, float]
    edge: float


def solve(problem: Problem, levels: int, sweeps: tuple[int, ...]) -> Values:
    """Solve coarse to fine.

    Args:
        problem: what.
        levels: grids, the finest included; each next one has half the rows and columns.
        sweeps: on each grid, the finest first.

    Returns:
        ``(slices, rows, columns)`` float32, 0 to 1.
    """
    grids = [problem]
    for _ in range(levels - 1):
        grids.append(halved(grids[-1]))
    coarsest = grids.pop()
    everything = np.array([(0, size) for size in coarsest.image.shape])
    found = _relaxed(coarsest, coarsest.prior.copy(), everything, sweeps[levels - 1], problem.spacing_mm[1])
    for grid, count in zip(reversed(grids), reversed(sweeps[: levels - 1])):
        start = doubled(found, grid.image.shape[1], grid.image.shape[2])
        found = _relaxed(grid, start, _reached(start, grid.seeds), count, problem.spacing_mm[1])
    return found


def _reached(start: Values, seeds: Seeds) -> NDArray[np.int64]:
    """The box, first and last index + 1 along each axis, outside of which a coarser grid found nothing of the object."""
    some = (start > _NOTHING) | (seeds == OBJECT)
    box = np.zeros((3, 2), np.int64)
    for axis in range(3):
        places = np.flatnonzero(some.any(axis=tuple(other for other in range(3) if other != axis)))
        if len(places):
            box[axis] = max(0, places[0] - _MARGIN), min(some.shape[axis], places[-1] + 1 + _MARGIN)
    return box


def _relaxed(problem: Problem, start: Values, box: NDArray[np.int64], sweeps: int, unit_mm: float) -> Values:
    """``start`` after some sweeps over a box, changed in place.

    Bonds are in units of those between equal pixels that are ``unit_mm`` apart, and fall with the square of the distance.
    """
    start[problem.seeds == OBJECT] = 1.0
    start[problem.seeds == BACKGROUND] = 0.0
    bonds = (unit_mm / np.array(problem.spacing_mm, np.float64)) ** 2
    _sweep(
        start,
        problem.image,
        problem.prior,
        problem.weight,
        problem.seeds,
        _by_difference(problem.edge),
        bonds.astype(np.float32),
        box,
        sweeps,
    )
    return start


def refined(problem: Problem, around: Values, sweeps: int, unit_mm: float) -> Values:
    """One slice solved anew between two that stand fast.

    Args:
        problem: of three slices; the middle one is solved.
        around: ``(3, rows, columns)``, what is known of them.
        sweeps: how many.
        unit_mm: distance of pixels with a bond of 1.

    Returns:
        The middle slice, ``(rows, columns)``.
    """
    seeds = problem.seeds.copy()
    seeds[0] = seeds[2] = FREE
    box = _reached(around, seeds)
    box[0] = 1, 2
    middle: Values = _relaxed(replace(problem, seeds=seeds), around.copy(), box, sweeps, unit_mm)[1]
    return middle


def halved(problem: Problem) -> Problem:
    """The problem with half the rows and columns. A pixel is a seed where one of its four is; the object's win."""
    object_, background = _mean(problem.seeds == OBJECT), _mean(problem.seeds == BACKGROUND)
    seeds = np.full(object_.shape, FREE, np.int8)
    seeds[background > object_] = BACKGROUND
    seeds[(object_ > 0) & (object_ >= background)] = OBJECT
    weight = _mean(problem.weight)
    across, down, along = problem.spacing_mm
    return Problem(
        image=np.rint(_mean(problem.image)).astype(np.uint8),
        prior=_mean(problem.weight * problem.prior) / weight,
        weight=weight,
        seeds=seeds,
        spacing_mm=(across, 2 * down, 2 * along),
        edge=problem.edge,
    )


def doubled(values: Values, rows: int, columns: int) -> Values:
    """Each pixel of the slices as four, cut to ``rows`` and ``columns``."""
    return np.ascontiguousarray(values.repeat(2, 1)[:, :rows].repeat(2, 2)[:, :, :columns])


def _mean(array: NDArray[np.generic]) -> Values:
    """Mean of each 2 × 2 pixels; the last row and column are repeated where they have no neighbour."""
    padded = np.pad(array, ((0, 0), (0, array.shape[1] % 2), (0, array.shape[2] % 2)), mode="edge").astype(np.float32)
    four = padded[:, ::2, ::2] + padded[:, 1::2, ::2] + padded[:, ::2, 1::2] + padded[:, 1::2, 1::2]
    quarter: Values = np.asarray(four * np.float32(0.25), np.float32)
    return quarter


def _by_difference(edge: float) -> Values:
    """The bond for each difference of levels, ``(256,)``."""
    part = np.arange(256) / 255.0
    bonds: Values = (np.exp(-edge * part * part) + _LEAST_BOND).astype(np.float32)
    return bonds


@compiled
def _sweep(
    x: Values,
    image: Levels,
    prior: Values,
    weight: Values,
    seeds: Seeds,
    bond: Values,
    axes: Values,
    box: NDArray[np.int64],
    sweeps: int,
) -> None:
    """Successive over-relaxation in place: each free voxel of a box becomes the weighted mean around it, and more."""
    slices, rows, columns = x.shape
    for _ in range(sweeps):
        for colour in range(2):
            for k in range(box[0, 0], box[0, 1]):
                for r in range(box[1, 0], box[1, 1]):
                    for c in range(box[2, 0] + (box[2, 0] + k + r + colour) % 2, box[2, 1], 2):
                        if seeds[k, r, c] >= 0:
                            continue
                        here = np.int64(image[k, r, c])
                        total = weight[k, r, c]
                        value = total * prior[k, r, c]
                        if k > 0:
                            w = axes[0] * bond[abs(here - np.int64(image[k - 1, r, c]))]
                            total += w
                            value += w * x[k - 1, r, c]
                        if k < slices - 1:
                            w = axes[0] * bond[abs(here - np.int64(image[k + 1, r, c]))]
                            total += w
                            value += w * x[k + 1, r, c]
                        if r > 0:
                            w = axes[1] * bond[abs(here - np.int64(image[k, r - 1, c]))]
                            total += w
                            value += w * x[k, r - 1, c]
                        if r < rows - 1:
                            w = axes[1] * bond[abs(here - np.int64(image[k, r + 1, c]))]
                            total += w
                            value += w * x[k, r + 1, c]
                        if c > 0:
                            w = axes[2] * bond[abs(here - np.int64(image[k, r, c - 1]))]
                            total += w
                            value += w * x[k, r, c - 1]
                        if c < columns - 1:
                            w = axes[2] * bond[abs(here - np.int64(image[k, r, c + 1]))]
                            total += w
                            value += w * x[k, r, c + 1]
                        moved = x[k, r, c] + _RELAXATION * (value / total - x[k, r, c])
                        x[k, r, c] = min(max(moved, np.float32(0.0)), np.float32(1.0))
