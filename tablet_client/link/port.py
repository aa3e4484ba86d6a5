"""What the tablet asks of the services. Views and the session keeper know this port, never gRPC.

All calls run on one asyncio loop, and fail with a `LinkError`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from calque.v1 import common_pb2
from calque.v1.segmentation_pb2 import (
    AnnotateOpen,
    AnnotateResponse,
    AnnotateSegment,
    AnnotateSettings,
    AnnotateView,
    Annotation,
    Event,
    Mask,
)
from calque.v1.volumes_pb2 import ImportPreview, ListSeriesResponse, Volume
from numpy.typing import NDArray

from tablet_client.state.geometry import PlaneInfo

if TYPE_CHECKING:
    from tablet_client.link.account import Account


class LinkError(Exception):
    """A call failed.

    Attributes:
        reason: name in the contract's `Reason`, such as ``"FILE_TRUNCATED"``, from which the view makes a sentence.
        message: the server's sentence, in English, without patient data; may be empty.
        expected: the event number or upload offset that the server expects or speaks of; 0 where there is none.
        retry: the same call may work later, without the user's doing.
        status: name of the gRPC status, such as ``"UNAVAILABLE"``.
        choices: with ``"SEVERAL_SERIES"`` and ``"SEVERAL_FRAMES"`` what can be asked for instead.
    """

    def __init__(
        self,
        reason: str,
        message: str = "",
        expected: int = 0,
        retry: bool = False,
        status: str = "",
        choices: Sequence[common_pb2.Choice] = (),
    ) -> None:
        super().__init__(message or reason)
        self.reason = reason
        self.message = message
        self.expected = expected
        self.retry = retry
        self.status = status
        self.choices = tuple(choices)


@dataclass(frozen=True)
class LocalFile:
    """A file to import: its name inside the import (folders parted by "/"), and where it lies on the tablet."""

    name: str
    path: Path


@dataclass(frozen=True)
class Step:
    """Progress of a long call: what it does now, and how far.

    ``"upload"`` and ``"export"`` count bytes, ``"files"`` those that the server has looked at, ``"import"`` slices that it
    has read, ``"compute"`` slices computed. A total of 0 is not yet known.
    """

    what: str
    done: int
    total: int


@dataclass(frozen=True)
class ExportedFile:
    """A file for other programs."""

    name: str
    data: bytes


Watch = Callable[[Step], None]
"""Told of progress, on the loop."""

Show = Callable[[ImportPreview], None]
"""Told of a slice of a volume that is being read, on the loop."""

Outgoing = Event | AnnotateView | AnnotateSettings | AnnotateSegment
"""What a session sends after it was opened."""


class Session(Protocol):
    """An open annotation stream. Iterating it gives the server's messages until the server ends it."""

    async def send(self, message: Outgoing) -> None:
        """Send one message. Raises: LinkError when the stream is broken."""
        ...

    def __aiter__(self) -> AsyncIterator[AnnotateResponse]:
        """The server's messages; the first is `AnnotateOpened`. What ends the stream is raised as LinkError, at the latest
        when the ``async with`` around it is left."""
        ...


class Link(Protocol):
    """The services, as the tablet needs them. Every call raises LinkError."""

    account: Account
    """Who is signed in there."""

    async def list_volumes(self) -> list[Volume]:
        """All volumes, the newest first."""
        ...

    async def get_volume(self, volume_id: str) -> Volume:
        """One volume."""
        ...

    async def delete_volume(self, volume_id: str) -> None:
        """Delete a volume with all annotations and masks, for ever."""
        ...

    def read_slices(
        self, volume_id: str, plane: PlaneInfo, slices: Sequence[int]
    ) -> AsyncIterator[tuple[int, NDArray[np.uint16]]]:
        """Slice number and greys ``(rows, columns)`` uint16, in the order asked for."""
        ...

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
    ) -> Volume:
        """Send files and read them into a volume. Cancelled, it stops the server too, which keeps what it was sent.

        Args:
            files: sent one after the other; what the server has of them is not sent again.
            upload_id: a UUID; the same one goes on with an upload that was cut, or chooses from one that was refused.
            watch: told of progress, bytes while uploading, files and then slices while importing.
            show: told of slices that can be looked at while the others are read.
            name, series, frame_plus_one, resample, shear, project: see the contract's ImportRequest.

        Raises:
            LinkError: with ``FILE_NOT_READABLE`` also when the tablet itself cannot read a file.
        """
        ...

    async def list_series(self, upload_id: str) -> ListSeriesResponse:
        """What the files of an upload hold, after an import that was refused because there is something to choose."""
        ...

    async def delete_upload(self, upload_id: str) -> None:
        """Have the server forget what it was sent; nothing happens where that is nothing."""
        ...

    async def create_annotation(
        self, volume_id: str, name: str = "", labels: Sequence[common_pb2.Label] = ()
    ) -> Annotation:
        """Begin an annotation; without labels it has object and background."""
        ...

    async def list_annotations(self, volume_id: str) -> list[Annotation]:
        """Annotations of a volume, the newest first."""
        ...

    async def rename_annotation(
        self, annotation_id: str, name: str = "", labels: Sequence[common_pb2.Label] = ()
    ) -> Annotation:
        """Give an annotation or its labels other names and colours."""
        ...

    async def delete_annotation(self, annotation_id: str) -> None:
        """Delete an annotation with its masks, for ever."""
        ...

    async def submit_annotation(self, annotation_id: str) -> Annotation:
        """Hand an annotation in for review, with its newest saved mask."""
        ...

    async def review_annotation(self, annotation_id: str, verdict: int, note: str = "") -> Annotation:
        """Accept an annotation with its newest saved mask, or send it back with a note; ``verdict`` is a ``Review``."""
        ...

    def annotate(self, opening: AnnotateOpen) -> AbstractAsyncContextManager[Session]:
        """Work on an annotation: ``async with link.annotate(AnnotateOpen(…)) as session``."""
        ...

    async def save_mask(self, annotation_id: str, threshold: int, watch: Watch | None = None) -> Mask:
        """Keep the mask p ≥ threshold, when the whole volume is computed."""
        ...

    async def list_masks(self, annotation_id: str) -> list[Mask]:
        """Saved masks, the newest first."""
        ...

    async def upload_mask(self, annotation_id: str, file: LocalFile) -> str:
        """Send a mask file that fits the volume. Returns: its digest, for `Document.import_mask`."""
        ...

    async def export(
        self, annotation_id: str, kind: int, format: int, mask_number: int = 0, watch: Watch | None = None
    ) -> ExportedFile:
        """A file for other programs; ``kind`` and ``format`` are the contract's ExportKind and ExportFormat."""
        ...

    def close(self) -> None:
        """Hang up."""
        ...
