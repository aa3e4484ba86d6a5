# mypy: disallow-subclassing-any=False
"""Fingers that are not there: touches, wheel and keys, put in where Kivy's own come from."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from itertools import count, zip_longest
from typing import Any

from kivy.base import EventLoop
from kivy.core.window import Window
from kivy.input.motionevent import MotionEvent
from kivy.input.provider import MotionEventProvider

from tablet_client.state.gestures import Touch
from tablet_client.view import keys

Point = tuple[float, float]
"""Window pixels, y upwards."""

MOVES_A_FRAME = 8

_IDS = count(1)


class Finger(MotionEvent):
    """One touch, or one click of a wheel when ``button`` is given."""

    def __init__(self, place: Point, button: str = "", kind: Touch = Touch.FINGER, pressure: float | None = None) -> None:
        super().__init__("hand", next(_IDS), _shares(place), is_touch=True, type_id="touch")
        self.profile = ["pos", "button"] if button else ["pos", "kind"]
        self.button, self.kind, self.pressure = button, kind.value, pressure
        if pressure is not None:
            self.profile.append("pressure")

    def depack(self, args: dict[str, float]) -> None:
        self.sx, self.sy = args["sx"], args["sy"]
        super().depack(args)

    def go(self, place: Point) -> None:
        """To another place."""
        self.move(_shares(place))


def _shares(place: Point) -> dict[str, float]:
    return {"sx": place[0] / max(1.0, Window.width - 1.0), "sy": place[1] / max(1.0, Window.height - 1.0)}


class Touches(MotionEventProvider):
    """Plays gestures, a few moves a frame.

    Kivy joins moves of one touch that come in the same frame, so each is dispatched by itself: a pen of a tablet reports
    several places a frame, and all of them count.
    """

    def __init__(self) -> None:
        super().__init__("hand", "")
        self._frames: deque[list[Callable[[], None]]] = deque()
        self._done: asyncio.Event = asyncio.Event()

    def start(self) -> None:
        """Kivy calls it."""

    def stop(self) -> None:
        """Kivy calls it."""

    def update(self, dispatch_fn: Callable[..., None]) -> None:
        """Kivy calls it each frame."""
        if self._frames:
            for step in self._frames.popleft():
                step()
            if not self._frames:
                self._done.set()

    async def tap(self, place: Point) -> None:
        """Press and lift."""
        await self.draw([place])

    async def draw(
        self, path: Sequence[Point], *, slow: bool = False, kind: Touch = Touch.FINGER, pressures: Sequence[float] = ()
    ) -> None:
        """Down at the first place, through all others, up at the last; ``slow``: one move a frame; with these pressures."""
        button = kind.value if kind in (Touch.LEFT, Touch.MIDDLE, Touch.RIGHT) else ""
        finger = Finger(path[0], button, kind, pressures[0] if pressures else None)
        rest = [(finger, place, pressure) for place, pressure in zip_longest(path[1:], pressures[1:])]
        size = 1 if slow else MOVES_A_FRAME
        moves = [rest[k : k + size] for k in range(0, len(rest), size)]
        await self._play([[_begin(finger)], *([_move(*m) for m in some] for some in moves), [_end(finger)]])

    async def hold(self, place: Point, seconds: float, meanwhile: Callable[[], Awaitable[None]]) -> None:
        """A pen comes down and stays; after a while something is done, and it is lifted."""
        pen = Finger(place, kind=Touch.PEN)
        await self._play([[_begin(pen)]])
        await asyncio.sleep(seconds)
        try:
            await meanwhile()
        finally:
            await self._play([[_end(pen)]])

    async def pinch(self, middle: Point, before: float, after: float) -> None:
        """Two fingers, ``before`` pixels apart, go to be ``after`` apart."""
        (x, y), steps = middle, 10
        left, right = Finger((x - before / 2, y)), Finger((x + before / 2, y))
        frames = [[_begin(left)], [_begin(right)]]
        for k in range(1, steps + 1):
            half = (before + (after - before) * k / steps) / 2
            frames.append([_move(left, (x - half, y)), _move(right, (x + half, y))])
        await self._play([*frames, [_end(left)], [_end(right)]])

    async def wheel(self, place: Point, clicks: int) -> None:
        """Turn the wheel: away from the user when positive."""
        button = "scrolldown" if clicks > 0 else "scrollup"
        fingers = [Finger(place, button) for _ in range(abs(clicks))]
        await self._play([[_begin(finger), _end(finger)] for finger in fingers])

    async def _play(self, frames: list[list[Callable[[], None]]]) -> None:
        if frames:
            self._done.clear()
            self._frames.extend(frames)
            await self._done.wait()
            await frame()


def _begin(finger: Finger) -> Callable[[], None]:
    return lambda: EventLoop.post_dispatch_input("begin", finger)


def _move(finger: Finger, place: Point, pressure: float | None = None) -> Callable[[], None]:
    def step() -> None:
        finger.pressure = pressure
        finger.go(place)
        EventLoop.post_dispatch_input("update", finger)

    return step


def _end(finger: Finger) -> Callable[[], None]:
    return lambda: EventLoop.post_dispatch_input("end", finger)


async def frame() -> None:
    """Wait until the next frame has been drawn."""
    drawn: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def flipped(*_: Any) -> None:
        if not drawn.done():
            drawn.set_result(None)

    Window.canvas.ask_update()  # a window in which nothing changes is not drawn
    Window.bind(on_flip=flipped)
    try:
        await drawn
    finally:
        Window.unbind(on_flip=flipped)


async def type_text(text: str) -> None:
    """Type into the field that has the keyboard, in place of what it holds."""
    Window.dispatch("on_key_down", 97, 4, "a", [keys.COMMAND])
    for letter in text:
        Window.dispatch("on_textinput", letter)
    await frame()


async def press_key(key: int, modifiers: Sequence[str] = ()) -> None:
    """Press and release a key of Kivy's numbering."""
    Window.dispatch("on_key_down", key, 0, "", list(modifiers))
    Window.dispatch("on_key_up", key, 0)
    await frame()
