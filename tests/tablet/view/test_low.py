"""A low screen and the rails: nothing is cut, nothing overlaps, and they step back from the pen."""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import combinations
from typing import Any

import pytest
import pytest_asyncio

from tablet_client.state.gestures import Touch
from tests.tablet.conftest import SIZE
from tests.tablet.view.test_upright import SHEET

pytestmark = [pytest.mark.screen, pytest.mark.asyncio(loop_scope="session")]

RAIL = ("tool_object", "tool_background", "tool_eraser", "tool_lasso", "tool_contrast", "brush_wider", "brush_narrower")
COLUMN = tuple(name for name in SHEET if name != "sheet")


@pytest_asyncio.fixture(loop_scope="session", params=[(1024, 600), (1280, 720)])
async def low(studio: Any, request: Any) -> AsyncIterator[Any]:
    """The application on a small tablet."""
    from kivy.core.window import Window

    from tablet_client.hand import eyes

    viewer = studio.app.viewer
    Window.size = request.param
    short = request.param[1] == 600
    await studio.hand.until("The size", lambda: tuple(viewer.size) == request.param and viewer.side.short is short)
    await studio.hand._rests(lambda: eyes.find("connected"))
    await studio.hand._rests(lambda: eyes.find("brush_narrower"))
    yield studio
    Window.size = SIZE
    await studio.hand.until("The size", lambda: tuple(viewer.size) == SIZE and not viewer.side.short)


async def test_rails_lie_between_the_bars_and_nothing_overlaps(low: Any) -> None:
    from kivy.uix.label import Label

    from tablet_client.hand import eyes

    viewer = low.app.viewer
    places = {}
    for name in (*RAIL, *COLUMN):
        widget = eyes.find(name)
        assert min(widget.width, widget.height) >= 48, name
        x, y = widget.to_window(*widget.pos)
        assert y >= viewer.slices.top, name
        assert y + widget.height <= viewer.bar.y, name
        assert x + widget.width <= viewer.width
        places[name] = (x, y, x + widget.width, y + widget.height)
        for label in [w for w in widget.walk(restrict=True) if isinstance(w, Label) and w.text]:
            assert label.texture_size[0] <= label.width, (name, label.text)
            assert label.texture_size[1] <= label.height + 4, (name, label.text)
    for one, other in combinations(places, 2):
        a, b = places[one], places[other]
        assert a[2] <= b[0] + 1 or b[2] <= a[0] + 1 or a[3] <= b[1] + 1 or b[3] <= a[1] + 1, (one, other)
    assert eyes.find("threshold").height > 150
    await low.hand.threshold(60)


async def test_the_menu_ends_on_the_screen_and_scrolls(low: Any) -> None:
    from tablet_client.hand import eyes

    menu = low.app.viewer.menu
    await low.hand.tap("more")
    await low.hand.until("The menu", lambda: menu.shown)
    panel = menu.ids.panel
    assert panel.y >= 0
    await low.hand._touches.wheel(eyes.middle(eyes.find("equalised")), -20)
    await low.hand.until("The end", lambda: eyes.find("clear").to_window(*eyes.find("clear").pos)[1] >= panel.y)
    menu.close()


async def test_the_rails_step_back_while_the_pen_is_down_and_hear_no_palm(studio: Any) -> None:
    from kivy.base import EventLoop

    from tablet_client.hand import eyes
    from tablet_client.hand.touches import Finger

    viewer, image = studio.app.viewer, studio.app.viewer.image
    eraser = eyes.middle(eyes.find("tool_eraser"))
    places = image.pos, image.size
    pen = Finger(image.screen_of(10.0, 9.0), kind=Touch.PEN)
    EventLoop.post_dispatch_input("begin", pen)
    pen.go(image.screen_of(20.0, 9.0))
    EventLoop.post_dispatch_input("update", pen)
    await studio.hand._touches.tap(eraser)
    assert viewer.rail.tool == "object"
    await studio.hand.until("The image alone", lambda: viewer.rail.opacity == viewer.side.opacity == 0)
    assert (image.pos, image.size) == places  # what is drawn on stays where it is
    EventLoop.post_dispatch_input("end", pen)
    assert viewer.rail.opacity > 0
    await studio.hand.until("The rails", lambda: viewer.rail.opacity == viewer.side.opacity == 1)
    await studio.hand.tap("tool_eraser")
    assert viewer.rail.tool == "eraser"


async def test_rails_that_were_about_to_go_stay_when_the_pen_is_lifted(studio: Any) -> None:
    from tablet_client.hand.touches import frame

    viewer, rails = studio.app.viewer, studio.app.rails
    rails.pen_down()
    rails._fade(0.0)  # it begins in the next frame
    assert viewer.rail.opacity == 1
    rails.pen_up()
    for _ in range(20):
        await frame()
    assert viewer.rail.opacity == viewer.side.opacity == 1
