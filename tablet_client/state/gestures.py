"""What touches on the image mean: a table of situations, and what a touch does in each.

What draws is the pen, its other end, and the left button of a mouse; a finger only until a pen was seen in this run. On an
image beside another one a finger never draws: it aims the cross.

=========  =============================  ===========================  ===========================
situation  a touch comes                  a touch moves                a touch goes
=========  =============================  ===========================  ===========================
idle       what draws → line              –                            –
           finger → scroll, or aim
           right button → line, of the
           contrast; middle → drag
line       of a finger, and short, when   the line goes on             the line ends → spent
           a finger comes: it is taken
           back → pinch; else nothing
scroll     finger → pinch                 to other slices, by steps    → spent
aim        finger → pinch                 the cross comes along        → spent
pinch      nothing (a third finger)       zoom and pan                 → spent
drag       nothing                        pan                          → spent
bare       nothing                        nothing                      the strokes and the mask are
                                                                       shown again → spent
spent      nothing                        nothing                      –
=========  =============================  ===========================  ===========================

A pen that comes goes before all else but another pen: the line of a finger (it was the palm) or of a mouse is taken back,
and what else touches does nothing from then on. A palm does nothing at all. When the last touch is gone, it is idle.
A pen that is held still turns its line, which is taken back, into bare: the image is shown without all that lies over it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from math import hypot
from typing import Literal

from tablet_client.state.tools import Tool


class Touch(Enum):
    """What touches."""

    PEN = "pen"
    ERASER_END = "eraser end"
    FINGER = "finger"
    PALM = "palm"
    LEFT = "left"
    MIDDLE = "middle"
    RIGHT = "right"

    @property
    def is_pen(self) -> bool:
        """It is one end of a pen."""
        return self in (Touch.PEN, Touch.ERASER_END)


_TOOLS = {Touch.ERASER_END: Tool.ERASER, Touch.RIGHT: Tool.WINDOW}


@dataclass(frozen=True)
class Action:
    """What a touch event comes to.

    Attributes:
        kind: "down", "move", "up", "cancel" of a line; "aim" of the cross; "zoom" around a point; "pan"; "scroll" through
            the slices; "bare", the image without all that lies over it, and "cover", with it again.
        x, y: the line's, the cross's or the zoom's place on the screen.
        tool: of a line that comes down: what draws it, or None for the chosen tool.
        dx, dy: way of a pan.
        factor: of a zoom.
        steps: of a scroll, to later slices when positive.
    """

    kind: Literal["down", "move", "up", "cancel", "aim", "zoom", "pan", "scroll", "bare", "cover"]
    x: float = 0.0
    y: float = 0.0
    tool: Tool | None = None
    dx: float = 0.0
    dy: float = 0.0
    factor: float = 1.0
    steps: int = 0


@dataclass
class _Held:
    """A touch that is there: what it is, and where."""

    kind: Touch
    x: float
    y: float


@dataclass
class Gestures:
    """Follows touches on one image.

    Attributes:
        committed: way in screen pixels after which a finger's line is meant, and a second finger no longer takes it back.
        step: way in screen pixels of a finger from slice to slice.
        still: how far in screen pixels a pen may tremble that is held still.
        aims: a finger aims the cross.
        pen_seen: a pen was seen in this run: fingers do not draw.
        situation: see the table.
        touches: all that are there.
        acting: those of them that do something.
    """

    committed: float = 24.0
    step: float = 24.0
    still: float = 6.0
    aims: bool = False
    pen_seen: bool = False
    situation: str = "idle"
    touches: dict[object, _Held] = field(default_factory=dict)
    acting: list[object] = field(default_factory=list)
    _way: float = 0.0
    _reach: float = 0.0
    _from: tuple[float, float] = (0.0, 0.0)
    _across: bool | None = None

    def down(self, touch: object, x: float, y: float, kind: Touch = Touch.FINGER) -> list[Action]:
        """A touch comes."""
        lost = self.cancel(touch)  # its end was never told
        self.pen_seen = self.pen_seen or kind.is_pen
        self.touches[touch] = _Held(kind, x, y)
        return lost + self._begin(touch, x, y, kind)

    def move(self, touch: object, x: float, y: float) -> list[Action]:
        """A touch moves."""
        held = self.touches.get(touch)
        if held is None:
            return []
        before = [(self.touches[t].x, self.touches[t].y) for t in self.acting]
        dx, dy = x - held.x, y - held.y
        held.x, held.y = x, y
        if touch not in self.acting:
            return []
        if self.situation == "line":
            self._way += hypot(dx, dy)
            self._reach = max(self._reach, hypot(x - self._from[0], y - self._from[1]))
            return [Action("move", x, y)]
        if self.situation == "scroll":
            return self._scroll(x, y)
        if self.situation == "aim":
            return [Action("aim", x, y)]
        if self.situation == "drag":
            return [Action("pan", dx=dx, dy=dy)]
        if self.situation == "bare":
            return []
        return _pinch(before, [(self.touches[t].x, self.touches[t].y) for t in self.acting])

    def up(self, touch: object, x: float, y: float) -> list[Action]:
        """A touch goes."""
        return self._gone(touch, Action("up", x, y))

    def cancel(self, touch: object) -> list[Action]:
        """The system takes a touch away: what it drew was not meant."""
        return self._gone(touch, Action("cancel"))

    def make_way(self) -> list[Action]:
        """A pen comes down elsewhere: what touches here does nothing from now on."""
        self.pen_seen = True
        return self._stop() if self.touches else []

    def hold(self) -> list[Action]:
        """Half a second has gone by since a touch came."""
        if self.situation != "line" or self._reach > self.still or not self.touches[self.acting[0]].kind.is_pen:
            return []
        self.situation = "bare"
        return [Action("cancel"), Action("bare")]

    def _begin(self, touch: object, x: float, y: float, kind: Touch) -> list[Action]:
        first = len(self.touches) == 1
        if kind.is_pen and not any(self.touches[t].kind.is_pen for t in self.acting):
            return self._stop() + self._line(touch, x, y, kind)
        if kind is Touch.FINGER and (first or self._takes_second_finger()):
            if not first:
                return self._second_finger(touch)
            if self.aims:
                self.situation, self.acting = "aim", [touch]
                return [Action("aim", x, y)]
            if not self.pen_seen:
                return self._line(touch, x, y, kind)
            self.situation, self.acting = "scroll", [touch]
            self._from, self._across = (x, y), None
        elif kind is Touch.MIDDLE and first:
            self.situation, self.acting = "drag", [touch]
        elif kind in (Touch.LEFT, Touch.RIGHT) and first:
            return self._line(touch, x, y, kind)
        elif self.situation == "idle":
            self.situation = "spent"
        return []

    def _line(self, touch: object, x: float, y: float, kind: Touch) -> list[Action]:
        self.situation, self.acting = "line", [touch]
        self._way, self._reach, self._from = 0.0, 0.0, (x, y)
        return [Action("down", x, y, tool=_TOOLS.get(kind))]

    def _takes_second_finger(self) -> bool:
        if not self.acting or self.touches[self.acting[0]].kind is not Touch.FINGER:
            return False
        return self.situation in ("scroll", "aim") or (self.situation == "line" and self._way < self.committed)

    def _second_finger(self, touch: object) -> list[Action]:
        taken_back = [Action("cancel")] if self.situation == "line" else []
        self.situation = "pinch"
        self.acting.append(touch)
        return taken_back

    def _stop(self) -> list[Action]:
        """What is there does nothing from now on, and its line was not meant."""
        stopped = [Action("cancel")] if self.situation == "line" else []
        self.situation, self.acting = "spent", []
        return stopped

    def _scroll(self, x: float, y: float) -> list[Action]:
        """Steps along the direction that the finger went first: to the right and up to later slices."""
        dx, dy = x - self._from[0], y - self._from[1]
        if self._across is None:
            if max(abs(dx), abs(dy)) < self.step:
                return []
            self._across = abs(dx) > abs(dy)
        steps = int((dx if self._across else dy) / self.step)
        if not steps:
            return []
        way = steps * self.step
        self._from = (self._from[0] + way, y) if self._across else (x, self._from[1] + way)
        return [Action("scroll", steps=steps)]

    def _gone(self, touch: object, end: Action) -> list[Action]:
        """Forget a touch. Returns: the end of what it did."""
        if self.touches.pop(touch, None) is None:
            return []
        did = self.situation if touch in self.acting else ""
        if touch in self.acting:
            self.situation, self.acting = "spent", []
        if not self.touches:
            self.situation = "idle"
        return {"line": [end], "bare": [Action("cover")]}.get(did, [])


def _pinch(before: list[tuple[float, float]], after: list[tuple[float, float]]) -> list[Action]:
    """Two fingers hold the image: their middle pans it, their distance zooms it."""
    (ax, ay), (bx, by) = before
    (cx, cy), (dx, dy) = after
    middle_x, middle_y = (cx + dx) / 2, (cy + dy) / 2
    pan = Action("pan", dx=middle_x - (ax + bx) / 2, dy=middle_y - (ay + by) / 2)
    was, now = hypot(bx - ax, by - ay), hypot(dx - cx, dy - cy)
    return [pan, Action("zoom", middle_x, middle_y, factor=now / was)] if was > 1 and now > 1 else [pan]
