"""An oblique, asymmetric volume, as the server describes it."""

from __future__ import annotations

import numpy as np
from calque.v1 import common_pb2, volumes_pb2

from services.core import geometry as core

SHAPE = (5, 14, 9)
TURN = 0.3


def oblique(turn: float = TURN) -> np.ndarray:
    """Voxel (slice, row, column) → mm: thick slices, anisotropic pixels, turned, slices downwards, rows to anterior."""
    cosine, sine = np.cos(turn), np.sin(turn)
    affine = np.eye(4)
    affine[:3, 0] = np.array([0, -sine, -cosine]) * 4.5
    affine[:3, 1] = np.array([0, -cosine, sine]) * 0.8
    affine[:3, 2] = np.array([1, 0, 0]) * 1.1
    affine[:3, 3] = (-20, 30, 12)
    return affine


def volume_message(shape: tuple[int, int, int], affine: np.ndarray) -> volumes_pb2.Volume:
    """As the volumes service sends it."""
    message = volumes_pb2.Volume(volume_id="v", name="Phantom", grey_slope=1, window_high=100, voxel_ml=0.004)
    message.acquisition = int(core.acquisition_plane(shape, affine))
    for plane in core.Plane:
        info = core.plane_geometry(shape, affine, plane)
        message.planes.append(
            common_pb2.PlaneGeometry(
                plane=int(plane),
                columns=info.columns,
                rows=info.rows,
                slices=info.slices,
                column_mm=info.column_mm,
                row_mm=info.row_mm,
                slice_mm=info.slice_mm,
                left=info.left,
                right=info.right,
                top=info.top,
                bottom=info.bottom,
                pixel_to_mm=info.pixel_to_mm.reshape(-1).tolist(),
                pixel_to_voxel=info.pixel_to_voxel.reshape(-1).tolist(),
            )
        )
    return message


# Each has another acquisition plane, other flips and other transpositions.
AFFINES = {
    "oblique axial": oblique(),
    "coronal": np.array([[0, 0, -1.1, 3], [3.0, 0, 0, 2], [0, 0.7, 0, 1], [0, 0, 0, 1]]),
    "sagittal, columns downwards": np.array([[-4.0, 0, 0, 3], [0, 1.2, 0, 2], [0, 0, -0.7, 1], [0, 0, 0, 1]]),
}
