"""A client of the real contract for programs: what a tablet does, without the tablet. Calls block."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any
from uuid import uuid4

import grpc
from calque.v1 import (
    common_pb2,
    identity_pb2,
    identity_pb2_grpc,
    segmentation_pb2,
    segmentation_pb2_grpc,
    volumes_pb2,
    volumes_pb2_grpc,
)
from google.rpc import status_pb2

from services.core.errors import CalqueError, Choice, Reason
from services.formats.repair import NO_REPAIRS, Repairs
from services.formats.source import SourceFile

CHUNK_BYTES = 256 << 10
MESSAGE_LIMIT_BYTES = 8 << 20
_STILL_HERE_SECONDS = 10.0
Progress = Callable[[str, int, int], None]
# What gRPC itself says of these is not for people.
_SILENCE = {
    grpc.StatusCode.UNAVAILABLE: "The server does not answer. Is it running, and is its address right?",
    grpc.StatusCode.DEADLINE_EXCEEDED: "The server did not answer in time.",
}


class Refused(CalqueError):
    """The server refused a call: ``code`` is the gRPC status, the text its own sentence, ``choices`` what it offers."""

    def __init__(
        self,
        message: str,
        code: grpc.StatusCode,
        reason: Reason,
        expected: int = 0,
        choices: tuple[Choice, ...] = (),
    ) -> None:
        super().__init__(message, reason)
        self.code = code
        self.expected = expected
        self.choices = choices


class Client:
    """Volumes and annotations of a server at ``address`` (``host:port``).

    Args:
        address: where it listens.
        credentials: who vouches for it; None: the connection is not encrypted.
    """

    def __init__(self, address: str, credentials: grpc.ChannelCredentials | None = None) -> None:
        options = [
            ("grpc.max_receive_message_length", MESSAGE_LIMIT_BYTES),
            ("grpc.max_send_message_length", MESSAGE_LIMIT_BYTES),
        ]
        self.channel = (
            grpc.secure_channel(address, credentials, options=options)
            if credentials
            else grpc.insecure_channel(address, options=options)
        )
        self.volumes = volumes_pb2_grpc.VolumesStub(self.channel)
        self.segmentation = segmentation_pb2_grpc.SegmentationStub(self.channel)
        self._identity = identity_pb2_grpc.IdentityStub(self.channel)

    def close(self) -> None:
        """Hang up."""
        self.channel.close()

    def still_here(self) -> None:
        """Have the services hear of a later access token, where there is one: a stream goes on by that of a later call.

        Whatever is wrong with it, the stream says so.
        """
        with suppress(grpc.RpcError):
            self._identity.GetUser(identity_pb2.GetUserRequest(), timeout=_STILL_HERE_SECONDS)

    def upload(self, files: Sequence[SourceFile], progress: Progress = lambda what, done, total: None) -> str:
        """Send files. Returns the upload's identifier. Raises: Refused; nothing is left on the server then."""
        upload_id = str(uuid4())
        with self._forgotten(upload_id), refusals():
            self.volumes.Upload(_chunks(files, upload_id, progress))
        return upload_id

    @contextmanager
    def _forgotten(self, upload_id: str) -> Iterator[None]:
        """Leave nothing of an upload on the server when its use fails: it may tell of a patient, and its name is lost."""
        try:
            yield
        except BaseException:
            with suppress(grpc.RpcError):
                self.volumes.DeleteUpload(volumes_pb2.DeleteUploadRequest(upload_id=upload_id))
            raise

    def import_files(
        self,
        files: Sequence[SourceFile],
        *,
        name: str = "",
        series: str = "",
        frame: int | None = None,
        repairs: Repairs = NO_REPAIRS,
        progress: Progress = lambda what, done, total: None,
    ) -> volumes_pb2.Volume:
        """Send files and have them read into a volume. ``progress`` gets "Sending" in bytes, then "Reading" in slices.

        Raises:
            Refused: what the server said; nothing of the files is left there, also where it asked for a choice.
        """
        upload_id = self.upload(files, progress)
        with self._forgotten(upload_id), refusals():
            request = volumes_pb2.ImportRequest(
                upload_id=upload_id,
                name=name,
                series=series,
                frame_plus_one=0 if frame is None else frame + 1,
                resample=repairs.resample,
                shear=repairs.shear,
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

    def begin(self, volume_id: str, name: str) -> str:
        """Begin an annotation of a volume, with the usual labels. Returns its identifier. Raises: Refused."""
        request = segmentation_pb2.CreateAnnotationRequest(volume_id=volume_id, name=name)
        with refusals():
            return str(self.segmentation.CreateAnnotation(request).annotation.annotation_id)

    def save_mask(self, annotation_id: str, threshold: int) -> segmentation_pb2.Mask:
        """Keep the mask of an annotation as it stands, at a threshold from 1 to 255. Raises: Refused."""
        request = segmentation_pb2.SaveMaskRequest(annotation_id=annotation_id, threshold=threshold)
        with refusals():
            return list(self.segmentation.SaveMask(request))[-1].mask

    def delete(self, annotation_id: str) -> None:
        """Delete an annotation with its masks, for ever. Raises: Refused."""
        with refusals():
            self.segmentation.DeleteAnnotation(segmentation_pb2.DeleteAnnotationRequest(annotation_id=annotation_id))

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
    silence = _SILENCE.get(error.code(), error.details() or "The server is gone.")
    info = common_pb2.ErrorInfo(reason=common_pb2.SERVICE_UNAVAILABLE, message=silence)
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            for detail in status_pb2.Status.FromString(value).details:
                detail.Unpack(info)
    choices = tuple(Choice(choice.key, choice.text) for choice in info.choices)
    return Refused(info.message, error.code(), reason(info), info.expected, choices)


def reason(info: common_pb2.ErrorInfo) -> Reason:
    """Why something failed, of our own tree."""
    return Reason(common_pb2.Reason.Name(info.reason))


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
