"""What the shader must do beyond one slice of the application: thin masks, large images, many labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tablet_client.state.geometry import Plane, PlaneInfo

pytestmark = [pytest.mark.screen, pytest.mark.asyncio(loop_scope="session")]


def plane(columns: int, rows: int) -> PlaneInfo:
    letters = ("R", "L", "A", "P")
    return PlaneInfo(Plane.AXIAL, columns, rows, 3, 1.0, 1.0, 1.0, *letters, np.eye(4), np.eye(3, 4, dtype=np.int64))


async def show(studio: Any, greys: Any, labels: Any, levels: Any) -> Any:
    """The window with this slice: ``(rows, columns, 3)``."""
    from tablet_client.hand.png import screenshot

    image = studio.app.viewer.image
    image.hint = image.pointer_text = ""  # words lie over the image
    image.show_plane(plane(greys.shape[1], greys.shape[0]))
    image.picture.show_greys(greys)
    image.picture.show_labels(labels)
    image.picture.show_levels(levels)
    return await screenshot()


async def test_thin_masks_and_ink_stay_whole_on_images_larger_than_the_screen(studio: Any) -> None:
    size = (1400, 1300)
    greys, labels, levels = np.zeros(size, np.uint16), np.zeros(size, np.uint8), np.zeros(size, np.uint8)
    levels[:, 600] = 200  # one pixel wide, less than half a pixel of the screen
    labels[:, 900] = 2
    shown = (await show(studio, greys, labels, levels)).astype(int)
    image = studio.app.viewer.image
    assert image.view.pixels_per_mm < 0.5
    tall = slice(int(800 - image.top) + 60, int(800 - image.y) - 90)
    for column, channel in ((600, 0), (900, 2)):
        x = round(image.screen_of(column, 0)[0])
        assert (shown[tall, x - 2 : x + 3, channel].max(axis=1) > 60).all()


async def test_every_label_has_its_colour(studio: Any) -> None:
    picture = studio.app.viewer.image.picture
    colours = [0x102030 + 0x010203 * k for k in range(15)]
    picture.palette(colours)
    labels = np.arange(16, dtype=np.uint8).reshape(4, 4)
    shown = await show(studio, np.zeros((4, 4), np.uint16), labels, None)
    image = studio.app.viewer.image
    for label in range(1, 16):
        x, y = image.screen_of(label % 4, label // 4)
        expected = colours[label - 1] >> 16 & 255, colours[label - 1] >> 8 & 255, colours[label - 1] & 255
        assert tuple(shown[799 - int(y), int(x) + 20]) == expected


async def test_the_outline_runs_inside_the_mask(studio: Any) -> None:
    levels = np.zeros((6, 6), np.uint8)
    levels[2:4, 2:4] = 255
    shown = (await show(studio, np.zeros((6, 6), np.uint16), np.zeros((6, 6), np.uint8), levels)).astype(int)
    image = studio.app.viewer.image
    left, top = image.screen_of(1.5, 1.5)
    row = shown[799 - int(image.screen_of(0, 2)[1]), :, 0]
    assert row[int(left) - 2] == 0
    assert row[int(left) + 1] == 0xD0  # the outline, in full
    assert row[int(left) + 20] == pytest.approx(0.35 * 0xD0, abs=1)  # the fill
    assert top > image.screen_of(2, 2)[1]
