"""Actions of an annotation: from the contract's bytes to voxels, and which of them count after undo and redo."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

import numpy as np
from calque import raster
from calque.v1 import segmentation_pb2
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from tablet_client.state.geometry import Plane, PlaneInfo
from tablet_client.state.ink import Ink, Patch

MOST_POINTS = 10_000
"""Points of one stroke, by the contract."""

_FARTHEST = 1e5  # pixels; a point beyond cannot be of an image, and would only cost time and memory


class Kind(Enum):
    """What an action does to the labels."""

    PAINT = "paint"  # with label 0 for the eraser
    CLEAR = "clear"
    IMPORT = "import"  # its voxels are the server's; it counts for undo
    UNDO = "undo"
    REDO = "redo"
    NOTHING = "nothing"


@dataclass(frozen=True, eq=False)
class Action:
    """One entry of the log, decoded.

    Attributes:
        kind: what it does.
        label: of `Kind.PAINT`.
        patch: voxels of `Kind.PAINT`.
    """

    kind: Kind
    label: int = 0
    patch: Patch | None = None


NOTHING = Action(Kind.NOTHING)


def decode(body: bytes, planes: Mapping[Plane, PlaneInfo], ink: Ink) -> Action:
    """A serialised EventBody → an action. What cannot be drawn on this volume becomes `NOTHING`, as on the server."""
    try:
        event = segmentation_pb2.EventBody.FromString(body)
    except DecodeError:
        return NOTHING
    which = event.WhichOneof("action")
    if which == "undo":
        return Action(Kind.UNDO)
    if which == "redo":
        return Action(Kind.REDO)
    if which == "clear":
        return Action(Kind.CLEAR)
    if which == "mask_import":
        return Action(Kind.IMPORT)
    if which == "stroke":
        return _painted(event.stroke, event.stroke.label, _widths(event.stroke), planes, ink)
    if which == "erase":
        return _painted(event.erase, 0, _widths(event.erase), planes, ink)
    if which == "lasso":
        return _painted(event.lasso, event.lasso.label, None, planes, ink)
    return NOTHING


Widths = NDArray[np.float32]
Path = segmentation_pb2.Stroke | segmentation_pb2.Lasso | segmentation_pb2.Erase


def _widths(path: segmentation_pb2.Stroke | segmentation_pb2.Erase) -> Widths:
    """One width, or one a point."""
    return np.array(path.widths_mm or [path.width_mm], dtype=np.float32)


def _painted(path: Path, label: int, widths_mm: Widths | None, planes: Mapping[Plane, PlaneInfo], ink: Ink) -> Action:
    x, y = np.array(path.x, dtype=np.float32), np.array(path.y, dtype=np.float32)
    if not 0 < len(x) == len(y) <= MOST_POINTS or not (np.abs(x) < _FARTHEST).all() or not (np.abs(y) < _FARTHEST).all():
        return NOTHING
    if int(path.plane) not in planes or path.slice >= planes[Plane(path.plane)].slices or label > 15:
        return NOTHING
    if widths_mm is not None and not (
        len(widths_mm) in (1, len(x)) and (widths_mm > 0).all() and (widths_mm < math.inf).all()
    ):
        return NOTHING
    info = planes[Plane(path.plane)]
    return Action(Kind.PAINT, label, ink.patch(info.plane, path.slice, *pixels(info, x, y, widths_mm)))


def pixels(info: PlaneInfo, x: object, y: object, width_mm: object) -> raster.Pixels:
    """Pixels of a line of a width or of one a point, or of a filled outline when that is None."""
    size = (info.columns, info.rows)
    if width_mm is None:
        return raster.lasso_pixels(x, y, size=size)  # type: ignore[arg-type]
    return raster.stroke_pixels(x, y, width_mm=width_mm, pixel_mm=(info.column_mm, info.row_mm), size=size)  # type: ignore[arg-type]


class History:
    """Which actions count: undo takes back the last one of the whole annotation, a new one forgets what was taken back."""

    def __init__(self) -> None:
        self.done: list[Action] = []
        self._undone: list[Action] = []

    @property
    def can_undo(self) -> bool:
        """There is an action to take back."""
        return bool(self.done)

    @property
    def can_redo(self) -> bool:
        """There is an action to do again."""
        return bool(self._undone)

    def push(self, action: Action) -> Action | None:
        """Take the log's next action.

        Returns:
            The action that is done now, on top of the others; None when one was taken back, or nothing changed.
        """
        if action.kind is Kind.NOTHING:
            return None
        if action.kind is Kind.UNDO:
            if self.done:
                self._undone.append(self.done.pop())
            return None
        if action.kind is Kind.REDO:
            if not self._undone:
                return None
            self.done.append(self._undone.pop())
            return self.done[-1]
        self.done.append(action)
        self._undone.clear()
        return action
