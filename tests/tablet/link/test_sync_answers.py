"""The keeper of a session and what the server computes, or does not answer."""

from __future__ import annotations

import numpy as np
import pytest
from calque import wire
from calque.v1 import segmentation_pb2

from tablet_client.link import sync
from tablet_client.link.listener import Connection
from tablet_client.state.geometry import Plane
from tablet_client.state.journal import Journal
from tests.tablet.link.test_sync import MESSAGE, VOXELS, Tablet, logged, server


async def test_drawing_goes_on_while_a_long_log_comes(tmp_path):
    link, annotation_id = await server()
    async with Tablet(link, annotation_id, tmp_path / "one") as one:
        for k in range(9):
            one.draw(x=k)
        await one.settled()
    held = []

    def fault(way: str, message: object) -> bool:
        if way == "out" and message.HasField("logged"):
            held.append(message)
            message.Clear()  # late: the entries are not there yet when the first stroke is drawn
        return False

    link.fault = fault
    async with Tablet(link, annotation_id, tmp_path / "two") as two:
        event = two.draw(label=2, x=0)
        await two.settled()
        assert two.document.have_entries == 0
    assert logged(link, annotation_id)[-1] == event.body


async def test_who_would_draw_on_an_accepted_annotation_is_told_and_may_look(tmp_path):
    link, annotation_id = await server()
    (message,) = await link.list_annotations(MESSAGE.volume_id)
    message.review = segmentation_pb2.REVIEW_ACCEPTED
    async with Tablet(link, annotation_id, tmp_path) as tablet:
        await tablet.until(lambda: tablet.connection is Connection.OTHER_WRITER)
        tablet.draw(x=1)
        tablet.keeper.take_over()
        await tablet.until(lambda: any(s.connection is Connection.REFUSED for s in tablet.ear.statuses))
        (refused,) = (s.error for s in tablet.ear.statuses if s.connection is Connection.REFUSED)
        assert (refused.reason, refused.message) == ("ANNOTATION_LOCKED", "It was accepted.")
        await tablet.until(lambda: tablet.connection is Connection.OTHER_WRITER)
    assert logged(link, annotation_id) == []


async def test_a_deleted_annotation_is_not_asked_for_again_and_the_journal_is_kept(tmp_path):
    link, annotation_id = await server()
    await link.delete_annotation(annotation_id)
    async with Tablet(link, annotation_id, tmp_path) as tablet:
        tablet.draw(x=1)
        await tablet.until(lambda: tablet.connection is Connection.REFUSED and tablet.keeper.status.saved_on_tablet)
        assert tablet.keeper.status.error is not None
        assert tablet.keeper.status.error.reason == "ANNOTATION_NOT_FOUND"
        assert tablet.pauses.asked == []
    assert len(Journal(tmp_path, annotation_id).waiting) == 1


async def test_a_server_that_does_not_answer_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(sync, "OPEN_S", 0.0)
    link, annotation_id = await server()
    link.fault = None
    monkeypatch.setattr("tablet_client.link.fake_session.FakeSession.open", lambda self: None)
    async with Tablet(link, annotation_id, tmp_path, hold=True) as tablet:
        await tablet.until(lambda: tablet.connection is Connection.OFFLINE)
        assert tablet.keeper.status.error is not None
        assert tablet.keeper.status.error.reason == "SERVICE_UNAVAILABLE"


async def test_the_probability_of_the_slice_in_view_comes_after_each_stroke(tmp_path):
    link, annotation_id = await server()
    async with Tablet(link, annotation_id, tmp_path) as tablet:
        tablet.keeper.configure(live=True)
        tablet.keeper.look_at(Plane.CORONAL, 4)
        tablet.draw(label=1, x=4)
        tablet.draw(label=2, x=0)
        await tablet.until(lambda: tablet.ear.slices and tablet.ear.complete)
        assert tablet.ear.slices[0] == (Plane.CORONAL, 4)
        levels = tablet.probabilities.get(Plane.CORONAL, 4)
        assert levels is not None
        np.testing.assert_array_equal(levels >= 128, np.tile((np.arange(10) >= 3) & (np.arange(10) < 7), (3, 1)))
        inside = int((VOXELS == 900).sum())
        assert tablet.probabilities.object_ml(128, MESSAGE.voxel_ml) == pytest.approx(inside * MESSAGE.voxel_ml)
        assert tablet.ear.progresses[-1] == (3, 3)


async def test_view_and_settings_are_told_again_after_a_reconnection(tmp_path):
    link, annotation_id = await server()
    async with Tablet(link, annotation_id, tmp_path) as tablet:
        tablet.keeper.configure(live=True)
        tablet.keeper.look_at(Plane.AXIAL, 1)
        await tablet.settled()
        link.hang_up()
        await tablet.until(lambda: tablet.pauses.asked)
        await tablet.settled()
        tablet.draw(label=1, x=4)
        tablet.draw(label=2, x=0)
        await tablet.until(lambda: tablet.ear.slices)


