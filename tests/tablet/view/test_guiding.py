"""Where to look next, on the real application: through the places by touches and keys, and nothing that holds no longer."""

from __future__ import annotations

from typing import Any

import pytest
from calque.v1.segmentation_pb2 import Advice, AnnotateResponse, Place, Statistics

from tablet_client.state.geometry import Plane
from tests.tablet.view.test_app import both_labels

pytestmark = [pytest.mark.screen, pytest.mark.asyncio(loop_scope="session")]

N = 110
BOX = {"row": 5, "column": 8, "rows": 10, "columns": 12}


async def advised(studio: Any, *slices: int, plane: str = "PLANE_AXIAL", **fields: Any) -> None:
    """Strokes of both labels, and what the server says of their mask."""
    control = studio.app.viewer_control
    await both_labels(studio)
    await studio.hand.see_volume()
    generation = control.work.probabilities.newest[0]
    places = [Place(plane=plane, slice=index, **BOX) for index in slices]
    advice = Advice(generation=generation, places=places, **fields)
    studio.link.send(control.work.annotation.annotation_id, AnnotateResponse(advice=advice))
    guide = control.work.guide
    await studio.hand.until(
        "The advice", lambda: [p.index for p in guide.places] == list(slices) and guide.enough == advice.enough
    )


async def test_next_goes_through_the_places_by_touches_and_by_key(studio: Any) -> None:
    from tablet_client.hand.touches import press_key

    slices, image = studio.app.viewer.slices, studio.app.viewer.image
    await advised(studio, 7, 2, 9)
    assert (list(slices.doubts), slices.upcoming, slices.next_text, slices.next_plane) == ([7, 2, 9], 7, "Next: 8", "Axial")
    view = image.view
    await studio.hand.tap("next_place")
    assert (slices.index, slices.upcoming, slices.next_text) == (7, 2, "Next: 3")
    assert image.view is view  # only what was asked for has moved
    x, y, wide, tall = image.rectangle_of(image.region, image.view)
    for column, row in ((8, 5), (19, 14)):
        px, py = image.view.to_screen(column, row)
        assert x < px < x + wide
        assert y < py < y + tall
    await studio.hand.tap("next_place")
    assert slices.index == 2
    await press_key(N)
    assert slices.index == 9
    await press_key(N, ["numlock"])
    assert slices.index == 7
    await press_key(N, ["ctrl"])
    assert slices.index == 7
    assert list(slices.doubts) == [7, 2, 9]


