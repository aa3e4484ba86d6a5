"""What speed is measured on: a volume made like an MRI, an object in it, and strokes that a hand could draw on both.

A head of soft tissues of several intensities in air, a bias that brightens one side, noise, thick slices; the object is an
ellipsoid with an irregular surface, a little brighter than what lies around it. The same size gives the same voxels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from services.bench.clinician import PenStroke
from services.core.geometry import Plane, plane_geometry
from services.core.labels import BACKGROUND, OBJECT
from services.core.volume import Affine, Volume

SPACING_MM = (4.0, 0.7, 0.7)

_TISSUES = (380.0, 520.0, 610.0, 760.0)
_OBJECT = 690.0
_NOISE = 28.0
_LENGTH_MM = 25.0
_WIDTH_MM = 2.5
_INSIDE_MM = 3.0  # from the outline, on both sides
_NEAR_MM = 45.0  # background is drawn no farther from the object
_DIRECTIONS = 12

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Phantom:
    """A volume and the object in it: ``truth`` is ``(slices, rows, columns)`` bool."""

    volume: Volume
    truth: Mask

    def strokes(self, plane: Plane, index: int) -> Iterator[PenStroke]:
        """Short straight strokes on one slice without end: object, background, object …, always the same ones.

        The slice must show the object and something near it.
        """
        geometry = plane_geometry(self.volume.shape, self.volume.affine, plane)
        pixel_mm = (geometry.row_mm, geometry.column_mm)
        shown = geometry.slice_of(self.truth, index)
        inside = ndimage.distance_transform_edt(shown, pixel_mm) > _INSIDE_MM
        away = ndimage.distance_transform_edt(~shown, pixel_mm)
        outside = (away > _INSIDE_MM) & (away < _NEAR_MM)
        random = np.random.RandomState(index)
        while True:
            for label, region in ((OBJECT, inside), (BACKGROUND, outside)):
                y, x = _line(region, pixel_mm, random)
                yield PenStroke(plane, index, label, _WIDTH_MM, x, y)


def phantom(slices: int, size: int) -> Phantom:
    """A volume of ``slices`` of ``size`` × ``size`` pixels, uint16 and axial, with `SPACING_MM`."""
    shape = (slices, size, size)
    random = np.random.RandomState(0)
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, n, dtype=np.float32) for n in shape), indexing="ij", sparse=True)
    voxels = np.zeros(shape, np.float32)
    mixed = _smooth(random, shape)
    edges = np.quantile(mixed, np.linspace(0, 1, len(_TISSUES) + 1)[1:-1])
    voxels += np.array(_TISSUES, np.float32)[np.digitize(mixed, edges)]
    truth = _ellipsoid((z, y + 0.1, x - 0.15), (0.8, 0.3, 0.36)) < 1.0 + 0.25 * _smooth(random, shape)
    voxels[truth] = _OBJECT
    voxels[_ellipsoid((z, y, x), (1.4, 0.85, 0.7)) > 1.0] = 0.0
    voxels = ndimage.gaussian_filter(voxels, (0, 1.2, 1.2))
    voxels *= 1.0 + 0.15 * x
    # The length of a vector with noise in both parts, as a magnitude image has it.
    real, imaginary = (random.standard_normal(shape).astype(np.float32) * _NOISE for _ in range(2))
    voxels = np.hypot(voxels + real, imaginary)
    affine: Affine = np.zeros((4, 4))
    affine[2, 0], affine[1, 1], affine[0, 2] = SPACING_MM
    affine[3, 3] = 1.0
    stored = np.rint(voxels).astype(np.uint16)
    return Phantom(Volume(stored, affine, np.ones(slices), np.zeros(slices)), truth)


def _smooth(random: np.random.RandomState, shape: tuple[int, int, int]) -> NDArray[np.float32]:
    """Slow random waves with a standard deviation of 1."""
    coarse = ndimage.gaussian_filter(random.standard_normal((8, 16, 16)), 1.0, mode="wrap")
    zoom = [n / m for n, m in zip(shape, coarse.shape)]
    waves: NDArray[np.float32] = ndimage.zoom((coarse / coarse.std()).astype(np.float32), zoom, order=1, grid_mode=False)
    return waves


def _ellipsoid(at: tuple[NDArray[np.float32], ...], radii: tuple[float, ...]) -> NDArray[np.float32]:
    """Squared distance from the middle in radii."""
    squared: NDArray[np.float32] = sum((axis / radius) ** 2 for axis, radius in zip(at, radii))  # type: ignore[assignment]
    return squared


def _line(
    region: Mask, pixel_mm: tuple[float, float], random: np.random.RandomState
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Rows and columns of a line in a region that starts anywhere: the longest of a few directions."""
    places = np.argwhere(region)
    start = places[random.randint(len(places))]
    best = np.zeros(1)
    along = np.arange(0.0, _LENGTH_MM, min(pixel_mm))
    points = start[None, :].astype(float)
    for angle in random.uniform(0, 2 * np.pi, _DIRECTIONS):
        way = start + along[:, None] * np.array([np.sin(angle), np.cos(angle)]) / pixel_mm
        at = np.rint(way).astype(int)
        within = (at >= 0).all(axis=1) & (at < region.shape).all(axis=1)
        within[within] = region[tuple(at[within].T)]
        reach = len(way) if within.all() else int(np.argmin(within))
        if reach > len(best):
            best, points = np.zeros(reach), way[:reach]
    return tuple(points[:, 0].tolist()), tuple(points[:, 1].tolist())
