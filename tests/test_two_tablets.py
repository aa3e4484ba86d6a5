"""The tablet's own keeper of a session on the real services: two tablets, and one that comes back before it is missed."""

from __future__ import annotations

import asyncio
import shutil
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from calque.v1 import segmentation_pb2

from services.store.annotations import Annotations, MaskRecord
from services.store.log import Log
from tablet_client.link.grpc_link import GrpcLink
from tablet_client.link.listener import Connection, Listener, Status
from tablet_client.link.sync import SessionKeeper, open_document
from tablet_client.state.document import Event
from tablet_client.state.geometry import Plane, VolumeInfo
from tablet_client.state.journal import Journal
from tablet_client.state.probabilities import Probabilities
from tablet_client.state.slicecache import Room
from tests.phantoms import oblique_phantom
from tests.segmentation.test_writers import Held
from tests.served import SECONDS, Served, begin, eventually, serve

SHAPE = (6, 20, 24)


class Tablet(Listener):
    """A tablet with a connection of its own, inside ``async with``."""

    def __init__(
        self, port: int, volume: VolumeInfo, annotation_id: str, folder: Path, tls: ssl.SSLContext | None = None
    ) -> None:
        self.link = GrpcLink("127.0.0.1", port, tls)
        self.journal = Journal(folder, annotation_id)
        self.document = open_document(volume.planes, self.journal)
        self.keeper = SessionKeeper(
            self.link, annotation_id, self.document, self.journal, Probabilities(Room(1 << 20)), self
        )
        self._news = asyncio.Event()

    async def __aenter__(self) -> Tablet:
        self._task = asyncio.create_task(self.keeper.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self.keeper.flush()
        self.journal.close()
        self.link.close()

    def draw(self, row: float) -> Event:
        self.document.begin_stroke(Plane.AXIAL, 1, 1, 1.0, 4.0, row)
        event = self.document.finish()
        self.keeper.submit(event)
        return event

    async def until(self, condition: Callable[[Status], object]) -> None:
        async with asyncio.timeout(SECONDS):
            while not condition(self.keeper.status):
                self._news.clear()
                await self._news.wait()

    async def settled(self) -> None:
        """Everything is with the server, and this tablet draws."""
        await self.until(lambda now: now.waiting == 0 and now.connection is Connection.CONNECTED)

    def status_changed(self, status: Status) -> None:
        self._news.set()


async def opened(served: Served) -> tuple[VolumeInfo, str]:
    """A volume's geometry, and a new annotation of it."""
    annotation_id = await begin(served, oblique_phantom(SHAPE))
    link = GrpcLink("127.0.0.1", served.port)
    volume = VolumeInfo.from_message(await link.get_volume(annotation_id.partition("-")[0]))
    link.close()
    return volume, annotation_id


def kept(served: Served, annotation_id: str) -> list[bytes]:
    """What the log holds of events, in order."""
    return [entry.body for entry in served.workspace(annotation_id).log.entries if entry.sequence]


@pytest.mark.item(60)
async def test_who_loses_the_pen_is_told_without_drawing_and_may_take_it_back(tmp_path: Path) -> None:
    async with serve(tmp_path / "store") as served:
        volume, annotation_id = await opened(served)
        first = Tablet(served.port, volume, annotation_id, tmp_path / "first")
        second = Tablet(served.port, volume, annotation_id, tmp_path / "second")
        async with first, second:
            await first.until(lambda now: now.connection is not Connection.CONNECTING)
            await second.until(lambda now: now.connection is not Connection.CONNECTING)
            one, other = (first, second) if first.keeper.status.connection is Connection.CONNECTED else (second, first)
            assert other.keeper.status.connection is Connection.OTHER_WRITER
            drawn = [one.draw(3)]
            await one.settled()
            other.keeper.take_over()
            await one.until(lambda now: now.connection is Connection.OTHER_WRITER)
            drawn.append(other.draw(5))
            await other.settled()
            late = one.draw(7)
            await one.until(lambda now: now.saved_on_tablet == 1)
            assert one.keeper.status.connection is Connection.OTHER_WRITER
            one.keeper.take_over()
            await one.settled()
            await other.until(lambda now: now.connection is Connection.OTHER_WRITER)
            await eventually(lambda: other.document.have_entries == one.document.have_entries)
            assert kept(served, annotation_id) == [event.body for event in (*drawn, late)]


async def test_what_a_reviewer_accepts_is_locked_and_drawn_on_again_when_it_is_sent_back(tmp_path: Path) -> None:
    async with serve(tmp_path / "store") as served:
        volume, annotation_id = await opened(served)
        mask = MaskRecord(0, "0" * 64, 128, 1, 2, "paper", 0, "1", 1.0)
        Annotations(served.store).publish_mask(annotation_id, mask)
        async with Tablet(served.port, volume, annotation_id, tmp_path / "one") as one:
            drawn = [one.draw(3)]
            await one.settled()
            handed_in = await one.link.submit_annotation(annotation_id)
            assert handed_in.review == segmentation_pb2.REVIEW_SUBMITTED
            assert (await one.link.account.rights()).role == "administrator"  # nobody is asked who it is
            await one.link.review_annotation(annotation_id, segmentation_pb2.REVIEW_ACCEPTED)
            await one.until(lambda now: now.locked)
            drawn.append(one.draw(5))  # as a pen that was down
            await one.until(lambda now: now.saved_on_tablet == 1)
            assert one.keeper.status.held_up is not None
            assert one.keeper.status.held_up.reason == "ANNOTATION_LOCKED"
            back = await one.link.review_annotation(annotation_id, segmentation_pb2.REVIEW_SENT_BACK, "Too small.")
            assert back.review_note == "Too small."
            await one.settled()  # without anybody's doing
            assert kept(served, annotation_id) == [event.body for event in drawn]


async def test_one_that_is_killed_and_back_before_the_server_misses_it_loses_and_doubles_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its old stream still lives, and hands in strokes before, while and after the new one opens."""
    async with serve(tmp_path / "store") as served:
        volume, annotation_id = await opened(served)
        async with Tablet(served.port, volume, annotation_id, tmp_path / "before") as dead:
            await dead.until(lambda now: now.connection is Connection.CONNECTED)
            held = Held(monkeypatch, 2, 3, 5)
            lock = served.workspace(annotation_id)._log_lock
            drawn = [dead.draw(row) for row in range(1, 9)]
            await dead.until(lambda now: now.saved_on_tablet == now.waiting)
            await held.came(2)
            shutil.copytree(tmp_path / "before", tmp_path / "after")
            async with Tablet(served.port, volume, annotation_id, tmp_path / "after") as back:
                assert back.keeper.status.waiting >= 7  # the first may be known to be with the server
                await eventually(lambda: lock._waiters)
                held.may[2].set()
                await held.came(3)
                await eventually(lambda: lock._waiters)
                held.may[3].set()
                await held.came(5)
                held.may[5].set()
                await back.settled()
                drawn.append(back.draw(9))
                await back.settled()
                assert back.journal.session_id == dead.journal.session_id
        assert kept(served, annotation_id) == [event.body for event in drawn]
        found = Log(served.store, f"annotations/{annotation_id.replace('-', '/')}/log")
        assert [segmentation_pb2.EventBody.FromString(e.body).stroke.y[0] for e in found.entries if e.sequence] == [
            *range(1, 10)
        ]
