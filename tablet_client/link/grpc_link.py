"""The link over gRPC, with grpclib: pure Python, so that it runs on a tablet."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
from calque import wire
from calque.v1 import common_pb2, segmentation_grpc, segmentation_pb2, volumes_grpc, volumes_pb2
from grpclib.client import Channel
from grpclib.config import Configuration
from grpclib.protocol import H2Protocol
from numpy.typing import NDArray

from tablet_client.link.account import Account
from tablet_client.link.grpc_account import GrpcAccount
from tablet_client.link.port import ExportedFile, LinkError, LocalFile, Outgoing, Session, Show, Step, Watch
from tablet_client.link.status import ErrorInfoCodec, translated
from tablet_client.state.geometry import PlaneInfo

WINDOW_BYTES = 8 << 20
"""Received without waiting: the contract's largest message."""

CHUNK_BYTES = 256 << 10
"""Of uploads; the fastest."""

UNARY_S = 15.0
"""Deadline of calls that only ask."""

SLICES_AT_ONCE = 512
"""Of one ReadSlices, by the contract."""

TRIES = 3
"""Attempts of an upload that get no byte farther, before it fails."""

_FIELDS: dict[type, str] = {
    segmentation_pb2.Event: "event",
    segmentation_pb2.AnnotateView: "view",
    segmentation_pb2.AnnotateSettings: "settings",
    segmentation_pb2.AnnotateSegment: "segment",
}


class _Channel(Channel):
    """A channel whose connections may be lost before the first call has used them: grpclib fails strangely on these."""

    async def __connect__(self) -> H2Protocol:
        protocol = await super().__connect__()
        if protocol.processor.connection.is_closing():
            raise ConnectionResetError("The connection was lost as soon as it was made.")
        return protocol


