"""Anatomical planes of a volume: which voxels a plane's pixels are, and where they lie in the patient.

A plane is the stack of images that one looks at: axial, coronal or sagittal, whichever array axis lies closest to the
anatomical direction. Its pixels are the volume's voxels, permuted and flipped, never resampled. Images are shown in the
radiologist's manner: the patient's right on the left of axial and coronal images, anterior on top of axial ones, superior
on top of the others. Pixel ``(column, row)`` of slice ``index`` has its centre at integers, column to the right, row down.

Directions are LPS throughout (see ``services.core.volume``).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from itertools import permutations
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from services.core.volume import Affine

Scalar = TypeVar("Scalar", bound=np.generic)


class Plane(IntEnum):
    """The anatomical planes; numbers as in ``calque.v1.Plane``."""

    AXIAL = 1
    CORONAL = 2
    SAGITTAL = 3


# For each plane the patient directions of (columns to the right, rows downwards, slices upwards in number), LPS.
_VIEWS = {
    Plane.AXIAL: ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    Plane.CORONAL: ((1, 0, 0), (0, 0, -1), (0, 1, 0)),
    Plane.SAGITTAL: ((0, 1, 0), (0, 0, -1), (1, 0, 0)),
}
_LETTERS = (("L", "R"), ("P", "A"), ("S", "I"))
# A second letter is shown when the edge points more than 22.5° away from the first one.
_SECOND_LETTER = float(np.sin(np.pi / 8))


@dataclass(frozen=True)
class PlaneGeometry:
    """One plane of a volume.

    Attributes:
        plane: which.
        columns, rows, slices: size in pixels and images.
        column_mm, row_mm, slice_mm: distance of neighbouring pixel centres and slices, in millimetres.
        left, right, top, bottom: edge letters (one, or two on an oblique image).
        pixel_to_voxel: ``(3, 4)`` int64; voxel ``(s, r, c)`` = ``pixel_to_voxel @ (column, row, slice, 1)``.
        pixel_to_mm: ``(4, 4)`` float64; patient mm (LPS) = ``pixel_to_mm @ (column, row, slice, 1)``.
    """

    plane: Plane
    columns: int
    rows: int
    slices: int
    column_mm: float
    row_mm: float
    slice_mm: float
    left: str
    right: str
    top: str
    bottom: str
    pixel_to_voxel: NDArray[np.int64]
    pixel_to_mm: Affine

    @property
    def slice_axis(self) -> int:
        """Array axis of the volume along which this plane's slices are numbered; 0 is the acquisition axis."""
        return int(np.flatnonzero(self.pixel_to_voxel[:, 2])[0])

    def to_voxels(
        self, columns: NDArray[np.int64], rows: NDArray[np.int64], index: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Voxel indices of pixels.

        Args:
            columns, rows: ``(n,)`` pixel coordinates in slice ``index``.

        Returns:
            Three arrays ``(n,)``: slice, row and column of the voxels.
        """
        pixels = np.stack([columns, rows, np.full_like(columns, index), np.ones_like(columns)])
        s, r, c = self.pixel_to_voxel @ pixels
        return s, r, c

    def pixel_of(self, voxel: tuple[int, int, int]) -> tuple[int, int, int]:
        """Column, row and slice of a voxel: the inverse of ``pixel_to_voxel``."""
        axes, first = self.pixel_to_voxel[:, :3], self.pixel_to_voxel[:, 3]
        column, row, index = axes.T @ (np.array(voxel) - first)
        return int(column), int(row), int(index)

    def slice_of(self, array: NDArray[Scalar], index: int) -> NDArray[Scalar]:
        """The image of slice ``index``: a view ``(rows, columns)`` of an array shaped like the volume, no copy."""
        image: NDArray[Scalar] = self._oriented(array)[index]
        return image

    def image_of_cut(self, cut: NDArray[Scalar]) -> NDArray[Scalar]:
        """The image ``(rows, columns)`` of one cut through the volume: a view.

        Args:
            cut: the volume's array at one index of `slice_axis`, the two other axes in their order.
        """
        image: NDArray[Scalar] = self._oriented(np.expand_dims(cut, self.slice_axis))[0]
        return image

    def voxel_index(self, index: int) -> int:
        """Index along `slice_axis` of the voxels of slice ``index``."""
        step, first = (int(self.pixel_to_voxel[self.slice_axis, k]) for k in (2, 3))
        return first + step * index

    def put(self, array: NDArray[Scalar], index: int, image: NDArray[Scalar]) -> None:
        """Write an image ``(rows, columns)`` into slice ``index`` of an array shaped like the volume."""
        self._oriented(array)[index] = image

    def _oriented(self, array: NDArray[Scalar]) -> NDArray[Scalar]:
        """A view ``(slices, rows, columns)`` of this plane."""
        axes = [int(np.flatnonzero(self.pixel_to_voxel[:, k])[0]) for k in (2, 1, 0)]
        flips = [int(self.pixel_to_voxel[:, k].sum()) for k in (2, 1, 0)]
        return array.transpose(axes)[tuple(slice(None, None, step) for step in flips)]


def plane_geometry(shape: tuple[int, int, int], affine: Affine, plane: Plane) -> PlaneGeometry:
    """The geometry of a plane of a volume.

    Args:
        shape: slices, rows, columns of the voxel array.
        affine: ``(4, 4)`` voxel index → patient mm, LPS.
        plane: which plane.
    """
    axis_of, sign_of = _nearest_axes(affine)
    right, down, up = _VIEWS[plane]
    matrix = np.zeros((3, 4), dtype=np.int64)
    size: list[int] = []
    for column, direction in enumerate((right, down, up)):
        patient = int(np.flatnonzero(direction)[0])
        axis = axis_of[patient]
        step = sign_of[patient] * direction[patient]
        matrix[axis, column] = step
        if step < 0:
            matrix[axis, 3] = shape[axis] - 1
        size.append(shape[axis])
    homogeneous = np.vstack([matrix, [0, 0, 0, 1]]).astype(np.float64)
    to_mm = affine @ homogeneous
    spacing = np.linalg.norm(to_mm[:3, :3], axis=0)
    to_right, to_bottom = to_mm[:3, 0] / spacing[0], to_mm[:3, 1] / spacing[1]
    return PlaneGeometry(
        plane=plane,
        columns=size[0],
        rows=size[1],
        slices=size[2],
        column_mm=float(spacing[0]),
        row_mm=float(spacing[1]),
        slice_mm=float(spacing[2]),
        left=edge_letters(-to_right),
        right=edge_letters(to_right),
        top=edge_letters(-to_bottom),
        bottom=edge_letters(to_bottom),
        pixel_to_voxel=matrix,
        pixel_to_mm=to_mm,
    )


def acquisition_plane(shape: tuple[int, int, int], affine: Affine) -> Plane:
    """The plane whose slices are the acquisition slices (array axis 0)."""
    return next(p for p in Plane if plane_geometry(shape, affine, p).slice_axis == 0)


def acquisition_axis(spacing: tuple[float, float, float]) -> int:
    """The acquisition axis of a source without a known stack normal: the largest spacing, else the last axis.

    Spacings within 0.1 % count as equal, since headers store them as rounded numbers.
    """
    largest = max(spacing)
    thick = [axis for axis in range(3) if spacing[axis] >= largest * 0.999]
    return thick[0] if len(thick) == 1 else 2


def edge_letters(direction: NDArray[np.float64]) -> str:
    """The patient letters that a unit vector (LPS) points to: ``"L"``, or ``"LA"`` where the image is oblique."""
    order = np.argsort(-np.abs(direction), kind="stable")
    letters = [_LETTERS[int(k)][0 if direction[k] > 0 else 1] for k in order]
    return letters[0] + (letters[1] if abs(direction[order[1]]) > _SECOND_LETTER else "")


def _nearest_axes(affine: Affine) -> tuple[list[int], list[int]]:
    """For each patient direction the array axis closest to it, one axis each, and its sign."""
    cosines = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    best = max(permutations(range(3)), key=lambda axes: sum(abs(cosines[d, axes[d]]) for d in range(3)))
    return list(best), [1 if cosines[d, best[d]] >= 0 else -1 for d in range(3)]
