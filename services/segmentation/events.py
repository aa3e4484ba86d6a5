"""From an event's bytes to what it does to the labels. Refused events are never kept."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from calque import raster
from calque.v1 import segmentation_pb2
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from services.core.errors import OutOfSequence, Reason, TooLarge
from services.core.geometry import Plane, PlaneGeometry
from services.core.labels import Action, Clear, Edit, MaskStart, Redo, Undo

POINT_LIMIT = 10_000
WIDTH_LIMIT_MM = 200.0
# A pen may leave the image a little, at the end of a quick stroke; farther out the coordinates are wrong.
_MARGIN = 1.0

Path = segmentation_pb2.Stroke | segmentation_pb2.Lasso | segmentation_pb2.Erase
Planes = dict[Plane, PlaneGeometry]


def parse(body: bytes, sequence: int) -> segmentation_pb2.EventBody:
    """Bytes → event number ``sequence``. Raises: OutOfSequence with STROKE_INVALID."""
    try:
        return segmentation_pb2.EventBody.FromString(body)
    except DecodeError as error:
        raise _refused(sequence, "The event cannot be read; it was not kept.") from error


def check(event: segmentation_pb2.EventBody, sequence: int, planes: Planes, labels: Collection[int]) -> None:
    """Refuse an event that cannot be drawn on this volume.

    Args:
        event: what the user did.
        sequence: its number, told with the error.
        planes: geometry of the volume's planes.
        labels: values of the annotation's labels.

    Raises:
        OutOfSequence: with STROKE_INVALID or LABEL_UNKNOWN.
        TooLarge: a path of too many points.
    """
    kind = event.WhichOneof("action")
    if kind not in ("stroke", "lasso", "erase"):
        return
    path: Path = getattr(event, kind)
    x, y = np.array(path.x, dtype=np.float64), np.array(path.y, dtype=np.float64)
    if len(x) > POINT_LIMIT or len(y) > POINT_LIMIT:
        raise TooLarge(f"A stroke has at most {POINT_LIMIT} points; this one was not kept.", Reason.STROKE_INVALID)
    if not len(x) or len(x) != len(y) or not slice_exists(path.plane, path.slice, planes):
        raise _refused(sequence, "The stroke has no points, or lies on a slice that is not there; it was not kept.")
    plane = planes[Plane(path.plane)]
    if not (_within(x, plane.columns) and _within(y, plane.rows)):
        raise _refused(sequence, "The stroke leaves the volume; it was not kept.")
    if not isinstance(path, segmentation_pb2.Lasso) and not 0 < path.width_mm <= WIDTH_LIMIT_MM:
        raise _refused(sequence, "The stroke's width is not a length; it was not kept.")
    if not isinstance(path, segmentation_pb2.Lasso) and len(path.widths_mm):
        widths = np.array(path.widths_mm)
        if len(widths) != len(x) or not ((widths > 0) & (widths <= WIDTH_LIMIT_MM)).all():
            raise _refused(sequence, "The stroke's widths are not those of its points; it was not kept.")
    if not isinstance(path, segmentation_pb2.Erase) and path.label not in labels:
        message = "The stroke has a label that this annotation does not have; it was not kept."
        raise OutOfSequence(message, sequence, Reason.LABEL_UNKNOWN)


def to_action(
    event: segmentation_pb2.EventBody, planes: Planes, shape: tuple[int, int, int], mask: NDArray[np.bool_] | None
) -> Action | None:
    """A checked event → what it does to the labels; None when it does nothing.

    Args:
        event: what the user did.
        planes: geometry of the volume's planes.
        shape: slices, rows, columns of the volume.
        mask: content of the mask that a MaskImport names, shape ``shape``.
    """
    kind = event.WhichOneof("action")
    if kind is None:
        return None
    if kind == "undo":
        return Undo()
    if kind == "redo":
        return Redo()
    if kind == "clear":
        return Clear()
    if kind == "mask_import":
        return None if mask is None else MaskStart(mask)
    path: Path = getattr(event, kind)
    plane = planes[Plane(path.plane)]
    size = (plane.columns, plane.rows)
    if isinstance(path, segmentation_pb2.Lasso):
        columns, rows = raster.lasso_pixels(path.x, path.y, size=size)
    else:
        spacing = (plane.column_mm, plane.row_mm)
        widths = np.array(path.widths_mm or [path.width_mm])
        columns, rows = raster.stroke_pixels(path.x, path.y, width_mm=widths, pixel_mm=spacing, size=size)
    voxels = np.ravel_multi_index(plane.to_voxels(columns, rows, path.slice), shape)
    label = 0 if isinstance(path, segmentation_pb2.Erase) else path.label
    return Edit(voxels=np.asarray(voxels, dtype=np.int64), label=label)


def slice_exists(plane: int, index: int, planes: Planes) -> bool:
    """Whether a message names a plane, and a slice that it has."""
    return plane in {int(known) for known in Plane} and index < planes[Plane(plane)].slices


def _within(values: NDArray[np.float64], size: int) -> bool:
    return bool(np.isfinite(values).all() and values.min() >= -_MARGIN and values.max() <= size - 1 + _MARGIN)


def _refused(sequence: int, message: str) -> OutOfSequence:
    return OutOfSequence(message, sequence, Reason.STROKE_INVALID)