class GrpcLink:
    """A `Link` to services at one address. Made on the loop that it runs on; it connects when it is first used.

    Args:
        host, port: where the services listen.
        tls: None for a plain connection, as on loopback.
    """

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> None:
        # A ping while something is awaited finds a dead network; grpclib's own limits keep it below what servers punish.
        config = Configuration(
            _keepalive_time=30.0,
            _keepalive_timeout=10.0,
            http2_connection_window_size=WINDOW_BYTES,
            http2_stream_window_size=WINDOW_BYTES,
        )
        self._channel = _Channel(host, port, ssl=tls, config=config, status_details_codec=ErrorInfoCodec())
        self.account: Account = GrpcAccount(self._channel)
        self._volumes = volumes_grpc.VolumesStub(self._channel)
        self._segmentation = segmentation_grpc.SegmentationStub(self._channel)

    def close(self) -> None:
        """See `Link`."""
        self._channel.close()

    # --- volumes -----------------------------------------------------------------------------------------------------

    async def list_volumes(self) -> list[volumes_pb2.Volume]:
        """See `Link`."""
        response = await _ask(self._volumes.ListVolumes, volumes_pb2.ListVolumesRequest())
        return list(response.volumes)

    async def get_volume(self, volume_id: str) -> volumes_pb2.Volume:
        """See `Link`."""
        response = await _ask(self._volumes.GetVolume, volumes_pb2.GetVolumeRequest(volume_id=volume_id))
        volume: volumes_pb2.Volume = response.volume
        return volume

    async def delete_volume(self, volume_id: str) -> None:
        """See `Link`."""
        await _ask(self._volumes.DeleteVolume, volumes_pb2.DeleteVolumeRequest(volume_id=volume_id))

    async def read_slices(
        self, volume_id: str, plane: PlaneInfo, slices: Sequence[int]
    ) -> AsyncIterator[tuple[int, NDArray[np.uint16]]]:
        """See `Link`."""
        for start in range(0, len(slices), SLICES_AT_ONCE):
            request = volumes_pb2.ReadSlicesRequest(
                volume_id=volume_id,
                plane=common_pb2.Plane.Name(plane.plane.value),
                slices=slices[start : start + SLICES_AT_ONCE],
            )
            async for response in _follow(self._volumes.ReadSlices, request):
                with translated():
                    grey = wire.unpack(response.grey, wire.GREY, plane.shape)
                yield response.slice, grey

    async def import_files(
        self,
        files: Sequence[LocalFile],
        upload_id: str,
        watch: Watch | None = None,
        *,
        show: Show | None = None,
        name: str = "",
        series: str = "",
        frame_plus_one: int = 0,
        resample: bool = False,
        shear: bool = False,
        project: str = "",
    ) -> volumes_pb2.Volume:
        """See `Link`."""
        await self._upload(files, upload_id, watch or _nobody)
        request = volumes_pb2.ImportRequest(
            upload_id=upload_id,
            name=name,
            series=series,
            frame_plus_one=frame_plus_one,
            resample=resample,
            shear=shear,
            project=project,
        )
        async for response in _follow(self._volumes.Import, request):
            if response.HasField("volume"):
                volume: volumes_pb2.Volume = response.volume
                return volume
            if show and response.HasField("preview"):
                show(response.preview)
            if watch and response.HasField("progress"):
                what = "files" if response.progress.stage == volumes_pb2.IMPORT_STAGE_FILES else "import"
                watch(Step(what, response.progress.done, response.progress.total))
        raise _cut_short()

    async def list_series(self, upload_id: str) -> volumes_pb2.ListSeriesResponse:
        """See `Link`."""
        request = volumes_pb2.ListSeriesRequest(upload_id=upload_id)
        # Headers of tens of thousands of files take minutes, as an import does: no deadline.
        with translated():
            response: volumes_pb2.ListSeriesResponse = await self._volumes.ListSeries(request)
        return response

    async def delete_upload(self, upload_id: str) -> None:
        """See `Link`."""
        await _ask(self._volumes.DeleteUpload, volumes_pb2.DeleteUploadRequest(upload_id=upload_id))

    async def _upload(self, files: Sequence[LocalFile], upload_id: str, watch: Watch) -> None:
        """Send what the server does not have yet, and go on where it was cut, as long as that gets farther."""
        announced = []
        for file in files:
            size, digest = await asyncio.to_thread(_measure, file.path)
            announced.append(volumes_pb2.UploadFile(name=file.name, size_bytes=size, sha256=digest))
        failure = LinkError("UPLOAD_OUT_OF_STEP", "A file changed while it was sent.")
        farthest, tries = -1, 0
        while tries < TRIES:
            arrived = await self._arrived(upload_id)
            if all(arrived.get(a.name) == a.size_bytes for a in announced):
                return
            sent = sum(arrived.values())
            tries = 1 if sent > farthest else tries + 1
            farthest = max(farthest, sent)
            try:
                await self._send_files(files, announced, upload_id, arrived, watch)
            except LinkError as error:
                if not (error.retry or error.reason == "UPLOAD_OUT_OF_STEP"):
                    raise
                failure = error
        raise failure

    async def _arrived(self, upload_id: str) -> dict[str, int]:
        response = await _ask(self._volumes.GetUpload, volumes_pb2.GetUploadRequest(upload_id=upload_id))
        return {file.name: file.committed_bytes for file in response.files}

    async def _send_files(
        self,
        files: Sequence[LocalFile],
        announced: Sequence[volumes_pb2.UploadFile],
        upload_id: str,
        arrived: dict[str, int],
        watch: Watch,
    ) -> None:
        total, done = sum(a.size_bytes for a in announced), sum(arrived.values())
        watch(Step("upload", done, total))
        with translated():
            async with self._volumes.Upload.open() as stream:
                for file, head in zip(files, announced):
                    if arrived.get(head.name) == head.size_bytes:
                        continue
                    offset = arrived.get(head.name, 0)
                    async for data in _chunks(file.path, offset, head.size_bytes):
                        request = volumes_pb2.UploadRequest(upload_id=upload_id, offset_bytes=offset, data=data)
                        if offset == arrived.get(head.name, 0):
                            request.file.CopyFrom(head)
                        await stream.send_message(request)
                        offset += len(data)
                        done += len(data)
                        watch(Step("upload", done, total))
                await stream.end()
                await stream.recv_message()

    # --- annotations -------------------------------------------------------------------------------------------------

    async def create_annotation(
        self, volume_id: str, name: str = "", labels: Sequence[common_pb2.Label] = ()
    ) -> segmentation_pb2.Annotation:
        """See `Link`."""
        request = segmentation_pb2.CreateAnnotationRequest(volume_id=volume_id, name=name, labels=labels)
        response = await _ask(self._segmentation.CreateAnnotation, request)
        annotation: segmentation_pb2.Annotation = response.annotation
        return annotation

    async def list_annotations(self, volume_id: str) -> list[segmentation_pb2.Annotation]:
        """See `Link`."""
        request = segmentation_pb2.ListAnnotationsRequest(volume_id=volume_id)
        response = await _ask(self._segmentation.ListAnnotations, request)
        return list(response.annotations)

    async def rename_annotation(
        self, annotation_id: str, name: str = "", labels: Sequence[common_pb2.Label] = ()
    ) -> segmentation_pb2.Annotation:
        """See `Link`."""
        request = segmentation_pb2.RenameAnnotationRequest(annotation_id=annotation_id, name=name, labels=labels)
        response = await _ask(self._segmentation.RenameAnnotation, request)
        annotation: segmentation_pb2.Annotation = response.annotation
        return annotation

    async def delete_annotation(self, annotation_id: str) -> None:
        """See `Link`."""
        request = segmentation_pb2.DeleteAnnotationRequest(annotation_id=annotation_id)
        await _ask(self._segmentation.DeleteAnnotation, request)

    @asynccontextmanager
    async def annotate(self, opening: segmentation_pb2.AnnotateOpen) -> AsyncIterator[Session]:
        """See `Link`."""
        with translated():
            async with self._segmentation.Annotate.open() as stream:
                await stream.send_message(segmentation_pb2.AnnotateRequest(open=opening))
                yield _GrpcSession(stream)
                await stream.cancel()

    async def submit_annotation(self, annotation_id: str) -> segmentation_pb2.Annotation:
        """See `Link`."""
        request = segmentation_pb2.SubmitAnnotationRequest(annotation_id=annotation_id)
        annotation: segmentation_pb2.Annotation = (await _ask(self._segmentation.SubmitAnnotation, request)).annotation
        return annotation

    async def review_annotation(self, annotation_id: str, verdict: int, note: str = "") -> segmentation_pb2.Annotation:
        """See `Link`."""
        name = segmentation_pb2.Review.Name(verdict)
        request = segmentation_pb2.ReviewAnnotationRequest(annotation_id=annotation_id, verdict=name, note=note)
        annotation: segmentation_pb2.Annotation = (await _ask(self._segmentation.ReviewAnnotation, request)).annotation
        return annotation

    async def save_mask(self, annotation_id: str, threshold: int, watch: Watch | None = None) -> segmentation_pb2.Mask:
        """See `Link`."""
        request = segmentation_pb2.SaveMaskRequest(annotation_id=annotation_id, threshold=threshold)
        async for response in _follow(self._segmentation.SaveMask, request):
            if response.HasField("mask"):
                mask: segmentation_pb2.Mask = response.mask
                return mask
            if watch:
                watch(Step("compute", response.progress.done, response.progress.total))
        raise _cut_short()

    async def list_masks(self, annotation_id: str) -> list[segmentation_pb2.Mask]:
        """See `Link`."""
        request = segmentation_pb2.ListMasksRequest(annotation_id=annotation_id)
        response = await _ask(self._segmentation.ListMasks, request)
        return list(response.masks)

    async def upload_mask(self, annotation_id: str, file: LocalFile) -> str:
        """See `Link`."""
        size, _ = await asyncio.to_thread(_measure, file.path)
        request = segmentation_pb2.UploadMaskRequest(annotation_id=annotation_id, name=file.name)
        with translated():
            async with self._segmentation.UploadMask.open() as stream:
                await stream.send_message(request)
                async for data in _chunks(file.path, 0, size):
                    await stream.send_message(segmentation_pb2.UploadMaskRequest(data=data))
                await stream.end()
                response = await stream.recv_message()
        if response is None:
            raise _cut_short()
        return str(response.mask_digest)

    async def export(
        self, annotation_id: str, kind: int, format: int, mask_number: int = 0, watch: Watch | None = None
    ) -> ExportedFile:
        """See `Link`."""
        request = segmentation_pb2.ExportRequest(
            annotation_id=annotation_id,
            kind=segmentation_pb2.ExportKind.Name(kind),
            format=segmentation_pb2.ExportFormat.Name(format),
            mask_number=mask_number,
        )
        name, size, data, digest = "", 0, bytearray(), ""
        async for response in _follow(self._segmentation.Export, request):
            name, size, digest = name or response.name, size or response.size_bytes, digest or response.sha256
            data += response.data
            if watch:
                watch(Step("export", len(data), size))
        if hashlib.sha256(data).hexdigest() != digest:
            raise LinkError("DIGEST_MISMATCH", "The file was damaged on its way.", retry=True, status="DATA_LOSS")
        return ExportedFile(name, bytes(data))


