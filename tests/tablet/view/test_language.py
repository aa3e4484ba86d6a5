"""Another language is picked in the settings, and everything on the screen speaks it at once, with the same volume open."""

from __future__ import annotations

from typing import Any

import pytest

from tablet_client.state import words
from tablet_client.state.preferences import read_preferences

pytestmark = [pytest.mark.screen, pytest.mark.asyncio(loop_scope="session")]


async def speak(studio: Any, language: str) -> None:
    """Pick a language in the settings, which are shown."""
    before = studio.app.root
    await studio.hand.tap(f"language_{language}")
    await studio.hand.until("The new screens", lambda: studio.app.root is not before and studio.app.settings.answer != "")


async def test_another_language_with_a_volume_open_and_back_in_the_library(studio: Any) -> None:
    from tablet_client.hand import eyes  # Kivy must not be imported before its settings are made

    app, hand = studio.app, studio.hand
    await hand.slice(7)
    await hand.stroke([10.0, 14.0], [9.0, 12.0])
    await hand.until("Saved", lambda: app.viewer.bar.safety_text == "Saved on server")
    annotation = app.viewer_control.work.annotation.annotation_id
    await hand.tap("more")
    await hand.tap("settings")
    try:
        await speak(studio, "fr")
        assert read_preferences(app._folder).language == "fr"
        assert eyes.find("connect").text == "Connecter"
        await hand.until("The volume", lambda: app.viewer_control.work is not None)
        await hand.tap("settings_back")
        viewer = app.viewer
        await hand.until("The viewer", lambda: app.screens.current == "viewer")
        assert app.viewer_control.work.annotation.annotation_id == annotation
        assert (viewer.slices.index, viewer.side.plane) == (7, "axial")
        assert (viewer.rail.object_name, viewer.slices.next_text) == ("Objet", "Suivante")
        assert eyes.find("save").text == "Enregistrer"
        await hand.until("Saved", lambda: viewer.bar.safety_text == "Enregistré sur le serveur")
        await hand.until("The stroke", lambda: bool(viewer.image.picture.labels.any()))
        assert viewer.image.hint.startswith("Dessinez un peu")
        await hand.tap("back")
    finally:
        if words.language() != "en":
            if app.screens.current == "viewer":
                await hand.tap("back")
            if app.screens.current == "library":
                await hand.tap("settings")
            await speak(studio, "en")
    assert eyes.find("connect").text == "Connect"
    assert read_preferences(app._folder).language == "en"
    await hand.tap("settings_back")
    assert eyes.find("import").text == "Import"


async def test_without_a_server_an_open_volume_stays_open_in_its_language(studio: Any) -> None:
    app, hand = studio.app, studio.hand
    await hand.until("The server", lambda: app.viewer.bar.safety == "saved")
    studio.link.online = False
    studio.link.hang_up()
    await hand.until("Offline", lambda: app.viewer.bar.safety == "offline")
    work = app.viewer_control.work
    await hand.tap("more")
    await hand.tap("settings")
    await hand.tap("language_fr")
    assert app.toast.text.startswith("There is no connection")
    assert app.viewer_control.work is work
    assert app.settings.preferences.language != "fr"
    studio.link.online = True
    await hand.tap("settings_back")
    assert app.screens.current == "viewer"
