"""A reviewer accepts an annotation, which is locked then, or sends it back."""

from __future__ import annotations

from pathlib import Path

import pytest
from calque.v1 import segmentation_pb2 as pb

from services.core.audit import Action
from services.core.errors import ChoiceNeeded
from services.core.volume import Volume
from services.store.annotations import PAPER_LABELS, AnnotationRecord, Annotations, MaskRecord
from services.store.audit import Trail
from services.store.directory import DirectoryStore
from tests.served import Served, Tablet, begin, event, refused, serve, stroke

LOCKED = ("FAILED_PRECONDITION", "ANNOTATION_LOCKED", 0)
OBJECT, REST = stroke(1, 2, [10, 12], [10, 10], label=1), stroke(1, 2, [2, 20], [20, 20], label=2)


def saved(served: Served, annotation_id: str) -> MaskRecord:
    """A mask that somebody saved."""
    mask = MaskRecord(0, "0" * 64, 128, 1, 2, "paper", 0, "1", 1.0)
    return Annotations(served.store).publish_mask(annotation_id, mask)


async def review(served: Served, annotation_id: str, verdict: pb.Review, note: str = "") -> pb.Annotation:
    request = pb.ReviewAnnotationRequest(annotation_id=annotation_id, verdict=verdict, note=note)
    return (await served.segmentation.ReviewAnnotation(request)).annotation


async def test_an_accepted_annotation_is_locked_until_it_is_sent_back(served: Served, phantom: Volume) -> None:
    s, annotation_id = served.segmentation, await begin(served, phantom)
    missing = pb.ReviewAnnotationRequest(annotation_id=annotation_id, verdict=pb.REVIEW_ACCEPTED)
    assert await refused(s.ReviewAnnotation(missing)) == ("NOT_FOUND", "MASK_NOT_FOUND", 0)
    none = pb.ReviewAnnotationRequest(annotation_id=annotation_id)
    assert (await refused(s.ReviewAnnotation(none)))[0] == "INVALID_ARGUMENT"

    async with Tablet(s, annotation_id) as tablet:
        await tablet.draw(OBJECT)
        saved(served, annotation_id)
        saved(served, annotation_id)
        accepted = await review(served, annotation_id, pb.REVIEW_ACCEPTED)
        assert (accepted.review, accepted.reviewed_by, accepted.accepted_mask) == (pb.REVIEW_ACCEPTED, "local", 2)
        assert accepted.reviewed_ms > 0
        # Who draws is told, and what is on its way then is refused with a sentence.
        (told,) = await tablet.until(lambda t: t.all("writer"))
        assert (told.writer, told.locked) == (False, True)
        await tablet.put(REST)
        assert await tablet.end() == LOCKED
    for change in (
        s.RenameAnnotation(pb.RenameAnnotationRequest(annotation_id=annotation_id, name="x")),
        s.DeleteAnnotation(pb.DeleteAnnotationRequest(annotation_id=annotation_id)),
        s.SaveMask(pb.SaveMaskRequest(annotation_id=annotation_id, threshold=9)),
        s.UploadMask(iter([pb.UploadMaskRequest(annotation_id=annotation_id, name="m.nii", data=b"x")])),
    ):
        assert await refused(change) == LOCKED
    async with Tablet(s, annotation_id) as looking:
        (opened,) = looking.all("opened")
        assert (opened.writer, opened.annotation.review) == (False, pb.REVIEW_ACCEPTED)
        await looking.until(lambda t: t.all("logged"))
    with pytest.raises(AssertionError, match="accepted and is locked"):
        async with Tablet(s, annotation_id, take_over=True):
            pass

    back = await review(served, annotation_id, pb.REVIEW_SENT_BACK)
    assert (back.review, back.accepted_mask) == (pb.REVIEW_SENT_BACK, 0)
    async with Tablet(s, annotation_id) as again:
        assert again.all("opened")[0].writer
        await again.draw(REST)
    done = [one.event for one in Trail(served.store).records()]
    assert {(one.action, one.subject.mask) for one in done} >= {
        (Action.ANNOTATION_ACCEPT, 2),
        (Action.ANNOTATION_SEND_BACK, 0),
    }


