"""The real application on a display, worked by injected touches, against the server in memory."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest
from calque import raster
from calque.v1 import segmentation_pb2
from numpy.typing import NDArray

from tablet_client.state.geometry import Plane

pytestmark = [pytest.mark.screen, pytest.mark.asyncio(loop_scope="session")]

OBJECT = np.array([0xD0, 0x8A, 0x4E])
BACKGROUND = np.array([0x4C, 0x8D, 0xD9])


async def window_pixels(studio: Any) -> NDArray[np.uint8]:
    """What is on the screen at the middle of every pixel of the image: ``(rows, columns, 3)`` uint8."""
    from tablet_client.hand.png import screenshot

    image, picture = studio.app.viewer.image, studio.app.viewer.image.picture
    image.hint = image.pointer_text = ""  # words lie over the image
    shown = await screenshot()
    rows, columns = picture.greys.shape
    places = np.array([[image.screen_of(c, r) for c in range(columns)] for r in range(rows)])
    return shown[shown.shape[0] - 1 - places[..., 1].astype(int), places[..., 0].astype(int)]


async def both_labels(studio: Any) -> None:
    """A stroke of each label on the slice, and its mask."""
    hand = studio.hand
    await hand.tap("tool_object")
    await hand.stroke([10.0, 14.0], [9.0, 12.0])
    await hand.tap("tool_background")
    await hand.stroke([30.0, 35.0], [20.0, 22.0])
    await hand.see_mask()


def last_body(studio: Any, annotation: str) -> segmentation_pb2.EventBody:
    return segmentation_pb2.EventBody.FromString(studio.link.log_of(annotation)[-1][2])


async def test_ink_is_in_the_texture_before_the_touch_event_returns(studio: Any) -> None:
    from kivy.base import EventLoop

    from tablet_client.hand.touches import Finger

    picture, image = studio.app.viewer.image.picture, studio.app.viewer.image
    finger = Finger(image.screen_of(8.0, 5.0))
    asked = len(studio.link.asked)
    EventLoop.post_dispatch_input("begin", finger)
    for x, y in ((12.0, 9.0), (20.0, 11.0)):
        finger.go(image.screen_of(x, y))
        EventLoop.post_dispatch_input("update", finger)
    texture = np.frombuffer(picture._label_texture.pixels, np.uint8).reshape(30, 40, 4)[..., 0]
    width = studio.app.viewer.rail.brush_mm
    columns, rows = raster.stroke_pixels([8, 12, 20], [5, 9, 11], width_mm=width, pixel_mm=(1, 1), size=(40, 30))
    expected = np.zeros((30, 40), np.uint8)
    expected[rows, columns] = 1
    assert np.array_equal(texture, expected)
    assert len(studio.link.asked) == asked  # nobody was asked
    EventLoop.post_dispatch_input("end", finger)


async def test_the_shader_windows_greys_as_numpy_does(studio: Any) -> None:
    picture = studio.app.viewer.image.picture
    picture.uniforms(soft=0.0)
    picture.window(1500.0, 25000.0)
    await studio.hand.slice(7)
    shown = (await window_pixels(studio))[..., 0].astype(int)
    greys = studio.link._volumes[studio.app.viewer_control.work.volume.volume_id][1][7].astype(float)
    expected = np.rint(np.clip((greys - 1500) / (25000 - 1500), 0, 1) * 255).astype(int)
    assert expected.std() > 50
    assert np.abs(shown - expected).max() <= 1


async def test_the_shader_thresholds_and_colours_as_numpy_does(studio: Any) -> None:
    await both_labels(studio)
    picture = studio.app.viewer.image.picture
    picture.uniforms(soft=0.0, ink=0.0)
    control = studio.app.viewer_control
    levels = picture.levels
    value = int(np.median(levels))
    control.choosing.threshold(value)
    shown = (await window_pixels(studio)).astype(float)
    volume = control.work.volume
    light = np.clip((picture.greys - volume.window_low) / (volume.window_high - volume.window_low), 0, 1) * 255
    inside = levels >= value
    expected = np.repeat(light[..., None], 3, axis=2)
    expected[inside] = 0.65 * expected[inside] + 0.35 * OBJECT
    picture.uniforms(ink=1.0)
    assert 0 < inside.sum() < inside.size
    assert np.abs(shown - expected).max() <= 1.5


async def test_the_slider_changes_picture_and_volume_and_asks_nobody(studio: Any) -> None:
    await both_labels(studio)
    await studio.hand.see_volume()
    await asyncio.sleep(0)
    work, side = studio.app.viewer_control.work, studio.app.viewer.side
    before, asked, volume = await window_pixels(studio), len(studio.link.asked), side.volume_text
    await studio.hand.threshold(240)
    after = await window_pixels(studio)
    assert studio.link.asked[asked:] == []
    assert (before != after).any()
    levels = studio.link._annotations[work.annotation.annotation_id].levels
    assert side.threshold == 240
    assert side.volume_text != volume
    assert side.volume_text == f"{(levels >= 240).sum() * 0.005:.1f} mL"


async def test_strokes_arrive_where_the_hand_drew_in_all_planes(studio: Any) -> None:
    annotation = studio.app.viewer_control.work.annotation.annotation_id
    await studio.hand.tap("tool_object")
    strokes = {
        "axial": ([3.0, 9.5, 20.25, 33.0], [4.0, 12.75, 7.0, 25.0]),
        "coronal": ([2.0, 17.5, 36.0], [1.0, 5.5, 9.0]),
        "sagittal": ([25.0, 11.5, 4.0], [10.0, 3.25, 6.0]),
    }
    for index, (plane, (x, y)) in enumerate(strokes.items(), start=3):
        await studio.hand.plane(plane)
        await studio.hand.slice(index)
        await studio.hand.stroke(x, y)
        await studio.hand.until("The answer", lambda: not studio.app.viewer_control.work.document.waiting)
        stroke = last_body(studio, annotation).stroke
        assert (stroke.plane, stroke.slice, stroke.label) == (Plane[plane.upper()], index, 1)
        assert np.abs(np.array(stroke.x) - x).max() < 0.6
        assert np.abs(np.array(stroke.y) - y).max() < 0.6


async def test_a_stroke_in_one_plane_is_seen_in_the_others(studio: Any) -> None:
    await studio.hand.slice(4)
    await studio.hand.tap("tool_background")
    await studio.hand.stroke([21.0], [13.0])
    assert tuple((await window_pixels(studio))[13, 21]) == tuple(BACKGROUND)
    await studio.hand.plane("coronal")
    await studio.hand.slice(13)
    assert tuple((await window_pixels(studio))[11 - 4, 21]) == tuple(BACKGROUND)
    await studio.hand.plane("sagittal")
    await studio.hand.slice(21)
    assert tuple((await window_pixels(studio))[11 - 4, 13]) == tuple(BACKGROUND)


async def test_undo_and_redo_by_buttons_and_keys(studio: Any) -> None:
    from tablet_client.hand.touches import press_key

    picture, bar = studio.app.viewer.image.picture, studio.app.viewer.bar
    assert not bar.can_undo
    await studio.hand.stroke([10.0, 14.0], [9.0, 12.0])
    ink = picture.labels.copy()
    assert ink.any()
    await studio.hand.tap("undo")
    assert not picture.labels.any()
    assert bar.can_redo
    await studio.hand.tap("redo")
    assert np.array_equal(picture.labels, ink)
    await press_key(ord("z"), ["ctrl"])
    assert not picture.labels.any()
    await press_key(ord("y"), ["ctrl"])
    assert np.array_equal(picture.labels, ink)


async def test_a_mask_of_less_than_two_labels_is_not_shown(studio: Any) -> None:
    await both_labels(studio)
    picture, image = studio.app.viewer.image.picture, studio.app.viewer.image
    assert picture.levels is not None
    assert image.hint == ""
    await studio.hand.tap("undo")
    assert picture.levels is None
    assert image.hint == "Draw a little of the object and a little of what is not."
    assert not studio.app.viewer.slices.can_save


async def test_the_eraser_takes_ink_away(studio: Any) -> None:
    await studio.hand.stroke([10.0, 20.0], [9.0, 9.0])
    await studio.hand.tap("tool_eraser")
    await studio.hand.stroke([15.0], [9.0])
    labels = studio.app.viewer.image.picture.labels
    assert labels[9, 10] == 1
    assert labels[9, 15] == 0


async def test_wheel_keys_bar_and_buttons_scroll(studio: Any) -> None:
    from tablet_client.hand.eyes import middle
    from tablet_client.hand.touches import press_key

    slices, image = studio.app.viewer.slices, studio.app.viewer.image
    await studio.hand.slice(2)
    await studio.hand._touches.wheel(middle(image), 2)
    assert slices.index == 4
    await press_key(275)
    assert slices.index == 5
    await studio.hand.tap("previous")
    assert slices.index == 4
    await studio.hand._touches.tap(slices.ids.strip.middle_of(9))
    assert slices.index == 9
    voxels = studio.link._volumes[studio.app.viewer_control.work.volume.volume_id][1]
    await studio.hand.see_greys()
    assert np.array_equal(image.picture.greys, voxels[9])


@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
async def test_thick_slices_are_shown_in_true_proportion(studio: Any, plane: str) -> None:
    await studio.begin("Thick")
    await studio.hand.plane(plane)
    info = studio.app.viewer_control.work.volume.planes[Plane[plane.upper()]]
    _, _, wide, tall = studio.app.viewer.image.view.image_rectangle
    assert wide / tall == pytest.approx(info.columns * info.column_mm / (info.rows * info.row_mm))
    from tablet_client.hand.png import screenshot

    window = type(studio.app.viewer_control.pen.window)
    studio.app.viewer_control.contrast(window.of(-2.0, -1.0))  # every voxel is white
    white = (await screenshot())[60:720, 80:1150, 0] == 255
    rows, columns = np.nonzero(white)
    assert np.ptp(columns) + 1 == pytest.approx(wide, abs=2.5)
    assert np.ptp(rows) + 1 == pytest.approx(tall, abs=2.5)


async def test_letters_stand_at_their_edges(studio: Any) -> None:
    image = studio.app.viewer.image
    for plane, letters in (("axial", "RLAP"), ("coronal", "RLSI"), ("sagittal", "APSI")):
        await studio.hand.plane(plane)
        shown = {w.text: w.center for w in image.children if getattr(w, "text", "") in set("RLAPSI") and w.text}
        assert set(shown) == set(letters)
        left, right, top, bottom = (shown[letter] for letter in letters)
        assert left[0] < image.center_x < right[0]
        assert bottom[1] < image.center_y < top[1]


async def test_the_pointer_tells_place_and_value(studio: Any) -> None:
    await studio.hand.slice(7)
    await studio.hand.stroke([21.0], [13.0])
    value = studio.app.viewer.image.picture.greys[13, 21]
    assert studio.app.viewer.image.pointer_text == f"21.0  13.0  35.0 mm\nvalue {value}"


async def test_two_fingers_zoom_and_take_the_first_ones_ink_back(studio: Any) -> None:
    image = studio.app.viewer.image
    await studio.hand.pinch(2.5)
    assert image.view.zoom == pytest.approx(2.5, rel=0.02)
    assert not image.picture.labels.any()
    assert not studio.app.viewer_control.work.document.can_undo
    await studio.hand.tap("more")
    await studio.hand.tap("fit")
    assert image.view.zoom == 1.0


async def test_the_contrast_tool_changes_the_picture_and_draws_nothing(studio: Any) -> None:
    before = await window_pixels(studio)
    await studio.hand.tap("tool_contrast")
    await studio.hand.drag_image(0.2, 0.2)
    pen = studio.app.viewer_control.pen
    assert (await window_pixels(studio) != before).any()
    assert pen.window.width > studio.app.viewer_control.work.volume.window_high * 1.1
    assert not studio.app.viewer.image.picture.labels.any()


async def test_saving_says_what_was_saved(studio: Any) -> None:
    await both_labels(studio)
    mask = await studio.hand.save()
    assert mask.number == 1
    assert mask.object_ml > 10
    assert studio.app.toast.text == f"Mask saved: {mask.object_ml:.0f} mL"


async def test_without_a_server_drawing_goes_on_and_nothing_is_lost(studio: Any) -> None:
    control, bar = studio.app.viewer_control, studio.app.viewer.bar
    annotation = control.work.annotation.annotation_id
    await studio.hand.until("The link", lambda: bar.safety_text == "Saved on server")
    entries = len(studio.link.log_of(annotation))
    studio.link.online = False
    studio.link.hang_up()
    await studio.hand.until("The loss", lambda: bar.safety_text == "Offline")
    await studio.hand.stroke([10.0, 14.0], [9.0, 12.0])
    await studio.hand.until("The journal", lambda: bar.safety_text == "Offline, 1 stroke waits")
    assert studio.app.viewer.image.picture.labels.any()
    studio.link.online = True
    control.work.keeper.retry_now()
    await studio.hand.until("The return", lambda: bar.safety_text == "Saved on server")
    assert len(studio.link.log_of(annotation)) == entries + 1


async def test_every_control_is_large_enough_for_a_thumb(studio: Any) -> None:
    from tablet_client.hand import eyes

    small = {}
    for name in eyes.names():
        widget = eyes.find(name)
        eyes.middle(widget)
        if min(widget.width, widget.height) < 48:
            small[name] = (widget.width, widget.height)
    assert small == {}
