"""What pen, fingers, palm and mouse do on the real application."""

from __future__ import annotations

from typing import Any

import pytest

from tablet_client.state.gestures import Touch
from tests.tablet.conftest import SIZE
from tests.tablet.view.test_app import both_labels

pytestmark = [pytest.mark.screen, pytest.mark.asyncio(loop_scope="session")]

LINE = ([10.0, 20.0], [9.0, 9.0])


async def test_once_a_pen_was_seen_a_finger_scrolls_and_draws_nothing(studio: Any) -> None:
    slices, image = studio.app.viewer.slices, studio.app.viewer.image
    await studio.hand.stroke(*LINE)
    drawn = image.picture.labels.copy()
    assert drawn[9, 15] == 1
    before = slices.index
    await studio.hand.drag_image(60 / image.width, 0.0, Touch.FINGER)
    assert slices.index == before + 2
    await studio.hand.drag_image(0.0, -60 / image.height, Touch.FINGER)
    assert slices.index == before
    assert (image.picture.labels == drawn).all()


async def test_the_pens_other_end_erases_whatever_tool_is_chosen(studio: Any) -> None:
    picture = studio.app.viewer.image.picture
    await studio.hand.stroke(*LINE)
    await studio.hand.stroke([15.0], [9.0], Touch.ERASER_END)
    assert picture.labels[9, 10] == 1
    assert picture.labels[9, 15] == 0
    assert studio.app.viewer.rail.tool == "object"
    await studio.hand.stroke([15.0], [9.0])
    assert picture.labels[9, 15] == 1


async def test_the_right_button_changes_the_contrast_and_the_middle_one_pans(studio: Any) -> None:
    image, pen = studio.app.viewer.image, studio.app.viewer_control.pen
    width, picture = pen.window.width, image.picture
    await studio.hand.drag_image(0.2, 0.0, Touch.RIGHT)
    assert pen.window.width > width * 1.1
    await studio.hand.pinch(2.5)
    centre, zoom = image.view.centre, image.view.zoom
    await studio.hand.drag_image(0.1, 0.0, Touch.MIDDLE)
    assert image.view.centre[0] < centre[0]
    assert image.view.zoom == zoom
    image.fit()
    assert not picture.labels.any()
    await studio.hand.stroke(*LINE, Touch.LEFT)
    assert picture.labels[9, 15] == 1


async def test_a_pen_that_comes_takes_the_palms_stroke_back(studio: Any) -> None:
    from kivy.base import EventLoop

    from tablet_client.hand.touches import Finger

    image, document = studio.app.viewer.image, studio.app.viewer_control.work.document
    palm, pen = Finger(image.screen_of(30.0, 20.0)), Finger(image.screen_of(10.0, 9.0), kind=Touch.PEN)
    EventLoop.post_dispatch_input("begin", palm)
    palm.go(image.screen_of(20.0, 25.0))
    EventLoop.post_dispatch_input("update", palm)
    assert image.picture.labels[20, 30] == 1
    EventLoop.post_dispatch_input("begin", pen)
    EventLoop.post_dispatch_input("end", palm)
    pen.go(image.screen_of(20.0, 9.0))
    EventLoop.post_dispatch_input("update", pen)
    EventLoop.post_dispatch_input("end", pen)
    assert image.picture.labels[20, 30] == 0
    assert image.picture.labels[9, 15] == 1
    assert document.waiting == 1


async def test_a_touch_that_the_system_takes_away_draws_nothing(studio: Any) -> None:
    from kivy.base import EventLoop

    from tablet_client.hand.touches import Finger

    image = studio.app.viewer.image
    pen = Finger(image.screen_of(10.0, 9.0), kind=Touch.PEN)
    EventLoop.post_dispatch_input("begin", pen)
    assert image.picture.labels.any()
    pen.profile = [*pen.profile, "taken_away"]
    EventLoop.post_dispatch_input("end", pen)
    assert not image.picture.labels.any()
    assert not studio.app.viewer_control.work.document.can_undo


async def test_a_pen_held_still_shows_the_image_alone_and_draws_nothing(studio: Any, tmp_path: Any) -> None:
    from tablet_client.hand.png import screenshot

    hand, image = studio.hand, studio.app.viewer.image
    await both_labels(studio)
    document = studio.app.viewer_control.work.document
    entries, before = document.next_sequence, image.picture.labels.copy()
    covered = await screenshot()
    x, y = image.screen_of(12.0, 10.5)  # on the object's stroke
    pixel = (covered.shape[0] - 1 - int(y), int(x))
    seen: list[Any] = []

    async def look() -> None:
        seen.append(await screenshot())

    await hand._touches.hold(image.screen_of(25.0, 25.0), 1.0, look)
    red, green, blue = covered[pixel]
    assert len({red, green, blue}) == 3
    assert len(set(seen[0][pixel].tolist())) == 1  # grey
    assert (await screenshot())[pixel].tolist() == [red, green, blue]
    assert document.next_sequence == entries
    assert (image.picture.labels == before).all()
    await hand.hold(25.0, 25.0, str(tmp_path / "bare.png"))
    assert (tmp_path / "bare.png").exists()


async def test_the_hand_waits_until_the_screen_is_laid_out(studio: Any) -> None:
    """Of another size, or just put on the screen, controls have no places yet."""
    from kivy.core.window import Window

    rail = studio.app.viewer.rail
    try:
        for size, tool in (((1024, 768), "background"), ((800, 1280), "eraser"), ((1280, 800), "lasso")):
            Window.size = size
            await studio.hand.tap(f"tool_{tool}")
            assert rail.tool == tool
            assert tuple(studio.app.viewer.size) == size
            studio.app.screens.current = "library"
            studio.app.screens.current = "viewer"
            await studio.hand.tap("tool_object")
            assert rail.tool == "object"
        Window.size = (1024, 768)
        await studio.hand.stroke(*LINE)
        assert studio.app.viewer.image.picture.labels[9, 15] == 1
        Window.size = (800, 1280)
        await studio.hand.slice(9)
        Window.size = SIZE
        await studio.hand.threshold(200)
    finally:
        Window.size = SIZE
        await studio.hand.until("The size", lambda: tuple(studio.app.viewer.size) == SIZE)


async def test_pressure_changes_the_width_only_where_it_is_switched_on(studio: Any) -> None:
    from tablet_client.hand.eyes import find

    hand, picture, menu = studio.hand, studio.app.viewer.image.picture, studio.app.viewer.menu

    async def switch() -> None:
        await hand.tap("more")
        await hand.until("The menu", lambda: menu.shown)
        await hand.tap("pressure")
        menu.close()

    async def rows(column: int) -> int:
        await hand.stroke([8.0, 32.0], [15.0, 15.0], pressure=[0.0, 1.0])
        return int((picture.labels[:, column] > 0).sum())

    await hand.brush(8.0)
    assert await rows(9) == await rows(31)
    assert not find("brush_wider").disabled
    await switch()
    try:
        await hand.tap("undo")
        await hand.tap("undo")
        assert await rows(9) < await rows(31)
        await hand.tap("undo")
        await hand.tap("undo")
        await hand.stroke([8.0, 32.0], [15.0, 15.0], Touch.LEFT)  # a mouse has no pressure
        assert (picture.labels[:, 9] > 0).sum() == (picture.labels[:, 31] > 0).sum()
    finally:
        await switch()
        await hand.brush(2.0)
    assert not studio.app.viewer_control.pen.pressing
