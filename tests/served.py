"""The services in this process, over a real connection on loopback, and a tablet's side of an annotation."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Collection, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
import numpy as np
from calque import wire
from calque.v1 import common_pb2, segmentation_pb2, segmentation_pb2_grpc, volumes_pb2, volumes_pb2_grpc
from google.protobuf.message import Message
from grpc_status import rpc_status

from services.core.volume import Volume, grey_map, intensity_window
from services.formats.worker import Stop
from services.segmentation.servicer import SegmentationServicer
from services.segmentation.workspace import Workspace
from services.serving.audit import Recorder
from services.serving.identity.authentication import access, way_of
from services.serving.identity.interceptor import Authenticate
from services.serving.identity.local import IdentityServicer
from services.serving.limits import Limits as ServerLimits
from services.serving.server import MESSAGE_LIMIT_BYTES, Server
from services.serving.settings import Settings
from services.store.audit import Trail
from services.store.audit_spool import SpooledTrail
from services.store.catalogue import Catalogue, VolumeRecord
from services.store.directory import DirectoryStore
from services.store.port import Store
from services.volumes.servicer import VolumesServicer

SECONDS = 30.0
"""Longest wait for anything; only a failing test waits so long."""


@dataclass(frozen=True)
class Served:
    """Services on a store, and stubs that talk to them."""

    store: Any
    port: int
    volumes: Any
    segmentation: Any
    servicer: SegmentationServicer
    imports: Collection[Stop]
    """What ends the imports that run."""
    trail: SpooledTrail
    """Where records of the audit trail go."""

    def workspace(self, annotation_id: str) -> Workspace:
        """The server's own side of an annotation at work."""
        return self.servicer._workspaces._known[annotation_id]


@asynccontextmanager
async def serve(
    folder: Path,
    authenticate: Authenticate | None = None,
    *,
    store: Store | None = None,
    limits: ServerLimits | None = None,
    **settings: Any,
) -> AsyncIterator[Served]:
    """Volumes and segmentation on the store in ``folder``, or another one.

    They are for whom ``authenticate`` knows, else for whom the settings let in, else for everybody.
    """
    store = store or DirectoryStore(folder)
    chosen = Settings(store=folder, **{"audit_spool": folder.with_name(f"{folder.name}-audit"), **settings})
    trail = SpooledTrail(Trail(store), chosen.audit_folder)
    recorder = Recorder(trail)
    segmentation = SegmentationServicer(store, chosen, recorder)
    volumes = VolumesServicer(store, chosen, recorder)
    allowed = access(chosen, "s" * 40)
    identity = [IdentityServicer(allowed.local, recorder, way=way_of(chosen))] if allowed.authenticate else []
    asked = authenticate or allowed.authenticate
    server = Server([volumes, segmentation, *identity], listen="127.0.0.1:0", authenticate=asked, limits=limits)
    await server.start()
    options = [("grpc.max_receive_message_length", MESSAGE_LIMIT_BYTES), ("grpc.max_send_message_length", -1)]
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}", options=options) as channel:
            yield Served(
                store,
                server.port,
                volumes_pb2_grpc.VolumesStub(channel),
                segmentation_pb2_grpc.SegmentationStub(channel),
                segmentation,
                volumes._imports,
                trail,
            )
    finally:
        await server.stop(0)
        trail.close()


def keep(store: Store, volume: Volume, name: str = "Phantom") -> VolumeRecord:
    """Put a volume into the library without files."""
    window, grey = intensity_window(volume), grey_map(volume)
    return Catalogue(store).add(volume, name=name, imported_ms=1, window=window, grey=grey, thumbnail=b"")


async def begin(served: Served, volume: Volume) -> str:
    """A new annotation of a volume. Returns its identifier."""
    record = keep(served.store, volume)
    request = segmentation_pb2.CreateAnnotationRequest(volume_id=record.volume_id)
    return (await served.segmentation.CreateAnnotation(request)).annotation.annotation_id


def refusal(error: grpc.aio.AioRpcError) -> tuple[str, str, int]:
    """Status, reason and what was expected; the sentence is one, and for people."""
    details = rpc_status.from_call(error)
    assert details is not None, error
    info = common_pb2.ErrorInfo()
    assert details.details[0].Unpack(info)
    assert info.message == error.details() == details.message
    assert 0 < len(info.message) < 300
    assert "\n" not in info.message
    assert "Traceback" not in info.message
    return error.code().name, common_pb2.Reason.Name(info.reason), info.expected


async def refused(call: Any) -> tuple[str, str, int]:
    """What a call (or an iteration) is refused with."""
    try:
        if hasattr(call, "__aiter__"):
            async for _ in call:
                pass
        else:
            await call
    except grpc.aio.AioRpcError as error:
        return refusal(error)
    raise AssertionError("The call was not refused.")


async def eventually(found: Callable[[], Any]) -> None:
    """Wait for something that nobody tells of."""
    async with asyncio.timeout(SECONDS):
        while not found():  # noqa: ASYNC110 – the server's own state has no event for it
            await asyncio.sleep(0.002)


