"""Several tablets on one annotation: one writes, the others look, and may take over."""

from __future__ import annotations

import asyncio
import errno
import threading

import pytest
from calque.v1 import segmentation_pb2, volumes_pb2

from services.core.errors import Reason, Unavailable
from services.core.volume import Volume
from services.store.log import Log
from tests.served import SECONDS, Served, Tablet, begin, event, eventually, keep, refused, serve, stroke

Body = segmentation_pb2.EventBody
OTHER = ("ABORTED", "OTHER_WRITER", 0)


async def test_the_second_looks_and_gets_what_the_first_draws(served: Served, phantom: Volume) -> None:
    annotation_id = await begin(served, phantom)
    drawn = [stroke(1, 3, [28, 33], [13, 13]), stroke(1, 3, [5, 30], [36, 36], label=2)]
    async with (
        Tablet(served.segmentation, annotation_id) as first,
        Tablet(served.segmentation, annotation_id) as second,
    ):
        assert first.all("opened")[0].writer
        assert not second.all("opened")[0].writer
        await second.look(1, 3)
        await second.settings(seed=99, live=False)  # only the writer's count
        await first.draw(*drawn)
        logged = await second.until(lambda t: len(t.all("logged")) == 3 and t.all("logged"))
        assert [(e.session_id, e.sequence) for e in logged] == [(first.session_id, n) for n in (0, 1, 2)]
        assert [Body.FromString(e.body) for e in logged[1:]] == drawn
        await second.until(lambda t: t.all("probability"))
        assert served.workspace(annotation_id).schedule.settings.learning.seed == 0
        await second.put(Body())
        assert await second.end() == OTHER
        await first.draw(Body())


@pytest.mark.item(60)
async def test_a_take_over_is_told_and_the_first_writes_no_more(served: Served, phantom: Volume) -> None:
    annotation_id = await begin(served, phantom)
    async with Tablet(served.segmentation, annotation_id) as first:
        await first.draw(stroke(1, 3, [4], [4]))
        async with Tablet(served.segmentation, annotation_id, take_over=True) as second:
            assert second.all("opened")[0].writer
            told = await first.until(lambda t: t.all("writer"))
            assert [one.writer for one in told] == [False]
            await second.draw(stroke(1, 3, [9], [9]))
            logged = await first.until(lambda t: [e for e in t.all("logged") if e.sequence])
            assert [(e.session_id, e.sequence) for e in logged] == [(second.session_id, 1)]
            await first.put(stroke(1, 3, [5], [5]))
            assert await first.end() == OTHER
            # And back again: the same session goes on with the number that was refused.
            async with Tablet(served.segmentation, annotation_id, first.session_id, take_over=True) as again:
                assert again.sequence == 1
                await again.draw(stroke(1, 3, [5], [5]))
                assert [one.writer for one in await second.until(lambda t: t.all("writer"))] == [False]


class Held:
    """Events that the store makes durable only when it may."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *sequences: int) -> None:
        self.coming = {sequence: threading.Event() for sequence in sequences}
        self.may = {sequence: threading.Event() for sequence in sequences}
        self._append = Log.append
        monkeypatch.setattr(Log, "append", lambda log, session_id, sequence, *rest: self(log, session_id, sequence, *rest))

    def __call__(self, log: Log, session_id: str, sequence: int, *rest: bytes) -> int:
        if sequence in self.may:
            self.coming[sequence].set()
            assert self.may[sequence].wait(SECONDS)
        return self._append(log, session_id, sequence, *rest)

    async def came(self, sequence: int) -> None:
        assert await asyncio.to_thread(self.coming[sequence].wait, SECONDS)


async def test_a_returning_tablet_is_told_what_its_dead_stream_brought(
    served: Served, phantom: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old stream hands in events before, while and after the new one opens."""
    annotation_id = await begin(served, phantom)
    drawn = [stroke(1, 3, [k], [k]) for k in range(1, 7)]
    async with Tablet(served.segmentation, annotation_id) as dead:
        await dead.draw(drawn[0])
        held, lock = Held(monkeypatch, 2, 3, 5), served.workspace(annotation_id)._log_lock
        await dead.put(*drawn[1:5])
        await held.came(2)
        again = Tablet(served.segmentation, annotation_id, dead.session_id)
        opening = asyncio.create_task(again.__aenter__())
        await eventually(lambda: lock._waiters)  # it reads the log next
        held.may[2].set()
        await held.came(3)
        await eventually(lambda: lock._waiters or opening.done())  # it begins to write next, or was quicker than event 3
        held.may[3].set()
        await opening
        await held.came(5)
        await again.send(event=event(5, drawn[4]))  # it has it in its journal, and knows no better
        held.may[5].set()
        await again.until(lambda t: t.all("ack"))
        again.sequence = 5
        await again.draw(drawn[5])
        known = {e.position: e.sequence for e in again.all("logged")} | {a.position: a.sequence for a in again.all("ack")}
        await again.__aexit__()
    entries = served.workspace(annotation_id).log.entries
    kept = [entry for entry in entries if entry.sequence]
    assert [Body.FromString(entry.body) for entry in kept] == drawn
    assert known == {entry.position: entry.sequence for entry in entries}


