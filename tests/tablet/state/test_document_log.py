"""The open annotation and the server's log: acknowledgements, other tablets, refusals."""

from __future__ import annotations

import pytest
from calque.v1 import segmentation_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

from tablet_client.state.geometry import Plane
from tests.tablet.state.phantom import AFFINES
from tests.tablet.state.test_document import PATHS, act, assert_shows, naive_labels, new, stroke


def entry(position: int, session: str, sequence: int, body: bytes) -> segmentation_pb2.LoggedEvent:
    return segmentation_pb2.LoggedEvent(position=position, session_id=session, sequence=sequence, body=body)


def test_counts_follow_an_event_from_the_pen_to_the_server():
    document = new()
    event = stroke(document)
    assert (document.waiting, document.saved_on_tablet, document.to_send(1), document.first_waiting) == (1, 0, [], 1)
    document.saved(event.sequence)
    assert (document.waiting, document.saved_on_tablet, document.to_send(1)) == (1, 1, [event])
    assert document.to_send(2) == []
    assert not document.acknowledged(1, 1)
    assert (document.waiting, document.saved_on_tablet, document.to_send(1)) == (0, 0, [])
    assert (document.have_entries, document.first_waiting) == (1, 2)
    assert document.labels() == {1}


def test_an_event_is_sent_only_after_the_ones_before_it_are_saved():
    document = new()
    first, second = stroke(document), stroke(document)
    document.saved(second.sequence)
    assert document.to_send(1) == []
    document.saved(first.sequence)
    assert document.to_send(1) == [first, second]


def test_what_waits_comes_after_what_others_drew():
    other = new(session="other")
    document = new()
    mine = stroke(document, label=1)
    theirs = stroke(other, label=2)
    assert document.logged(entry(1, "other", 1, theirs.body))
    assert document.label_image(Plane.AXIAL, 2)[6, 5] == 1
    assert document.logged(entry(2, "other", 2, other.clear().body))
    assert document.label_image(Plane.AXIAL, 2)[6, 5] == 1
    assert not document.acknowledged(mine.sequence, 3)
    assert (document.have_entries, document.waiting) == (3, 0)


def test_others_strokes_come_under_the_running_one():
    document = new()
    document.begin_stroke(Plane.AXIAL, 2, 1, 2.0, 4, 6)
    theirs = stroke(new(session="other"), label=2)
    document.logged(entry(1, "other", 1, theirs.body))
    image = document.label_image(Plane.AXIAL, 2)
    assert image[6, 4] == 1
    assert image[6, 7] == 2
    document.cancel()
    assert document.label_image(Plane.AXIAL, 2)[6, 4] == 2


def test_undo_takes_back_the_last_action_of_the_whole_annotation():
    document = new()
    document.logged(entry(1, "other", 1, stroke(new(session="other"), label=2).body))
    document.undo()
    assert document.labels() == frozenset()


def test_entries_that_come_too_early_wait():
    document = new()
    event = stroke(document)
    document.saved(1)
    assert not document.acknowledged(1, 3)  # 1 and 2 have not come yet
    assert (document.waiting, document.have_entries) == (0, 0)
    theirs = new(session="other")
    document.logged(entry(2, "other", 1, stroke(theirs, label=2).body))
    assert document.have_entries == 0
    document.logged(entry(1, "other", 0, b""))
    assert document.have_entries == 3
    assert document.label_image(Plane.AXIAL, 2)[6, 5] == 1
    assert event.sequence not in [e.sequence for e in document.to_send(1)]


def test_duplicates_change_nothing():
    document = new()
    event = stroke(document)
    document.acknowledged(1, 1)
    version = document.version
    assert not document.acknowledged(1, 1)
    assert not document.logged(entry(1, "me", 1, event.body))
    assert (document.have_entries, document.version) == (1, version)


def test_an_own_entry_of_the_log_is_an_acknowledgement_that_was_lost():
    document = new()
    event = stroke(document)
    assert not document.logged(entry(1, "me", 1, event.body))
    assert document.waiting == 0
    again = new(next_sequence=2, waiting=[event])  # after a restart, from the journal
    assert again.saved_on_tablet == 1
    again.logged(entry(1, "me", 1, event.body))
    assert (again.waiting, again.labels()) == (0, {1})


def test_an_own_number_with_other_content_is_not_ours():
    document = new()
    stroke(document, label=1)
    document.logged(entry(1, "me", 1, stroke(new(session="other"), label=2, index=0).body))
    assert document.waiting == 1
    assert document.labels() == {1, 2}


def test_a_refused_event_is_emptied_once():
    document = new(now_ms=lambda: 7)
    stroke(document, label=1)
    stroke(document, label=2, index=0)
    document.saved(1)
    replacement = document.refused(1)
    assert replacement is not None
    assert segmentation_pb2.EventBody.FromString(replacement.body).WhichOneof("action") is None
    assert document.labels() == {2}
    assert document.to_send(1) == []  # the replacement is not in the journal yet
    assert document.refused(1) is None
    assert document.refused(9) is None


