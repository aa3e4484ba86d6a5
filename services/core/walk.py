"""A random walker on a stack of slices: how likely is it that a walk from a voxel ends at the object (Grady 2006)?

Solved is the screened Poisson equation on the grid of voxels: neighbours are bound to each other, the more alike the
stronger; strokes are fixed, and every voxel is bound to a prior. Slices far apart are bound less than pixels. The image is
halved within its slices a few times, solved coarse to fine by successive over-relaxation (red and black voxels in turn), so
the time grows with the number of voxels alone. Values are 0 (background) to 1 (object).
"""

from __future__ import annotations

from dataclasses import dataclass

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
    """What is to be solved; arrays ``(slices, rows, columns)`` where nothing else is said.

    Attributes:
        image: uint8 intensities over the volume's window.
        prior: float32, 0 to 1.
        weight: ``(slices,)`` float32 above 0, how strongly the voxels of a slice are bound to their prior; the bond of two
            equal pixels is 1.
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


def refined(problem: Problem, neighbours: tuple[Levels, Levels], around: Values, times: int, sweeps: int) -> Values:
    """One slice solved at full resolution between two that stand fast.

    Args:
        problem: of one slice.
        neighbours: images of the slices before and after it, ``(rows, columns)``.
        around: ``(3, ...)``, what was found for the three on a grid halved ``times`` times.
        times: see there.
        sweeps: how many.

    Returns:
        ``(rows, columns)`` float32, 0 to 1.
    """
    rows, columns = problem.image.shape[1:]
    start = around[1:2]
    for halved_once in reversed(range(times)):
        start = doubled(start, -(-rows >> halved_once), -(-columns >> halved_once))
    found = np.ascontiguousarray(start)
    _fix(found, problem.seeds)
    bonds = _axis_bonds(problem, problem.spacing_mm[1])
    own, sum_ = _own_terms(problem)
    table = _by_difference(problem.edge)
    for image, beside in zip(neighbours, around[::2]):
        _bind_slice(own[0], sum_[0], problem.image[0], image, beside, times, table, bonds[0])
    _iterate(found, problem, bonds, table, own, sum_, _reached(found, problem.seeds), sweeps)
    refined_slice: Values = found[0]
    return refined_slice


def halved(problem: Problem) -> Problem:
    """The problem with half the rows and columns. A pixel is a seed where one of its four is; the object's win."""
    image, prior, seeds = _halve(problem.image, problem.prior, problem.seeds)
    across, down, along = problem.spacing_mm
    return Problem(image, prior, problem.weight, seeds, (across, 2 * down, 2 * along), problem.edge)


def doubled(values: Values, rows: int, columns: int) -> Values:
    """Each pixel of the slices as four, cut to ``rows`` and ``columns``."""
    return np.ascontiguousarray(values.repeat(2, 1)[:, :rows].repeat(2, 2)[:, :, :columns])


@compiled
def smoothly_doubled(values: Values, rows: int, columns: int) -> Values:
    """An image whose pixels are means of four of a larger one, ``(rows, columns)``, with linear steps between them."""
    height, width = values.shape
    out = np.empty((rows, columns), np.float32)
    near, far = np.float32(0.75), np.float32(0.25)
    for r in range(rows):
        one, other = r // 2, min(max(r // 2 + (1 if r % 2 else -1), 0), height - 1)
        for c in range(columns):
            left, beside = c // 2, min(max(c // 2 + (1 if c % 2 else -1), 0), width - 1)
            upper = near * values[one, left] + far * values[one, beside]
            out[r, c] = near * upper + far * (near * values[other, left] + far * values[other, beside])
    return out


def _reached(start: Values, seeds: Seeds) -> NDArray[np.int64]:
    """The box, first and last index + 1 along each axis, outside of which a coarser grid found nothing of the object."""
    box = _bounds(start, seeds, np.float32(_NOTHING))
    for axis in range(3):
        if box[axis, 1]:
            box[axis] = max(0, box[axis, 0] - _MARGIN), min(start.shape[axis], box[axis, 1] + _MARGIN)
    return box


def _relaxed(problem: Problem, start: Values, box: NDArray[np.int64], sweeps: int, unit_mm: float) -> Values:
    """``start`` after some sweeps over a box, changed in place."""
    _fix(start, problem.seeds)
    own, sum_ = _own_terms(problem)
    _iterate(start, problem, _axis_bonds(problem, unit_mm), _by_difference(problem.edge), own, sum_, box, sweeps)
    return start


