"""The other language is one tap away, and everything on the screen speaks it at once."""

from __future__ import annotations

from typing import Any

import pytest

from tablet_client.state import words
from tablet_client.state.preferences import Preferences, read_preferences

pytestmark = [pytest.mark.screen, pytest.mark.asyncio(loop_scope="session")]


async def test_another_language_by_a_tap_and_back(studio: Any, tmp_path: Any) -> None:
    from tablet_client.hand import eyes  # Kivy must not be imported before its settings are made

    app, hand = studio.app, studio.hand
    if app.screens.current != "library":
        await hand.tap("back")
        await hand.until("The library", lambda: app.screens.current == "library")
    try:
        assert app.library.other_language == "Français"
        await hand.tap("language")
        await hand.until("French", lambda: app.library.other_language == "English" and bool(app.library.cards))
        assert read_preferences(app._folder) == Preferences("fr")
        assert eyes.find("import").text == "Importer"
        await hand.open("Phantom")
        await hand.new_annotation("")
        await hand.picture(str(tmp_path / "fr.png"))
        viewer = app.viewer
        assert (viewer.rail.object_name, viewer.slices.next_text) == ("Objet", "Suivante")
        assert eyes.find("save").text == "Enregistrer"
        await hand.until("Saved", lambda: viewer.bar.safety_text == "Enregistré sur le serveur")
        assert viewer.image.hint.startswith("Dessinez un peu")
        await hand.tap("back")
    finally:
        if words.language() != "en":
            await hand.tap("language")
            await hand.until("English", lambda: app.library.other_language == "Français" and bool(app.library.cards))
    assert eyes.find("import").text == "Import"
    assert read_preferences(app._folder) == Preferences("en")
