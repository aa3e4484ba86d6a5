"""Services that say what a test wants, behind a real gRPC server and a wire that can be cut."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import socket
from typing import Any

import numpy as np
from calque import wire
from calque.v1 import common_pb2, segmentation_grpc, segmentation_pb2, volumes_grpc, volumes_pb2
from grpclib.const import Status
from grpclib.exceptions import GRPCError
from grpclib.server import Server, Stream

from tablet_client.link.fake_volume import cut, fake_volume
from tablet_client.link.grpc_link import GrpcLink
from tablet_client.link.status import ErrorInfoCodec
from tablet_client.state.geometry import Plane, VolumeInfo

VOXELS = np.random.default_rng(0).integers(0, 65536, (3, 5, 7)).astype(np.uint16)
MESSAGE, _ = fake_volume(VOXELS)
INFO = VolumeInfo.from_message(MESSAGE)


class Volumes(volumes_grpc.VolumesBase):
    """Keeps uploads in memory; `fail` is raised where a test puts it."""

    def __init__(self) -> None:
        self.fail: Exception | None = None
        self.hang = asyncio.Event()
        self.uploads: dict[str, tuple[volumes_pb2.UploadFile, bytearray]] = {}
        self.offsets: list[int] = []
        self.break_at: list[int] = []  # bytes received, in all, at which the stream is cut, one after the other
        self.forgets = False
        self.imported: list[volumes_pb2.ImportRequest] = []

    async def ListVolumes(self, stream: Stream[Any, Any]) -> None:  # noqa: N802
        await stream.recv_message()
        if self.fail is not None:
            raise self.fail
        await stream.send_message(volumes_pb2.ListVolumesResponse(volumes=[MESSAGE]))

    async def GetVolume(self, stream: Stream[Any, Any]) -> None:  # noqa: N802
        await self.hang.wait()

    async def ReadSlices(self, stream: Stream[Any, Any]) -> None:  # noqa: N802
        request = await stream.recv_message()
        plane = INFO.planes[Plane(request.plane)]
        for index in request.slices:
            if self.fail is not None and index == 2:
                raise self.fail
            grey = wire.pack(cut(VOXELS, plane, index), wire.GREY) if index != 1 else b"damaged"
            await stream.send_message(volumes_pb2.ReadSlicesResponse(slice=index, grey=grey))

    async def GetUpload(self, stream: Stream[Any, Any]) -> None:  # noqa: N802
        await stream.recv_message()
        files = [
            volumes_pb2.UploadedFile(name=name, size_bytes=head.size_bytes, committed_bytes=len(data))
            for name, (head, data) in self.uploads.items()
        ]
        await stream.send_message(volumes_pb2.GetUploadResponse(files=files))

    async def Upload(self, stream: Stream[Any, Any]) -> None:  # noqa: N802
        data = bytearray()
        async for request in stream:
            if request.HasField("file"):
                _, data = self.uploads.setdefault(request.file.name, (request.file, bytearray()))
            if request.offset_bytes != len(data):
                info = common_pb2.ErrorInfo(reason=common_pb2.UPLOAD_OUT_OF_STEP, expected=len(data))
                raise GRPCError(Status.INVALID_ARGUMENT, "out of step", [info])
            self.offsets.append(request.offset_bytes)
            data += request.data
            received = sum(len(held) for _, held in self.uploads.values())
            if self.break_at and received >= self.break_at[0]:
                self.break_at.pop(0)
                if self.forgets:
                    self.uploads.clear()
                raise GRPCError(Status.UNAVAILABLE, "cut")
        await stream.send_message(volumes_pb2.UploadResponse())

    async def ListSeries(self, stream: Stream[Any, Any]) -> None:  # noqa: N802
        request = await stream.recv_message()
        if self.fail is not None:
            raise self.fail
        await stream.send_message(volumes_pb2.ListSeriesResponse(series=[volumes_pb2.Series(key=request.upload_id)]))

    async def Import(self, stream: Stream[Any, Any]) -> None:  # noqa: N802
        self.imported.append(await stream.recv_message())
        await stream.send_message(volumes_pb2.ImportResponse(progress=volumes_pb2.ImportProgress(done=1, total=3)))
        if self.fail is not None:
            raise self.fail
        await stream.send_message(volumes_pb2.ImportResponse(volume=MESSAGE))

    async def DeleteUpload(self, stream: Stream[Any, Any]) -> None:  # noqa: N802
        request = await stream.recv_message()
        self.uploads.clear()
        assert request.upload_id
        await stream.send_message(volumes_pb2.DeleteUploadResponse())

    async def DeleteVolume(self, stream: Stream[Any, Any]) -> None:  # noqa: N802
        await stream.recv_message()
        await stream.send_message(volumes_pb2.DeleteVolumeResponse())


class Segmentation(segmentation_grpc.SegmentationBase):
    """Answers with what was asked."""

    def __init__(self) -> None:
        self.fail: Exception | None = None
        self.received: list[segmentation_pb2.AnnotateRequest] = []
        self.digest: str | None = None

    async def CreateAnnotation(self, stream: Stream[Any, Any]) -> None:  # noqa: N802
        request = await stream.recv_message()
        made = segmentation_pb2.Annotation(volume_id=request.volume_id, name=request.name, labels=request.labels)
        await stream.send_message(segmentation_pb2.CreateAnnotationResponse(annotation=made))

    async def ListAnnotations(self, stream: Stream[Any, Any]) -> None:  # noqa: N802
        request = await stream.recv_message()
        found = [segmentation_pb2.Annotation(annotation_id=k, volume_id=request.volume_id) for k in "ba"]
        await stream.send_message(segmentation_pb2.ListAnnotationsResponse(annotations=found))

    async def SubmitAnnotation(self, stream: Stream[Any, Any]) -> None:  # noqa: N802
        raise NotImplementedError  # tried with the real service

    async def ReviewAnnotation(self, stream: Stream[Any, Any]) -> None:  # noqa: N802
        raise NotImplementedError  # as the other

    async def RenameAnnotation(self, stream: Stream[Any, Any]) -> None:  # noqa: N802
        request = await stream.recv_message()
        named = segmentation_pb2.Annotation(annotation_id=request.annotation_id, name=request.name)
        await stream.send_message(segmentation_pb2.RenameAnnotationResponse(annotation=named))

    async def DeleteAnnotation(self, stream: Stream[Any, Any]) -> None:  # noqa: N802
        await stream.recv_message()
        await stream.send_message(segmentation_pb2.DeleteAnnotationResponse())

    async def Annotate(self, stream: Stream[Any, Any]) -> None:  # noqa: N802
        async for request in stream:
            self.received.append(request)
            if request.HasField("open"):
                opened = segmentation_pb2.AnnotateOpened(next_sequence=4, writer=True)
                await stream.send_message(segmentation_pb2.AnnotateResponse(opened=opened))
            elif request.HasField("event"):
                ack = segmentation_pb2.Ack(sequence=request.event.sequence)
                await stream.send_message(segmentation_pb2.AnnotateResponse(ack=ack))
            elif self.fail is not None:
                raise self.fail

    async def SaveMask(self, stream: Stream[Any, Any]) -> None:  # noqa: N802
        request = await stream.recv_message()
        await stream.send_message(segmentation_pb2.SaveMaskResponse(progress=segmentation_pb2.Progress(done=2, total=9)))
        if request.threshold != 7:
            mask = segmentation_pb2.Mask(number=1, threshold=request.threshold)
            await stream.send_message(segmentation_pb2.SaveMaskResponse(mask=mask))

    async def ListMasks(self, stream: Stream[Any, Any]) -> None:  # noqa: N802
        await stream.recv_message()
        masks = [segmentation_pb2.Mask(number=k) for k in (2, 1)]
        await stream.send_message(segmentation_pb2.ListMasksResponse(masks=masks))

    async def UploadMask(self, stream: Stream[Any, Any]) -> None:  # noqa: N802
        requests = [request async for request in stream]
        content = b"".join(request.data for request in requests)
        digest = f"{requests[0].annotation_id}/{requests[0].name}/{hashlib.sha256(content).hexdigest()}"
        await stream.send_message(segmentation_pb2.UploadMaskResponse(mask_digest=digest))

    async def Export(self, stream: Stream[Any, Any]) -> None:  # noqa: N802
        request = await stream.recv_message()
        content = bytes([request.kind, request.format, request.mask_number]) * 1000
        digest = self.digest or hashlib.sha256(content).hexdigest()
        first = segmentation_pb2.ExportResponse(name="mask.nii.gz", data=content[:1000], size_bytes=len(content))
        await stream.send_message(first)
        await stream.send_message(segmentation_pb2.ExportResponse(data=content[1000:], sha256=digest))


class Services:
    """Both services, a link to them, and a cable between that can be cut and mended."""

    def __init__(self) -> None:
        self.volumes, self.segmentation = Volumes(), Segmentation()
        self.server = Server([self.volumes, self.segmentation], status_details_codec=ErrorInfoCodec())
        self.server_port, self.port = free_port(), free_port()
        self.link = GrpcLink("127.0.0.1", self.port)
        self.ends: list[asyncio.StreamWriter] = []
        self.carriers: set[asyncio.Task[None]] = set()
        self.broken = False

    async def start(self) -> None:
        await self.server.start("127.0.0.1", self.server_port)
        self.cable = await asyncio.start_server(self.connect, "127.0.0.1", self.port)

    async def connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.broken:
            writer.transport.abort()
            return
        there = await asyncio.open_connection("127.0.0.1", self.server_port)
        self.ends += [writer, there[1]]
        for source, target in ((reader, there[1]), (there[0], writer)):
            self.carriers.add(asyncio.create_task(carry(source, target)))

    def cut(self) -> None:
        self.broken = True
        for end in self.ends:
            end.transport.abort()
        self.ends.clear()

    async def stop(self) -> None:
        self.link.close()
        self.cut()
        await asyncio.gather(*self.carriers)
        for server in (self.cable, self.server):
            server.close()
            await server.wait_closed()


async def carry(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(1 << 16):
            target.write(data)
            await target.drain()
    target.transport.abort()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
