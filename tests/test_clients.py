"""The contract from both kinds of clients: grpcio, as programs have it, and grpclib, as the tablet has it, get the same."""

from __future__ import annotations

import gzip
import importlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import grpc
import numpy as np
import pytest
from calque.v1 import common_pb2, segmentation_pb2, volumes_pb2
from google.protobuf.message import Message
from google.rpc import status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status
from grpclib.client import Channel, UnaryUnaryMethod
from grpclib.config import Configuration
from grpclib.encoding.base import StatusDetailsCodecBase
from grpclib.exceptions import GRPCError

from services.formats.write import nifti_bytes
from tests.phantoms import oblique_phantom
from tests.served import Served, chunks, event, keep, serve, stroke

SHAPE = (4, 20, 24)
UPLOAD, SESSION = str(UUID(int=1)), str(UUID(int=2))
v, s = volumes_pb2, segmentation_pb2
Call = Callable[[str, Sequence[Message]], Awaitable[list[Message]]]


class Refusal(Exception):
    """A status with its details, whoever received it."""

    def __init__(self, code: str, message: str | None, info: common_pb2.ErrorInfo | None) -> None:
        super().__init__(code, message, info)
        self.code, self.message, self.info = code, message, info


def details(status: status_pb2.Status | None) -> common_pb2.ErrorInfo | None:
    info = common_pb2.ErrorInfo()
    return info if status is not None and any(detail.Unpack(info) for detail in status.details) else None


class Codec(StatusDetailsCodecBase):
    """grpclib hands the bytes of ``grpc-status-details-bin`` to this."""

    def encode(self, status: Any, message: Any, details: Any) -> bytes:
        raise NotImplementedError  # only servers encode

    def decode(self, status: Any, message: str | None, data: bytes) -> common_pb2.ErrorInfo | None:
        return details(status_pb2.Status.FromString(data))


@asynccontextmanager
async def grpcio(port: int) -> AsyncIterator[Call]:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:

        async def call(rpc: str, requests: Sequence[Message]) -> list[Message]:
            service, _, name = rpc.partition(".")
            module = importlib.import_module(f"calque.v1.{service.lower()}_pb2_grpc")
            method = getattr(getattr(module, f"{service}Stub")(channel), name)
            kinds = importlib.import_module(f"calque.v1.{service.lower()}_pb2").DESCRIPTOR.services_by_name[service]
            kind = kinds.methods_by_name[name]
            try:
                answer = method(iter(requests) if kind.client_streaming else requests[0], timeout=30)
                return [one async for one in answer] if kind.server_streaming else [await answer]
            except grpc.aio.AioRpcError as error:
                rich = rpc_status.from_call(error)
                raise Refusal(error.code().name, error.details(), details(rich)) from error

        yield call


@asynccontextmanager
async def grpclib(port: int) -> AsyncIterator[Call]:
    config = Configuration(http2_connection_window_size=8 << 20, http2_stream_window_size=8 << 20)
    channel = Channel("127.0.0.1", port, config=config, status_details_codec=Codec())

    async def call(rpc: str, requests: Sequence[Message]) -> list[Message]:
        service, _, name = rpc.partition(".")
        module = importlib.import_module(f"calque.v1.{service.lower()}_grpc")
        method = getattr(getattr(module, f"{service}Stub")(channel), name)
        try:
            async with method.open(timeout=30) as stream:
                await stream.send_request()
                for request in requests:
                    await stream.send_message(request)
                await stream.end()
                return [one async for one in stream]
        except GRPCError as error:
            raise Refusal(error.status.name, error.message, error.details) from error

    try:
        yield call
    finally:
        channel.close()


def nothing(volume: str, annotation: str) -> list[Message]:
    return []


def annotate(*events: s.Event, **opening: Any) -> Callable[[str, str], list[Message]]:
    """Open, do not compute, send events, hang up."""

    def requests(volume: str, annotation: str) -> list[Message]:
        opened = s.AnnotateOpen(**({"annotation_id": annotation, "session_id": SESSION} | opening))
        off = s.AnnotateRequest(settings=s.AnnotateSettings(live=False))
        return [s.AnnotateRequest(open=opened), off, *(s.AnnotateRequest(event=one) for one in events)]

    return requests


