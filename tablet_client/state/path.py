"""The path under the pen: its points, as the wire will round them, and the event that it becomes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from calque.v1 import segmentation_pb2
from numpy.typing import NDArray

from tablet_client.state.actions import MOST_POINTS, Action, Kind, pixels
from tablet_client.state.geometry import PlaneInfo
from tablet_client.state.ink import Ink, Patch

NEAREST_POINTS = 0.25
"""Points of a path closer than this, in pixels, to the last one are dropped: pens report far more than is seen."""


class Box(NamedTuple):
    """Pixels of an image that changed: left and top inside, right and bottom outside."""

    left: int
    top: int
    right: int
    bottom: int


@dataclass
class RunningPath:
    """A path that is being drawn.

    Attributes:
        plane, index: the image it is drawn on.
        label: of strokes and outlines.
        width_mm: None for an outline.
        erases: it is the eraser's.
        x, y: columns and rows of its points.
        widths_mm: width at each of them, where the pen's pressure changes it; else empty.
        patches: voxels of its first point while it is the only one, then of each segment: together those of the line.
        under: gives back what lay under each patch that was inked.
    """

    plane: PlaneInfo
    index: int
    label: int
    width_mm: float | None
    erases: bool
    x: list[float] = field(default_factory=list)
    y: list[float] = field(default_factory=list)
    widths_mm: list[float] = field(default_factory=list)
    patches: list[Patch] = field(default_factory=list)
    under: list[Callable[[], None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        # Rounded as it will be on the wire, so that ink drawn now is the ink that is replayed later.
        self.width_mm = None if self.width_mm is None else float(np.float32(self.width_mm))

    def add(self, x: float, y: float, width_mm: float | None = None) -> bool:
        """Add the image's nearest point, and its width where that changes. Returns: False when it is too near the last one,
        or the path is full."""
        x = float(np.float32(min(self.plane.columns - 1.0, max(0.0, x))))
        y = float(np.float32(min(self.plane.rows - 1.0, max(0.0, y))))
        if self.x and max(abs(x - self.x[-1]), abs(y - self.y[-1])) < NEAREST_POINTS:
            return False
        if self.width_mm is None and len(self.x) >= MOST_POINTS:
            # An outline cannot go on as the next event, as a line does: the point goes that changes it least.
            least = _flattest(np.array(self.x), np.array(self.y))
            del self.x[least], self.y[least]
        elif self.full:
            return False
        if width_mm is not None and (self.widths_mm or not self.x):
            self.widths_mm.append(float(np.float32(width_mm)))
        elif self.widths_mm:
            self.widths_mm.append(self.widths_mm[-1])
        self.x.append(x)
        self.y.append(y)
        return True

    @property
    def full(self) -> bool:
        """It has as many points as an event may have; an outline makes room for more."""
        return self.width_mm is not None and len(self.x) >= MOST_POINTS

    def draw(self, ink: Ink) -> Box:
        """Ink the line to the last point; an outline is no ink yet. Returns: what changed."""
        x, y = self.x[-2:], self.y[-2:]
        if self.width_mm is None:
            return _box(np.array(x, dtype=np.int64), np.array(y, dtype=np.int64))
        columns, rows = pixels(self.plane, x, y, self.widths_mm[-2:] or self.width_mm)
        patch = ink.patch(self.plane.plane, self.index, columns, rows)
        self.under.append(ink.paint(patch, self.label))
        if len(self.x) == 2:
            self.patches.clear()  # the segment holds its first point
        self.patches.append(patch)
        return _box(columns, rows)

    def redraw(self, ink: Ink) -> None:
        """Ink the whole line, on ink that does not hold it."""
        self.under = [ink.paint(patch, self.label) for patch in self.patches]

    def lift(self) -> None:
        """Take the line's ink back."""
        while self.under:
            self.under.pop()()

    def action(self) -> Action | None:
        """What the finished line does, without computing it anew; None for an outline."""
        if self.width_mm is None:
            return None
        touched = {index for patch in self.patches for index in patch}
        whole = {k: np.unique(np.concatenate([p[k] for p in self.patches if k in p])) for k in touched}
        return Action(Kind.PAINT, self.label, whole)

    def body(self) -> segmentation_pb2.EventBody:
        """The event that it becomes."""
        where: dict[str, Any] = {"plane": self.plane.plane, "slice": self.index, "x": self.x, "y": self.y}
        if self.width_mm is None:
            return segmentation_pb2.EventBody(lasso=segmentation_pb2.Lasso(label=self.label, **where))
        where |= {"width_mm": self.width_mm, "widths_mm": self.widths_mm}
        if self.erases:
            return segmentation_pb2.EventBody(erase=segmentation_pb2.Erase(**where))
        stroke = segmentation_pb2.Stroke(label=self.label, **where)
        return segmentation_pb2.EventBody(stroke=stroke)


def _flattest(x: NDArray[np.float64], y: NDArray[np.float64]) -> int:
    """The point, not at an end, whose triangle with its neighbours is the smallest."""
    across, down = x[2:] - x[:-2], y[2:] - y[:-2]
    return 1 + int(np.argmin(np.abs(across * (y[1:-1] - y[:-2]) - down * (x[1:-1] - x[:-2]))))


def _box(columns: NDArray[np.int64], rows: NDArray[np.int64]) -> Box:
    if not columns.size:
        return Box(0, 0, 0, 0)
    return Box(int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1)