def _axis_bonds(problem: Problem, unit_mm: float) -> Values:
    """Bonds along slices, rows and columns in units of that between equal pixels ``unit_mm`` apart: by distance squared."""
    return ((unit_mm / np.array(problem.spacing_mm, np.float64)) ** 2).astype(np.float32)


def _own_terms(problem: Problem) -> tuple[Values, Values]:
    """What binds a voxel apart from its neighbours: weight × prior, and the weight."""
    weight = problem.weight[:, None, None]
    return problem.prior * weight, np.broadcast_to(weight, problem.prior.shape).copy()


def _iterate(
    x: Values,
    problem: Problem,
    bonds: Values,
    table: Values,
    own: Values,
    sum_: Values,
    box: NDArray[np.int64],
    sweeps: int,
) -> None:
    """Sweep over a box of ``x``, in place; ``own`` and ``sum_`` as in `_own_terms`, the second one is used up."""
    down, along, across = _neighbour_bonds(problem.image, table, bonds, box)
    _complete_sums(sum_, across, down, along, problem.seeds, box)
    _sweep(x, own, sum_, across, down, along, box, sweeps)


def _by_difference(edge: float) -> Values:
    """The bond for each difference of levels, ``(256,)``."""
    part = np.arange(256) / 255.0
    bonds: Values = (np.exp(-edge * part * part) + _LEAST_BOND).astype(np.float32)
    return bonds