MASK = np.zeros(SHAPE, dtype=bool)
MASK[1:3, 4:9, 5:11] = True
MASK_FILE = nifti_bytes(MASK, affine=oblique_phantom(SHAPE).affine, source_axes=(2, 1, 0))
VOLUME_FILE = gzip.decompress(
    nifti_bytes(oblique_phantom((3, 16, 18)).voxels, affine=oblique_phantom((3, 16, 18)).affine, source_axes=(2, 1, 0))
)
FIRST = stroke(1, 1, [3, 9], [4, 4])

# What is called, with which messages, and the status, reason and expectation; the messages depend on a volume and an
# annotation of it that are made anew for each client.
TABLE: list[tuple[str, Callable[[str, str], list[Message]], tuple[str, str, int] | None]] = [
    ("Volumes.GetUpload", lambda *_: [v.GetUploadRequest(upload_id=UPLOAD)], None),
    ("Volumes.DeleteUpload", lambda *_: [v.DeleteUploadRequest(upload_id=UPLOAD)], None),
    ("Volumes.DeleteUpload", lambda *_: [v.DeleteUploadRequest(upload_id="x")], ("INVALID_ARGUMENT", "REQUEST_INVALID", 0)),
    ("Volumes.GetUpload", lambda *_: [v.GetUploadRequest(upload_id="x")], ("INVALID_ARGUMENT", "REQUEST_INVALID", 0)),
    ("Volumes.Upload", nothing, None),
    ("Volumes.Upload", lambda *_: chunks(UPLOAD, "a/ä.nii", VOLUME_FILE, size=700), None),
    (
        "Volumes.Upload",
        lambda *_: chunks(UPLOAD, "b", bytes(3_000), size=1_000)[::2],
        ("INVALID_ARGUMENT", "UPLOAD_OUT_OF_STEP", 1_000),
    ),
    ("Volumes.Upload", lambda *_: chunks(UPLOAD, "b", b"x", sha256=bytes(32)), ("DATA_LOSS", "DIGEST_MISMATCH", 0)),
    ("Volumes.Upload", lambda *_: chunks(UPLOAD, "../b", b"x"), ("INVALID_ARGUMENT", "REQUEST_INVALID", 0)),
    (
        "Volumes.Upload",
        lambda *_: chunks(UPLOAD, "b", b"x", size_bytes=2**60),
        ("RESOURCE_EXHAUSTED", "FILE_TOO_LARGE", 0),
    ),
    ("Volumes.ListSeries", lambda *_: [v.ListSeriesRequest(upload_id=UPLOAD)], ("NOT_FOUND", "OBJECT_NOT_FOUND", 0)),
    ("Volumes.ListSeries", lambda *_: [v.ListSeriesRequest(upload_id="x")], ("INVALID_ARGUMENT", "REQUEST_INVALID", 0)),
    ("Volumes.Import", lambda *_: [v.ImportRequest(upload_id=UPLOAD)], ("NOT_FOUND", "OBJECT_NOT_FOUND", 0)),
    ("Volumes.ListVolumes", lambda *_: [v.ListVolumesRequest()], None),
    ("Volumes.GetVolume", lambda volume, _: [v.GetVolumeRequest(volume_id=volume)], None),
    ("Volumes.GetVolume", lambda *_: [v.GetVolumeRequest(volume_id="é")], ("NOT_FOUND", "VOLUME_NOT_FOUND", 0)),
    (
        "Volumes.ReadSlices",
        lambda volume, _: [v.ReadSlicesRequest(volume_id=volume, plane="PLANE_SAGITTAL", slices=[23, 0, 7])],
        None,
    ),
    (
        "Volumes.ReadSlices",
        lambda volume, _: [v.ReadSlicesRequest(volume_id=volume, plane="PLANE_AXIAL", slices=[0, 4])],
        ("INVALID_ARGUMENT", "REQUEST_INVALID", 0),
    ),
    ("Volumes.DeleteVolume", lambda volume, _: [v.DeleteVolumeRequest(volume_id=volume)], None),
    ("Segmentation.CreateAnnotation", lambda volume, _: [s.CreateAnnotationRequest(volume_id=volume, name="Knie")], None),
    ("Segmentation.ListAnnotations", lambda volume, _: [s.ListAnnotationsRequest(volume_id=volume)], None),
    (
        "Segmentation.RenameAnnotation",
        lambda _, annotation: [s.RenameAnnotationRequest(annotation_id=annotation, name="Genou")],
        None,
    ),
    (
        "Segmentation.RenameAnnotation",
        lambda _, annotation: [s.RenameAnnotationRequest(annotation_id=annotation, name="\n")],
        ("INVALID_ARGUMENT", "REQUEST_INVALID", 0),
    ),
    (
        "Segmentation.SubmitAnnotation",
        lambda _, annotation: [s.SubmitAnnotationRequest(annotation_id=annotation)],
        ("NOT_FOUND", "MASK_NOT_FOUND", 0),
    ),
    (
        "Segmentation.ReviewAnnotation",
        lambda _, annotation: [s.ReviewAnnotationRequest(annotation_id=annotation, verdict=s.REVIEW_ACCEPTED)],
        ("NOT_FOUND", "MASK_NOT_FOUND", 0),
    ),
    ("Segmentation.DeleteAnnotation", lambda _, annotation: [s.DeleteAnnotationRequest(annotation_id=annotation)], None),
    ("Segmentation.Annotate", annotate(), None),
    ("Segmentation.Annotate", annotate(event(1, FIRST), event(2, s.EventBody()), event(1, FIRST)), None),
    ("Segmentation.Annotate", annotate(read_only=True), None),
    ("Segmentation.Annotate", nothing, ("INVALID_ARGUMENT", "REQUEST_INVALID", 0)),
    ("Segmentation.Annotate", annotate(annotation_id="a-b"), ("NOT_FOUND", "ANNOTATION_NOT_FOUND", 0)),
    ("Segmentation.Annotate", annotate(event(2, FIRST)), ("FAILED_PRECONDITION", "SEQUENCE_GAP", 1)),
    (
        "Segmentation.Annotate",
        annotate(event(1, FIRST), event(1, s.EventBody())),
        ("ABORTED", "SEQUENCE_CONFLICT", 0),
    ),
    ("Segmentation.Annotate", annotate(event(1, FIRST), read_only=True), ("ABORTED", "OTHER_WRITER", 0)),
    (
        "Segmentation.Annotate",
        annotate(event(1, FIRST), event(2, stroke(1, 99, [1], [1]))),
        ("INVALID_ARGUMENT", "STROKE_INVALID", 2),
    ),
    (
        "Segmentation.Annotate",
        annotate(event(1, stroke(1, 1, [1], [1], label=9))),
        ("INVALID_ARGUMENT", "LABEL_UNKNOWN", 1),
    ),
    ("Segmentation.Annotate", annotate(s.Event(sequence=1, body=b"x")), ("DATA_LOSS", "DIGEST_MISMATCH", 0)),
    (
        "Segmentation.SaveMask",
        lambda _, annotation: [s.SaveMaskRequest(annotation_id=annotation, threshold=1)],
        ("FAILED_PRECONDITION", "NOT_SEGMENTED", 0),
    ),
    ("Segmentation.ListMasks", lambda _, annotation: [s.ListMasksRequest(annotation_id=annotation)], None),
    (
        "Segmentation.UploadMask",
        lambda _, annotation: [
            s.UploadMaskRequest(annotation_id=annotation, name="m"),
            s.UploadMaskRequest(data=MASK_FILE),
        ],
        None,
    ),
    (
        "Segmentation.UploadMask",
        lambda _, annotation: [s.UploadMaskRequest(annotation_id=annotation, name="m", data=b"x")],
        ("INVALID_ARGUMENT", "MASK_MISMATCH", 0),
    ),
    ("Segmentation.Export", lambda _, annotation: [s.ExportRequest(annotation_id=annotation, kind=1, format=2)], None),
    (
        "Segmentation.Export",
        lambda _, annotation: [s.ExportRequest(annotation_id=annotation, kind=2, format=1)],
        ("NOT_FOUND", "MASK_NOT_FOUND", 0),
    ),
    (
        "Segmentation.Export",
        lambda _, annotation: [s.ExportRequest(annotation_id=annotation, kind=1, format=4)],
        ("FAILED_PRECONDITION", "NO_SOURCE_SERIES", 0),
    ),
]