def test_another_session_goes_on_with_what_waits():
    document = new()
    first, second, third = (stroke(document, label=k, index=k) for k in (1, 2, 3))
    document.acknowledged(1, 1)
    document.acknowledged(2, 3)  # acknowledged, though entry 2 has not come
    assert document.restart("new") == [(1, third.body)]
    assert (document.session_id, document.next_sequence, document.waiting) == ("new", 2, 1)
    document.logged(entry(2, "other", 1, new().clear().body))
    assert document.have_entries == 3
    assert document.labels() == {2, 3}
    assert document.waiting == 1
    assert {first.sequence, second.sequence} == {1, 2}


@pytest.mark.parametrize(
    "body",
    [
        b"\xff\xff",
        b"",
        segmentation_pb2.EventBody(stroke=segmentation_pb2.Stroke(plane=1, label=1, width_mm=1)).SerializeToString(),
        segmentation_pb2.EventBody(
            stroke=segmentation_pb2.Stroke(plane=1, label=1, width_mm=1, x=[1], y=[1, 2])
        ).SerializeToString(),
        segmentation_pb2.EventBody(
            stroke=segmentation_pb2.Stroke(plane=1, label=1, width_mm=1, x=[float("nan")], y=[1])
        ).SerializeToString(),
        segmentation_pb2.EventBody(
            stroke=segmentation_pb2.Stroke(plane=1, label=1, width_mm=1, x=[1e30], y=[1])
        ).SerializeToString(),
        segmentation_pb2.EventBody(
            stroke=segmentation_pb2.Stroke(plane=1, label=1, width_mm=0, x=[1], y=[1])
        ).SerializeToString(),
        segmentation_pb2.EventBody(
            stroke=segmentation_pb2.Stroke(plane=0, label=1, width_mm=1, x=[1], y=[1])
        ).SerializeToString(),
        segmentation_pb2.EventBody(
            stroke=segmentation_pb2.Stroke(plane=1, slice=5, label=1, width_mm=1, x=[1], y=[1])
        ).SerializeToString(),
        segmentation_pb2.EventBody(
            stroke=segmentation_pb2.Stroke(plane=1, label=16, width_mm=1, x=[1], y=[1])
        ).SerializeToString(),
    ],
)
def test_an_entry_that_cannot_be_drawn_does_nothing_and_breaks_nothing(body):
    document = new()
    stroke(document)
    document.acknowledged(1, 1)
    assert not document.logged(entry(2, "other", 1, body))
    assert (document.have_entries, document.labels(), document.can_undo) == (2, {1}, True)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_two_tablets_end_with_the_same_ink(data):
    """A naive server orders what two tablets draw; acknowledgements and entries come late, in any interleaving."""
    name = "oblique axial"
    tablets = {session: new(session=session) for session in ("a", "b")}
    sent = dict.fromkeys(tablets, 0)
    log: list[tuple[str, int, bytes]] = []
    mail: dict[str, list] = {session: [] for session in tablets}
    bodies: dict[str, list[bytes]] = {session: [] for session in tablets}

    def deliver(session: str) -> None:
        position, author, sequence, body = mail[session].pop(0)
        if author == session:
            tablets[session].acknowledged(sequence, position)
        else:
            tablets[session].logged(entry(position, author, sequence, body))

    def take(session: str) -> None:
        log.append((session, sent[session] + 1, bodies[session][sent[session]]))
        sent[session] += 1
        for box in mail.values():
            box.append((len(log), *log[-1]))

    for _ in range(data.draw(st.integers(0, 12))):
        session = data.draw(st.sampled_from("ab"))
        what = data.draw(st.sampled_from(["draw", "send", "deliver"]))
        if what == "draw":
            events = act(tablets[session], data.draw(st.one_of(PATHS, st.sampled_from([("undo",), ("redo",)]))))
            bodies[session] += [event.body for event in events]
        elif what == "send" and sent[session] < len(bodies[session]):
            take(session)
        elif what == "deliver" and mail[session]:
            deliver(session)
        known = tablets[session].have_entries
        own_in_log = sum(author == session for author, _, _ in log[:known])
        expected = [body for _, _, body in log[:known]] + bodies[session][own_in_log:]
        assert_shows(tablets[session], naive_labels(expected, AFFINES[name]), AFFINES[name])
    for session in tablets:
        while sent[session] < len(bodies[session]):
            take(session)
    for session, tablet in tablets.items():
        while mail[session]:
            deliver(session)
        assert (tablet.waiting, tablet.have_entries) == (0, len(log))
        assert_shows(tablet, naive_labels([body for _, _, body in log], AFFINES[name]), AFFINES[name])
