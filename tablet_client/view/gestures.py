"""What touches on the image mean. No Kivy: a table of situations and what a touch does in each.

=========  =========================  =============================  ==================
situation  a touch comes              a touch moves                  a touch goes
=========  =========================  =============================  ==================
idle       pen begins → pen           –                              –
pen        first of it short: the     pen goes on (only its touch)   pen ends → idle
           stroke is taken back →
           pinch; else nothing
pinch      nothing (a third finger)   zoom and pan                   → spent
hand       nothing                    pan                            → idle
spent      nothing                    nothing                        last one: → idle
=========  =========================  =============================  ==================

``hand`` is the middle or right button of a mouse. In ``spent`` one finger of two has been lifted: the one that is left
must not draw.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import hypot
from typing import Literal

Kind = Literal["down", "move", "up", "cancel", "zoom", "pan"]


@dataclass(frozen=True)
class Action:
    """What a touch event comes to.

    Attributes:
        kind: "down", "move", "up", "cancel" of the pen; "zoom" around a point; "pan".
        x, y: the pen's or the zoom's place on the screen.
        dx, dy: way of a pan.
        factor: of a zoom.
    """

    kind: Kind
    x: float = 0.0
    y: float = 0.0
    dx: float = 0.0
    dy: float = 0.0
    factor: float = 1.0


@dataclass
class Gestures:
    """Follows touches on one image.

    Attributes:
        committed: way in screen pixels after which a stroke is meant, and a second touch (a palm) no longer takes it back.
    """

    committed: float = 24.0
    situation: str = "idle"
    touches: dict[object, tuple[float, float]] = field(default_factory=dict)
    pen: object = None
    way: float = 0.0

    def down(self, touch: object, x: float, y: float, *, hand: bool = False) -> list[Action]:
        """A touch comes; ``hand`` when it is a button that moves the image."""
        if self.situation == "idle":
            self.touches = {touch: (x, y)}
            if hand:
                self.situation = "hand"
                return []
            self.situation, self.pen, self.way = "pen", touch, 0.0
            return [Action("down", x, y)]
        if self.situation == "pen" and self.way < self.committed and not hand:
            self.touches[touch] = (x, y)
            self.situation = "pinch"
            return [Action("cancel")]
        return []

    def move(self, touch: object, x: float, y: float) -> list[Action]:
        """A touch moves."""
        if touch not in self.touches:
            return []
        old_x, old_y = self.touches[touch]
        before = dict(self.touches)
        self.touches[touch] = (x, y)
        if self.situation == "pen":
            self.way += hypot(x - old_x, y - old_y)
            return [Action("move", x, y)]
        if self.situation == "hand":
            return [Action("pan", dx=x - old_x, dy=y - old_y)]
        if self.situation == "pinch":
            return _pinch(list(before.values()), list(self.touches.values()))
        return []

    def up(self, touch: object, x: float, y: float) -> list[Action]:
        """A touch goes."""
        if self.touches.pop(touch, None) is None:
            return []
        was = self.situation
        self.situation = "spent" if self.touches else "idle"
        return [Action("up", x, y)] if was == "pen" else []


def _pinch(before: list[tuple[float, float]], after: list[tuple[float, float]]) -> list[Action]:
    """Two fingers hold the image: their middle pans it, their distance zooms it."""
    (ax, ay), (bx, by) = before
    (cx, cy), (dx, dy) = after
    middle_x, middle_y = (cx + dx) / 2, (cy + dy) / 2
    pan = Action("pan", dx=middle_x - (ax + bx) / 2, dy=middle_y - (ay + by) / 2)
    was, now = hypot(bx - ax, by - ay), hypot(dx - cx, dy - cy)
    return [pan, Action("zoom", middle_x, middle_y, factor=now / was)] if was > 1 and now > 1 else [pan]
