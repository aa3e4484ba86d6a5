"""The settings on the real application: each one is applied at once, kept, and what cannot be is told and not kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from copy import copy
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tablet_client.link.connect import NoLink
from tablet_client.link.fake_volume import fake_volume
from tablet_client.state.preferences import Preferences, read_preferences
from tests.tablet.conftest import SIZE, Recorder, phantom

pytestmark = [pytest.mark.screen, pytest.mark.asyncio(loop_scope="session")]
CERTIFICATES = Path(__file__).parents[1] / "link" / "certificates"


@pytest_asyncio.fixture(loop_scope="session")
async def settings(studio: Any, monkeypatch: Any) -> AsyncIterator[Any]:
    """The settings, reached from the viewer, of a tablet that knows its server; other servers are others."""
    app, hand = studio.app, studio.hand
    servers = {"a:1": studio.link, "b:2": Recorder([fake_volume(phantom((5, 9, 7)), "Elsewhere")])}
    monkeypatch.setattr(app, "_connect_to", lambda preferences: servers.get(preferences.server) or NoLink())
    app.preferences = app.settings.preferences = replace(app.settings.preferences, server="a:1", certificate="")
    await hand.tap("more")
    await hand.tap("settings")
    await hand.until("The settings", lambda: app.screens.current == "settings")
    yield studio
    for link in servers.values():
        link.online = True
    if app._link is not studio.link:
        app._begin_anew(studio.link)
        await hand.until("The end", lambda: moved(app))
    app.settings_control._take(Preferences(server="a:1", language="en"), anew=False)
    await hand.until("The end", lambda: moved(app))
    app._go("library")


def moved(app: Any) -> bool:
    """All screens that were made anew are at work."""
    return app._moving is None or (app._moving.done() and app._resumed.done())


async def enter(studio: Any, server: str, certificate: str = "") -> None:
    await studio.hand.type_into("server", server)
    await studio.hand.type_into("certificate", certificate)
    await studio.hand.tap("connect")


@pytest.mark.parametrize(
    ("server", "certificate", "said"),
    [
        ("hospital", "", "“hospital” is not an address such as 192.168.1.20:50051. Nothing was changed."),
        ("b:2", "/not/there.pem", "/not/there.pem holds no certificate (PEM) that can be read. Nothing was changed."),
        ("b:2", __file__, f"{__file__} holds no certificate (PEM) that can be read. Nothing was changed."),
    ],
)
async def test_what_cannot_be_is_told_and_not_kept(settings: Any, server: str, certificate: str, said: str) -> None:
    app = settings.app
    before, kept = app.settings.preferences, read_preferences(app._folder)
    await enter(settings, server, certificate)
    assert app.settings.trouble == said
    assert (app.settings.preferences, read_preferences(app._folder)) == (before, kept)
    assert app._link is settings.link


async def test_another_server_is_connected_at_once_and_strokes_stay_for_the_one_before(settings: Any) -> None:
    app, hand, first = settings.app, settings.hand, settings.link
    await hand.tap("settings_back")
    first.online = False
    first.hang_up()
    await hand.stroke([10.0, 14.0], [9.0, 12.0])
    await hand.until("Offline", lambda: app.viewer.bar.safety_text == "Offline, 1 stroke waits")
    annotation = app.viewer_control.work.annotation.annotation_id
    await hand.back()
    await hand.tap("settings")
    await enter(settings, " b:2 ")
    await hand.until("The other server", lambda: app._link is not first and app.settings.answer == "The server answers.")
    assert "1 stroke waits for the other server" in app.toast.text
    assert read_preferences(app._folder).server == "b:2"
    await hand.tap("settings_back")
    await hand.until("Its volumes", lambda: [card.name for card in app.library.cards] == ["Elsewhere"])
    first.online = True
    await hand.tap("settings")
    await enter(settings, "a:1")
    await hand.tap("settings_back")
    assert first.log_of(annotation) == []
    await hand.open("Phantom")  # the newest annotation
    await hand.until("The stroke", lambda: len(first.log_of(annotation)) == 1)
    assert app.viewer_control.work.annotation.annotation_id == annotation


async def test_a_volume_that_is_open_is_closed_before_another_server_is_asked(settings: Any) -> None:
    app, hand = settings.app, settings.hand
    work = app.viewer_control.work
    await enter(settings, "b:2")
    await hand.until("The other server", lambda: app.settings.answer == "The server answers.")
    assert app.viewer_control.work is None
    assert not settings.link._annotations[work.annotation.annotation_id].sessions
    await hand.tap("settings_back")
    assert app.screens.current == "library"


async def test_with_another_certificate_the_same_volume_goes_on(settings: Any, monkeypatch: Any) -> None:
    app, hand = settings.app, settings.hand
    work, anew = app.viewer_control.work, copy(settings.link)
    monkeypatch.setattr(app, "_connect_to", lambda preferences: anew if preferences.certificate else settings.link)
    settings.link.online = False
    settings.link.hang_up()
    await hand.tap("settings_back")
    await hand.until("Offline", lambda: app.viewer.bar.safety == "offline")
    await hand.stroke([10.0, 14.0], [9.0, 12.0])
    await hand.until("The journal", lambda: work.document.saved_on_tablet == 1)
    await hand.back()
    settings.link.online = anew.online = True
    await hand.tap("settings")
    await enter(settings, "a:1", str(CERTIFICATES / "ca.pem"))
    await hand.until("The other link", lambda: app._link is anew and app.settings.answer == "The server answers.")
    assert app.toast.text == ""  # the stroke is for this very server


async def test_who_imports_while_a_volume_is_opened_again_finds_the_library(settings: Any, monkeypatch: Any) -> None:
    app, hand, listed, held = settings.app, settings.hand, settings.link.list_annotations, asyncio.Event()

    async def slowly(volume_id: str) -> Any:
        await held.wait()
        return await listed(volume_id)

    monkeypatch.setattr(settings.link, "list_annotations", slowly)
    await hand.tap("language_fr")
    try:
        await hand.until("The new screens", lambda: app._moving.done())
        await hand.tap("settings_back")
        await hand.tap("import")
        await hand.tap("back")
        await hand.until("The cards", lambda: len(app.library.cards) == 2)
    finally:
        held.set()


async def test_the_tools_change_sides(settings: Any) -> None:
    app, hand = settings.app, settings.hand
    for side in ("right", "left"):
        await hand.tap(f"tools_{side}")
        await hand.tap("settings_back")
        viewer = app.viewer
        await hand.until("The rails", lambda viewer=viewer: viewer.image.width > 0)
        left, right = (viewer.side, viewer.rail) if side == "right" else (viewer.rail, viewer.side)
        assert (left.x, right.right) == (0, viewer.width)
        assert left.right <= viewer.image.x < viewer.image.right <= right.x
        assert read_preferences(app._folder).tools == side
        await hand.tap("tool_background")
        await hand.stroke([10.0, 14.0], [9.0, 12.0])
        await hand.until("The stroke", lambda: app.viewer.bar.can_undo)
        await hand.tap("more")
        await hand.tap("settings")


async def test_a_smaller_cache_lets_slices_go_at_once(settings: Any) -> None:
    from tablet_client.hand import eyes

    app, hand = settings.app, settings.hand
    room = app.viewer_control.work.greys.room

    async def press(button: str, size: int) -> None:
        await hand.tap(button)
        await hand.until(f"{size} MB", lambda: room._most == size * 1_000_000)
        assert read_preferences(app._folder).cache_mb == size

    for size in (128, 64):
        await press("cache_less", size)
    assert eyes.find("cache_less").disabled
    for size in (128, 256, 512, 1024, 2048):
        await press("cache_more", size)
    assert eyes.find("cache_more").disabled


async def test_a_journal_that_is_full_says_so_and_goes_on_when_it_may_be_larger(settings: Any) -> None:
    app, hand = settings.app, settings.hand
    journal, bar = app.viewer_control.work.journal, app.viewer.bar
    await hand.tap("settings_back")
    settings.link.online = False
    settings.link.hang_up()
    await hand.stroke([10.0, 14.0], [9.0, 12.0])
    await hand.until("Offline", lambda: bar.safety_text == "Offline, 1 stroke waits")
    journal.limit_bytes = journal.path.stat().st_size + 10
    await hand.stroke([20.0, 24.0], [9.0, 12.0])
    await hand.until("Full", lambda: bar.safety == "full")
    assert bar.safety_text == "Not saved: the journal is full"
    assert app.toast.text.startswith("The journal is full: the last stroke is not saved, all others are.")
    await hand.tap("more")
    await hand.tap("settings")
    await hand.tap("journal_more")
    assert journal.limit_bytes == 512_000_000
    await hand.until("Room", lambda: bar.safety_text == "Offline, 2 strokes wait")
    settings.link.online = True
    await hand.tap("settings_back")
    await hand.until("Saved", lambda: bar.safety == "saved")


async def test_the_certificate_is_chosen_among_files(settings: Any, monkeypatch: Any) -> None:
    app, hand = settings.app, settings.hand
    monkeypatch.setattr(Path, "home", lambda: CERTIFICATES.parent)
    await hand.tap("certificate_choose")
    await hand.tap("file:certificates")
    await hand.tap("files_up")
    await hand.tap("file:certificates")
    await hand.tap("file:ca.pem")
    await hand.tap("connect")
    await hand.until("The answer", lambda: not app.settings.ids.files.shown)
    assert read_preferences(app._folder).certificate == str(CERTIFICATES / "ca.pem")


async def test_without_a_server_the_application_asks_for_one(settings: Any) -> None:
    app, hand = settings.app, settings.hand
    app.preferences = Preferences(language="en")
    app._begin_anew(NoLink())
    app.on_start()
    await hand.until("The question", lambda: app.screens.current == "settings" and app.settings.first)
    assert app.settings.ids.server.text == ""
    await hand.tap("settings_back")
    await hand.until("The library", lambda: app.library.notice.startswith("This tablet knows no server yet."))
    await hand.tap("settings")
    await hand.type_into("server", "a:1")
    await hand.tap("connect")
    await hand.until("The volumes", lambda: app.screens.current == "library" and len(app.library.cards) == 2)
    assert not app.settings.first


@pytest.mark.parametrize("size", [SIZE, (1024, 600), (800, 1280)])
async def test_everything_can_be_pressed_and_read(settings: Any, size: tuple[int, int]) -> None:
    from kivy.core.window import Window
    from kivy.uix.label import Label

    from tablet_client.hand import eyes

    app, hand = settings.app, settings.hand
    Window.size = size
    try:
        await hand.until("The size", lambda: tuple(app.settings.size) == size)
        names = [n for n in eyes.names() if n not in ("files_close", "files_up")]
        assert len(names) == 15
        places = {}
        for name in names:
            widget = eyes.find(name)
            assert min(widget.width, widget.height) >= 48, name
            x, y = widget.to_window(*widget.pos)
            assert x >= 0
            assert x + widget.width <= size[0]
            places[name] = (x, y, x + widget.width, y + widget.height)
        for one, other in combinations(places, 2):
            a, b = places[one], places[other]
            assert a[2] <= b[0] + 1 or b[2] <= a[0] + 1 or a[3] <= b[1] + 1 or b[3] <= a[1] + 1, (one, other)
        for label in [w for w in app.settings.walk(restrict=True) if isinstance(w, Label) and w.text and w.width > 2]:
            assert not label.is_shortened, label.text
            assert label.texture_size[0] <= label.width + 1, label.text
    finally:
        Window.size = SIZE
        await hand.until("The size", lambda: tuple(app.settings.size) == SIZE)