async def test_who_only_looks_never_writes(served: Served, phantom: Volume) -> None:
    annotation_id = await begin(served, phantom)
    async with Tablet(served.segmentation, annotation_id, read_only=True, take_over=True) as looker:
        assert not looker.all("opened")[0].writer
        assert looker.all("opened")[0].log_length == 0
        async with Tablet(served.segmentation, annotation_id) as writer:
            assert writer.all("opened")[0].writer
            await writer.draw(Body())
        await looker.put(Body())
        assert await looker.end() == OTHER


async def test_of_tablets_that_come_at_once_one_writes(served: Served, phantom: Volume) -> None:
    annotation_id = await begin(served, phantom)
    tablets = [Tablet(served.segmentation, annotation_id) for _ in range(6)]
    await asyncio.gather(*(tablet.__aenter__() for tablet in tablets))
    writers = [tablet for tablet in tablets if tablet.all("opened")[0].writer]
    assert len(writers) == 1
    await writers[0].draw(Body())
    assert all(tablet.all("writer") == [] for tablet in tablets)
    assert len(served.servicer._workspaces._known) == 1
    await asyncio.gather(*(tablet.__aexit__() for tablet in tablets))


async def test_who_comes_after_the_writer_left_writes(served: Served, phantom: Volume) -> None:
    annotation_id = await begin(served, phantom)
    async with Tablet(served.segmentation, annotation_id) as first:
        await first.draw(Body())
    await eventually(lambda: not served.workspace(annotation_id).audience)
    async with Tablet(served.segmentation, annotation_id) as second:
        assert second.all("opened")[0].writer
        await second.draw(Body())


@pytest.mark.item(60)
async def test_another_process_on_the_store_takes_over(served: Served, phantom: Volume, tmp_path) -> None:
    """Both logs are kept; whoever was fenced off gets one ABORTED."""
    annotation_id = await begin(served, phantom)
    async with serve(tmp_path / "store") as elsewhere:
        async with Tablet(served.segmentation, annotation_id) as first:
            await first.draw(stroke(1, 3, [4], [4]))
            async with Tablet(elsewhere.segmentation, annotation_id, take_over=True) as second:
                await second.draw(stroke(1, 3, [9], [9]))
                await first.put(stroke(1, 3, [5], [5]))
                assert await first.end() == OTHER
                await second.draw(Body())
        entries = elsewhere.workspace(annotation_id).log.entries
        kept = [(entry.session_id, entry.sequence) for entry in entries]
        a, b = first.session_id, second.session_id
        assert kept == [(a, 0), (a, 1), (b, 0), (b, 1), (b, 2)]


async def test_workspaces_in_use_are_never_let_go(tmp_path, phantom: Volume) -> None:
    async with serve(tmp_path / "store", workspaces=1, compute_threads=1) as served:
        ids = [await begin(served, phantom) for _ in range(5)]
        tablets = [Tablet(served.segmentation, one) for one in ids]
        await asyncio.gather(*(tablet.__aenter__() for tablet in tablets))
        for tablet in tablets:
            await tablet.look(1, 3)
            await tablet.draw(stroke(1, 3, [28, 33], [13, 13]), stroke(1, 3, [5, 30], [36, 36], label=2))
        await asyncio.gather(*(tablet.until(lambda t: t.all("probability")) for tablet in tablets))
        await asyncio.gather(*(tablet.__aexit__() for tablet in tablets))
        await eventually(lambda: len(served.servicer._workspaces._known) == 1)  # one is kept for who comes back
        request = segmentation_pb2.ExportRequest(annotation_id=ids[0], kind=1, format=1)
        assert [part async for part in served.segmentation.Export(request)]
        assert list(served.servicer._workspaces._known) == [ids[0]]


