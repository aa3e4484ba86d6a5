"""Java's touches on the real application, through a bridge without Java."""

from __future__ import annotations

import sys
import threading
from collections.abc import AsyncIterator
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import pytest_asyncio

from tablet_client.android import motion
from tablet_client.android.motion import TOOL_ERASER, TOOL_FINGER, TOOL_STYLUS

pytestmark = [pytest.mark.screen, pytest.mark.asyncio(loop_scope="session")]


class JavaEvent:
    """A MotionEvent as pyjnius shows it; ``rows`` are identity, tool, and places, the last one being now."""

    def __init__(self, action: int, *rows: tuple[int, int, list[tuple[float, float]]], index: int = 0) -> None:
        self._action, self._rows, self._index = action, rows, index

    def __getattr__(self, name: str) -> Any:
        rows = self._rows
        return {
            "getActionMasked": lambda: self._action,
            "getActionIndex": lambda: self._index,
            "getPointerCount": lambda: len(rows),
            "getHistorySize": lambda: len(rows[0][2]) - 1,
            "getPointerId": lambda k: rows[k][0],
            "getToolType": lambda k: rows[k][1],
            "getX": lambda k: rows[k][2][-1][0],
            "getY": lambda k: rows[k][2][-1][1],
            "getHistoricalX": lambda k, h: rows[k][2][h][0],
            "getHistoricalY": lambda k, h: rows[k][2][h][1],
            "getPressure": lambda k: 0.5,
            "getHistoricalPressure": lambda k, h: 0.25,
            "getAxisValue": lambda axis, k: 0.25,
            "getTouchMajor": lambda k: 8.0,
            "getFlags": lambda: 0,
            "getButtonState": lambda: 0,
        }[name]


class Surface:
    """SDL's surface: it tells its listeners, as Java does, on a thread of its own."""

    def __init__(self) -> None:
        self.touching: Any = None
        self.hovering: Any = None

    def setInterceptTouchListener(self, listener: Any) -> None:  # noqa: N802 (Java's name)
        self.touching = listener

    def setOnHoverListener(self, listener: Any) -> None:  # noqa: N802 (Java's name)
        self.hovering = listener

    def touch(self, event: JavaEvent) -> None:
        answers: list[bool] = []
        thread = threading.Thread(target=lambda: answers.append(self.touching.onTouch(event)))
        thread.start()
        thread.join()
        assert answers == [True]  # nobody else hears of it

    def hover(self, event: JavaEvent) -> None:
        assert self.hovering.onHover(None, event)


@pytest_asyncio.fixture(loop_scope="session")
async def surface(studio: Any, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Surface]:
    from kivy.base import EventLoop

    from tablet_client.android.provider import AndroidTouches

    surface, java = Surface(), ModuleType("jnius")
    java.PythonJavaClass = object  # type: ignore[attr-defined]
    java.java_method = lambda signature: lambda method: method  # type: ignore[attr-defined]
    java.autoclass = lambda name: SimpleNamespace(mSurface=surface)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "jnius", java)
    provider = AndroidTouches(160.0, studio.app.viewer.pen_seen)
    EventLoop.add_input_provider(provider)
    provider.start()
    yield surface
    EventLoop.remove_input_provider(provider)


async def test_a_pen_draws_with_its_history_and_a_finger_beside_it_does_nothing(studio: Any, surface: Surface) -> None:
    from kivy.core.window import Window

    from tablet_client.hand.touches import frame

    image = studio.app.viewer.image

    def at(column: float, row: float) -> tuple[float, float]:
        x, y = image.screen_of(column, row)
        return x, Window.height - 1 - y

    pen = (0, TOOL_STYLUS, [at(10, 9)])
    palm = (1, TOOL_FINGER, [at(30, 25)])
    surface.touch(JavaEvent(motion.ACTION_DOWN, pen))
    surface.touch(JavaEvent(motion.ACTION_POINTER_DOWN, pen, palm, index=1))
    surface.touch(JavaEvent(motion.ACTION_MOVE, (0, TOOL_STYLUS, [at(15, 9), at(20, 15), at(15, 20)])))
    await frame()
    labels = image.picture.labels
    assert [labels[9, 10], labels[9, 15], labels[15, 20], labels[20, 15], labels[25, 30]] == [1, 1, 1, 1, 0]
    surface.touch(JavaEvent(motion.ACTION_UP, pen))
    await frame()
    assert studio.app.viewer_control.work.document.can_undo
    surface.touch(JavaEvent(motion.ACTION_DOWN, (0, TOOL_ERASER, [at(15, 20)])))
    surface.touch(JavaEvent(motion.ACTION_UP, (0, TOOL_ERASER, [at(15, 20)])))
    await frame()
    assert image.picture.labels[20, 15] == 0


