"""Annotations of a volume have colours of their own, in the menu, on the image, in the library and on the server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tablet_client.state.palette import PALETTE, SAFE_PAIR, colour_of
from tests.tablet.view.test_app import window_pixels

pytestmark = [pytest.mark.screen, pytest.mark.asyncio(loop_scope="session")]


@pytest_asyncio.fixture(loop_scope="session")
async def coloured(studio: Any) -> AsyncIterator[Any]:
    studio.link.coloured = True
    yield studio
    studio.link.coloured = False
    studio.link.online = True


async def menu(studio: Any) -> None:
    await studio.hand.tap("more")
    await studio.hand.until("The menu", lambda: studio.app.viewer.menu.shown)


def rgb(colour: int) -> tuple[int, int, int]:
    return colour >> 16 & 255, colour >> 8 & 255, colour & 255


async def ink(studio: Any) -> tuple[int, ...]:
    """The colour of a stroke on the image, once it is seen."""
    await studio.hand.stroke([21.0], [13.0])
    return tuple(int(part) for part in (await window_pixels(studio))[13, 21])


async def test_a_new_annotation_has_the_colour_that_was_chosen_for_it(coloured: Any) -> None:
    app, hand = coloured.app, coloured.hand
    await menu(coloured)
    await hand.tap("colour:new")
    await hand.tap("palette_3")
    assert app.viewer.menu.new_colour == PALETTE[3]
    before = app.viewer_control.work
    await hand.tap("new_annotation")
    await hand.until("The annotation", lambda: app.viewer_control.work not in (None, before))
    await hand.see_greys()
    made = app.viewer_control.work.annotation
    assert colour_of(made) == colour_of(coloured.link._annotations[made.annotation_id].message) == PALETTE[3]
    assert [label.name for label in made.labels] == ["Object", "Background"]
    assert await ink(coloured) == rgb(PALETTE[3])
    await hand.back()
    await hand.until(
        "The card", lambda: any(PALETTE[3] in card.colours for card in app.library.cards if card.name == "Phantom")
    )


async def test_another_colour_is_seen_at_once_and_kept_by_the_server(coloured: Any) -> None:
    app, hand = coloured.app, coloured.hand
    annotation = app.viewer_control.work.annotation.annotation_id
    assert await ink(coloured) == rgb(PALETTE[0])
    for palette in (4, 1):
        await menu(coloured)
        await hand.tap(f"colour:{annotation}")
        await hand.tap(f"palette_{palette}")
        await hand.until("The colour", lambda n=palette: colour_of(app.viewer_control.work.annotation) == PALETTE[n])
        row = next(r for r in app.viewer.menu.ids.rows.children if r.annotation_id == annotation)
        assert row.colour == PALETTE[palette]
        await hand.tap("fit")
        assert await ink(coloured) == rgb(PALETTE[palette])
        assert colour_of(coloured.link._annotations[annotation].message) == PALETTE[palette]
    assert [round(part * 255) for part in app.viewer.rail.object_color[:3]] == list(rgb(PALETTE[1]))
    assert app.viewer.rail.lasso_color == app.viewer.rail.object_color


async def test_without_a_server_the_colour_stays_and_that_is_told(coloured: Any) -> None:
    app, hand = coloured.app, coloured.hand
    annotation = app.viewer_control.work.annotation
    coloured.link.online = False
    await menu(coloured)
    await hand.tap(f"colour:{annotation.annotation_id}")
    await hand.tap("palette_2")
    await hand.until("The sentence", lambda: app.toast.text == "The server does not answer. Trying again …")
    assert colour_of(app.viewer_control.work.annotation) == PALETTE[0]
    await hand.tap("fit")
    assert await ink(coloured) == rgb(PALETTE[0])


async def test_colours_for_the_colour_blind_keep_annotations_apart(coloured: Any) -> None:
    app, hand = coloured.app, coloured.hand
    annotation = app.viewer_control.work.annotation.annotation_id
    await menu(coloured)
    await hand.tap("colour_blind")
    await hand.tap(f"colour:{annotation}")
    await hand.tap("palette_4")
    await hand.until("The colour", lambda: colour_of(app.viewer_control.work.annotation) == PALETTE[4])
    await hand.tap("fit")
    assert await ink(coloured) == rgb(PALETTE[4])
    assert [round(part * 255) for part in app.viewer.rail.background_color[:3]] == list(rgb(SAFE_PAIR[1]))
