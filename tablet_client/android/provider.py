# mypy: disallow-subclassing-any=False
"""Android's touches as Kivy's, each with what touches."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from kivy.base import EventLoop
from kivy.core.window import Window
from kivy.input.motionevent import MotionEvent
from kivy.input.provider import MotionEventProvider

from tablet_client.android.bridge import listen
from tablet_client.android.motion import Motion, Motions, Place, Step

_PALM_INCHES = 1.0
_NOWHERE = Place(-1e4, -1e4)  # on no button: one under a touch that is taken away is not pressed


class AndroidTouch(MotionEvent):
    """A touch that tells in ``kind`` what touches, and in its profile whether it was taken away."""

    def __init__(self, step: Step) -> None:
        super().__init__("android", step.number, {"step": step}, is_touch=True, type_id="touch")
        self.profile = ["pos", "pressure", "kind"]

    def depack(self, args: dict[str, Step]) -> None:
        step = args["step"]
        self.kind, self.pressure = step.kind.value, step.pressure
        x, y = _in_window(step.place)
        self.sx, self.sy = x / max(1.0, Window.width - 1.0), y / max(1.0, Window.height - 1.0)
        super().depack(args)


class AndroidTouches(MotionEventProvider):
    """Takes the surface's events from Java's thread, and dispatches them once a frame on Kivy's.

    Args:
        dpi: of the screen.
        pen_seen: told that there is a pen, as soon as one is in the air over the screen.
    """

    def __init__(self, dpi: float, pen_seen: Callable[[], None] = lambda: None) -> None:
        super().__init__("android", "")
        self._motions = Motions(palm=_PALM_INCHES * dpi)
        self._pen_seen = pen_seen
        self._waiting: deque[Motion] = deque()
        self._touches: dict[int, AndroidTouch] = {}
        self._listeners: list[Any] = []

    def start(self) -> None:
        """Kivy calls it."""
        self._listeners = listen(self._waiting.append)

    def stop(self) -> None:
        """Kivy calls it."""

    def update(self, dispatch_fn: Callable[..., None]) -> None:
        """Kivy calls it each frame. Moves of one frame are dispatched one by one: Kivy would join them."""
        while self._waiting:
            for step in self._motions.steps(self._waiting.popleft()):
                self._dispatch(step)

    def _dispatch(self, step: Step) -> None:
        if step.what in ("hover", "leave"):
            if step.kind.is_pen:
                self._pen_seen()
            Window.mouse_pos = _in_window(step.place if step.what == "hover" else _NOWHERE)
        elif step.what == "begin":
            touch = self._touches[step.number] = AndroidTouch(step)
            EventLoop.post_dispatch_input("begin", touch)
        elif step.what == "move":
            touch = self._touches[step.number]
            touch.move({"step": step})
            EventLoop.post_dispatch_input("update", touch)
        else:
            touch = self._touches.pop(step.number)
            if step.what == "take away":
                touch.profile = [*touch.profile, "taken_away"]
                touch.move({"step": replace(step, place=_NOWHERE)})
            EventLoop.post_dispatch_input("end", touch)


def _in_window(place: Place) -> tuple[float, float]:
    """Kivy's y goes upwards."""
    return place.x, Window.height - 1.0 - place.y
