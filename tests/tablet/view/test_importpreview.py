"""An import that runs: what it tells, what it shows, how it is stopped."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.tablet.conftest import phantom

pytestmark = [pytest.mark.screen, pytest.mark.asyncio(loop_scope="session")]


async def begun(studio: Any, tmp_path: Any, pause_at: int) -> None:
    """An import of twelve slices that stays where it is."""
    from tablet_client.hand.props import picture_of

    np.save(tmp_path / "new.npy", phantom((12, 30, 40)) + 1)
    studio.link.pause_at, studio.link.picture = pause_at, picture_of
    await studio.hand.tap("back")
    await studio.hand.tap("import")
    await studio.hand.type_into("import_path", str(tmp_path / "new.npy"))
    await studio.hand.tap("import_start")
    shown = studio.app.importer.ids.preview
    await studio.hand.until("The slices", lambda: shown.previews is not None and len(shown.previews.come) == pause_at)


async def test_slices_are_shown_while_others_are_read_and_a_touch_chooses_among_them(studio: Any, tmp_path: Any) -> None:
    importer = studio.app.importer
    await begun(studio, tmp_path, 5)
    shown = importer.ids.preview
    assert (shown.shown, shown.caption, shown.texture.size) == (True, "Slice 5 of 12", (40, 30))
    newest = shown.texture
    x, y = shown.ids.strip.middle_of(1)
    await studio.hand._touches.tap((x, y))
    assert shown.caption == "Slice 2 of 12"
    assert shown.texture is not newest
    x, y = shown.ids.strip.middle_of(10)  # not there yet: the nearest that is
    await studio.hand._touches.tap((x, y))
    assert shown.caption == "Slice 5 of 12"
    await studio.hand.tap("import_cancel")
    await studio.hand.until("The end", lambda: not importer.busy)


async def test_a_stopped_import_leaves_nothing_and_another_can_begin(studio: Any, tmp_path: Any) -> None:
    importer = studio.app.importer
    before = {volume_id for volume_id, _ in studio.link._volumes.items()}
    await begun(studio, tmp_path, 3)
    upload = studio.app.library_control._upload
    await studio.hand.tap("import_cancel")
    await studio.hand.until("The end", lambda: not importer.busy)
    assert not importer.ids.preview.shown
    assert (importer.trouble, studio.app.screens.current) == ("", "import")
    assert studio.link.forgotten[-1] == upload
    assert set(studio.link._volumes) == before
    studio.link.pause_at = 0
    await studio.hand.tap("import_start")
    await studio.hand.until("The import's end", lambda: studio.app.screens.current == "library")
    assert len(studio.link._volumes) == len(before) + 1
    studio.link._volumes = {key: held for key, held in studio.link._volumes.items() if key in before}
    studio.app.library_control.refresh()
