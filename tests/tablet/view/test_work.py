"""What an open annotation keeps, refuses and begins with, on the real application."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from calque import wire
from calque.v1 import segmentation_pb2

from tablet_client.link.port import Step
from tablet_client.state import path
from tablet_client.state.journal import JournalError
from tests.tablet.view.test_app import both_labels

pytestmark = [pytest.mark.screen, pytest.mark.asyncio(loop_scope="session")]


def bodies(studio: Any) -> list[segmentation_pb2.EventBody]:
    """The events in the log, without the entries that say that a session began."""
    annotation = studio.app.viewer_control.work.annotation.annotation_id
    return [segmentation_pb2.EventBody.FromString(body) for _, _, body in studio.link.log_of(annotation) if body]


async def test_a_line_with_too_many_points_goes_on_as_the_next_stroke(studio: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(path, "MOST_POINTS", 4)
    x = [float(column) for column in range(5, 15)]
    await studio.hand.stroke(x, [9.0] * len(x))
    await studio.hand.until("The answer", lambda: not studio.app.viewer_control.work.document.waiting)
    strokes = [body.stroke for body in bodies(studio)]
    assert len(strokes) == 3
    assert all(len(stroke.x) <= 4 for stroke in strokes)
    for before, after in pairwise(strokes):
        assert after.x[0] == before.x[-1]  # without a gap
    labels = studio.app.viewer.image.picture.labels
    assert (labels[9, 5:15] == 1).all()


async def test_a_full_tablet_stops_the_pen_visibly_until_there_is_room(studio: Any, monkeypatch: Any) -> None:
    control, bar = studio.app.viewer_control, studio.app.viewer.bar
    real, full = control.work.journal.append, True

    def append(event: Any) -> None:
        if full:
            raise JournalError("The tablet's disk is full.")
        real(event)

    monkeypatch.setattr(control.work.journal, "append", append)
    await studio.hand.stroke([10.0, 14.0], [9.0, 12.0])
    await studio.hand.until("The sign", lambda: bar.safety == "full")
    assert bar.safety_text == "Not saved: this tablet is full"
    ink = studio.app.viewer.image.picture.labels.copy()
    studio.app.toast.clear()
    await studio.hand.stroke([20.0, 24.0], [19.0, 22.0])
    assert (studio.app.viewer.image.picture.labels == ink).all()
    assert "no room left" in studio.app.toast.text
    assert bodies(studio) == []
    full = False
    assert control.work.keeper.flush()
    await studio.hand.until("The answer", lambda: bar.safety == "saved")
    assert len(bodies(studio)) == 1


async def test_closing_keeps_the_last_stroke_in_the_journal(studio: Any, monkeypatch: Any) -> None:
    control = studio.app.viewer_control
    work = control.work
    written: list[int] = []
    real = work.journal.append
    monkeypatch.setattr(work.journal, "append", lambda event: (real(event), written.append(event.sequence)))
    document = work.document
    document.begin_stroke(*control.pen.place, 1, 2.0, 10.0, 9.0)
    work.keeper.submit(document.finish())
    await control.close()
    assert written == [1]
    await studio.hand.back()


async def test_nothing_is_drawn_where_no_image_is(studio: Any) -> None:
    work, image = studio.app.viewer_control.work, studio.app.viewer.image
    place = image.screen_of(10.0, 9.0)
    work.greys.clear()
    await studio.hand._touches.draw([place, image.screen_of(14.0, 12.0)])
    assert not image.picture.labels.any()
    assert studio.app.toast.text == "This slice is not here yet: strokes need an image under them."
    assert not work.document.can_undo


async def test_an_annotation_opens_with_the_object_pen_and_its_masks_threshold(studio: Any) -> None:
    viewer, control = studio.app.viewer, studio.app.viewer_control
    first = control.work.annotation.annotation_id
    await both_labels(studio)
    await studio.hand.threshold(90)
    await studio.hand.save()
    await studio.hand.tap("tool_eraser")
    await studio.hand.new_annotation("Another")
    assert (viewer.rail.tool, int(viewer.side.threshold)) == ("object", 128)
    await studio.hand.tap("more")
    await studio.hand.until("The menu", lambda: viewer.menu.shown)
    await studio.hand.tap(f"annotation:{first}")
    await studio.hand.until("The threshold", lambda: int(viewer.side.threshold) == 90)


async def test_the_switch_shape_tells_the_server_and_stays_for_the_next_annotation(studio: Any) -> None:
    side, told = studio.app.viewer.side, studio.link.settings
    calque, paper = (segmentation_pb2.PRESET_CALQUE, True), (segmentation_pb2.PRESET_PAPER, True)

    async def hear(expected: tuple[int, bool], number: int) -> None:
        await studio.hand.until("The settings", lambda: len(told) >= number)
        assert [(one.preset, one.live) for one in told[number - 1 :]] == [expected]

    assert side.shape
    await both_labels(studio)
    assert (told[-1].preset, told[-1].live) == calque
    told.clear()
    await studio.hand.tap("shape")
    await hear(paper, 1)
    assert not side.shape
    await studio.hand.new_annotation("Another")
    await hear(paper, 2)
    assert not side.shape
    await studio.hand.tap("live")
    await hear((segmentation_pb2.PRESET_PAPER, False), 3)
    await studio.hand.tap("live")
    await hear(paper, 4)
    studio.link.hang_up()
    await hear(paper, 5)
    await studio.hand.shape(True)
    await hear(calque, 6)
    assert side.shape


async def test_the_draft_of_a_mask_is_shown_until_the_mask_comes_and_never_after_it(studio: Any) -> None:
    from tablet_client.view import sentences

    work, showing = studio.app.viewer_control.work, studio.app.viewer_control.showing
    picture, side = studio.app.viewer.image.picture, studio.app.viewer.side
    await both_labels(studio)
    await studio.hand.see_volume()
    info = work.volume.planes[showing.plane]
    first = work.probabilities.generation(showing.plane, showing.index)
    entries = work.document.have_entries

    def send(generation: int, level: int, complete: bool) -> None:
        levels = wire.pack(np.full(info.shape, level, np.uint8), wire.LEVEL)
        counts = [0] * 256
        counts[level] = 1000 * generation
        for message in (
            segmentation_pb2.Probability(
                plane=showing.plane.value,
                slice=showing.index,
                generation=generation,
                log_length=entries,
                levels=levels,
            ),
            segmentation_pb2.Histogram(generation=generation, counts=counts, complete=complete),
        ):
            what = "probability" if isinstance(message, segmentation_pb2.Probability) else "histogram"
            studio.link.send(work.annotation.annotation_id, segmentation_pb2.AnnotateResponse(**{what: message}))

    draft, final = first + 1, first + 2
    send(draft, 150, False)
    await studio.hand.until("The draft", lambda: (picture.levels == 150).all())
    assert side.volume_note == "computing …"
    send(final, 200, True)
    await studio.hand.until("The mask", lambda: (picture.levels == 200).all())
    volume = sentences.millilitres(1000 * final * work.volume.voxel_ml)
    await studio.hand.until("The volume", lambda: (side.volume_text, side.volume_note) == (volume, "volume"))
    send(draft, 150, True)
    send(final, 201, True)  # tells that the one before was heard
    await studio.hand.until("What comes after", lambda: not (picture.levels == 200).all())
    assert (picture.levels == 201).all()
    assert side.volume_text == volume
    await studio.hand.see_volume()


async def test_progress_of_many_small_files_does_not_cost_a_frame_each(studio: Any, monkeypatch: Any) -> None:
    from tablet_client.view import librarycontrol

    importer, control = studio.app.importer, studio.app.library_control
    shown: list[float] = []
    importer.bind(progress=lambda _, part: shown.append(part))
    now = 100.0
    monkeypatch.setattr(librarycontrol.time, "monotonic", lambda: now)
    control._told = (0.0, "")
    for number in range(1000):
        now += 0.001
        control._watch(Step("upload", number, 1000))
    control._watch(Step("import", 1, 2))
    assert 4 <= len(shown) <= 7
    assert shown[-1] == pytest.approx(0.8)  # what is done changed: that is shown at once
    importer.progress = 0.0


async def test_an_annotation_is_opened_again_only_when_it_was_left(studio: Any, monkeypatch: Any) -> None:
    """Two journals on one file would lose what the other wrote."""
    control, work = studio.app.viewer_control, studio.app.viewer_control.work
    volume, may_end, end = studio.link._volumes[work.volume.volume_id][0], asyncio.Event(), work.end

    async def slowly() -> None:
        await may_end.wait()
        await end()

    monkeypatch.setattr(work, "end", slowly)
    leaving = asyncio.create_task(control.close())
    opening = asyncio.create_task(control.open(volume, work.annotation.annotation_id))
    for _ in range(20):
        await asyncio.sleep(0)
    assert (control.work, leaving.done(), opening.done()) == (None, False, False)
    may_end.set()
    await leaving
    assert await opening
    assert control.work.journal.path == work.journal.path