async def said(client: Any, served: Served, rpc: str, requests: Callable[[str, str], list[Message]]) -> tuple[Any, str]:
    """The refusal and the messages of a call, without what differs from one making to the next."""
    volume = keep(served.store, oblique_phantom(SHAPE)).volume_id
    create = s.CreateAnnotationRequest(volume_id=volume)
    annotation = (await served.segmentation.CreateAnnotation(create)).annotation.annotation_id
    refused, refusal, answers = None, None, ""
    async with client(served.port) as call:
        try:
            answers = "\n--\n".join(str(one) for one in await call(rpc, requests(volume, annotation)))
        except Refusal as error:
            refused = error
    if refused is not None:
        info = refused.info
        assert info is not None
        assert info.message == refused.message
        refusal = (refused.code, common_pb2.Reason.Name(info.reason), info.expected, info.message)
    answers = answers.replace(annotation, "ANNOTATION").replace(volume, "VOLUME")
    return refusal, re.sub(r"created_ms: \d+|VOLUME-\w+|name: \".*\"", "", answers)  # names tell the time


@pytest.mark.parametrize(("rpc", "requests", "expected"), TABLE, ids=[f"{n}-{row[0]}" for n, row in enumerate(TABLE)])
async def test_both_clients_get_the_same(
    tmp_path: Path, rpc: str, requests: Callable[[str, str], list[Message]], expected: tuple[str, str, int] | None
) -> None:
    found = []
    for client in (grpcio, grpclib):
        async with serve(tmp_path / client.__name__) as served:
            found.append(await said(client, served, rpc, requests))
    assert found[0] == found[1]
    refusal, answers = found[0]
    assert (refusal and refusal[:3]) == expected
    if expected is None and "Delete" not in rpc and rpc not in ("Volumes.GetUpload", "Segmentation.ListMasks"):
        assert answers or requests is nothing