def stroke(
    plane: int,
    index: int,
    x: Iterable[float],
    y: Iterable[float],
    *,
    label: int = 1,
    width_mm: float = 2.0,
    widths_mm: Iterable[float] = (),
) -> segmentation_pb2.EventBody:
    """A stroke of the pen."""
    drawn = segmentation_pb2.Stroke(
        plane=common_pb2.Plane.Name(plane), slice=index, label=label, width_mm=width_mm, x=x, y=y, widths_mm=widths_mm
    )
    return segmentation_pb2.EventBody(stroke=drawn)


def event(sequence: int, body: Message | bytes) -> segmentation_pb2.Event:
    """An event as it is sent."""
    data = body if isinstance(body, bytes) else body.SerializeToString()
    return segmentation_pb2.Event(sequence=sequence, body=data, sha256=hashlib.sha256(data).digest())


class Tablet:
    """One session on an annotation: sends, and keeps what comes."""

    def __init__(self, segmentation: Any, annotation_id: str, session_id: str | None = None, **opening: Any) -> None:
        self.session_id = session_id or str(uuid4())
        self.opening = segmentation_pb2.AnnotateOpen(annotation_id=annotation_id, session_id=self.session_id, **opening)
        self.messages: list[segmentation_pb2.AnnotateResponse] = []
        self.error: grpc.aio.AioRpcError | None = None
        self.ended = False
        self.sequence = 0
        self._segmentation = segmentation
        self._news = asyncio.Event()

    async def __aenter__(self) -> Tablet:
        self.call = self._segmentation.Annotate()
        await self.send(open=self.opening)
        self._reading = asyncio.create_task(self._read())
        opened = await self.until(lambda t: t.all("opened"))
        self.sequence = opened[0].next_sequence - 1
        return self

    async def __aexit__(self, *_: object) -> None:
        self.call.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)

    async def send(self, **what: Any) -> None:
        await self.call.write(segmentation_pb2.AnnotateRequest(**what))

    async def settings(self, **fields: Any) -> None:
        await self.send(settings=segmentation_pb2.AnnotateSettings(**fields))

    async def look(self, plane: int, index: int) -> None:
        await self.send(view=segmentation_pb2.AnnotateView(plane=common_pb2.Plane.Name(plane), slice=index))

    async def segment(self) -> None:
        await self.send(segment=segmentation_pb2.AnnotateSegment())

    async def put(self, *bodies: Message | bytes) -> None:
        """Send the next events, without waiting."""
        for body in bodies:
            self.sequence += 1
            await self.send(event=event(self.sequence, body))

    async def draw(self, *bodies: Message | bytes) -> None:
        """Send the next events and wait for the last one's acknowledgement."""
        await self.put(*bodies)
        await self.acked(self.sequence)

    async def acked(self, sequence: int) -> int:
        """Wait for an acknowledgement. Returns the position."""
        return (await self.until(lambda t: [ack for ack in t.all("ack") if ack.sequence == sequence]))[0].position

    async def whole(self) -> segmentation_pb2.Histogram:
        """Wait until the whole volume is computed with all that was drawn. Returns its histogram."""

        def found(_: Tablet) -> Any:
            measured = [one for one in self.all("statistics") if one.volume_ms]
            shown = [one for one in self.all("histogram") if one.complete]
            return measured and shown and shown[-1]

        return await self.until(found)

    def all(self, kind: str) -> list[Any]:
        """All messages of a kind so far."""
        return [getattr(one, kind) for one in self.messages if one.WhichOneof("what") == kind]

    async def until(self, found: Callable[[Tablet], Any]) -> Any:
        """Wait until something is found. Fails when the stream ends before."""
        async with asyncio.timeout(SECONDS):
            while not (result := found(self)):
                assert not self.ended, f"The stream ended: {self.error!r}"
                self._news.clear()
                await self._news.wait()
            return result

    async def end(self) -> tuple[str, str, int]:
        """Wait until the server ends the stream. Returns the refusal."""
        async with asyncio.timeout(SECONDS):
            while not self.ended:
                self._news.clear()
                await self._news.wait()
        assert self.error is not None
        return refusal(self.error)

    async def _read(self) -> None:
        try:
            async for message in self.call:
                self.messages.append(message)
                self._news.set()
        except grpc.aio.AioRpcError as error:
            self.error = error
        finally:
            self.ended = True
            self._news.set()


def image(probability: segmentation_pb2.Probability, geometry: Any) -> np.ndarray:
    """A probability message's pixels, ``(rows, columns)``."""
    return wire.unpack(probability.levels, wire.LEVEL, (geometry.rows, geometry.columns))


def chunks(
    upload_id: str, name: str, data: bytes, *, start: int = 0, size: int = 256 << 10, **announced: Any
) -> list[volumes_pb2.UploadRequest]:
    """A file's messages from byte ``start`` on; ``announced`` fields replace the true ones."""
    head = {"name": name, "size_bytes": len(data), "sha256": hashlib.sha256(data).digest()} | announced
    requests = [
        volumes_pb2.UploadRequest(upload_id=upload_id, offset_bytes=offset, data=data[offset : offset + size])
        for offset in range(start, max(len(data), start + 1), size)
    ]
    requests[0].file.CopyFrom(volumes_pb2.UploadFile(**head))
    return requests
