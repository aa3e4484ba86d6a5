"""A server stops in the midst of a write, another one takes the annotation over, and the first one wakes up."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import grpc
import pytest
from calque.v1 import segmentation_pb2, segmentation_pb2_grpc

from services.core.volume import Volume
from services.store.annotations import PAPER_LABELS, Annotations
from services.store.directory import DirectoryStore
from services.store.port import Store
from services.store.s3 import S3Store
from tests.processes import Serving
from tests.s3 import bucket_of
from tests.served import Tablet, keep, stroke

FIRST = [stroke(1, 3, [4, 9], [k, k]) for k in range(4, 9)]
"""What the tablet draws with the first server; the last one is being written when that stops."""
THEN = [stroke(1, 4, [4, 9], [k, k], label=2) for k in range(24, 27)]
OTHER_WRITER = ("ABORTED", "OTHER_WRITER", 0)


@dataclass(frozen=True)
class Place:
    """A store that two servers have in common.

    Attributes:
        store: as this process opens it.
        environment: how servers are told of it.
    """

    store: Store
    environment: dict[str, str]

    def kept(self, annotation_id: str) -> list[tuple[str, int, bytes]]:
        """Session, number and bytes of all events, as the store alone has them."""
        entries = Annotations(self.store).log(annotation_id).entries
        return [(entry.session_id, entry.sequence, entry.body) for entry in entries if entry.sequence]


@pytest.fixture(params=["directory", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    spools = {"CALQUE_PSEUDONYM_KEY": str(tmp_path / "pseudonym.key"), "CALQUE_AUDIT_SPOOL": str(tmp_path / "spool")}
    if request.param == "directory":
        yield Place(DirectoryStore(tmp_path / "store"), {"CALQUE_STORE": str(tmp_path / "store"), **spools})
        return
    with bucket_of(request.getfixturevalue("s3"), tmp_path) as bucket:
        there = {
            "CALQUE_STORE": f"s3://{bucket.name}",
            "CALQUE_S3_ENDPOINT": bucket.endpoint,
            "CALQUE_S3_CREDENTIALS": str(bucket.credentials),
        }
        yield Place(S3Store(bucket), {**there, **spools})


def begun(store: Store, volume: Volume) -> str:
    """A new annotation in a store."""
    record = keep(store, volume)
    return Annotations(store).create(record.volume_id, name="x", labels=PAPER_LABELS, created_ms=1).annotation_id


@contextmanager
def served(place: Place, folder: Path, *stopping: str) -> Iterator[Serving]:
    """A server process on a store; with ``stopping``, one that stops itself (see `tests.faults.stopping`)."""
    module = ("tests.faults.stopping", *stopping) if stopping else ("services.cli",)
    with Serving(folder, "segmentation", "--listen", "127.0.0.1:0", module=module, **place.environment) as serving:
        yield serving


@asynccontextmanager
async def tablet(address: str, annotation_id: str, session_id: str) -> AsyncIterator[Tablet]:
    async with (
        grpc.aio.insecure_channel(address) as channel,
        Tablet(segmentation_pb2_grpc.SegmentationStub(channel), annotation_id, session_id) as one,
    ):
        await one.settings(live=False)
        yield one


def numbered(session_id: str, bodies: list[segmentation_pb2.EventBody]) -> list[tuple[str, int, bytes]]:
    """Events of a session as `Place.kept` gives them."""
    return [(session_id, number, body.SerializeToString()) for number, body in enumerate(bodies, 1)]


async def save(tablet: Tablet) -> segmentation_pb2.Mask:
    """Save a mask of what is drawn."""
    asked = segmentation_pb2.SaveMaskRequest(annotation_id=tablet.opening.annotation_id, threshold=128)
    (mask,) = [one.mask async for one in tablet._segmentation.SaveMask(asked) if one.HasField("mask")]
    return mask


def stopped(serving: Serving) -> None:
    """Wait until a process has stopped itself."""
    _, status = os.waitpid(serving.process.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)


@pytest.mark.parametrize(
    ("place", "step", "durable"),
    [("directory", "named", True), ("s3", "begun", False)],
    indirect=["place"],
)
async def test_a_server_that_wakes_up_finds_itself_fenced_and_after_a_crash_takes_over_again(
    place: Place, phantom: Volume, tmp_path: Path, step: str, durable: bool
) -> None:
    """The first has events of its tablet in its hands when it stops, one of them half written."""
    annotation_id, one, two = begun(place.store, phantom), str(uuid4()), str(uuid4())
    with served(place, tmp_path / "first", "log", step, str(1 + len(FIRST))) as first:
        address = first.address()
        async with tablet(address, annotation_id, one) as drawing:
            await drawing.draw(*FIRST[:-1])
            await drawing.put(FIRST[-1], *THEN)
            await asyncio.to_thread(stopped, first)

            with served(place, tmp_path / "second") as second:
                async with tablet(second.address(), annotation_id, two) as other:
                    assert other.all("opened")[0].writer
                    await other.draw(*THEN[:-1])
                    first.process.send_signal(signal.SIGCONT)
                    assert await drawing.end() == OTHER_WRITER
                    await other.draw(THEN[-1])
                    saved = await save(other)
                    second.process.kill()

        known = FIRST if durable else FIRST[:-1]
        assert [ack.sequence for ack in drawing.all("ack")] == [number for number, _ in enumerate(known, 1)]
        written = [*numbered(one, known), *numbered(two, THEN)]
        assert place.kept(annotation_id) == written

        async with tablet(address, annotation_id, two) as back:
            assert back.sequence == len(THEN)
            again = await save(back)
            assert (again.number, again.digest) == (saved.number + 1, saved.digest)
            await back.draw(FIRST[0])
    assert place.kept(annotation_id) == [*written, (two, len(THEN) + 1, FIRST[0].SerializeToString())]