class _GrpcSession:
    """An open stream. What ends it is raised, translated, when the ``async with`` around it is left."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    async def send(self, message: Outgoing) -> None:
        """See `Session`."""
        with translated():
            fields: dict[str, Any] = {_FIELDS[type(message)]: message}
            await self._stream.send_message(segmentation_pb2.AnnotateRequest(**fields))

    def __aiter__(self) -> AsyncIterator[segmentation_pb2.AnnotateResponse]:
        messages: AsyncIterator[segmentation_pb2.AnnotateResponse] = aiter(self._stream)
        return messages


async def _ask(method: Any, request: Any) -> Any:
    """A unary call."""
    with translated():
        return await method(request, timeout=UNARY_S)


async def _follow(method: Any, request: Any) -> AsyncIterator[Any]:
    """The responses of a call with one request."""
    with translated():
        async with method.open() as stream:
            await stream.send_message(request, end=True)
            async for response in stream:
                yield response


def _cut_short() -> LinkError:
    return LinkError("SERVICE_UNAVAILABLE", "The server ended the call early.", retry=True, status="UNAVAILABLE")


def _nobody(step: Step) -> None:
    """Watches no progress."""


def _unreadable(error: OSError) -> LinkError:
    return LinkError("FILE_NOT_READABLE", f"The tablet cannot read the file: {error.strerror}.")


def _measure(path: Path) -> tuple[int, bytes]:
    """Size and SHA-256 of a file. Raises: LinkError."""
    digest, size = hashlib.sha256(), 0
    try:
        with open(path, "rb") as file:
            while data := file.read(4 << 20):
                digest.update(data)
                size += len(data)
    except OSError as error:
        raise _unreadable(error) from error
    return size, digest.digest()


def _read(path: Path, offset: int) -> bytes:
    try:
        with open(path, "rb") as file:
            file.seek(offset)
            return file.read(CHUNK_BYTES)
    except OSError as error:
        raise _unreadable(error) from error


async def _chunks(path: Path, offset: int, size: int) -> AsyncIterator[bytes]:
    """A file's bytes from ``offset`` to ``size``; an empty file is one empty chunk."""
    while True:
        data = (await asyncio.to_thread(_read, path, offset))[: size - offset]
        yield data
        offset += len(data)
        if offset >= size or not data:  # shorter than it was: the digest tells the server
            return