async def test_the_history_has_its_own_pressures(studio: Any, surface: Surface) -> None:
    from kivy.core.window import Window

    from tablet_client.hand.touches import frame

    image, pen = studio.app.viewer.image, studio.app.viewer_control.pen
    places = [(x, Window.height - 1 - y) for x, y in (image.screen_of(*at) for at in ((10, 9), (20, 9), (20, 20)))]
    felt: list[float | None] = []
    bound = image.fbind("on_pen_move", lambda *_: felt.append(image.pressure))
    pen.pressing = True
    try:
        surface.touch(JavaEvent(motion.ACTION_DOWN, (0, TOOL_STYLUS, places[:1])))
        surface.touch(JavaEvent(motion.ACTION_MOVE, (0, TOOL_STYLUS, places[1:])))
        await frame()
        assert felt == [0.25, 0.5]
        assert len(set(studio.app.viewer_control.work.document._running.widths_mm)) == 2
        surface.touch(JavaEvent(motion.ACTION_UP, (0, TOOL_STYLUS, places[2:])))
        await frame()
    finally:
        pen.pressing = False
        image.unbind_uid("on_pen_move", bound)


async def test_what_is_taken_away_is_no_stroke_and_presses_no_button(studio: Any, surface: Surface) -> None:
    from kivy.core.window import Window

    from tablet_client.hand import eyes
    from tablet_client.hand.touches import frame

    image = studio.app.viewer.image
    for x, y in (image.screen_of(10.0, 9.0), eyes.pressable("tool_eraser")):
        pen = (0, TOOL_STYLUS, [(x, Window.height - 1 - y)])
        surface.touch(JavaEvent(motion.ACTION_DOWN, pen))
        await frame()
        surface.touch(JavaEvent(motion.ACTION_CANCEL, pen))
        await frame()
    assert not image.picture.labels.any()
    assert studio.app.viewer.rail.tool == "object"
    surface.touch(JavaEvent(motion.ACTION_DOWN, pen))
    surface.touch(JavaEvent(motion.ACTION_UP, pen))
    await frame()
    await frame()
    assert studio.app.viewer.rail.tool == "eraser"


async def test_a_pen_in_the_air_shows_the_brush(studio: Any, surface: Surface) -> None:
    from kivy.core.window import Window

    from tablet_client.hand.touches import frame

    image = studio.app.viewer.image
    x, y = image.screen_of(10.0, 9.0)
    pen = (0, TOOL_STYLUS, [(x, Window.height - 1 - y)])
    surface.hover(JavaEvent(motion.ACTION_HOVER_ENTER, pen))
    await frame()
    assert image.tracing.pointer == pytest.approx((x, y))
    surface.hover(JavaEvent(motion.ACTION_HOVER_EXIT, pen))
    await frame()
    assert image.tracing.pointer is None


async def test_from_a_pen_in_the_air_on_no_finger_draws(studio: Any, surface: Surface) -> None:
    from kivy.core.window import Window

    from tablet_client.hand.touches import frame

    image, document = studio.app.viewer.image, studio.app.viewer_control.work.document
    x, y = image.screen_of(10.0, 9.0)
    place = [(x, Window.height - 1 - y)]
    for hovers, drawn in ((False, 2), (True, 2)):
        if hovers:
            surface.hover(JavaEvent(motion.ACTION_HOVER_ENTER, (0, TOOL_STYLUS, place)))
        finger = (0, TOOL_FINGER, place)
        surface.touch(JavaEvent(motion.ACTION_DOWN, finger))
        surface.touch(JavaEvent(motion.ACTION_UP, finger))
        await frame()
        assert document.next_sequence == drawn