async def test_the_outline_goes_when_the_pen_touches_or_the_slice_changes_or_after_a_moment(
    studio: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tablet_client.view import guiding

    image = studio.app.viewer.image
    await advised(studio, 7, 2)
    await studio.hand.tap("next_place")
    assert image.region == (8, 5, 12, 10)
    await studio.hand.tap("previous")
    assert image.region is None
    await studio.hand.tap("next_place")
    assert image.region is not None
    await studio.hand.stroke([20.0], [20.0])
    assert image.region is None
    monkeypatch.setattr(guiding, "OUTLINE_S", 0.05)
    await studio.begin()
    await advised(studio, 7)
    await studio.hand.tap("next_place")
    await studio.hand.until("The moment's end", lambda: image.region is None)


async def test_an_advice_is_not_shown_once_something_was_drawn_and_comes_again_with_the_next_mask(studio: Any) -> None:
    from tablet_client.hand.eyes import NotThere
    from tablet_client.hand.touches import press_key

    slices = studio.app.viewer.slices
    assert (slices.next_text, slices.next_plane, list(slices.doubts)) == ("Next", "", [])  # before any
    await advised(studio, 7, 2)
    await studio.hand.live(False)
    assert slices.next_text == "Next: 8"
    await studio.hand.stroke([20.0], [20.0])
    assert (slices.next_text, slices.next_plane, list(slices.doubts), slices.upcoming) == ("Next", "", [], -1)
    with pytest.raises(NotThere, match="greyed out"):
        await studio.hand.tap("next_place")
    index = slices.index
    await press_key(N)
    assert slices.index == index
    await studio.hand.tap("segment")
    await studio.hand.until("The next advice", lambda: slices.next_plane == "Axial")
    assert len(slices.doubts) > 0


async def test_another_method_makes_an_advice_void(studio: Any) -> None:
    slices = studio.app.viewer.slices
    await advised(studio, 7, 2)
    await studio.hand.tap("connected")
    assert (slices.next_plane, list(slices.doubts)) == ("", [])
    await studio.hand.tap("connected")
    assert (slices.next_plane, list(slices.doubts)) == ("Axial", [7, 2])


async def test_enough_is_said_in_words_and_leads_nowhere(studio: Any) -> None:
    from kivy.uix.label import Label

    from tablet_client.hand import eyes

    slices = studio.app.viewer.slices
    await advised(studio, enough=True, expected_dice=0.91)
    words = [widget.text for widget in eyes.find("next_place").walk(restrict=True) if isinstance(widget, Label)]
    assert "Enough drawn" in words
    index = slices.index
    await studio.hand.tap("next_place")
    assert (slices.index, list(slices.doubts)) == (index, [])
    await studio.hand.stroke([20.0], [20.0])
    assert not slices.enough


async def test_from_another_plane_next_goes_to_the_plane_of_the_place(studio: Any) -> None:
    slices, side = studio.app.viewer.slices, studio.app.viewer.side
    await advised(studio, 7, 2)
    await studio.hand.plane("coronal")
    assert (list(slices.doubts), slices.upcoming) == ([], -1)
    assert (slices.next_text, slices.next_plane) == ("Next: 8", "Axial")
    await studio.hand.tap("next_place")
    assert (side.plane, slices.index, list(slices.doubts)) == ("axial", 7, [7, 2])
    assert studio.app.viewer.image.region is not None


async def test_a_place_out_of_sight_is_brought_into_it(studio: Any) -> None:
    image = studio.app.viewer.image
    await advised(studio, 7)
    image.view = image.view.zoomed(20.0, *image.view.to_screen(38.0, 28.0))
    await studio.hand.tap("next_place")
    x, y = image.view.to_screen(13.5, 9.5)
    assert image.x < x < image.right
    assert image.y < y < image.top
    assert image.view.zoom == 20.0


async def test_the_menu_tells_what_the_service_measured_and_expects(studio: Any) -> None:
    from tablet_client.hand import eyes

    menu, control = studio.app.viewer.menu, studio.app.viewer_control
    await advised(studio, enough=True, expected_dice=0.914)
    statistics = Statistics(visible_ms=121, volume_ms=3420, workspace_bytes=310_000_000)
    studio.link.send(control.work.annotation.annotation_id, AnnotateResponse(statistics=statistics))
    await studio.hand.until("The statistics", lambda: "310 MB" in menu.details)
    assert menu.details.splitlines()[-1] == "Expected Dice at threshold 128: 0.91"
    await studio.hand.stroke([20.0], [20.0])
    await studio.hand.tap("more")
    await studio.hand.until("The menu", lambda: menu.shown)
    assert "310 MB" in menu.details
    assert "0.91" not in menu.details
    fill = menu.display.fill
    slider = eyes.find("opacity")
    await studio.hand._touches.tap(slider.position_of(0.8))
    assert fill != menu.display.fill == pytest.approx(0.8, abs=0.02)
    assert menu.shown
    menu.close()


async def test_places_of_a_sagittal_acquisition_are_marked_in_its_plane(studio: Any) -> None:
    slices = studio.app.viewer.slices
    await advised(studio, 30, plane="PLANE_SAGITTAL")
    assert (list(slices.doubts), slices.next_text, slices.next_plane) == ([], "Next: 31", "Sagittal")
    await studio.hand.tap("next_place")
    assert studio.app.viewer_control.showing.plane is Plane.SAGITTAL
    assert (slices.index, list(slices.doubts)) == (30, [30])
