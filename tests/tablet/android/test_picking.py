"""Import through the system's picker, on the real application."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytest_asyncio

from tests.tablet.android.java import Tablet
from tests.tablet.conftest import phantom

pytestmark = [pytest.mark.screen, pytest.mark.asyncio(loop_scope="session")]


class Desk:
    """The application on a tablet whose files are reached by the picker alone."""

    def __init__(self, studio: Any, tablet: Tablet, passing: Path) -> None:
        self.studio, self.tablet, self.passing = studio, tablet, passing

    async def pick(self, what: str, *addresses: str) -> None:
        """Press a tile, and choose in the picker that it opens."""
        before = len(self.tablet.asked)
        await self.studio.hand.tap(f"pick_{what}")
        await self.studio.hand.until("The picker", lambda: len(self.tablet.asked) > before)
        self.tablet.answer(*addresses)

    def copies(self) -> list[str]:
        """Files that lie on the tablet."""
        return [name for _, _, names in os.walk(self.passing) for name in names]  # also while it is being deleted


async def anew(studio: Any) -> None:
    """All screens are made anew, and show the library."""
    app = studio.app
    app._begin_anew(app._link)
    app._go("library")
    await studio.hand.until("The library", lambda: bool(app.library.cards))


@pytest_asyncio.fixture(loop_scope="session")
async def desk(studio: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    from tablet_client.android.picker import SystemPicker

    tablet, passing = Tablet(), tmp_path / "passing"
    monkeypatch.setitem(sys.modules, "jnius", tablet.module())
    app, hand = studio.app, studio.hand
    await hand.back()
    app._picker = SystemPicker(passing)
    await anew(studio)
    await hand.tap("import")
    await hand.until("The tiles", lambda: app.screens.current == "import")
    yield Desk(studio, tablet, passing)
    if app.screens.current != "library":
        await hand.tap("back")
    app._picker = None
    await anew(studio)


def volume(path: Path, change: int) -> Path:
    np.save(path, phantom((6, 20, 30)) + change)
    return path


async def test_a_folder_is_imported_and_its_copies_are_deleted(desk: Desk, tmp_path: Path) -> None:
    hand, app = desk.studio.hand, desk.studio.app
    (tmp_path / "drive").mkdir()
    volume(tmp_path / "drive" / "new.npy", 3)
    desk.tablet.trees["content://tree"] = tmp_path / "drive"
    before = len(desk.studio.link._volumes)
    await desk.pick("folder", "content://tree")
    await hand.until("The import's end", lambda: app.screens.current == "library")
    assert len(desk.studio.link._volumes) == before + 1
    await hand.until("The end of the copies", lambda: desk.copies() == [])


async def test_of_several_files_one_is_chosen_and_the_copies_stay_until_then(desk: Desk, tmp_path: Path) -> None:
    hand, app = desk.studio.hand, desk.studio.app
    for number, name in enumerate(("a.npy", "b.npy")):
        address = f"content://{name}"
        desk.tablet.files[address], desk.tablet.names[address] = volume(tmp_path / name, number + 5), name
    await desk.pick("files", "content://a.npy", "content://b.npy")
    await hand.until("A choice", lambda: bool(app.importer.steps) and not app.importer.busy)
    assert sorted(desk.copies()) == ["a.npy", "b.npy"]
    await hand.tap("choice:b.npy")
    await hand.until("The import's end", lambda: app.screens.current == "library")
    await hand.until("The end of the copies", lambda: desk.copies() == [])


async def test_leaving_the_choice_deletes_the_copies_and_shows_the_tiles_again(desk: Desk, tmp_path: Path) -> None:
    hand, app = desk.studio.hand, desk.studio.app
    for number, name in enumerate(("a.npy", "b.npy")):
        address = f"content://{name}"
        desk.tablet.files[address], desk.tablet.names[address] = volume(tmp_path / name, number + 7), name
    await desk.pick("files", "content://a.npy", "content://b.npy")
    await hand.until("A choice", lambda: bool(app.importer.steps) and not app.importer.busy)
    await hand.tap("back")
    await hand.until("The end of the copies", lambda: desk.copies() == [])
    assert app.screens.current == "import"
    await desk.pick("files")  # goes back in the picker, too
    assert (app.importer.busy, app.importer.trouble) == (False, "")


async def test_what_cannot_be_read_is_told_and_can_be_tried_again(desk: Desk, tmp_path: Path) -> None:
    hand, importer = desk.studio.hand, desk.studio.app.importer
    desk.tablet.names["content://gone"] = "gone.nii"
    await desk.pick("files", "content://gone")
    await hand.until("The sentence", lambda: importer.trouble == "gone.nii cannot be read. Nothing was imported.")
    assert not importer.busy
    desk.tablet.files["content://gone"] = volume(tmp_path / "x.npy", 11)
    await desk.pick("files", "content://gone")
    await hand.until("The import's end", lambda: desk.studio.app.screens.current == "library")


async def test_copying_is_stopped_by_its_button(desk: Desk, tmp_path: Path) -> None:
    hand, importer = desk.studio.hand, desk.studio.app.importer
    reading, writing = os.pipe()
    desk.tablet.names["content://slow"], desk.tablet.files["content://slow"] = "slow.nii", lambda: reading
    await desk.pick("files", "content://slow")
    await hand.until("Copying", lambda: "0 of 1" in importer.doing)
    assert importer.ids.preview.shown
    await hand.tap("import_cancel")
    await hand.until("The end", lambda: not importer.busy)
    os.close(writing)
    await hand.until("The end of the copies", lambda: desk.copies() == [])
    assert (importer.trouble, desk.studio.app.screens.current) == ("", "import")


@pytest.mark.parametrize("size", [(1280, 800), (800, 1280)])
async def test_the_tiles_stand_in_the_window_and_replace_the_list(desk: Desk, size: tuple[int, int]) -> None:
    from kivy.core.window import Window
    from kivy.metrics import dp

    from tablet_client.hand import eyes
    from tablet_client.hand.touches import frame

    assert "import_path" not in eyes.names()
    assert "import_start" not in eyes.names()
    before = Window.size
    Window.size = size
    try:
        for _ in range(4):
            await frame()
        files, folder = eyes.find("pick_files"), eyes.find("pick_folder")
        assert abs(files.center_y - folder.center_y) < 1
        for tile in (files, folder):
            x, y = tile.to_window(*tile.pos)
            assert x >= 0
            assert y >= 0
            assert x + tile.width <= Window.width
            assert min(tile.size) >= dp(48)
            note = tile.children[0]
            assert note.texture_size[1] <= note.height
    finally:
        Window.size = before
        for _ in range(4):
            await frame()


async def export(desk: Desk) -> Any:
    """Open a volume, draw, and ask for the strokes as a file."""
    hand, app = desk.studio.hand, desk.studio.app
    await hand.back()
    await desk.studio.begin()
    await hand.stroke([10.0, 14.0], [9.0, 12.0])
    await hand.tap("more")
    await hand.until("The menu", lambda: app.viewer.menu.shown)
    await hand.tap("export")
    await hand.until("The export", lambda: app.screens.current == "export")
    await hand.tap("export_annotation")
    await hand.tap("export_start")
    await hand.until("The picker", lambda: bool(desk.tablet.asked))
    return app.exporter


async def test_an_export_goes_where_the_user_says(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tablet_client.hand import eyes
    from tablet_client.view import exporting

    monkeypatch.setattr(exporting, "passing_folder", lambda: desk.passing)
    exporter = await export(desk)
    assert "export_folder" not in eyes.names()
    (intent,) = desk.tablet.asked
    name = exporter.stem + exporter.ending
    assert intent.extras == {"android.intent.extra.TITLE": name}
    assert desk.copies() == [name]
    desk.tablet.files["content://new"] = tmp_path / "theirs"
    desk.tablet.answer("content://new")
    await desk.studio.hand.until("The viewer", lambda: desk.studio.app.screens.current == "viewer")
    assert desk.studio.app.toast.text == f"Exported to {name}"
    assert set(np.unique(np.load(tmp_path / "theirs")).tolist()) == {0, 1}
    assert desk.copies() == []
    await desk.studio.hand.back()


async def test_an_export_without_a_place_leaves_nothing(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    from tablet_client.view import exporting

    monkeypatch.setattr(exporting, "passing_folder", lambda: desk.passing)
    exporter = await export(desk)
    desk.tablet.answer(result=0)
    await desk.studio.hand.until("The sentence", lambda: exporter.trouble == "No place was chosen. Nothing was exported.")
    assert (desk.copies(), exporter.busy) == ([], False)
    await desk.studio.hand.tap("back")
    await desk.studio.hand.back()


async def test_the_certificate_is_chosen_by_the_picker_and_a_copy_kept(desk: Desk, tmp_path: Path) -> None:
    hand, app = desk.studio.hand, desk.studio.app
    await hand.tap("back")
    await hand.tap("settings")
    (tmp_path / "hospital.pem").write_bytes(b"a certificate")
    desk.tablet.files["content://pem"], desk.tablet.names["content://pem"] = tmp_path / "hospital.pem", "hospital.pem"
    await hand.tap("certificate_choose")
    await hand.until("The picker", lambda: bool(desk.tablet.asked))
    desk.tablet.answer("content://pem")
    field = app.settings.ids.certificate
    await hand.until("The certificate", lambda: field.text != "")
    kept = Path(field.text)
    assert kept.parent == app._folder
    assert [path.read_bytes() for path in app._folder.iterdir() if path == kept] == [b"a certificate"]
    assert desk.copies() == []
    assert not app.settings.ids.files.shown
    await hand.tap("certificate_choose")
    await hand.until("The picker", lambda: len(desk.tablet.asked) == 2)
    desk.tablet.answer("content://gone")
    refused = "This file cannot be read. Nothing was changed."
    await hand.until("The sentence", lambda: app.settings.trouble == refused)
    app.settings.trouble = ""
    desk.tablet.files["content://two"], desk.tablet.names["content://two"] = tmp_path / "hospital.pem", "two.pem"
    await hand.tap("certificate_choose")
    await hand.until("The picker", lambda: len(desk.tablet.asked) == 3)
    desk.tablet.answer("content://pem", "content://two")  # a folder of copies is no certificate
    await hand.until("The sentence", lambda: app.settings.trouble == refused)
    assert desk.copies() == []
    await hand.tap("settings_back")
