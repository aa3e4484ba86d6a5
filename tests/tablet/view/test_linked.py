"""Three planes on the real application: one place, which a finger on any of them moves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tablet_client.link.fake_volume import cut
from tablet_client.state.geometry import Plane, voxel_at
from tests.tablet.view.test_app import both_labels

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