async def test_the_preset_is_told_whenever_the_server_may_not_know_it(tmp_path):
    link, annotation_id = await server()
    told = []

    def fault(way: str, message: object) -> bool:
        if way == "in" and isinstance(message, segmentation_pb2.AnnotateSettings):
            told.append((message.preset, message.live))
        return False

    link.fault = fault
    calque, paper = (segmentation_pb2.PRESET_CALQUE, False), (segmentation_pb2.PRESET_PAPER, False)
    async with Tablet(link, annotation_id, tmp_path) as tablet:
        tablet.keeper.configure(live=False, preset=segmentation_pb2.PRESET_CALQUE)
        tablet.draw()
        await tablet.settled()
        assert told == [calque]
        tablet.keeper.configure(live=False, preset=segmentation_pb2.PRESET_PAPER)
        tablet.draw(x=6)
        await tablet.settled()
        assert told == [calque, paper]
        link.hang_up()
        await tablet.until(lambda: tablet.pauses.asked)
        tablet.draw(x=5)
        await tablet.settled()
        assert told == [calque, paper, paper]
        for writer in (False, True):  # the server hears no settings from one who only looks
            change = segmentation_pb2.WriterChanged(writer=writer)
            link.send(annotation_id, segmentation_pb2.AnnotateResponse(writer=change))
        await tablet.until(lambda: any(s.connection is Connection.OTHER_WRITER for s in tablet.ear.statuses))
        tablet.draw(x=4)
        await tablet.settled()
        assert told == [calque, paper, paper, paper]


async def test_a_draft_that_comes_late_does_not_replace_the_mask(tmp_path):
    link, annotation_id = await server()
    rows, columns = VOXELS.shape[1:]

    def answer(generation: int, level: int) -> None:
        levels = wire.pack(np.full((rows, columns), level, np.uint8), wire.LEVEL)
        message = segmentation_pb2.Probability(plane=1, slice=1, generation=generation, log_length=2, levels=levels)
        link.send(annotation_id, segmentation_pb2.AnnotateResponse(probability=message))

    async with Tablet(link, annotation_id, tmp_path) as tablet:
        await tablet.settled()
        for generation, level in ((1, 100), (2, 200), (1, 100)):
            answer(generation, level)
        link.send(annotation_id, segmentation_pb2.AnnotateResponse(progress=segmentation_pb2.Progress(done=3, total=3)))
        await tablet.until(lambda: tablet.ear.progresses)
        assert tablet.ear.slices == [(Plane.AXIAL, 1)] * 2  # the draft and what replaces it, and no more
        assert tablet.probabilities.generation(Plane.AXIAL, 1) == 2
        assert (tablet.probabilities.get(Plane.AXIAL, 1) == 200).all()


async def test_segmenting_waits_for_the_strokes_drawn_before_it(tmp_path):
    link, annotation_id = await server()
    link.online = False
    async with Tablet(link, annotation_id, tmp_path, hold=True) as tablet:
        tablet.keeper.look_at(Plane.AXIAL, 1)
        tablet.draw(label=1, x=4)
        tablet.draw(label=2, x=0)
        tablet.keeper.segment()
        await tablet.until(lambda: tablet.connection is Connection.OFFLINE)
        link.online = True
        tablet.keeper.retry_now()
        await tablet.until(lambda: tablet.ear.slices)
        assert tablet.ear.failures == []


async def test_segmenting_too_early_is_said(tmp_path):
    link, annotation_id = await server()
    async with Tablet(link, annotation_id, tmp_path) as tablet:
        tablet.draw(label=1)
        tablet.keeper.segment()
        await tablet.until(lambda: tablet.ear.failures)
        assert tablet.ear.failures == ["NOT_SEGMENTED"]


async def test_a_damaged_probability_is_dropped(tmp_path):
    link, annotation_id = await server()
    async with Tablet(link, annotation_id, tmp_path) as tablet:
        await tablet.settled()
        for message in (
            segmentation_pb2.Probability(plane=1, slice=99, generation=1, levels=b""),
            segmentation_pb2.Probability(plane=0, slice=0, generation=1, levels=b""),
            segmentation_pb2.Probability(plane=1, slice=0, generation=1, levels=b"not zlib"),
        ):
            link.send(annotation_id, segmentation_pb2.AnnotateResponse(probability=message))
        await tablet.until(lambda: tablet.ear.failures)
        assert tablet.ear.slices == []
        assert tablet.connection is Connection.CONNECTED


async def test_only_what_the_user_set_is_sent_of_the_switches(tmp_path):
    link, annotation_id = await server()
    told = []

    def fault(way: str, message: object) -> bool:
        if way == "in" and isinstance(message, segmentation_pb2.AnnotateSettings):
            told.append({field.name: value for field, value in message.ListFields()})
        return False

    link.fault = fault
    async with Tablet(link, annotation_id, tmp_path) as tablet:
        for number, switches in enumerate(({}, {"connected": False}, {"connected": True, "fill_holes": False}), 1):
            tablet.keeper.configure(live=True, **switches)
            tablet.draw(x=number)
            await tablet.settled()
            assert told[-1] == {"live": True, **switches}
            assert len(told) == number


async def test_advice_comes_after_the_volume_with_the_threshold_of_its_generation(tmp_path):
    link, annotation_id = await server()
    link.threshold = 77
    async with Tablet(link, annotation_id, tmp_path) as tablet:
        tablet.keeper.configure(live=True)
        tablet.keeper.look_at(Plane.AXIAL, 1)
        tablet.draw(label=1, x=4)
        tablet.draw(label=2, x=0)
        await tablet.until(lambda: tablet.ear.advices)
        (advice,) = tablet.ear.advices
        assert (advice.generation, tablet.document.have_entries) == tablet.probabilities.newest
        assert tablet.probabilities.suggested == 77
        assert advice.enough  # two greys, and a stroke on each: nothing is in doubt
        tablet.draw(label=2, x=5)  # now both labels lie on both greys
        tablet.draw(label=1, x=1)
        await tablet.until(lambda: len(tablet.ear.advices) == 3)
        doubted = tablet.ear.advices[2]
        assert [place.slice for place in doubted.places] == [0, 2]  # on 1 are the strokes
        assert not doubted.enough
