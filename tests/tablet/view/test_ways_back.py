"""A library without a server, and the ways back to it, on the real application."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = [pytest.mark.screen, pytest.mark.asyncio(loop_scope="session")]


async def test_the_library_says_that_the_server_does_not_answer_and_tries_again(
    studio: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tablet_client.view import librarycontrol

    monkeypatch.setattr(librarycontrol, "_RETRY_S", 0.05)
    library = studio.app.library
    studio.link.online = False
    await studio.hand.tap("back")
    await studio.hand.until("The sentence", lambda: library.notice == "The server does not answer. Trying again …")
    studio.link.online = True
    await studio.hand.until("The cards", lambda: library.notice == "")


async def test_a_tablets_back_button_closes_the_menu_then_the_viewer(studio: Any) -> None:
    from tablet_client.hand.touches import press_key

    await studio.hand.tap("more")
    await studio.hand.until("The menu", lambda: studio.app.viewer.menu.shown)
    await press_key(27)
    assert not studio.app.viewer.menu.shown
    assert studio.app.screens.current == "viewer"
    await press_key(27)
    await studio.hand.until("The library", lambda: studio.app.screens.current == "library")


async def test_cards_are_of_one_size_also_when_there_is_only_one(studio: Any) -> None:
    await studio.hand.tap("back")
    grid = studio.app.library.ids.grid
    await studio.hand.until("The cards", lambda: len(grid.children) > 1)
    width = grid.children[0].width
    await studio.hand.type_into("search", "thick")
    assert [card.width for card in grid.children] == [width]
    await studio.hand.type_into("search", "nothing of this")
    assert studio.app.library.empty == "No volume has these words in its name."
    await studio.hand.type_into("search", " ")
