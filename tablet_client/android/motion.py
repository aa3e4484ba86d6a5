"""From Android's MotionEvents to touches that come, move, go and are taken away. No Kivy and no Java: plain records.

Android reports each pointer's tool and, between two frames, all places that a pen was at (its history). Of these only those
are passed on that the line needs to stay as it was drawn, so a fast pen makes no more points than a slow one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import hypot
from typing import Literal, NamedTuple

from tablet_client.state.gestures import Touch

# Constants of android.view.MotionEvent.
ACTION_DOWN, ACTION_UP, ACTION_MOVE, ACTION_CANCEL = 0, 1, 2, 3
ACTION_POINTER_DOWN, ACTION_POINTER_UP = 5, 6
ACTION_HOVER_MOVE, ACTION_HOVER_ENTER, ACTION_HOVER_EXIT = 7, 9, 10
TOOL_FINGER, TOOL_STYLUS, TOOL_MOUSE, TOOL_ERASER = 1, 2, 3, 4
BUTTON_SECONDARY, BUTTON_TERTIARY = 2, 4
FLAG_CANCELED = 0x20
"""The system takes one pointer away: it found out that it is a palm."""


class Place(NamedTuple):
    """Where a pointer is, in pixels of the surface, y downwards."""

    x: float
    y: float


@dataclass(frozen=True)
class Pointer:
    """One pointer of a MotionEvent.

    Attributes:
        identity: Android's pointer id.
        tool: its tool type.
        place: where it is.
        history: where it was since the last event, oldest first.
        pressure: 0 to 1.
        pressures: those of its history, or none where they are not known.
        tilt: of a pen, in radians from upright.
        size: its larger diameter in pixels, 0 when unknown.
    """

    identity: int
    tool: int
    place: Place
    history: tuple[Place, ...] = ()
    pressure: float = 1.0
    pressures: tuple[float, ...] = ()
    tilt: float = 0.0
    size: float = 0.0


@dataclass(frozen=True)
class Motion:
    """A MotionEvent: masked action, index of its pointer, all pointers, flags, pressed buttons."""

    action: int
    index: int
    pointers: tuple[Pointer, ...]
    flags: int = 0
    buttons: int = 0


@dataclass(frozen=True)
class Step:
    """What happens to a touch; "hover" and "leave" are of a pen or mouse in the air.

    Attributes:
        number: of the touch, never used twice.
    """

    what: Literal["begin", "move", "end", "take away", "hover", "leave"]
    number: int
    kind: Touch
    place: Place
    pressure: float = 1.0


@dataclass
class Motions:
    """Follows the pointers.

    Attributes:
        palm: diameter in pixels from which a finger is a palm.
        tolerance: how far, in pixels, the passed places' line may lie from a place that is not passed on.
    """

    palm: float = 240.0
    tolerance: float = 1.0
    _touches: dict[int, tuple[int, Touch, Place]] = field(default_factory=dict)
    _count: int = 0

    def steps(self, motion: Motion) -> list[Step]:
        """What an event comes to, in order."""
        action = motion.action
        if action in (ACTION_HOVER_MOVE, ACTION_HOVER_ENTER, ACTION_HOVER_EXIT):
            return self._hover(motion)
        if action == ACTION_MOVE:
            return [step for pointer in motion.pointers for step in self._move(pointer)]
        if action == ACTION_CANCEL:
            return self._take_all_away()
        if not 0 <= motion.index < len(motion.pointers):
            return []
        pointer = motion.pointers[motion.index]
        if action == ACTION_DOWN:
            return self._take_all_away() + self._begin(pointer, motion.buttons)  # a new gesture: what was there is lost
        if action == ACTION_POINTER_DOWN:
            return self._begin(pointer, motion.buttons)
        if action in (ACTION_UP, ACTION_POINTER_UP):
            return self._end(pointer, taken_away=bool(motion.flags & FLAG_CANCELED))
        return []

    def _begin(self, pointer: Pointer, buttons: int) -> list[Step]:
        lost = self._end(pointer, taken_away=True)
        self._count += 1
        kind = self._kind(pointer, buttons)
        self._touches[pointer.identity] = (self._count, kind, pointer.place)
        return [*lost, Step("begin", self._count, kind, pointer.place, pointer.pressure)]

    def _move(self, pointer: Pointer) -> list[Step]:
        known = self._touches.get(pointer.identity)
        if known is None:
            return []
        number, kind, last = known
        if kind is Touch.FINGER and pointer.size >= self.palm:
            return self._end(pointer, taken_away=True)  # the hand comes down edge first
        places = needed(last, [*pointer.history, pointer.place], self.tolerance)
        self._touches[pointer.identity] = (number, kind, pointer.place)
        pressures = {**dict(zip(pointer.history, pointer.pressures)), pointer.place: pointer.pressure}
        return [Step("move", number, kind, place, pressures.get(place, pointer.pressure)) for place in places]

    def _end(self, pointer: Pointer, *, taken_away: bool) -> list[Step]:
        known = self._touches.pop(pointer.identity, None)
        if known is None:
            return []
        return [Step("take away" if taken_away else "end", known[0], known[1], pointer.place, pointer.pressure)]

    def _take_all_away(self) -> list[Step]:
        steps = [Step("take away", number, kind, place) for number, kind, place in self._touches.values()]
        self._touches.clear()
        return steps

    def _hover(self, motion: Motion) -> list[Step]:
        what: Literal["hover", "leave"] = "leave" if motion.action == ACTION_HOVER_EXIT else "hover"
        return [Step(what, 0, self._kind(pointer, 0), pointer.place, 0.0) for pointer in motion.pointers[:1]]

    def _kind(self, pointer: Pointer, buttons: int) -> Touch:
        if pointer.tool == TOOL_STYLUS:
            return Touch.PEN
        if pointer.tool == TOOL_ERASER:
            return Touch.ERASER_END
        if pointer.tool == TOOL_MOUSE:
            return Touch.RIGHT if buttons & BUTTON_SECONDARY else Touch.MIDDLE if buttons & BUTTON_TERTIARY else Touch.LEFT
        return Touch.PALM if pointer.size >= self.palm else Touch.FINGER


def needed(last: Place, places: Sequence[Place], tolerance: float) -> list[Place]:
    """The newest of some places, and before it those without which the line from ``last`` would leave its way."""
    newest = places[-1]
    distances = [_distance(place, last, newest) for place in places[:-1]]
    farthest = max(range(len(distances)), key=distances.__getitem__, default=-1)
    if farthest < 0 or distances[farthest] <= tolerance:
        return [newest] if newest != last else []
    bend = places[farthest]
    return [*needed(last, places[: farthest + 1], tolerance), *needed(bend, places[farthest + 1 :], tolerance)]


def _distance(place: Place, start: Place, end: Place) -> float:
    """From a place to the segment between two others."""
    dx, dy = end.x - start.x, end.y - start.y
    length = dx * dx + dy * dy
    along = ((place.x - start.x) * dx + (place.y - start.y) * dy) / length if length else 0.0
    along = min(1.0, max(0.0, along))
    return hypot(place.x - start.x - along * dx, place.y - start.y - along * dy)
