"""An upright tablet, on the real application: the same parts, one under the other, and nothing beside the screen."""

from __future__ import annotations

from itertools import combinations, pairwise
from typing import Any

import pytest
import pytest_asyncio

from tests.tablet.conftest import SIZE
from tests.tablet.view.test_app import both_labels

pytestmark = [pytest.mark.screen, pytest.mark.asyncio(loop_scope="session")]

SHEET = (
    "sheet",
    "plane_axial",
    "plane_coronal",
    "plane_sagittal",
    "plane_three",
    "threshold_default",
    "threshold",
    "live",
    "shape",
    "connected",
    "fill_holes",
    "style",
)


@pytest_asyncio.fixture(loop_scope="session", params=[(800, 1280), (720, 1280)])
async def upright(studio: Any, request: Any) -> Any:
    """The application on a tablet that is held upright."""
    from kivy.core.window import Window

    viewer = studio.app.viewer
    Window.size = request.param
    await studio.hand.until("The turn", lambda: tuple(viewer.size) == request.param and viewer.side.upright)
    yield studio
    Window.size = SIZE
    await studio.hand.until("The turn back", lambda: tuple(viewer.size) == SIZE and not viewer.side.upright)
    assert viewer.side.right == viewer.right
    strip, row = viewer.slices.ids.strip, viewer.slices.ids.row
    assert (strip.y, strip.height) == (row.y, row.height)
    assert viewer.slices.ids.previous.right < strip.x < strip.right < viewer.slices.ids.next.x


async def test_the_column_is_a_sheet_of_which_every_part_can_be_pressed(upright: Any) -> None:
    from tablet_client.hand import eyes

    viewer = upright.app.viewer
    assert viewer.side.width == viewer.width
    assert viewer.side.y == viewer.slices.top
    assert viewer.image.y >= viewer.side.top
    places = {}
    for name in SHEET:
        widget = eyes.find(name)
        assert min(widget.width, widget.height) >= 48, name
        x, y = widget.to_window(*widget.pos)
        assert x >= 0
        assert x + widget.width <= viewer.width
        places[name] = (x, y, x + widget.width, y + widget.height)
    for one, other in combinations(places, 2):
        a, b = places[one], places[other]
        apart = a[2] <= b[0] + 1 or b[2] <= a[0] + 1 or a[3] <= b[1] + 1 or b[3] <= a[1] + 1
        assert apart, (one, other)


async def test_the_handle_folds_and_unfolds_the_sheet(upright: Any) -> None:
    from tablet_client.hand import eyes

    side, image = upright.app.viewer.side, upright.app.viewer.image
    whole, low = side.height, image.y
    await upright.hand.tap("sheet")
    await upright.hand.until("The fold", lambda: side.height < whole and image.y < low)
    handle = eyes.find("sheet")
    assert (side.height, handle.height) == (48, 48)
    assert (handle.left_text, handle.right_text) == ("Threshold 128", side.volume_text)
    assert "threshold" not in eyes.names()
    x, y = eyes.middle(handle)
    await upright.hand._touches.draw([(x, y + 10 * k) for k in range(8)], slow=True)  # pulled up
    await upright.hand.until("The sheet", lambda: (side.height, image.y) == (whole, low))
    x, y = eyes.middle(handle)
    await upright.hand._touches.draw([(x, y + 10 * k) for k in range(8)], slow=True)
    assert not side.folded
    await upright.hand._touches.draw([(x, y - 10 * k) for k in range(8)], slow=True)  # pulled down
    assert side.folded
    await upright.hand.tap("sheet")
    await upright.hand.threshold(90)


async def test_the_picture_of_the_volume_has_a_row_of_its_own(upright: Any) -> None:
    from tablet_client.hand import eyes

    viewer, strip = upright.app.viewer, eyes.find("slices")
    assert strip.width >= viewer.width - 24
    assert strip.height >= 48
    row = [eyes.find(name) for name in ("previous", "next", "next_place", "segment", "save")]
    assert all(min(button.width, button.height) >= 48 and button.top < strip.y for button in row)
    assert all(one.right <= other.x for one, other in pairwise(row))
    for index in (0, strip.count - 1, strip.count // 2):
        await upright.hand._touches.tap(strip.middle_of(index))
        assert viewer.slices.index == index


async def test_words_fit(upright: Any) -> None:
    from kivy.uix.label import Label

    from tablet_client.hand import eyes

    for name in SHEET:
        for label in [w for w in eyes.find(name).walk(restrict=True) if isinstance(w, Label) and w.text]:
            assert label.texture_size[0] <= label.width, (name, label.text)


async def test_strokes_threshold_and_planes_work_as_ever(upright: Any) -> None:
    viewer = upright.app.viewer
    await both_labels(upright)
    for value in (60, 255, 1, 200):
        await upright.hand.threshold(value)
    await upright.hand.three(True)
    await upright.hand.until("The planes", lambda: viewer.beside[0].right <= viewer.beside[1].x)
    assert viewer.beside[0].top < viewer.image.y
    await upright.hand.aim("coronal", 21.0, 4.0)
    assert viewer.slices.index == 7
    await upright.hand.three(False)