async def test_a_workspace_that_is_just_being_opened_again_is_not_let_go(tmp_path, phantom: Volume, monkeypatch) -> None:
    async with serve(tmp_path / "store", workspaces=1, compute_threads=1) as served:
        first, second = [await begin(served, phantom) for _ in range(2)]
        async with Tablet(served.segmentation, first):
            pass
        await eventually(lambda: served.workspace(first).idle)
        coming, may_come, work = threading.Event(), threading.Event(), Log.refresh

        def refresh(log: Log) -> None:
            coming.set()
            assert may_come.wait(SECONDS)
            work(log)

        async with Tablet(served.segmentation, second):
            monkeypatch.setattr(Log, "refresh", refresh)
            again = asyncio.create_task(Tablet(served.segmentation, first).__aenter__())
            assert await asyncio.to_thread(coming.wait, SECONDS)
        await eventually(lambda: served.workspace(second).idle)
        may_come.set()
        tablet = await again
        await tablet.look(1, 3)
        await tablet.draw(stroke(1, 3, [28, 33], [13, 13]), stroke(1, 3, [5, 30], [36, 36], label=2))
        await tablet.until(lambda t: t.all("probability"))
        await tablet.__aexit__()


async def test_a_volume_deleted_elsewhere_takes_its_annotation_with_it(served: Served, phantom: Volume) -> None:
    annotation_id = await begin(served, phantom)
    async with Tablet(served.segmentation, annotation_id) as tablet:
        await tablet.draw(stroke(1, 3, [4], [4]))
        volume_id = keep(served.store, phantom).volume_id
        await served.volumes.DeleteVolume(volumes_pb2.DeleteVolumeRequest(volume_id=volume_id))
        again = segmentation_pb2.AnnotateOpen(annotation_id=annotation_id, session_id=tablet.session_id)
        call = served.segmentation.Annotate(iter([segmentation_pb2.AnnotateRequest(open=again)]))
        assert await refused(call) == ("NOT_FOUND", "ANNOTATION_NOT_FOUND", 0)
        assert await tablet.end() == ("NOT_FOUND", "ANNOTATION_NOT_FOUND", 0)
        assert served.servicer._workspaces._known == {}


async def test_a_store_that_stops_answering_loses_no_workspace(served: Served, phantom: Volume, monkeypatch) -> None:
    """Whoever comes while the store is down is refused; who draws already goes on in the same workspace afterwards."""
    annotation_id = await begin(served, phantom)

    def down(*_: object) -> None:
        raise Unavailable("The store does not answer.", Reason.STORE_UNAVAILABLE)

    async with Tablet(served.segmentation, annotation_id) as tablet:
        await tablet.draw(Body())
        before = served.workspace(annotation_id)
        with monkeypatch.context() as broken:
            for name in ("create", "read", "list"):
                broken.setattr(type(served.store), name, down)
            opening = segmentation_pb2.AnnotateOpen(annotation_id=annotation_id, session_id=tablet.session_id)
            call = served.segmentation.Annotate(iter([segmentation_pb2.AnnotateRequest(open=opening)]))
            assert await refused(call) == ("UNAVAILABLE", "STORE_UNAVAILABLE", 0)
        await tablet.draw(Body())
        assert served.workspace(annotation_id) is before


async def test_an_event_that_the_store_did_not_take_is_not_acknowledged(
    served: Served, phantom: Volume, monkeypatch
) -> None:
    annotation_id = await begin(served, phantom)
    async with Tablet(served.segmentation, annotation_id) as tablet:
        await tablet.draw(Body())

        def full(*_: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        with monkeypatch.context() as broken:
            broken.setattr("services.store.directory.os.fsync", full)
            await tablet.put(stroke(1, 3, [4], [4]))
            assert await tablet.end() == ("RESOURCE_EXHAUSTED", "STORE_FULL", 0)
        assert [ack.sequence for ack in tablet.all("ack")] == [1]
    async with Tablet(served.segmentation, annotation_id, tablet.session_id) as again:
        assert again.sequence == 1
        await again.draw(stroke(1, 3, [4], [4]))
