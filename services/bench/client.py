"""A client of the real contract for programs: what a tablet does, without the tablet. Calls block."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import grpc
from calque.v1 import (
    common_pb2,
    segmentation_pb2,
    segmentation_pb2_grpc,
    volumes_pb2,
    volumes_pb2_grpc,
)
from google.rpc import status_pb2

from services.core.errors import CalqueError, Reason
from services.formats.source import SourceFile

CHUNK_BYTES = 256 << 10
MESSAGE_LIMIT_BYTES = 8 << 20
Progress = Callable[[str, int, int], None]


class Refused(CalqueError):
    """The server refused a call; ``code`` is the gRPC status, the text is the server's sentence."""

    def __init__(self, message: str, code: grpc.StatusCode, reason: Reason, expected: int = 0) -> None:
        super().__init__(message, reason)
        self.code = code
        self.expected = expected


class Client:
    """Volumes and annotations of a server at ``address`` (``host:port``)."""

    def __init__(self, address: str) -> None:
        options = [
            ("grpc.max_receive_message_length", MESSAGE_LIMIT_BYTES),
            ("grpc.max_send_message_length", MESSAGE_LIMIT_BYTES),
        ]
        self.channel = grpc.insecure_channel(address, options=options)
        self.volumes = volumes_pb2_grpc.VolumesStub(self.channel)
        self.segmentation = segmentation_pb2_grpc.SegmentationStub(self.channel)

    def close(self) -> None:
        """Hang up."""
        self.channel.close()

    def upload(self, files: Sequence[SourceFile], progress: Progress = lambda what, done, total: None) -> str:
        """Send files. Returns the upload's identifier. Raises: Refused."""
        upload_id = str(uuid4())
        with refusals():
            self.volumes.Upload(_chunks(files, upload_id, progress))
        return upload_id

    def import_files(
        self,
        files: Sequence[SourceFile],
        *,
        name: str = "",
        series: str = "",
        frame: int | None = None,
        progress: Progress = lambda what, done, total: None,
    ) -> volumes_pb2.Volume:
        """Send files and have them read into a volume. ``progress`` gets "Sending" in bytes, then "Reading" in slices.

        Raises:
            Refused: what the server said.
        """
        upload_id = self.upload(files, progress)
        with refusals():
            request = volumes_pb2.ImportRequest(
                upload_id=upload_id, name=name, series=series, frame_plus_one=0 if frame is None else frame + 1
            )
            volume = volumes_pb2.Volume()
            for response in self.volumes.Import(request):
                what = response.WhichOneof("what")
                if what == "progress":
                    progress("Reading", response.progress.done, response.progress.total)
                elif what == "volume":
                    volume = response.volume
            return volume

    def export(self, annotation_id: str, kind: str, form: str) -> tuple[str, bytes]:
        """A file of an annotation: kind "annotation", "mask" or "probability", form "tiff" or "nifti". Returns name, bytes.

        Raises:
            Refused: what the server said.
        """
        request = segmentation_pb2.ExportRequest(
            annotation_id=annotation_id,
            kind=f"EXPORT_KIND_{kind.upper()}",
            format=f"EXPORT_FORMAT_{form.upper()}",
        )
        with refusals():
            parts = list(self.segmentation.Export(request))
        data = b"".join(part.data for part in parts)
        if hashlib.sha256(data).hexdigest() != parts[-1].sha256:
            raise CalqueError("An exported file was damaged on its way.", Reason.DIGEST_MISMATCH)
        return parts[0].name, data

    def annotations(self, volume_id: str) -> list[segmentation_pb2.Annotation]:
        """Annotations of a volume, the newest first."""
        with refusals():
            request = segmentation_pb2.ListAnnotationsRequest(volume_id=volume_id)
            return list(self.segmentation.ListAnnotations(request).annotations)


@contextmanager
def refusals() -> Iterator[None]:
    """Turn a failed call into Refused, with the server's own sentence."""
    try:
        yield
    except grpc.RpcError as error:
        raise refused(error) from error


def refused(error: Any) -> Refused:
    """What a failed call says."""
    info = common_pb2.ErrorInfo(reason=common_pb2.SERVICE_UNAVAILABLE, message=error.details() or "The server is gone.")
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            for detail in status_pb2.Status.FromString(value).details:
                detail.Unpack(info)
    return Refused(info.message, error.code(), Reason(common_pb2.Reason.Name(info.reason)), info.expected)


def _chunks(files: Sequence[SourceFile], upload_id: str, progress: Progress) -> Iterator[volumes_pb2.UploadRequest]:
    total = sum(file.path.stat().st_size for file in files)
    sent = 0
    for file in files:
        size = file.path.stat().st_size
        with open(file.path, "rb") as content:
            digest = hashlib.file_digest(content, "sha256").digest()
            content.seek(0)
            for offset in range(0, max(size, 1), CHUNK_BYTES):
                data = content.read(CHUNK_BYTES)
                request = volumes_pb2.UploadRequest(upload_id=upload_id, offset_bytes=offset, data=data)
                if offset == 0:
                    request.file.CopyFrom(volumes_pb2.UploadFile(name=file.name, size_bytes=size, sha256=digest))
                yield request
                sent += len(data)
                progress("Sending", sent, total)
