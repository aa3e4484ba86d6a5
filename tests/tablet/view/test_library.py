"""The library on the real application: orders, who drew last, and how far the work is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import count
from typing import Any

import numpy as np
import pytest
import pytest_asyncio

from tablet_client.link.fake_volume import fake_volume
from tablet_client.state.preferences import read_preferences
from tests.tablet.conftest import SIZE, phantom
from tests.tablet.view.test_app import both_labels

pytestmark = [pytest.mark.screen, pytest.mark.asyncio(loop_scope="session")]

RARE = count(1)


def shown(studio: Any) -> list[str]:
    """Names on the cards, in the order of reading."""
    return [widget.title for widget in reversed(studio.app.library.ids.grid.children)]


def on_card(studio: Any, name: str) -> tuple[str, str]:
    """How far a volume is, and who drew on it last."""
    widget = next(w for w in studio.app.library.ids.grid.children if w.title == name)
    return widget.work_text, widget.who


@pytest_asyncio.fixture(loop_scope="session")
async def library(studio: Any) -> AsyncIterator[Any]:
    """The library, of volumes that no other test has seen, without annotations."""
    await studio.hand.back()
    before = studio.link._volumes
    rare = next(RARE)  # voxels make the identifier
    made = [
        fake_volume(phantom((12, 30, 40)) + np.uint16(rare), "Phantom", (5.0, 1.0, 1.0), imported_ms=2),
        fake_volume(phantom((4, 60, 50)) + np.uint16(rare), "Thick", (12.0, 0.8, 1.1), imported_ms=1),
    ]

    def there() -> set[str]:
        return {card.volume_id for card in studio.app.library.cards}

    studio.link._volumes = {message.volume_id: (message, voxels) for message, voxels in made}
    studio.app.library_control.refresh()
    await studio.hand.until(
        "The cards", lambda: {c.volume_id for c in studio.app.library.cards} == set(studio.link._volumes)
    )
    yield studio
    studio.link._volumes = before
    studio.app.library_control.refresh()
    await studio.hand.until("The cards", lambda: there() == set(before))
    studio.app.settings_control.pick("sort", "date")
    studio.app.settings_control.pick("reader", "")


async def test_another_order_by_taps_is_kept(library: Any) -> None:
    app, hand = library.app, library.hand
    volumes = library.link._volumes
    assert shown(library) == ["Phantom", "Thick"]
    first = next(message for message, _ in volumes.values() if message.name == "Phantom")
    first.name = "Zebra"
    try:
        app.library_control.refresh()
        await hand.until("The name", lambda: shown(library) == ["Zebra", "Thick"])
        await hand.tap("sort")
        assert shown(library) == ["Thick", "Zebra"]
        assert read_preferences(app._folder).sort == app.library.sort == "name"
        await hand.tap("sort")
        assert shown(library) == ["Zebra", "Thick"]  # both are new: the newest first
        await hand.open("Thick")
        await hand.stroke([10.0, 14.0], [9.0, 12.0])
        await hand.until("Saved", lambda: app.viewer.bar.safety == "saved")
        await hand.back()
        await hand.until("What is in work comes first", lambda: shown(library) == ["Thick", "Zebra"])
        app.library.search = "zeb"
        assert shown(library) == ["Zebra"]
    finally:
        app.library.search, first.name = "", "Phantom"
        app.library_control.refresh()
        await hand.until("The name", lambda: "Phantom" in shown(library))


async def test_only_who_draws_changes_the_state_and_signs(library: Any) -> None:
    app, hand = library.app, library.hand
    await hand.tap("settings")
    await hand.type_into("reader", "Anna Martin")
    await hand.tap("settings_back")
    assert read_preferences(app._folder).reader == "Anna Martin"

    def entries() -> list[int]:
        volumes = library.link._volumes
        return [a.message.log_length for a in library.link._annotations.values() if a.message.volume_id in volumes]

    for times in (1, 2):
        await hand.open("Phantom")
        await hand.until("Open", lambda times=times: entries() == [times])
        await hand.back()
    app.library_control._annotations.clear()
    app.library_control.refresh()
    await hand.until("The list", lambda: app.library_control._annotations != {})
    assert on_card(library, "Phantom") == ("New", "")
    await hand.open("Phantom")
    await both_labels(library)
    await hand.back()
    await hand.until("The state", lambda: on_card(library, "Phantom") == ("In work", "Anna Martin"))
    await hand.open("Phantom")
    await hand.see_mask()
    await hand.save()
    await hand.back()
    await hand.until("The state", lambda: on_card(library, "Phantom") == ("Mask saved", "Anna Martin"))
    assert on_card(library, "Thick") == ("New", "")


@pytest.mark.parametrize("size", [SIZE, (1024, 600), (800, 1280)])
async def test_the_bar_fits(library: Any, size: tuple[int, int]) -> None:
    from kivy.core.window import Window

    from tablet_client.hand import eyes

    app, hand = library.app, library.hand
    Window.size = size
    try:
        await hand.until("The size", lambda: tuple(app.library.size) == size)
        right = 0.0
        for name in ("search", "sort", "settings", "import"):
            widget = eyes.find(name)
            x = widget.to_window(*widget.pos)[0]
            assert min(widget.width, widget.height) >= (47 if name == "search" else 48), name
            assert x >= right, name
            right = x + widget.width
            assert right <= size[0], name
        assert eyes.find("sort").ids.words.texture_size[0] <= eyes.find("sort").ids.words.width + 1
    finally:
        Window.size = SIZE
        await hand.until("The size", lambda: tuple(app.library.size) == SIZE)
