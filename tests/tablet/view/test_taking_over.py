"""Two tablets on one annotation, seen on the screen of the one that loses the pen."""

from __future__ import annotations

from typing import Any

import pytest
from calque.v1 import segmentation_pb2

from tests.tablet.view.test_app import both_labels

pytestmark = [pytest.mark.screen, pytest.mark.asyncio(loop_scope="session")]


def other_tablet(studio: Any) -> Any:
    """Another tablet takes over."""
    annotation = studio.app.viewer_control.work.annotation.annotation_id
    opening = segmentation_pb2.AnnotateOpen(annotation_id=annotation, session_id="other", take_over=True)
    return studio.link.annotate(opening)


async def draw_here(studio: Any) -> None:
    await studio.hand.tap("more")
    await studio.hand.until("The menu", lambda: studio.app.viewer.menu.shown)
    await studio.hand.tap("take_over")
    await studio.hand.until("Taking over", lambda: studio.app.viewer.bar.safety_text == "Saved on server")


async def test_another_tablets_annotation_can_be_looked_at_and_taken_over(studio: Any) -> None:
    control, bar = studio.app.viewer_control, studio.app.viewer.bar
    annotation = control.work.annotation.annotation_id
    opening = segmentation_pb2.AnnotateOpen(annotation_id=annotation, session_id="other", take_over=True)
    async with studio.link.annotate(opening):
        await studio.hand.until("The other tablet", lambda: bar.safety_text == "Another tablet draws")
        await studio.hand.stroke([10.0, 14.0], [9.0, 12.0])
        assert not studio.app.viewer.image.picture.labels.any()
        assert "Draw here" in studio.app.toast.text
        await studio.hand.tap("more")
        await studio.hand.until("The menu", lambda: studio.app.viewer.menu.shown)
        await studio.hand.tap("take_over")
        await studio.hand.until("Taking over", lambda: bar.safety_text == "Saved on server")
    await studio.hand.stroke([10.0, 14.0], [9.0, 12.0])
    assert studio.app.viewer.image.picture.labels.any()


async def test_one_who_loses_the_pen_in_the_middle_of_a_stroke_is_told_at_once_and_keeps_it(studio: Any) -> None:
    control, viewer, toast = studio.app.viewer_control, studio.app.viewer, studio.app.toast
    await both_labels(studio)
    annotation = control.work.annotation.annotation_id
    entries = len(studio.link.log_of(annotation))
    control.pen.down(20.0, 9.0)
    async with other_tablet(studio):
        await studio.hand.until("The other tablet", lambda: viewer.bar.safety_text == "Another tablet draws")
        assert "Draw here" in toast.text
        assert toast.kind == "warning"
        assert viewer.menu.reading
        control.pen.up(24.0, 12.0)
        await studio.hand.until("The stroke", lambda: viewer.bar.safety_text == "Another tablet draws, 1 stroke waits")
        assert viewer.image.picture.labels[12, 24] == 2
        assert len(studio.link.log_of(annotation)) == entries
        toast.clear()
        await studio.hand.tap("save")  # the stroke would be missing in it
        await studio.hand.until("The answer", lambda: not control.saving.busy)
        assert toast.text.startswith("Another tablet draws on this annotation now. Your strokes stay on this tablet")
        assert control.saving.last is None
        toast.clear()
        await draw_here(studio)
        assert not viewer.menu.reading
        assert toast.text == ""
    assert len(studio.link.log_of(annotation)) == entries + 1
    await studio.hand.until("Closing the menu", lambda: not viewer.menu.shown)
    await studio.hand.save()


async def test_one_who_only_looks_is_told_once(studio: Any) -> None:
    viewer, toast = studio.app.viewer, studio.app.toast
    await both_labels(studio)
    async with other_tablet(studio):
        await studio.hand.until("The sentence", lambda: "Draw here" in toast.text)
        toast.clear()
        await studio.hand.tap("undo")
        assert "Draw here" in toast.text
        toast.clear()
    studio.link.hang_up()  # the other one is gone; the next connection writes again
    await studio.hand.until("Writing", lambda: viewer.bar.safety_text == "Saved on server" and not viewer.menu.reading)
    assert toast.text == ""
