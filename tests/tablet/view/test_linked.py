"""Three planes on the real application: one place, which a finger on any of them moves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from calque import raster

from tablet_client.link.fake_volume import cut
from tablet_client.state.geometry import Plane, voxel_at
from tablet_client.state.gestures import Touch
from tests.tablet.view.test_app import both_labels, last_body

pytestmark = [pytest.mark.screen, pytest.mark.asyncio(loop_scope="session")]


async def shows(studio: Any, **slices: int) -> None:
    """All three images show these slices, with their greys and the cross where they meet."""
    viewer, control = studio.app.viewer, studio.app.viewer_control
    volume = control.work.volume
    voxels = studio.link._volumes[volume.volume_id][1]
    indices = {Plane[name.upper()]: index for name, index in slices.items()}
    voxel = voxel_at(volume.planes, indices)
    assert len({image.plane_name for image in viewer.images}) == 3
    for image in viewer.images:
        info = volume.planes[Plane[image.plane_name.upper()]]
        expected = cut(voxels, info, indices[info.plane])
        await studio.hand.until("The greys", lambda i=image, e=expected: np.array_equal(i.picture.greys, e), 5.0)
        assert tuple(image.cross) == info.pixel(voxel)[:2]
        _, _, wide, tall = image.view.image_rectangle
        assert wide / tall == pytest.approx(info.columns * info.column_mm / (info.rows * info.row_mm))
        assert image.bar_length > 0


async def test_a_finger_in_one_plane_moves_the_others(studio: Any) -> None:
    await studio.hand.slice(4)
    await studio.hand.three(True)
    await studio.hand.aim("coronal", 21.0, 11 - 7)
    await shows(studio, axial=7, coronal=15, sagittal=21)
    await studio.hand.aim("sagittal", 9.0, 11 - 2)
    await shows(studio, axial=2, coronal=9, sagittal=21)
    assert studio.app.viewer.slices.index == 2
    await studio.hand.slice(5)
    await shows(studio, axial=5, coronal=9, sagittal=21)
    await studio.hand._touches.wheel(studio.app.viewer.beside[0].center, 2)
    await shows(studio, axial=5, coronal=11, sagittal=21)
    await studio.hand.plane("sagittal")
    await shows(studio, axial=5, coronal=11, sagittal=21)


async def test_a_drag_moves_the_others_all_the_way(studio: Any) -> None:
    await studio.hand.three(True)
    image = studio.app.viewer.beside[0]
    await studio.hand._touches.draw([image.screen_of(5.0 + k, 3.0) for k in range(20)], slow=True)
    await shows(studio, axial=8, coronal=15, sagittal=24)
    assert not studio.app.viewer_control.work.document.can_undo


async def test_a_stroke_is_drawn_in_the_image_and_seen_beside_it(studio: Any) -> None:
    viewer = studio.app.viewer
    await studio.hand.slice(4)
    await studio.hand.three(True)
    await studio.hand.tap("tool_background")
    await studio.hand.stroke([18.0, 21.0], [13.0, 13.0])
    await shows(studio, axial=4, coronal=13, sagittal=21)
    coronal, sagittal = viewer.beside
    assert coronal.picture.labels[11 - 4, 18] == 2
    assert sagittal.picture.labels[11 - 4, 13] == 2


async def test_the_pen_draws_in_the_planes_beside_too(studio: Any) -> None:
    viewer, work = studio.app.viewer, studio.app.viewer_control.work
    await studio.hand.slice(4)
    await studio.hand.three(True)
    await studio.hand.aim("coronal", 21.0, 11 - 7)
    await shows(studio, axial=7, coronal=15, sagittal=21)
    coronal, sagittal = viewer.beside
    await studio.hand.tap("tool_background")
    await studio.hand.stroke([18.0, 25.0], [11.0 - 3, 11.0 - 5], plane="coronal")
    await shows(studio, axial=5, coronal=15, sagittal=25)  # the cross is where the stroke ended
    width = viewer.rail.brush_mm
    columns, rows = raster.stroke_pixels([18, 25], [8, 6], width_mm=width, pixel_mm=(1.0, 5.0), size=(40, 12))
    expected = np.zeros((12, 40), np.uint8)
    expected[rows, columns] = 2
    assert np.array_equal(coronal.picture.labels, expected)
    assert viewer.image.picture.labels[15, 25] == 2
    assert sagittal.picture.labels[11 - 5, 15] == 2
    await studio.hand.until("The answer", lambda: not work.document.waiting)
    stroke = last_body(studio, work.annotation.annotation_id).stroke
    assert (stroke.plane, stroke.slice, stroke.label) == (Plane.CORONAL, 15, 2)
    await studio.hand.stroke([25.0], [11.0 - 5], Touch.ERASER_END, plane="coronal")
    assert coronal.picture.labels[6, 25] == 0
    await studio.hand.tap("undo")
    assert np.array_equal(coronal.picture.labels, expected)
    await studio.hand.tap("undo")
    assert not any(image.picture.labels.any() for image in viewer.images)


async def test_a_pen_beside_the_image_takes_the_palms_stroke_on_it_back(studio: Any) -> None:
    from kivy.base import EventLoop

    from tablet_client.hand.touches import Finger

    await studio.hand.three(True)
    await studio.hand._rests(lambda: studio.app.viewer.beside[1])
    image, (coronal, _) = studio.app.viewer.image, studio.app.viewer.beside
    palm, pen = Finger(image.screen_of(30.0, 20.0)), Finger(coronal.screen_of(10.0, 5.0), kind=Touch.PEN)
    EventLoop.post_dispatch_input("begin", palm)
    assert image.picture.labels[20, 30] == 1
    EventLoop.post_dispatch_input("begin", pen)
    assert coronal.picture.labels[5, 10] == 1
    palm.go(image.screen_of(20.0, 25.0))
    EventLoop.post_dispatch_input("update", palm)
    EventLoop.post_dispatch_input("end", palm)
    EventLoop.post_dispatch_input("end", pen)
    assert studio.app.viewer_control.work.document.waiting == 1
    assert not image.picture.labels[20, 30]
    await studio.hand.drag_image(0.2, 0.1, Touch.FINGER)
    assert studio.app.viewer_control.work.document.next_sequence == 2  # once a pen was seen, fingers never draw


async def test_ring_value_and_lasso_are_there_in_every_plane(studio: Any) -> None:
    from kivy.core.window import Window

    from tablet_client.hand.touches import frame

    await studio.hand.three(True)
    await studio.hand._rests(lambda: studio.app.viewer.beside[1])
    coronal = studio.app.viewer.beside[0]
    assert coronal.pointer_text.startswith("Coronal ")
    Window.mouse_pos = coronal.screen_of(10.0, 4.0)
    await frame()
    assert coronal.tracing.pointer == pytest.approx(coronal.screen_of(10.0, 4.0))
    assert coronal.tracing.width_mm == studio.app.viewer.rail.brush_mm
    assert coronal.pointer_text.endswith(f"value {coronal.picture.greys[4, 10]}")
    await studio.hand.tap("tool_lasso")
    await studio.hand.stroke([5.0, 15.0, 15.0, 5.0], [2.0, 2.0, 8.0, 8.0], plane="coronal")
    assert (coronal.picture.labels[2:9, 5:16] == 1).all()


async def test_probabilities_come_for_all_three_and_the_threshold_is_of_all(studio: Any) -> None:
    viewer = studio.app.viewer
    await studio.hand.three(True)
    await both_labels(studio)
    await studio.hand.until("The masks", lambda: all(image.picture.levels is not None for image in viewer.images))
    await studio.hand.threshold(200)
    assert {image.picture.canvas["threshold"] for image in viewer.images} == {200.0}
    asked = studio.link.asked.count("AnnotateView")
    await studio.hand.stroke([12.0], [25.0])
    await studio.hand.see_volume()
    probabilities, showing = studio.app.viewer_control.work.probabilities, studio.app.viewer_control.showing
    assert probabilities.generation(showing.plane, showing.index) == probabilities.newest[0]
    assert studio.link.asked.count("AnnotateView") - asked <= 8


async def test_one_plane_alone_has_no_cross(studio: Any) -> None:
    viewer = studio.app.viewer
    wide = viewer.image.width
    await studio.hand.three(True)
    await studio.hand.until("Room", lambda: viewer.image.width < wide)
    await studio.hand.three(False)
    await studio.hand.until("All room", lambda: viewer.image.width == wide)
    assert viewer.image.cross is None
