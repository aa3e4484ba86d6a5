"""The keeper of a session over a server in memory: dead streams, lost acknowledgements, two tablets, full disks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from calque.v1 import segmentation_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

from tablet_client.link.fake import FakeLink
from tablet_client.link.fake_volume import fake_volume
from tablet_client.link.listener import Connection, Listener, Status
from tablet_client.link.port import LinkError
from tablet_client.link.sync import PAUSES_S, SessionKeeper, open_document
from tablet_client.state.document import Document, Event
from tablet_client.state.geometry import Plane, VolumeInfo
from tablet_client.state.journal import Journal, JournalError
from tablet_client.state.probabilities import Probabilities
from tablet_client.state.slicecache import Room

VOXELS = np.zeros((3, 8, 10), dtype=np.uint16)
VOXELS[:, 2:6, 3:7] = 900
MESSAGE, _ = fake_volume(VOXELS)
INFO = VolumeInfo.from_message(MESSAGE)


class Ear(Listener):
    """Remembers what it was told, and wakes whoever waits."""

    def __init__(self) -> None:
        self.news = asyncio.Event()
        self.statuses: list[Status] = []
        self.slices: list[tuple[Plane, int]] = []
        self.refused: list[LinkError] = []
        self.failures: list[str] = []
        self.progresses: list[tuple[int, int]] = []
        self.advices: list[segmentation_pb2.Advice] = []
        self.complete = False
        self.inked = 0

    def status_changed(self, status: Status) -> None:
        self.statuses.append(status)
        self.news.set()

    def ink_changed(self) -> None:
        self.inked += 1
        self.news.set()

    def probability(self, plane: Plane, index: int) -> None:
        self.slices.append((plane, index))
        self.news.set()

    def histogram(self, complete: bool) -> None:
        self.complete = complete
        self.news.set()

    def progress(self, done: int, total: int) -> None:
        self.progresses.append((done, total))
        self.news.set()

    def advice(self, advice: segmentation_pb2.Advice) -> None:
        self.advices.append(advice)
        self.news.set()

    def computing_failed(self, reason: str, message: str) -> None:
        self.failures.append(reason)
        self.news.set()

    def event_refused(self, error: LinkError) -> None:
        self.refused.append(error)
        self.news.set()


class Pauses:
    """Remembers how long it was asked to wait; waits not at all, or until it is let go."""

    def __init__(self, hold: bool = False) -> None:
        self.asked: list[float] = []
        self.many = asyncio.Event()
        self.gate = asyncio.Event()
        if not hold:
            self.gate.set()

    async def __call__(self, seconds: float) -> None:
        self.asked.append(seconds)
        if len(self.asked) >= 8:
            self.many.set()
        await self.gate.wait()
        await asyncio.sleep(0)


class Tablet:
    """A tablet at an annotation: journal, document, keeper, running inside ``async with``."""

    def __init__(self, link: FakeLink, annotation_id: str, folder: Path, hold: bool = False) -> None:
        self.ear, self.pauses = Ear(), Pauses(hold)
        self.journal = Journal(folder, annotation_id)
        self.document: Document = open_document(INFO.planes, self.journal)
        self.probabilities = Probabilities(Room(1 << 20))
        self.keeper = SessionKeeper(
            link, annotation_id, self.document, self.journal, self.probabilities, self.ear, pause=self.pauses
        )

    async def __aenter__(self) -> Tablet:
        self.task = asyncio.create_task(self.keeper.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        assert self.keeper.flush()
        self.journal.close()

    def draw(self, label: int = 1, x: float = 4.0, y: float = 3.0) -> Event:
        self.document.begin_stroke(Plane.AXIAL, 1, label, 1.0, x, y)
        event = self.document.finish()
        self.keeper.submit(event)
        return event

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                await self.ear.news.wait()
                self.ear.news.clear()

    async def settled(self) -> None:
        """Everything is with the server."""
        await self.until(lambda: self.keeper.status.waiting == 0 and self.connection is Connection.CONNECTED)

    @property
    def connection(self) -> Connection:
        return self.keeper.status.connection


async def server() -> tuple[FakeLink, str]:
    link = FakeLink([(MESSAGE, VOXELS)])
    return link, (await link.create_annotation(MESSAGE.volume_id)).annotation_id


def logged(link: FakeLink, annotation_id: str) -> list[bytes]:
    return [body for _, _, body in link.log_of(annotation_id)]


async def test_strokes_reach_the_log_in_order_and_leave_the_journal(tmp_path):
    link, annotation_id = await server()
    async with Tablet(link, annotation_id, tmp_path) as tablet:
        events = [tablet.draw(x=k) for k in range(5)]
        await tablet.settled()
    assert logged(link, annotation_id) == [event.body for event in events]
    assert Journal(tmp_path, annotation_id).waiting == []
    assert Journal(tmp_path, annotation_id).next_sequence == 6


async def test_offline_strokes_are_saved_on_the_tablet_and_sent_later(tmp_path):
    link, annotation_id = await server()
    link.online = False
    async with Tablet(link, annotation_id, tmp_path, hold=True) as tablet:
        events = [tablet.draw(x=k) for k in range(3)]
        await tablet.until(lambda: tablet.keeper.status.saved_on_tablet == 3)
        await tablet.until(lambda: tablet.connection is Connection.OFFLINE)
        status = tablet.keeper.status
        assert (status.waiting, status.saved_on_tablet) == (3, 3)
        assert status.error is not None
        assert status.error.retry
        link.online = True
        tablet.keeper.retry_now()
        await tablet.settled()
    assert logged(link, annotation_id) == [event.body for event in events]


async def test_acknowledgements_that_come_together_are_noted_together(tmp_path, monkeypatch):
    link, annotation_id = await server()
    link.online = False
    async with Tablet(link, annotation_id, tmp_path, hold=True) as tablet:
        noted, forget = [], tablet.journal.forget
        monkeypatch.setattr(tablet.journal, "forget", lambda sequence: (noted.append(sequence), forget(sequence)))
        for k in range(200):
            tablet.draw(x=k % 9)
        await tablet.until(lambda: tablet.keeper.status.saved_on_tablet == 200)
        link.online = True
        tablet.keeper.retry_now()
        await tablet.settled()
        async with asyncio.timeout(20):
            await tablet.keeper._scribe.idle()
        assert noted[-1] == 200
        assert len(noted) < 100
        assert Journal(tmp_path, annotation_id).waiting == []  # on its disk, though it was never closed


async def test_what_the_server_has_makes_room_on_a_full_disk(tmp_path, monkeypatch):
    link, annotation_id = await server()
    async with Tablet(link, annotation_id, tmp_path, hold=True) as tablet:
        for k in range(50):
            tablet.draw(x=k % 9)
        await tablet.settled()
        real, size = tablet.journal.append, tablet.journal.path.stat().st_size

        def append(event: Event) -> None:
            if tablet.journal.path.stat().st_size >= size:
                raise JournalError("The tablet's disk is full.")
            real(event)

        monkeypatch.setattr(tablet.journal, "append", append)
        tablet.draw(x=1)
        await tablet.until(lambda: tablet.keeper.status.tablet_full)
        tablet.pauses.gate.set()
        await tablet.settled()
        assert not tablet.keeper.status.tablet_full
    assert len(logged(link, annotation_id)) == 51


async def test_what_was_drawn_before_a_restart_of_the_tablet_is_sent_after_it(tmp_path):
    link, annotation_id = await server()
    link.online = False
    async with Tablet(link, annotation_id, tmp_path, hold=True) as tablet:
        first = tablet.draw(x=1)
        last = tablet.draw(x=2)  # submitted, and the task is cancelled before the journal had a chance
    link.online = True
    async with Tablet(link, annotation_id, tmp_path) as tablet:
        assert tablet.document.waiting == 2
        assert tablet.document.label_image(Plane.AXIAL, 1)[3, 1] == 1
        third = tablet.draw(x=3)
        await tablet.settled()
    assert logged(link, annotation_id) == [first.body, last.body, third.body]


async def test_waits_grow_and_begin_anew_when_something_got_through(tmp_path):
    link, annotation_id = await server()
    link.online = False
    async with Tablet(link, annotation_id, tmp_path) as tablet:
        await tablet.until(lambda: tablet.connection is Connection.OFFLINE)
        await tablet.pauses.many.wait()
        link.online = True
        await tablet.settled()
        assert tablet.pauses.asked[: len(PAUSES_S) + 2] == [*PAUSES_S, PAUSES_S[-1], PAUSES_S[-1]]
        tablet.pauses.asked.clear()
        link.hang_up()
        await tablet.until(lambda: tablet.pauses.asked)
        assert tablet.pauses.asked[0] == PAUSES_S[0]


def lose(kind: str, number: int, direction: str = "out") -> Callable[[str, object], bool]:
    """A fault: the ``number``-th message of a kind is lost, and the stream with it."""
    seen = 0

    def fault(way: str, message: object) -> bool:
        nonlocal seen
        is_one = isinstance(message, segmentation_pb2.Event) if way == "in" else message.WhichOneof("what") == kind
        if way != direction or not is_one:
            return False
        seen += 1
        return seen == number

    return fault


@pytest.mark.parametrize("direction", ["in", "out"])
@pytest.mark.parametrize("number", [1, 2, 4])
async def test_a_lost_event_or_acknowledgement_gives_one_entry(tmp_path, direction, number):
    link, annotation_id = await server()
    link.fault = lose("ack", number, direction)
    async with Tablet(link, annotation_id, tmp_path) as tablet:
        events = [tablet.draw(x=k) for k in range(4)]
        await tablet.settled()
        assert tablet.pauses.asked == [PAUSES_S[0]]
        # Both times the session began to write, the server logged that as well.
        for _ in range(100):
            await asyncio.sleep(0)
        assert tablet.document.have_entries == 6
    assert logged(link, annotation_id) == [event.body for event in events]


@given(
    faults=st.lists(st.booleans(), max_size=30),
    moves=st.lists(st.sampled_from(["draw", "undo", "restart", "cut", "yield"]), max_size=10),
)
@settings(max_examples=60, deadline=None)
def test_whatever_dies_every_event_is_there_once_and_in_order(tmp_path_factory, faults, moves):
    folder = tmp_path_factory.mktemp("tablet")

    async def session() -> None:
        link, annotation_id = await server()
        plan = iter(faults)
        link.fault = lambda way, message: next(plan, False)
        drawn: list[bytes] = []
        todo = list(moves)
        while True:
            async with Tablet(link, annotation_id, folder) as tablet:
                assert [e.body for e in tablet.journal.waiting] == drawn[len(drawn) - len(tablet.journal.waiting) :]
                while todo and (move := todo.pop(0)) != "restart":
                    if move == "draw":
                        drawn.append(tablet.draw(x=len(drawn) % 9).body)
                    elif move == "undo":
                        event = tablet.document.undo()
                        tablet.keeper.submit(event)
                        drawn.append(event.body)
                    elif move == "cut":
                        link.hang_up()
                    else:
                        await asyncio.sleep(0)
                if not todo:
                    await tablet.settled()
                    break
        assert logged(link, annotation_id) == drawn

    asyncio.run(session())


async def test_a_refused_stroke_goes_and_the_ones_after_it_arrive(tmp_path):
    link, annotation_id = await server()
    async with Tablet(link, annotation_id, tmp_path) as tablet:
        first = tablet.draw(x=1)
        tablet.draw(label=9, x=2)
        last = tablet.draw(x=3)
        assert tablet.document.labels() == {1, 9}
        await tablet.settled()
        assert [error.reason for error in tablet.ear.refused] == ["LABEL_UNKNOWN"]
        assert tablet.document.labels() == {1}
        assert tablet.ear.inked > 0
    bodies = logged(link, annotation_id)
    assert (bodies[0], bodies[2], len(bodies)) == (first.body, last.body, 3)
    assert segmentation_pb2.EventBody.FromString(bodies[1]).WhichOneof("action") is None


async def test_numbers_that_cannot_be_brought_together_begin_a_new_session(tmp_path):
    link, annotation_id = await server()
    async with Tablet(link, annotation_id, tmp_path) as tablet:
        kept = [tablet.draw(x=k) for k in range(3)]
        await tablet.settled()
        session = tablet.document.session_id
    # A backup was put back on the server: it never heard of the last event, and the tablet has forgotten it.
    link.forget_last(annotation_id)
    async with Tablet(link, annotation_id, tmp_path) as tablet:
        new = tablet.draw(x=7)
        await tablet.settled()
        assert tablet.document.session_id == tablet.journal.session_id != session
        after = tablet.draw(x=8)
        await tablet.settled()
    assert logged(link, annotation_id) == [kept[0].body, kept[1].body, new.body, after.body]


async def test_a_journal_that_lost_its_tail_begins_a_new_session(tmp_path):
    link, annotation_id = await server()
    async with Tablet(link, annotation_id, tmp_path) as tablet:
        first = tablet.draw(x=1)
        await tablet.settled()
        content = tablet.journal.path.read_bytes()
        second = tablet.draw(x=2)
        await tablet.settled()
    (tmp_path / f"{annotation_id}.journal").write_bytes(content)  # a disk that lied about what it had written
    async with Tablet(link, annotation_id, tmp_path) as tablet:
        third = tablet.draw(x=3)
        await tablet.settled()
    assert logged(link, annotation_id) == [first.body, second.body, third.body]


@pytest.mark.item(58)
async def test_a_full_disk_stops_the_pen_and_sends_nothing_that_is_not_saved(tmp_path, monkeypatch):
    link, annotation_id = await server()
    async with Tablet(link, annotation_id, tmp_path, hold=True) as tablet:
        await tablet.settled()
        real, full = tablet.journal.append, True

        def append(event: Event) -> None:
            if full:
                raise JournalError("The tablet's disk is full.")
            real(event)

        monkeypatch.setattr(tablet.journal, "append", append)
        event = tablet.draw(x=1)
        await tablet.until(lambda: tablet.keeper.status.tablet_full)
        assert (tablet.keeper.status.waiting, tablet.keeper.status.saved_on_tablet) == (1, 0)
        assert logged(link, annotation_id) == []
        full = False
        tablet.pauses.gate.set()
        await tablet.settled()
        assert not tablet.keeper.status.tablet_full
    assert logged(link, annotation_id) == [event.body]
