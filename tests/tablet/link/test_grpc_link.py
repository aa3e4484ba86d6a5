"""The gRPC adapter against a small server of grpclib's own, in this process."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
from calque import wire
from calque.v1 import common_pb2, segmentation_grpc, segmentation_pb2, volumes_grpc, volumes_pb2
from google.rpc import error_details_pb2, status_pb2
from grpclib.const import Status
from grpclib.exceptions import GRPCError
from grpclib.server import Server, Stream

from tablet_client.link import grpc_link
from tablet_client.link.fake_volume import cut, fake_volume
from tablet_client.link.grpc_link import CHUNK_BYTES, GrpcLink
from tablet_client.link.port import LinkError, LocalFile, Step
from tablet_client.link.status import ErrorInfoCodec, from_status
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

    async def Import(self, stream: Stream[Any, Any]) -> None:  # noqa: N802
        self.imported.append(await stream.recv_message())
        await stream.send_message(volumes_pb2.ImportResponse(progress=volumes_pb2.ImportProgress(done=1, total=3)))
        if self.fail is not None:
            raise self.fail
        await stream.send_message(volumes_pb2.ImportResponse(volume=MESSAGE))

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
        await stream.send_message(segmentation_pb2.ExportResponse(name="mask.nii.gz", data=content[:1000]))
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


@pytest_asyncio.fixture
async def services() -> AsyncIterator[Services]:
    found = Services()
    await found.start()
    yield found
    await found.stop()


# --- errors ----------------------------------------------------------------------------------------------------------

INFO_OF_A_GAP = common_pb2.ErrorInfo(reason=common_pb2.SEQUENCE_GAP, message="Event 5 is missing.", expected=5)
OTHER_DETAIL = error_details_pb2.RetryInfo()
ERRORS = [
    # status, message, details → reason, message, expected, retry
    (Status.FAILED_PRECONDITION, "m", [INFO_OF_A_GAP], ("SEQUENCE_GAP", "Event 5 is missing.", 5, False)),
    (Status.FAILED_PRECONDITION, "m", [OTHER_DETAIL, INFO_OF_A_GAP], ("SEQUENCE_GAP", "Event 5 is missing.", 5, False)),
    (Status.NOT_FOUND, "m", [common_pb2.ErrorInfo(reason=common_pb2.MASK_NOT_FOUND)], ("MASK_NOT_FOUND", "m", 0, False)),
    (
        Status.UNAVAILABLE,
        "m",
        [common_pb2.ErrorInfo(reason=25, message="Store.")],
        ("STORE_UNAVAILABLE", "Store.", 0, True),
    ),
    (Status.DATA_LOSS, "m", [common_pb2.ErrorInfo(reason=12)], ("DIGEST_MISMATCH", "m", 0, True)),
    (Status.DATA_LOSS, "m", [common_pb2.ErrorInfo(reason=27)], ("STORE_CORRUPT", "m", 0, False)),
    (Status.RESOURCE_EXHAUSTED, "m", [common_pb2.ErrorInfo(reason=26)], ("STORE_FULL", "m", 0, False)),
    (Status.INVALID_ARGUMENT, "m", [common_pb2.ErrorInfo(reason=999)], ("REASON_UNSPECIFIED", "m", 0, False)),
    (Status.UNAVAILABLE, "m", None, ("SERVICE_UNAVAILABLE", "m", 0, True)),
    (Status.DEADLINE_EXCEEDED, None, None, ("SERVICE_UNAVAILABLE", "", 0, True)),
    (Status.CANCELLED, "m", None, ("SERVICE_UNAVAILABLE", "m", 0, True)),
    (Status.UNAUTHENTICATED, "m", None, ("INTERNAL", "m", 0, False)),
    (Status.INTERNAL, "m", [OTHER_DETAIL], ("INTERNAL", "m", 0, False)),
]


@pytest.mark.parametrize(("status", "message", "details", "expected"), ERRORS)
async def test_statuses_become_link_errors(services, status, message, details, expected):
    services.volumes.fail = GRPCError(status, message, details)
    with pytest.raises(LinkError) as caught:
        await services.link.list_volumes()
    error = caught.value
    assert (error.reason, error.message, error.expected, error.retry) == expected
    assert error.status == status.name


def test_damaged_details_are_no_details():
    codec = ErrorInfoCodec()
    whole = codec.encode(Status.NOT_FOUND, "m", [INFO_OF_A_GAP])
    assert codec.decode(Status.NOT_FOUND, "m", whole) == INFO_OF_A_GAP
    assert codec.decode(Status.NOT_FOUND, "m", b"\xff\xff\xff") is None
    spoiled = status_pb2.Status.FromString(whole)
    spoiled.details[0].value = b"\xff\xff\xff"
    assert codec.decode(Status.NOT_FOUND, "m", spoiled.SerializeToString()) is None
    assert from_status(Status.NOT_FOUND, "m", None).reason == "INTERNAL"


async def test_no_server_is_an_error_that_may_pass():
    link = GrpcLink("127.0.0.1", free_port())
    with pytest.raises(LinkError) as caught:
        await link.list_volumes()
    assert (caught.value.reason, caught.value.retry, caught.value.status) == ("SERVICE_UNAVAILABLE", True, "UNAVAILABLE")
    link.close()


async def test_a_server_that_hangs_is_an_error_that_may_pass(services, monkeypatch):
    monkeypatch.setattr(grpc_link, "UNARY_S", 0.05)
    with pytest.raises(LinkError) as caught:
        await services.link.get_volume("v")
    assert (caught.value.reason, caught.value.retry) == ("SERVICE_UNAVAILABLE", True)
    assert caught.value.status == "DEADLINE_EXCEEDED"


async def test_the_link_works_again_when_the_server_is_back(services):
    assert len(await services.link.list_volumes()) == 1
    services.cut()
    with pytest.raises(LinkError) as caught:
        await services.link.list_volumes()
    assert caught.value.retry
    services.broken = False
    assert len(await services.link.list_volumes()) == 1


# --- volumes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("plane", Plane)
async def test_slices_are_the_volume_s(services, plane):
    got = [pair async for pair in services.link.read_slices("v", INFO.planes[plane], [2, 0])]
    assert [index for index, _ in got] == [2, 0]
    for index, grey in got:
        assert grey.dtype == np.uint16
        np.testing.assert_array_equal(grey, cut(VOXELS, INFO.planes[plane], index))


async def test_many_slices_are_asked_for_in_parts(services, monkeypatch):
    monkeypatch.setattr(grpc_link, "SLICES_AT_ONCE", 2)
    wanted = [0, 2, 0, 0, 2]
    assert [k async for k, _ in services.link.read_slices("v", INFO.planes[Plane.AXIAL], wanted)] == wanted


async def test_a_damaged_slice_is_said(services):
    slices = services.link.read_slices("v", INFO.planes[Plane.AXIAL], [0, 1])
    assert (await anext(slices))[0] == 0
    with pytest.raises(LinkError) as caught:
        await anext(slices)
    assert caught.value.reason == "DIGEST_MISMATCH"


async def test_a_stream_that_dies_halfway_gives_what_came(services):
    services.volumes.fail = GRPCError(Status.UNAVAILABLE, "gone")
    got = []
    with pytest.raises(LinkError) as caught:  # noqa: PT012 – what came before counts
        async for index, _ in services.link.read_slices("v", INFO.planes[Plane.AXIAL], [0, 2]):
            got.append(index)
    assert got == [0]
    assert caught.value.retry


def files(folder: Path, *sizes: int) -> list[LocalFile]:
    made = []
    for number, size in enumerate(sizes):
        path = folder / f"{number}.dcm"
        path.write_bytes(np.random.default_rng(number).bytes(size))
        made.append(LocalFile(f"series/{path.name}", path))
    return made


async def test_an_import_sends_everything_once_and_reports(services, tmp_path):
    chosen = files(tmp_path, CHUNK_BYTES * 2 + 5, 0, 10)
    steps: list[Step] = []
    volume = await services.link.import_files(chosen, "id", steps.append, name="n", series="s", frame_plus_one=2)
    assert volume == MESSAGE
    for file in chosen:
        head, data = services.volumes.uploads[file.name]
        assert bytes(data) == file.path.read_bytes()
        assert head.sha256 == hashlib.sha256(data).digest()
    total = CHUNK_BYTES * 2 + 15
    uploads = [step for step in steps if step.what == "upload"]
    assert uploads[0] == Step("upload", 0, total)
    assert uploads[-1] == Step("upload", total, total)
    assert all(a.done <= b.done for a, b in itertools.pairwise(uploads))
    assert steps[-1] == Step("import", 1, 3)
    (request,) = services.volumes.imported
    assert (request.upload_id, request.name, request.series, request.frame_plus_one) == ("id", "n", "s", 2)


async def test_a_cut_upload_goes_on_where_it_was(services, tmp_path):
    chosen = files(tmp_path, CHUNK_BYTES * 3, CHUNK_BYTES)
    services.volumes.break_at = [CHUNK_BYTES, CHUNK_BYTES * 2]
    await services.link.import_files(chosen, "id")
    assert [bytes(data) for _, data in services.volumes.uploads.values()] == [f.path.read_bytes() for f in chosen]
    first = [offset for offset in services.volumes.offsets if offset]
    assert sorted(set(first)) == first  # nothing was sent twice


async def test_an_upload_that_gets_no_farther_fails(services, tmp_path):
    services.volumes.break_at, services.volumes.forgets = [0] * 50, True
    with pytest.raises(LinkError) as caught:
        await services.link.import_files(files(tmp_path, 10, 10), "id")
    assert caught.value.reason == "SERVICE_UNAVAILABLE"
    assert 50 - len(services.volumes.break_at) == grpc_link.TRIES


async def test_files_that_the_tablet_cannot_read_are_said(services, tmp_path):
    with pytest.raises(LinkError) as caught:
        await services.link.import_files([LocalFile("a", tmp_path / "missing")], "id")
    assert caught.value.reason == "FILE_NOT_READABLE"


async def test_a_refused_import_says_why(services, tmp_path):
    info = common_pb2.ErrorInfo(reason=common_pb2.FILE_TRUNCATED, message="This file ends too early.")
    services.volumes.fail = GRPCError(Status.INVALID_ARGUMENT, "m", [info])
    with pytest.raises(LinkError) as caught:
        await services.link.import_files(files(tmp_path, 3), "id")
    assert (caught.value.reason, str(caught.value)) == ("FILE_TRUNCATED", "This file ends too early.")


async def test_the_import_goes_on_when_the_files_are_there(services, tmp_path):
    chosen = files(tmp_path, 3)
    await services.link.import_files(chosen, "id")
    sent = list(services.volumes.offsets)
    await services.link.import_files(chosen, "id", series="chosen")
    assert services.volumes.offsets == sent
    assert services.volumes.imported[-1].series == "chosen"


# --- annotations -----------------------------------------------------------------------------------------------------


async def test_annotations_are_kept(services):
    link = services.link
    labels = [common_pb2.Label(value=1, name="Placenta"), common_pb2.Label(value=2, name="Rest")]
    made = await link.create_annotation("v", "n", labels)
    assert (made.volume_id, made.name, list(made.labels)) == ("v", "n", labels)
    assert [a.annotation_id for a in await link.list_annotations("v")] == ["b", "a"]
    assert (await link.rename_annotation("a", "new")).name == "new"
    assert [m.number for m in await link.list_masks("a")] == [2, 1]
    await link.delete_annotation("a")
    await link.delete_volume("v")


async def test_a_session_sends_and_receives(services):
    opening = segmentation_pb2.AnnotateOpen(annotation_id="a", session_id="s", have_entries=3)
    async with services.link.annotate(opening) as session:
        messages = aiter(session)
        assert (await anext(messages)).opened.next_sequence == 4
        await session.send(segmentation_pb2.AnnotateView(plane="PLANE_CORONAL", slice=7))
        await session.send(segmentation_pb2.AnnotateSettings(live=True))
        await session.send(segmentation_pb2.AnnotateSegment())
        await session.send(segmentation_pb2.Event(sequence=4))
        assert (await anext(messages)).ack.sequence == 4
    kinds = [request.WhichOneof("what") for request in services.segmentation.received]
    assert kinds == ["open", "view", "settings", "segment", "event"]
    assert services.segmentation.received[0].open == opening


async def test_a_session_that_is_refused_raises_why_when_it_is_left(services):
    info = common_pb2.ErrorInfo(reason=common_pb2.STROKE_INVALID, expected=4)
    services.segmentation.fail = GRPCError(Status.INVALID_ARGUMENT, "m", [info])
    with pytest.raises(LinkError) as caught:  # noqa: PT012 – where it is raised is what is tried
        async with services.link.annotate(segmentation_pb2.AnnotateOpen()) as session:
            async for _ in session:
                await session.send(segmentation_pb2.AnnotateSegment())
    assert (caught.value.reason, caught.value.expected) == ("STROKE_INVALID", 4)


async def test_a_session_whose_server_dies_raises_an_error_that_may_pass(services):
    with pytest.raises(LinkError) as caught:  # noqa: PT012 – where it is raised is what is tried
        async with services.link.annotate(segmentation_pb2.AnnotateOpen()) as session:
            async for _ in session:
                services.cut()
    assert caught.value.retry


async def test_masks_are_saved_with_progress(services):
    steps: list[Step] = []
    assert (await services.link.save_mask("a", 128, steps.append)).threshold == 128
    assert steps == [Step("compute", 2, 9)]
    with pytest.raises(LinkError) as caught:
        await services.link.save_mask("a", 7)
    assert caught.value.retry


async def test_a_mask_file_is_sent(services, tmp_path):
    (file,) = files(tmp_path, CHUNK_BYTES + 1)
    digest = hashlib.sha256(file.path.read_bytes()).hexdigest()
    assert await services.link.upload_mask("a", file) == f"a/{file.name}/{digest}"


async def test_exports_come_whole_or_not_at_all(services):
    got = await services.link.export("a", segmentation_pb2.EXPORT_KIND_MASK, segmentation_pb2.EXPORT_FORMAT_NIFTI, 5)
    assert (got.name, got.data) == ("mask.nii.gz", bytes([2, 2, 5]) * 1000)
    services.segmentation.digest = "0" * 64
    with pytest.raises(LinkError) as caught:
        await services.link.export("a", segmentation_pb2.EXPORT_KIND_MASK, segmentation_pb2.EXPORT_FORMAT_NIFTI)
    assert caught.value.reason == "DIGEST_MISMATCH"
