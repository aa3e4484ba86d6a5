"""The lasso and the ring of the brush, on the real application."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from calque import raster

from tablet_client.state import path
from tablet_client.state.document import Document
from tablet_client.state.geometry import Plane
from tablet_client.state.gestures import Touch
from tests.tablet.view.test_work import bodies

pytestmark = [pytest.mark.screen, pytest.mark.asyncio(loop_scope="session")]

AROUND = ([10.0, 20.0, 22.0, 12.0], [6.0, 5.0, 15.0, 18.0])


async def put_down(studio: Any, kind: Touch = Touch.PEN) -> Any:
    """A touch that goes around, and stays down."""
    from kivy.base import EventLoop

    from tablet_client.hand.touches import Finger, frame

    image = studio.app.viewer.image
    touch = Finger(image.screen_of(AROUND[0][0], AROUND[1][0]), kind=kind)
    EventLoop.post_dispatch_input("begin", touch)
    for place in zip(*AROUND):
        touch.go(image.screen_of(*place))
        EventLoop.post_dispatch_input("update", touch)
    await frame()
    return touch


async def lift(touch: Any) -> None:
    from kivy.base import EventLoop

    from tablet_client.hand.touches import frame

    EventLoop.post_dispatch_input("end", touch)
    await frame()


@pytest.mark.parametrize(("pen", "label"), [("object", 1), ("background", 2)])
async def test_the_lasso_fills_with_the_last_pen_is_sent_replayed_and_undone(studio: Any, pen: str, label: int) -> None:
    picture, document = studio.app.viewer.image.picture, studio.app.viewer_control.work.document
    await studio.hand.tap(f"tool_{pen}")
    await studio.hand.tap("tool_lasso")
    assert studio.app.viewer.rail.lasso_color == getattr(studio.app.viewer.rail, f"{pen}_color")
    await studio.hand.stroke(*AROUND)
    columns, rows = raster.lasso_pixels(*AROUND, size=(40, 30))
    expected = np.zeros((30, 40), np.uint8)
    expected[rows, columns] = label
    assert (picture.labels != expected).sum() <= 2  # a touch lies on a pixel of the screen
    await studio.hand.until("The server", lambda: not document.waiting)
    (body,) = bodies(studio)
    assert (body.WhichOneof("action"), body.lasso.label) == ("lasso", label)
    again = Document(document.planes, "other")
    for position, (session, sequence, logged) in enumerate(
        studio.link.log_of(studio.app.viewer_control.work.annotation.annotation_id), start=1
    ):
        from calque.v1.segmentation_pb2 import LoggedEvent

        again.logged(LoggedEvent(position=position, session_id=session, sequence=sequence, body=logged))
    assert (again.label_image(Plane.AXIAL, studio.app.viewer_control.showing.index) == picture.labels).all()
    await studio.hand.tap("undo")
    assert not picture.labels.any()
    await studio.hand.tap("redo")
    assert (picture.labels == label).any()


async def test_the_outline_is_on_the_screen_while_it_is_drawn_and_no_ink_before_it_ends(studio: Any) -> None:
    from tablet_client.hand.png import screenshot

    image = studio.app.viewer.image
    await studio.hand.tap("tool_lasso")
    touch = await put_down(studio)
    assert not image.picture.labels.any()
    shown = await screenshot()
    for column, row in ((15.0, 5.5), (21.0, 10.0), (11.0, 12.0)):  # on its edges, the closing one too
        x, y = image.screen_of(column, row)
        near = shown[shown.shape[0] - 1 - int(y) - 3 :, int(x) - 3 :][:7, :7].astype(int)
        assert (np.abs(near - [0xD0, 0x8A, 0x4E]).sum(axis=2) < 60).any()
    await lift(touch)
    assert image.picture.labels[10, 15] == 1
    assert image.tracing.path == ([], [])


async def test_an_outline_of_very_many_points_stays_one_event(studio: Any, monkeypatch: Any) -> None:
    from tablet_client.state import actions

    monkeypatch.setattr(path, "MOST_POINTS", 16)
    monkeypatch.setattr(actions, "MOST_POINTS", 16)
    turn = np.linspace(0, 2 * np.pi, 60)
    await studio.hand.tap("tool_lasso")
    await studio.hand.stroke((20 + 9 * np.cos(turn)).tolist(), (15 + 9 * np.sin(turn)).tolist())
    labels = studio.app.viewer.image.picture.labels
    columns, _ = raster.lasso_pixels(20 + 9 * np.cos(turn), 15 + 9 * np.sin(turn), size=(40, 30))
    assert (labels == 1).sum() == pytest.approx(len(columns), rel=0.1)
    assert studio.app.viewer_control.work.document.waiting <= 1


async def test_the_ring_is_as_wide_as_the_line_and_follows_pen_and_mouse(studio: Any) -> None:
    from kivy.core.window import Window

    image, tracing = studio.app.viewer.image, studio.app.viewer.image.tracing
    touch = await put_down(studio)
    x, y, radius = tracing._ring()
    assert (x, y) == pytest.approx(image.screen_of(AROUND[0][-1], AROUND[1][-1]), abs=1)
    assert radius == pytest.approx(studio.app.viewer.rail.brush_mm / 2 * image.view.pixels_per_mm)
    await lift(touch)
    assert tracing._ring() is None
    touch = await put_down(studio, Touch.ERASER_END)
    assert tracing._ring()[2] == pytest.approx(2.5 * image.view.pixels_per_mm)
    await lift(touch)
    Window.mouse_pos = image.screen_of(12.0, 12.0)
    assert tracing._ring() is not None
    await studio.hand.tap("tool_contrast")
    assert tracing._ring() is None
    await studio.hand.tap("tool_object")
    Window.mouse_pos = (2.0, 2.0)
    assert tracing._ring() is None
