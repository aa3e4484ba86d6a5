"""Volumes for the server in memory: axial slices that lie straight in the patient, and how planes cut them."""

from __future__ import annotations

import hashlib
from typing import TypeVar

import numpy as np
from calque.v1 import common_pb2, volumes_pb2
from numpy.typing import NDArray

from tablet_client.state.geometry import Plane, PlaneInfo

T = TypeVar("T", bound=np.generic)


def fake_volume(
    voxels: NDArray[np.uint16],
    name: str = "Volume",
    spacing_mm: tuple[float, float, float] = (3.0, 1.0, 1.0),
    imported_ms: int = 0,
) -> tuple[volumes_pb2.Volume, NDArray[np.uint16]]:
    """A volume of axial slices that lie straight in the patient.

    Args:
        voxels: ``(slices, rows, columns)``, from inferior to superior, anterior to posterior, right to left.
        spacing_mm: along the same axes.
    """
    slices, rows, columns = voxels.shape
    between, down, right = spacing_mm
    top = slices - 1
    to_mm = np.array([[0, 0, right, 0], [0, down, 0, 0], [between, 0, 0, 0], [0, 0, 0, 1]], dtype=np.float64)
    axial = ([[0, 0, 1, 0], [0, 1, 0, 0], [1, 0, 0, 0]], (columns, rows, slices), (right, down, between), "RLAP")
    coronal = ([[0, -1, 0, top], [0, 0, 1, 0], [1, 0, 0, 0]], (columns, slices, rows), (right, between, down), "RLSI")
    sagittal = ([[0, -1, 0, top], [1, 0, 0, 0], [0, 0, 1, 0]], (rows, slices, columns), (down, between, right), "APSI")
    message = volumes_pb2.Volume(
        volume_id=hashlib.sha256(voxels.tobytes()).hexdigest()[:16],
        name=name,
        modality="MR",
        imported_ms=imported_ms,
        acquisition=common_pb2.PLANE_AXIAL,
        grey_slope=1.0,
        grey_exact=True,
        window_low=float(voxels.min()),
        window_high=float(voxels.max()),
        voxel_ml=between * down * right / 1000,
    )
    for plane, (matrix, size, distance, letters) in zip(Plane, (axial, coronal, sagittal)):
        to_voxel = np.array(matrix)
        message.planes.add(
            plane=plane.value,
            columns=size[0],
            rows=size[1],
            slices=size[2],
            column_mm=distance[0],
            row_mm=distance[1],
            slice_mm=distance[2],
            left=letters[0],
            right=letters[1],
            top=letters[2],
            bottom=letters[3],
            pixel_to_mm=(to_mm @ np.vstack([to_voxel, [0, 0, 0, 1]])).reshape(-1).tolist(),
            pixel_to_voxel=to_voxel.reshape(-1).tolist(),
        )
    return message, voxels


def oriented(voxels: NDArray[T], plane: PlaneInfo) -> NDArray[T]:
    """A view ``(slices, rows, columns)`` of a plane of voxels."""
    axes = [int(np.flatnonzero(plane.pixel_to_voxel[:, k])[0]) for k in (2, 1, 0)]
    steps = [int(plane.pixel_to_voxel[:, k].sum()) for k in (2, 1, 0)]
    return voxels.transpose(axes)[tuple(slice(None, None, step) for step in steps)]


def cut(voxels: NDArray[T], plane: PlaneInfo, index: int) -> NDArray[T]:
    """A slice of a plane of voxels: a new array ``(rows, columns)``."""
    return np.ascontiguousarray(oriented(voxels, plane)[index])