async def test_what_is_handed_in_may_be_sent_back_with_a_note(served: Served, phantom: Volume) -> None:
    s, annotation_id = served.segmentation, await begin(served, phantom)
    hand_in = pb.SubmitAnnotationRequest(annotation_id=annotation_id)
    assert await refused(s.SubmitAnnotation(hand_in)) == ("NOT_FOUND", "MASK_NOT_FOUND", 0)
    saved(served, annotation_id)
    waits = (await s.SubmitAnnotation(hand_in)).annotation
    assert (waits.review, waits.reviewed_by, waits.review_note) == (pb.REVIEW_SUBMITTED, "local", "")
    for note in ("x" * 201, "two\nlines"):
        wrong = pb.ReviewAnnotationRequest(annotation_id=annotation_id, verdict=pb.REVIEW_SENT_BACK, note=note)
        assert (await refused(s.ReviewAnnotation(wrong)))[0] == "INVALID_ARGUMENT"
    back = await review(served, annotation_id, pb.REVIEW_SENT_BACK, note=" The cord is missing. ")
    assert (back.review, back.review_note) == (pb.REVIEW_SENT_BACK, "The cord is missing.")
    (listed,) = (await s.ListAnnotations(pb.ListAnnotationsRequest(volume_id=back.volume_id))).annotations
    assert listed.review_note == "The cord is missing."
    assert (await s.SubmitAnnotation(hand_in)).annotation.review_note == ""

    async with Tablet(s, annotation_id) as tablet:
        await tablet.draw(OBJECT)  # while it waits
        await review(served, annotation_id, pb.REVIEW_ACCEPTED)
        assert await refused(s.SubmitAnnotation(hand_in)) == LOCKED
        # Who has it open learns that it may be opened again.
        await review(served, annotation_id, pb.REVIEW_SENT_BACK)
        told = await tablet.until(lambda t: len(t.all("writer")) == 2 and t.all("writer"))
        assert [(one.writer, one.locked) for one in told] == [(False, True), (False, False)]
    (event,) = [one.event for one in Trail(served.store).records()][1:2]
    assert (event.action, event.subject.mask) == (Action.ANNOTATION_SUBMIT, 1)


async def test_another_servers_tablet_is_fenced_off(served: Served, phantom: Volume, tmp_path: Path) -> None:
    """Two servers on one store: what the one accepts, nobody draws on at the other."""
    annotation_id = await begin(served, phantom)
    saved(served, annotation_id)
    async with (
        serve(tmp_path / "other", store=DirectoryStore(served.store.root)) as other,
        Tablet(other.segmentation, annotation_id) as tablet,
    ):
        await tablet.draw(OBJECT)
        await review(served, annotation_id, pb.REVIEW_ACCEPTED)
        await tablet.send(event=event(2, REST))
        assert (await tablet.end())[0] == "ABORTED"
        async with Tablet(other.segmentation, annotation_id, tablet.session_id) as again:
            assert not again.all("opened")[0].writer
            await again.put(REST)
            assert await again.end() == LOCKED


def test_a_name_that_is_given_at_the_same_time_does_not_unlock(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    annotations, others = Annotations(served.store), Annotations(served.store)
    made = annotations.create("a" * 32, name="x", labels=PAPER_LABELS, created_ms=1)
    put = annotations._put_head

    def accepted_first(record: AnnotationRecord, number: int) -> bool:
        others.accept(made.annotation_id, 1, by="rev", now_ms=2)
        return put(record, number)

    monkeypatch.setattr(annotations, "_put_head", accepted_first)
    with pytest.raises(ChoiceNeeded, match="locked"):
        annotations.rename(made.annotation_id, name="y", labels=PAPER_LABELS)
    now = others.get(made.annotation_id)
    assert (now.name, now.review) == ("x", "accepted")
