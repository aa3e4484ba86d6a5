"""Planes and volumes as the tablet needs them: it multiplies by the server's matrices and never reasons about orientation.

A pixel is ``(column, row, slice)`` of a plane, centres at integers, column to the right and row downwards; a voxel is
``(slice, row, column)`` of the volume as acquired; millimetres are patient space, LPS.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from calque.v1 import common_pb2, volumes_pb2
from numpy.typing import NDArray


class Plane(IntEnum):
    """The anatomical planes; numbers as in the contract."""

    AXIAL = 1
    CORONAL = 2
    SAGITTAL = 3


Voxel = tuple[int, int, int]
"""Slice, row and column of the volume as acquired."""


class GeometryError(ValueError):
    """The server described a volume that cannot be shown."""


@dataclass(frozen=True, eq=False)
class PlaneInfo:
    """One plane of a volume.

    Attributes:
        plane: which.
        columns, rows, slices: size in pixels and images.
        column_mm, row_mm, slice_mm: distance of neighbouring columns, rows and slices, in millimetres.
        left, right, top, bottom: patient letters at the edges.
        pixel_to_mm: ``(4, 4)`` float64, patient mm (LPS, 1) = matrix × (column, row, slice, 1).
        pixel_to_voxel: ``(3, 4)`` int64, voxel (slice, row, column) = matrix × (column, row, slice, 1).
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
    pixel_to_mm: NDArray[np.float64]
    pixel_to_voxel: NDArray[np.int64]

    @classmethod
    def from_message(cls, message: common_pb2.PlaneGeometry) -> PlaneInfo:
        """From the contract. Raises: GeometryError when a field is missing or impossible."""
        to_mm = np.array(message.pixel_to_mm, dtype=np.float64)
        to_voxel = np.array(message.pixel_to_voxel, dtype=np.int64)
        if to_mm.size != 16 or to_voxel.size != 12 or not np.isfinite(to_mm).all():
            raise GeometryError("A plane's matrices are missing or not numbers.")
        to_mm, to_voxel = to_mm.reshape(4, 4), to_voxel.reshape(3, 4)
        turned = np.abs(to_voxel[:, :3])
        if not ((turned.sum(0) == 1).all() and (turned.sum(1) == 1).all()):
            raise GeometryError("A plane's pixels are not the volume's voxels.")
        if min(message.columns, message.rows, message.slices) < 1:
            raise GeometryError("A plane has no pixels.")
        spacing = (message.column_mm, message.row_mm, message.slice_mm)
        if not (np.isfinite(spacing).all() and min(spacing) > 0):
            raise GeometryError("A plane's distances are not positive.")
        if int(message.plane) not in set(Plane):
            raise GeometryError("A plane has no name.")
        return cls(
            plane=Plane(message.plane),
            columns=message.columns,
            rows=message.rows,
            slices=message.slices,
            column_mm=message.column_mm,
            row_mm=message.row_mm,
            slice_mm=message.slice_mm,
            left=message.left,
            right=message.right,
            top=message.top,
            bottom=message.bottom,
            pixel_to_mm=to_mm,
            pixel_to_voxel=to_voxel,
        )

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of an image: the shape of its array."""
        return self.rows, self.columns

    @property
    def size_mm(self) -> tuple[float, float, float]:
        """Extent along columns, rows and slices, in millimetres."""
        return self.columns * self.column_mm, self.rows * self.row_mm, self.slices * self.slice_mm

    @property
    def slice_axis(self) -> int:
        """Axis of the voxels along which this plane's slices are numbered; 0 is the acquisition axis."""
        return int(np.flatnonzero(self.pixel_to_voxel[:, 2])[0])

    @property
    def voxel_shape(self) -> tuple[int, int, int]:
        """Slices, rows and columns of the voxels."""
        slices, rows, columns = np.abs(self.pixel_to_voxel[:, :3]) @ (self.columns, self.rows, self.slices)
        return int(slices), int(rows), int(columns)

    def to_mm(self, column: float, row: float, index: float) -> tuple[float, float, float]:
        """Patient position (LPS, millimetres) of a point of slice ``index``."""
        x, y, z = (self.pixel_to_mm @ (column, row, index, 1.0))[:3]
        return float(x), float(y), float(z)

    def to_voxel(self, column: int, row: int, index: int) -> Voxel:
        """Voxel ``(slice, row, column)`` of a pixel of slice ``index``."""
        s, r, c = self.pixel_to_voxel @ (column, row, index, 1)
        return int(s), int(r), int(c)

    def to_voxels(
        self, columns: NDArray[np.int64], rows: NDArray[np.int64], index: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Slices, rows and columns of the voxels of pixels ``(n,)`` of slice ``index``."""
        m = self.pixel_to_voxel
        s, r, c = (m[k, 0] * columns + m[k, 1] * rows + (m[k, 2] * index + m[k, 3]) for k in range(3))
        return s, r, c

    def holds(self, column: float, row: float) -> bool:
        """The point lies on the image."""
        return -0.5 <= column < self.columns - 0.5 and -0.5 <= row < self.rows - 0.5

    def pixel(self, voxel: Voxel) -> tuple[int, int, int]:
        """Column, row and slice of a voxel ``(slice, row, column)``."""
        column, row, index = self.pixel_to_voxel[:, :3].T @ (np.array(voxel) - self.pixel_to_voxel[:, 3])
        return int(column), int(row), int(index)

    def crossing(self, voxel: Sequence[int]) -> int:
        """The slice of this plane that a voxel ``(slice, row, column)`` lies in."""
        axis = self.slice_axis
        step, start = int(self.pixel_to_voxel[axis, 2]), int(self.pixel_to_voxel[axis, 3])
        return (int(voxel[axis]) - start) * step


def voxel_at(planes: Mapping[Plane, PlaneInfo], indices: Mapping[Plane, int]) -> Voxel:
    """The voxel in which a slice of each plane meet."""
    slices = (planes[plane].to_voxel(0, 0, index)[planes[plane].slice_axis] for plane, index in indices.items())
    by_axis = dict(zip((planes[plane].slice_axis for plane in indices), slices))
    return by_axis[0], by_axis[1], by_axis[2]


@dataclass(frozen=True, eq=False)
class VolumeInfo:
    """A volume that can be opened.

    Attributes:
        volume_id, name, modality: as in the contract.
        planes: all three.
        acquisition: the plane in which the scanner made its slices.
        grey_slope, grey_intercept: intensity = grey × slope + intercept.
        window_low, window_high: intensities of the starting contrast.
        voxel_ml: volume of one voxel, in millilitres.
        warnings: sentences that stay with the volume.
        no_dicom: why no DICOM Segmentation can lie on it, as a name in the contract's `Reason`; empty where one can.
    """

    volume_id: str
    name: str
    modality: str
    planes: dict[Plane, PlaneInfo]
    acquisition: Plane
    grey_slope: float
    grey_intercept: float
    window_low: float
    window_high: float
    voxel_ml: float
    warnings: tuple[str, ...]
    no_dicom: str = ""

    @classmethod
    def from_message(cls, message: volumes_pb2.Volume) -> VolumeInfo:
        """From the contract. Raises: GeometryError when it cannot be shown."""
        planes = {info.plane: info for info in map(PlaneInfo.from_message, message.planes)}
        if set(planes) != set(Plane) or len({info.voxel_shape for info in planes.values()}) != 1:
            raise GeometryError("The three planes are not those of one volume.")
        if int(message.acquisition) not in planes or planes[Plane(message.acquisition)].slice_axis != 0:
            raise GeometryError("The acquisition plane is not said.")
        refusal = message.dicom_seg_refusal
        return cls(
            volume_id=message.volume_id,
            name=message.name,
            modality=message.modality,
            planes=planes,
            acquisition=Plane(message.acquisition),
            grey_slope=message.grey_slope,
            grey_intercept=message.grey_intercept,
            window_low=message.window_low,
            window_high=message.window_high,
            voxel_ml=message.voxel_ml,
            warnings=tuple(message.warnings),
            no_dicom=common_pb2.Reason.Name(refusal.reason) if message.HasField("dicom_seg_refusal") else "",
        )

    def intensity(self, grey: int) -> float:
        """A 16-bit grey as intensity, in the modality's unit."""
        return float(grey) * self.grey_slope + self.grey_intercept
