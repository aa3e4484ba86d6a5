"""Export on the real application: what can be chosen, where the file lies, and what is said when there is none."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from calque.v1 import common_pb2

from tablet_client.state.exporting import Habits, read_habits
from tests.tablet.view.test_app import both_labels

pytestmark = [pytest.mark.screen, pytest.mark.asyncio(loop_scope="session")]


async def saved(studio: Any) -> None:
    await both_labels(studio)
    await studio.hand.save()


async def choose(studio: Any) -> Any:
    """Open the export screen."""
    await studio.hand.tap("more")
    await studio.hand.until("The menu", lambda: studio.app.viewer.menu.shown)
    await studio.hand.tap("export")
    await studio.hand.until("The export", lambda: studio.app.screens.current == "export")
    return studio.app.exporter


def values(path: Path) -> set[int]:
    """The values in a file."""
    return set(np.unique(np.load(io.BytesIO(path.read_bytes()))).tolist())


async def leave(studio: Any) -> None:
    await studio.hand.tap("back")
    await studio.hand.until("The viewer", lambda: studio.app.screens.current == "viewer")


async def test_a_mask_lies_under_the_name_that_was_shown_and_is_told_with_its_path(studio: Any, tmp_path: Path) -> None:
    await saved(studio)
    exporter = await choose(studio)
    assert (exporter.content, exporter.format, exporter.ending) == ("mask-1", "nifti", ".nii.gz")
    assert exporter.stem.startswith("Phantom-Annotation-mask-1-2026")
    stem = exporter.stem
    await leave(studio)
    path = Path(await studio.hand.export("mask", "nifti", str(tmp_path / "out")))
    assert path == tmp_path / "out" / f"{stem}.nii.gz"
    assert studio.app.toast.text == f"Exported to {path}"
    assert studio.app.screens.current == "viewer"
    assert values(path) == {0, 255}
    assert read_habits(studio.app._folder) == Habits(str(tmp_path / "out"), "nifti")


async def test_strokes_and_probability_need_no_saved_mask(studio: Any, tmp_path: Path) -> None:
    from tablet_client.hand import eyes

    await both_labels(studio)
    assert (await choose(studio)).content == "annotation"
    assert eyes.find("export_mask").disabled
    await leave(studio)
    strokes = Path(await studio.hand.export("annotation", "tiff", str(tmp_path), "my strokes"))
    assert strokes == tmp_path / "my_strokes.tif"
    assert values(strokes) == {0, 1, 2}
    again = Path(await studio.hand.export("annotation", "tiff", str(tmp_path), "my strokes"))
    assert again.name == "my_strokes (2).tif"
    assert Path(await studio.hand.export("probability", "zip", str(tmp_path))).suffix == ".zip"


async def test_a_format_that_cannot_be_says_why(studio: Any, monkeypatch: Any) -> None:
    from tablet_client.hand import eyes

    volume = studio.link._volumes[studio.app.viewer_control.work.volume.volume_id][0]
    volume.dicom_seg_refusal.reason = common_pb2.NO_SOURCE_SERIES
    try:
        await studio.hand.back()
        await studio.hand.open("Phantom")
        exporter = await choose(studio)
        row = eyes.find("export_dicom_seg")
        assert row.disabled
        assert row.note == "not possible: its slices are not images of a DICOM series"
        await studio.hand._touches.tap(eyes.middle(row))
        assert exporter.format != "dicom_seg"
        await leave(studio)
    finally:
        volume.ClearField("dicom_seg_refusal")
    await studio.hand.back()
    await studio.hand.open("Phantom")
    await choose(studio)
    assert not eyes.find("export_dicom_seg").disabled
    await leave(studio)


async def test_an_export_shows_how_far_it_is_can_be_left_and_stopped(studio: Any, tmp_path: Path, monkeypatch: Any) -> None:
    await saved(studio)
    monkeypatch.setattr(studio.link, "hold_exports", True)
    exporter = await choose(studio)
    exporter.go(str(tmp_path))
    await studio.hand.tap("export_start")
    await studio.hand.until("Half of it", lambda: 0.4 < exporter.progress < 0.6)
    assert exporter.doing == "Receiving 7 of 15 kB"
    await leave(studio)
    await studio.hand.stroke([12.0, 14.0], [20.0, 22.0])  # all else goes on
    assert studio.app.viewer.image.picture.labels[20, 12] != 0
    await choose(studio)
    assert exporter.busy
    await studio.hand.tap("export_cancel")
    await studio.hand.until("The end", lambda: not exporter.busy)
    assert exporter.trouble == "Stopped. Nothing was exported."
    assert os.listdir(tmp_path) == []
    await leave(studio)


async def test_what_goes_wrong_is_a_sentence_and_leaves_nothing(studio: Any, tmp_path: Path) -> None:
    from tablet_client.hand.eyes import NotThere

    await saved(studio)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(NotThere, match="Nothing can be written to this folder"):
        await studio.hand.export("mask", "nifti", str(tmp_path / "file" / "folder"))
    studio.link.online = False
    await studio.hand.tap("export_start")
    exporter = studio.app.exporter
    await studio.hand.until("The sentence", lambda: not exporter.busy and bool(exporter.trouble))
    assert exporter.trouble == "The server does not answer. Nothing was exported: try again later."
    studio.link.online = True
    await leave(studio)
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("size", [(1280, 800), (800, 1280), (1024, 600)])
async def test_what_is_there_to_press_is_on_the_screen(studio: Any, size: tuple[int, int], tmp_path: Path) -> None:
    from kivy.core.window import Window

    from tablet_client.hand import eyes
    from tests.tablet.conftest import SIZE

    exporter = await choose(studio)
    Window.size = size
    try:
        await studio.hand.until("The size", lambda: tuple(exporter.size) == size)
        await studio.hand.picture(str(tmp_path / "export.png"))
        for name in ("export_annotation", "export_probability", "export_nifti", "export_start", "export_name", "export_up"):
            widget = eyes.find(name)
            assert min(widget.width, widget.height) >= 48 or name == "export_name", name
            eyes.middle(widget)  # raises where it is outside
    finally:
        Window.size = SIZE
        await studio.hand.until("The size", lambda: tuple(exporter.size) == SIZE)
        await leave(studio)
