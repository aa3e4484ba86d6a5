"""The services are killed at any moment; what was acknowledged is there when they come back, once, in order."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import grpc
import numpy as np
import tifffile
from calque.v1 import segmentation_pb2, segmentation_pb2_grpc

from services.core.geometry import Plane, plane_geometry
from services.core.labels import replay
from services.segmentation.events import to_action
from services.store.annotations import PAPER_LABELS, Annotations
from services.store.directory import DirectoryStore
from tests.phantoms import oblique_phantom
from tests.processes import Serving
from tests.served import Tablet, keep, stroke

SHAPE = (30, 56, 64)  # computing it takes longer than killing the server that does
Body = segmentation_pb2.EventBody


class Journal:
    """A tablet's journal: all that was drawn, and what was acknowledged of it."""

    def __init__(self, seed: int) -> None:
        self.bodies: list[Body] = []
        self.acked: dict[int, int] = {}
        self._random = np.random.default_rng(seed)

    def draw(self, count: int) -> None:
        """Strokes with both labels in all planes, and now and then something taken back, done again or erased."""
        for _ in range(count):
            kind = self._random.integers(10)
            x, y = self._random.uniform(0, 29, (2, 5))
            plane, index = int(self._random.integers(1, 4)), int(self._random.integers(30))
            if kind == 0:
                self.bodies.append(Body(undo=segmentation_pb2.Undo()))
            elif kind == 1:
                self.bodies.append(Body(redo=segmentation_pb2.Redo()))
            else:
                label = 1 + int(kind) % 2
                self.bodies.append(stroke(plane, index, x, y, label=label, width_mm=float(kind)))

    def keep(self, tablet: Tablet) -> None:
        """Note what came back. An event is acknowledged with the same position for ever."""
        for ack in tablet.all("ack"):
            assert self.acked.setdefault(ack.sequence, ack.position) == ack.position


@asynccontextmanager
async def connected(serving: Serving, annotation_id: str, session_id: str, journal: Journal) -> AsyncIterator[Tablet]:
    """The tablet comes (back), and sends again whatever was not acknowledged."""
    async with grpc.aio.insecure_channel(serving.address()) as channel:
        tablet = Tablet(segmentation_pb2_grpc.SegmentationStub(channel), annotation_id, session_id)
        async with tablet:
            assert tablet.all("opened")[0].writer
            assert sorted(journal.acked) == list(range(1, len(journal.acked) + 1))
            assert tablet.sequence >= len(journal.acked), "something acknowledged was lost"
            await tablet.settings(live=False)
            tablet.sequence = len(journal.acked)
            await tablet.put(*journal.bodies[len(journal.acked) :])
            yield tablet
            journal.keep(tablet)


def start(tmp_path: Path) -> Serving:
    return Serving(tmp_path, "segmentation", "--listen", "127.0.0.1:0", "--store", str(tmp_path / "store"))


async def test_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path / "store")
    volume = oblique_phantom(SHAPE)
    record = keep(store, volume)
    annotations = Annotations(store)
    begun = annotations.create(record.volume_id, name="x", labels=PAPER_LABELS, created_ms=1)
    annotation_id = begun.annotation_id
    session_id, journal = str(uuid4()), Journal(5)

    for moment in ("nothing acknowledged yet", "some acknowledged", "computing", "all acknowledged"):
        with start(tmp_path) as serving:
            journal.draw(30)
            async with connected(serving, annotation_id, session_id, journal) as tablet:
                already = len(journal.acked)
                if moment == "some acknowledged":
                    await tablet.acked(already + 4)
                elif moment == "all acknowledged":
                    await tablet.acked(len(journal.bodies))
                elif moment == "computing":
                    await tablet.acked(len(journal.bodies))
                    await tablet.look(1, 20)
                    await tablet.segment()
                    await tablet.until(lambda t: t.all("probability"))
                    journal.draw(10)
                    await tablet.put(*journal.bodies[-10:])
                serving.process.kill()
                serving.process.wait()
                while not tablet.ended:  # what was acknowledged before the end counts
                    await tablet._news.wait()
                    tablet._news.clear()

    journal.draw(5)
    with start(tmp_path) as serving:
        async with connected(serving, annotation_id, session_id, journal) as tablet:
            await tablet.acked(len(journal.bodies))
            request = segmentation_pb2.ExportRequest(annotation_id=annotation_id, kind=1, format=1)
            data = b"".join([part.data async for part in tablet._segmentation.Export(request)])

    planes = {plane: plane_geometry(SHAPE, volume.affine, plane) for plane in Plane}
    actions = [to_action(body, planes, SHAPE, None) for body in journal.bodies]
    truth = replay(SHAPE, [action for action in actions if action is not None]).array
    assert set(np.unique(truth)) == {0, 1, 2}
    np.testing.assert_array_equal(tifffile.imread(io.BytesIO(data)), truth)

    events = [entry for entry in annotations.log(annotation_id).entries if entry.sequence]
    assert {entry.session_id for entry in events} == {session_id}
    assert [entry.sequence for entry in events] == list(range(1, len(journal.bodies) + 1))
    assert [Body.FromString(entry.body) for entry in events] == journal.bodies
    assert {entry.sequence: entry.position for entry in events} == journal.acked