@compiled
def _halve(image: Levels, prior: Values, seeds: Seeds) -> tuple[Levels, Values, Seeds]:
    """Means of each 2 × 2 pixels, and their seeds; the last row and column are repeated where they have no neighbour."""
    slices, rows, columns = image.shape
    half = slices, (rows + 1) // 2, (columns + 1) // 2
    images, priors, marks = np.empty(half, np.uint8), np.empty(half, np.float32), np.empty(half, np.int8)
    for k in range(slices):
        for r in range(half[1]):
            upper, lower = 2 * r, min(2 * r + 1, rows - 1)
            for c in range(half[2]):
                left, right = 2 * c, min(2 * c + 1, columns - 1)
                grey = (
                    np.int64(image[k, upper, left])
                    + np.int64(image[k, upper, right])
                    + np.int64(image[k, lower, left])
                    + np.int64(image[k, lower, right])
                )
                images[k, r, c] = np.uint8((grey + 2) // 4)
                two = prior[k, upper, left] + prior[k, upper, right]
                priors[k, r, c] = (two + prior[k, lower, left] + prior[k, lower, right]) * np.float32(0.25)
                objects, others = 0, 0
                for seed in (seeds[k, upper, left], seeds[k, upper, right], seeds[k, lower, left], seeds[k, lower, right]):
                    objects += seed == OBJECT
                    others += seed == BACKGROUND
                mark = FREE
                if objects > 0 and objects >= others:
                    mark = OBJECT
                elif others > 0:
                    mark = BACKGROUND
                marks[k, r, c] = mark
    return images, priors, marks


@compiled
def _bounds(start: Values, seeds: Seeds, nothing: np.float32) -> NDArray[np.int64]:
    """First and last index + 1 along each axis of what is above ``nothing`` or a seed of the object; 0, 0 for none."""
    box = np.zeros((3, 2), np.int64)
    slices, rows, columns = start.shape
    first, last = np.array([slices, rows, columns]), np.array([-1, -1, -1])
    for k in range(slices):
        for r in range(rows):
            left, right = columns, -1
            for c in range(columns):
                if start[k, r, c] > nothing or seeds[k, r, c] == OBJECT:
                    left = min(left, c)
                    right = c
            if right >= 0:
                first[0], first[1], first[2] = min(first[0], k), min(first[1], r), min(first[2], left)
                last[0], last[1], last[2] = k, max(last[1], r), max(last[2], right)
    for axis in range(3):
        if last[axis] >= 0:
            box[axis, 0], box[axis, 1] = first[axis], last[axis] + 1
    return box


@compiled
def _fix(x: Values, seeds: Seeds) -> None:
    """Give seeds their value."""
    slices, rows, columns = x.shape
    for k in range(slices):
        for r in range(rows):
            for c in range(columns):
                if seeds[k, r, c] >= 0:
                    x[k, r, c] = np.float32(seeds[k, r, c])


@compiled
def _bind_slice(
    own: Values, sum_: Values, image: Levels, other: Levels, beside: Values, times: int, table: Values, bond: np.float32
) -> None:
    """Add the bonds of a slice to another one that stands fast, whose values are known on a coarse grid."""
    rows, columns = image.shape
    for r in range(rows):
        for c in range(columns):
            w = bond * table[abs(np.int64(image[r, c]) - np.int64(other[r, c]))]
            own[r, c] += w * beside[r >> times, c >> times]
            sum_[r, c] += w


@compiled
def _neighbour_bonds(image: Levels, table: Values, bonds: Values, box: NDArray[np.int64]) -> tuple[Values, Values, Values]:
    """Bonds of the voxels in and beside a box to the next one along rows, columns and slices; 0 at the end."""
    slices, rows, columns = image.shape
    down, along = np.zeros(image.shape, np.float32), np.zeros(image.shape, np.float32)
    across = np.zeros(image.shape if slices > 1 else (1, 1, 1), np.float32)
    for k in range(max(0, box[0, 0] - 1), box[0, 1]):
        for r in range(max(0, box[1, 0] - 1), box[1, 1]):
            for c in range(max(0, box[2, 0] - 1), box[2, 1]):
                here = np.int64(image[k, r, c])
                if r < rows - 1:
                    down[k, r, c] = bonds[1] * table[abs(here - np.int64(image[k, r + 1, c]))]
                if c < columns - 1:
                    along[k, r, c] = bonds[2] * table[abs(here - np.int64(image[k, r, c + 1]))]
                if k < slices - 1:
                    across[k, r, c] = bonds[0] * table[abs(here - np.int64(image[k + 1, r, c]))]
    return down, along, across


@compiled
def _complete_sums(sum_: Values, across: Values, down: Values, along: Values, seeds: Seeds, box: NDArray[np.int64]) -> None:
    """From weights to what a free voxel's value is multiplied by: 1 / all that binds it; 0 for a seed."""
    for k in range(box[0, 0], box[0, 1]):
        for r in range(box[1, 0], box[1, 1]):
            for c in range(box[2, 0], box[2, 1]):
                if seeds[k, r, c] >= 0:
                    sum_[k, r, c] = np.float32(0.0)
                    continue
                total = sum_[k, r, c] + down[k, r, c] + along[k, r, c]
                if r > 0:
                    total += down[k, r - 1, c]
                if c > 0:
                    total += along[k, r, c - 1]
                if across.size > 1:
                    total += across[k, r, c]
                    if k > 0:
                        total += across[k - 1, r, c]
                sum_[k, r, c] = np.float32(1.0) / total


@compiled
def _sweep(
    x: Values,
    own: Values,
    factor: Values,
    across: Values,
    down: Values,
    along: Values,
    box: NDArray[np.int64],
    sweeps: int,
) -> None:
    """Successive over-relaxation in place: each free voxel of a box becomes the weighted mean around it, and more."""
    slices, rows, columns = x.shape
    stack = across.size > 1
    for _ in range(sweeps):
        for colour in range(2):
            for k in range(box[0, 0], box[0, 1]):
                for r in range(box[1, 0], box[1, 1]):
                    for c in range(box[2, 0] + (box[2, 0] + k + r + colour) % 2, box[2, 1], 2):
                        if factor[k, r, c] == 0:
                            continue
                        value = own[k, r, c]
                        if r > 0:
                            value += down[k, r - 1, c] * x[k, r - 1, c]
                        if r < rows - 1:
                            value += down[k, r, c] * x[k, r + 1, c]
                        if c > 0:
                            value += along[k, r, c - 1] * x[k, r, c - 1]
                        if c < columns - 1:
                            value += along[k, r, c] * x[k, r, c + 1]
                        if stack:
                            if k > 0:
                                value += across[k - 1, r, c] * x[k - 1, r, c]
                            if k < slices - 1:
                                value += across[k, r, c] * x[k + 1, r, c]
                        moved = x[k, r, c] + _RELAXATION * (value * factor[k, r, c] - x[k, r, c])
                        x[k, r, c] = min(max(moved, np.float32(0.0)), np.float32(1.0))