def test_the_table_has_every_rpc_of_both_services() -> None:
    services = (
        volumes_pb2.DESCRIPTOR.services_by_name["Volumes"],
        segmentation_pb2.DESCRIPTOR.services_by_name["Segmentation"],
    )
    assert {row[0] for row in TABLE} == {f"{one.name}.{method.name}" for one in services for method in one.methods}


@pytest.mark.parametrize("client", [grpcio, grpclib])
async def test_a_whole_job_with_either_client(tmp_path: Path, client: Any) -> None:
    """Send, import, draw, save and export; messages that only one client could read would end it."""
    async with serve(tmp_path) as served, client(served.port) as call:
        await call("Volumes.Upload", chunks(UPLOAD, "a/ä.nii", VOLUME_FILE, size=1_000))
        [one] = (await call("Volumes.ListSeries", [v.ListSeriesRequest(upload_id=UPLOAD)]))[0].series
        assert (one.key, one.columns, one.rows, one.slices) == ("a/ä.nii", 18, 16, 3)
        request = v.ImportRequest(upload_id=UPLOAD, name="Ä", series=one.key)
        volume = (await call("Volumes.Import", [request]))[-1].volume
        assert volume.name == "Ä"
        create = s.CreateAnnotationRequest(volume_id=volume.volume_id)
        annotation = (await call("Segmentation.CreateAnnotation", [create]))[0].annotation.annotation_id
        strokes = (stroke(1, 1, [2, 9], [3, 3]), stroke(1, 1, [2, 9], [12, 12], label=2))
        drawn = await call("Segmentation.Annotate", annotate(event(1, strokes[0]), event(2, strokes[1]))("", annotation))
        assert [one.ack.sequence for one in drawn if one.WhichOneof("what") == "ack"] == [1, 2]
        *steps, last = await call("Segmentation.SaveMask", [s.SaveMaskRequest(annotation_id=annotation, threshold=128)])
        assert last.mask.number == 1
        assert all(one.WhichOneof("what") == "progress" for one in steps)
        parts = await call("Segmentation.Export", [s.ExportRequest(annotation_id=annotation, kind=3, format=1)])
        assert len(b"".join(part.data for part in parts)) > 3 * 16 * 18


@pytest.mark.parametrize("client", ["grpcio", "grpclib"])
async def test_health_with_either_client(tmp_path: Path, client: str) -> None:
    async with serve(tmp_path) as served:
        request = health_pb2.HealthCheckRequest(service="calque.v1.Segmentation")
        if client == "grpcio":
            async with grpc.aio.insecure_channel(f"127.0.0.1:{served.port}") as channel:
                answer = await health_pb2_grpc.HealthStub(channel).Check(request)
        else:
            connection = Channel("127.0.0.1", served.port)
            check = UnaryUnaryMethod(
                connection, "/grpc.health.v1.Health/Check", health_pb2.HealthCheckRequest, health_pb2.HealthCheckResponse
            )
            try:
                answer = await check(request, timeout=30)
            finally:
                connection.close()
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
