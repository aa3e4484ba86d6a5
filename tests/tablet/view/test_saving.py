"""A mask, or a file of strokes, is made with every stroke or not at all, also where its volume is left meanwhile."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.tablet.view.test_app import both_labels

pytestmark = [pytest.mark.screen, pytest.mark.asyncio(loop_scope="session")]


async def a_stroke_that_waits(studio: Any) -> str:
    """Draw what the server has, and a stroke that is on its way. Returns: the annotation's identifier."""
    await both_labels(studio)
    studio.link.flows.clear()
    await studio.hand.stroke([20.0, 24.0], [9.0, 12.0])
    work = studio.app.viewer_control.work
    await studio.hand.until("The journal", lambda: work.document.saved_on_tablet == 1)
    return str(work.annotation.annotation_id)


async def test_a_volume_that_is_left_is_not_saved_without_its_last_stroke(studio: Any) -> None:
    saving = studio.app.viewer_control.saving
    try:
        annotation = await a_stroke_that_waits(studio)
        await studio.hand.tap("save")
        assert saving.busy
        await studio.hand.back()
        await studio.hand.until("The answer", lambda: not saving.busy)
    finally:
        studio.link.flows.set()
    assert studio.app.toast.text == "There is no connection: the mask can be saved when the server answers again."
    assert studio.link._annotations[annotation].masks == []
    await studio.hand.open("Phantom")
    assert studio.app.viewer_control.work.annotation.annotation_id == annotation
    await studio.hand.save()
    assert [mask.number for mask in studio.link._annotations[annotation].masks] == [1]


async def test_nor_are_its_strokes_exported(studio: Any, tmp_path: Path) -> None:
    app, hand = studio.app, studio.hand
    try:
        await a_stroke_that_waits(studio)
        await hand.tap("more")
        await hand.until("The menu", lambda: app.viewer.menu.shown)
        await hand.tap("export")
        await hand.until("The export", lambda: app.screens.current == "export")
        app.exporter.go(str(tmp_path))
        await hand.tap("export_annotation")
        await hand.tap("export_start")
        assert app.exporter.busy
        await hand.tap("back")
        await hand.back()
        await hand.until("The end", lambda: not app.exporter.busy)
    finally:
        studio.link.flows.set()
    assert app.exporter.trouble == "The server does not answer. Nothing was exported: try again later."
    assert os.listdir(tmp_path) == []
