"""A server in memory: the contract's behaviour without a network, small and real enough to test the tablet against.

It keeps logs, numbers events, acknowledges, knows one writer an annotation, imports raw arrays (``.npy`` files), and
computes a probability from the labelled greys: how much nearer a voxel's grey is to the object's mean than to the
background's.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import numpy as np
from calque import wire
from calque.v1 import common_pb2, segmentation_pb2, volumes_pb2
from numpy.typing import NDArray

from tablet_client.link.fake_volume import cut, fake_volume, oriented
from tablet_client.link.port import ExportedFile, LinkError, LocalFile, Outgoing, Step, Watch
from tablet_client.state.document import Document
from tablet_client.state.geometry import Plane, PlaneInfo, VolumeInfo
from tablet_client.state.tools import BACKGROUND_LABEL, OBJECT_LABEL

Answer = segmentation_pb2.AnnotateResponse
Fault = Callable[[str, object], bool]
"""Asked before each message, with ``"in"`` or ``"out"`` and the message: True loses the message and cuts the stream."""


@dataclass
class _Annotation:
    message: segmentation_pb2.Annotation
    log: list[tuple[str, int, bytes]] = field(default_factory=list)
    sessions: list[FakeSession] = field(default_factory=list)
    writer: FakeSession | None = None
    generation: int = 0
    masks: list[segmentation_pb2.Mask] = field(default_factory=list)
    levels: NDArray[np.uint8] | None = None  # as the voxels


class FakeLink:
    """A link to a server in memory.

    Args:
        volumes: messages and voxels ``(slices, rows, columns)`` uint16 (see `fake_volume`).

    Attributes:
        online: False makes every call fail as if there were no network.
        fault: see `Fault`; None: all is well.
    """

    def __init__(self, volumes: Sequence[tuple[volumes_pb2.Volume, NDArray[np.uint16]]] = ()) -> None:
        self.online = True
        self.fault: Fault | None = None
        self._volumes = {message.volume_id: (message, voxels) for message, voxels in volumes}
        self._annotations: dict[str, _Annotation] = {}

    # --- volumes -----------------------------------------------------------------------------------------------------

    async def list_volumes(self) -> list[volumes_pb2.Volume]:
        """See `Link`."""
        self._call()
        return sorted((message for message, _ in self._volumes.values()), key=lambda m: -m.imported_ms)

    async def get_volume(self, volume_id: str) -> volumes_pb2.Volume:
        """See `Link`."""
        return self._volume(volume_id)[0]

    async def delete_volume(self, volume_id: str) -> None:
        """See `Link`."""
        self._volume(volume_id)
        del self._volumes[volume_id]
        self._annotations = {k: a for k, a in self._annotations.items() if a.message.volume_id != volume_id}

    async def read_slices(
        self, volume_id: str, plane: PlaneInfo, slices: Sequence[int]
    ) -> AsyncIterator[tuple[int, NDArray[np.uint16]]]:
        """See `Link`."""
        _, voxels = self._volume(volume_id)
        for index in slices:
            if not 0 <= index < plane.slices:
                raise LinkError("REQUEST_INVALID", f"There is no slice {index}.", status="INVALID_ARGUMENT")
            self._call()
            await asyncio.sleep(0)
            yield index, cut(voxels, plane, index)

    async def import_files(
        self,
        files: Sequence[LocalFile],
        upload_id: str,
        watch: Watch | None = None,
        *,
        name: str = "",
        series: str = "",
        frame_plus_one: int = 0,
    ) -> volumes_pb2.Volume:
        """See `Link`; reads one ``.npy`` file of three dimensions."""
        self._call()
        data = files[0].path.read_bytes()
        if watch:
            watch(Step("upload", len(data), len(data)))
        try:
            voxels = np.load(io.BytesIO(data), allow_pickle=False).astype(np.uint16)
        except (ValueError, EOFError) as error:
            raise LinkError("FILE_NOT_READABLE", "The file is not an array.", status="INVALID_ARGUMENT") from error
        if voxels.ndim != 3:
            raise LinkError("FILE_NOT_AN_IMAGE", "The file is not a volume.", status="INVALID_ARGUMENT")
        message, voxels = fake_volume(voxels, name=name or files[0].name)
        if watch:
            watch(Step("import", len(voxels), len(voxels)))
        self._volumes[message.volume_id] = (message, voxels)
        return message

    # --- annotations -------------------------------------------------------------------------------------------------

    async def create_annotation(
        self, volume_id: str, name: str = "", labels: Sequence[common_pb2.Label] = ()
    ) -> segmentation_pb2.Annotation:
        """See `Link`."""
        self._volume(volume_id)
        message = segmentation_pb2.Annotation(
            annotation_id=f"annotation-{len(self._annotations) + 1}",
            volume_id=volume_id,
            name=name or "Annotation",
            created_ms=len(self._annotations),
            labels=labels
            or [
                common_pb2.Label(value=OBJECT_LABEL, name="Object", colour=0xD08A4E),
                common_pb2.Label(value=BACKGROUND_LABEL, name="Background", colour=0x4C8DD9),
            ],
        )
        self._annotations[message.annotation_id] = _Annotation(message)
        return message

    async def list_annotations(self, volume_id: str) -> list[segmentation_pb2.Annotation]:
        """See `Link`."""
        self._volume(volume_id)
        return [a.message for a in reversed(self._annotations.values()) if a.message.volume_id == volume_id]

    async def rename_annotation(
        self, annotation_id: str, name: str = "", labels: Sequence[common_pb2.Label] = ()
    ) -> segmentation_pb2.Annotation:
        """See `Link`."""
        message = self._annotation(annotation_id).message
        message.name = name or message.name
        for label in labels:
            kept = next((held for held in message.labels if held.value == label.value), None) or message.labels.add()
            kept.CopyFrom(label)
        return message

    async def delete_annotation(self, annotation_id: str) -> None:
        """See `Link`."""
        self._annotation(annotation_id)
        del self._annotations[annotation_id]

    @asynccontextmanager
    async def annotate(self, opening: segmentation_pb2.AnnotateOpen) -> AsyncIterator[FakeSession]:
        """See `Link`."""
        annotation = self._annotation(opening.annotation_id)
        session = FakeSession(self, annotation, opening)
        annotation.sessions.append(session)
        try:
            session.open()
            yield session
        finally:
            annotation.sessions.remove(session)
            if annotation.writer is session:
                annotation.writer = None

    async def save_mask(self, annotation_id: str, threshold: int, watch: Watch | None = None) -> segmentation_pb2.Mask:
        """See `Link`."""
        annotation = self._annotation(annotation_id)
        if not 1 <= threshold <= 255:
            raise LinkError("REQUEST_INVALID", "A threshold is from 1 to 255.", status="INVALID_ARGUMENT")
        levels = self.compute(annotation)
        if levels is None:
            raise LinkError("NOT_SEGMENTED", "Draw both labels first.", status="FAILED_PRECONDITION")
        if watch:
            watch(Step("compute", len(levels), len(levels)))
        inside = levels >= threshold
        mask = segmentation_pb2.Mask(
            number=len(annotation.masks) + 1,
            digest=hashlib.sha256(inside.tobytes()).hexdigest(),
            threshold=threshold,
            log_length=len(annotation.log),
            object_ml=float(inside.sum()) * self._volumes[annotation.message.volume_id][0].voxel_ml,
        )
        annotation.masks.append(mask)
        annotation.message.masks = len(annotation.masks)
        return mask

    async def list_masks(self, annotation_id: str) -> list[segmentation_pb2.Mask]:
        """See `Link`."""
        return self._annotation(annotation_id).masks[::-1]

    async def upload_mask(self, annotation_id: str, file: LocalFile) -> str:
        """See `Link`."""
        self._annotation(annotation_id)
        return hashlib.sha256(file.path.read_bytes()).hexdigest()

    async def export(self, annotation_id: str, kind: int, format: int, mask_number: int = 0) -> ExportedFile:
        """See `Link`; always a ``.npy`` file."""
        annotation = self._annotation(annotation_id)
        if kind == segmentation_pb2.EXPORT_KIND_ANNOTATION:
            array: NDArray[np.uint8] | None = self.labels(annotation)
        else:
            array = self.compute(annotation)
        if array is None:
            raise LinkError("NOT_SEGMENTED", "Draw both labels first.", status="FAILED_PRECONDITION")
        if kind == segmentation_pb2.EXPORT_KIND_MASK:
            wanted = [m for m in annotation.masks if mask_number in (0, m.number)]
            if not wanted:
                raise LinkError("MASK_NOT_FOUND", "There is no such mask.", status="NOT_FOUND")
            array = np.where(array >= wanted[-1].threshold, 255, 0).astype(np.uint8)
        file = io.BytesIO()
        np.save(file, array)
        return ExportedFile(segmentation_pb2.ExportKind.Name(kind).lower() + ".npy", file.getvalue())

    def close(self) -> None:
        """See `Link`."""

    # --- for tests ---------------------------------------------------------------------------------------------------

    def log_of(self, annotation_id: str) -> list[tuple[str, int, bytes]]:
        """Session, sequence and body of every entry of the log."""
        return list(self._annotations[annotation_id].log)

    def hang_up(self, error: LinkError | None = None) -> None:
        """Cut all streams, as a lost network does."""
        for annotation in self._annotations.values():
            for session in annotation.sessions:
                session.fail(error or LinkError("SERVICE_UNAVAILABLE", retry=True, status="UNAVAILABLE"))

    # --- inside ------------------------------------------------------------------------------------------------------

    def labels(self, annotation: _Annotation) -> NDArray[np.uint8]:
        """Labels of all voxels, by replay: ``(slices, rows, columns)`` uint8."""
        message, voxels = self._volumes[annotation.message.volume_id]
        info = VolumeInfo.from_message(message)
        document = Document(info.planes, session_id="")
        for position, (session_id, sequence, body) in enumerate(annotation.log, start=1):
            entry = segmentation_pb2.LoggedEvent(position=position, session_id=session_id, sequence=sequence, body=body)
            document.logged(entry)
        plane = info.planes[info.acquisition]
        labels = np.zeros(voxels.shape, dtype=np.uint8)
        for index in range(plane.slices):
            oriented(labels, plane)[index] = document.label_image(info.acquisition, index)
        return labels

    def compute(self, annotation: _Annotation) -> NDArray[np.uint8] | None:
        """Levels of all voxels, or None while one of the two labels is missing."""
        labels = self.labels(annotation)
        voxels = self._volumes[annotation.message.volume_id][1].astype(np.float64)
        if not {OBJECT_LABEL, BACKGROUND_LABEL} <= set(np.unique(labels).tolist()):
            return None
        from_object = np.abs(voxels - voxels[labels == OBJECT_LABEL].mean())
        from_background = np.abs(voxels - voxels[labels == BACKGROUND_LABEL].mean())
        levels: NDArray[np.float64] = 255 * (from_background + 1e-9) / (from_object + from_background + 2e-9)
        return np.rint(levels).astype(np.uint8)

    def volume_info(self, annotation: _Annotation) -> VolumeInfo:
        """The annotation's volume."""
        return VolumeInfo.from_message(self._volumes[annotation.message.volume_id][0])

    def _call(self) -> None:
        if not self.online:
            raise LinkError("SERVICE_UNAVAILABLE", retry=True, status="UNAVAILABLE")

    def _volume(self, volume_id: str) -> tuple[volumes_pb2.Volume, NDArray[np.uint16]]:
        self._call()
        if volume_id not in self._volumes:
            raise LinkError("VOLUME_NOT_FOUND", "There is no such volume.", status="NOT_FOUND")
        return self._volumes[volume_id]

    def _annotation(self, annotation_id: str) -> _Annotation:
        self._call()
        if annotation_id not in self._annotations:
            raise LinkError("ANNOTATION_NOT_FOUND", "There is no such annotation.", status="NOT_FOUND")
        return self._annotations[annotation_id]


class FakeSession:
    """One end of a stream in memory."""

    def __init__(self, link: FakeLink, annotation: _Annotation, opening: segmentation_pb2.AnnotateOpen) -> None:
        self._link, self._annotation, self._opening = link, annotation, opening
        self._to_client: asyncio.Queue[Answer | LinkError] = asyncio.Queue()
        self._view: segmentation_pb2.AnnotateView | None = None
        self._live = False
        self._broken = False

    def open(self) -> None:
        """Answer the opening."""
        a = self._annotation
        if not self._opening.read_only and (a.writer is None or self._opening.take_over or self._same_session(a.writer)):
            if a.writer is not None:
                a.writer.out(Answer(writer=segmentation_pb2.WriterChanged(writer=False)))
            a.writer = self
        opened = segmentation_pb2.AnnotateOpened(
            annotation=a.message, writer=a.writer is self, next_sequence=self._expected(), log_length=len(a.log)
        )
        self.out(Answer(opened=opened))
        for position in range(self._opening.have_entries + 1, len(a.log) + 1):
            self._out_logged(position)

    def _same_session(self, other: FakeSession) -> bool:
        return other._opening.session_id == self._opening.session_id

    async def send(self, message: Outgoing) -> None:
        """See `Session`."""
        await asyncio.sleep(0)
        if self._broken:
            raise LinkError("SERVICE_UNAVAILABLE", retry=True, status="UNAVAILABLE")
        if self._link.fault is not None and self._link.fault("in", message):
            self.fail(LinkError("SERVICE_UNAVAILABLE", retry=True, status="UNAVAILABLE"))
            return
        if isinstance(message, segmentation_pb2.Event):
            self._take(message)
        elif isinstance(message, segmentation_pb2.AnnotateView):
            self._view = message
            self._answer()
        elif isinstance(message, segmentation_pb2.AnnotateSettings):
            self._live = message.live
        else:
            self._answer(anew=True)

    async def __aiter__(self) -> AsyncIterator[Answer]:
        while True:
            message = await self._to_client.get()
            if isinstance(message, LinkError):
                raise message
            yield message

    def out(self, message: Answer) -> None:
        """Send to the client, unless a fault cuts the stream first."""
        if self._broken:
            return
        if self._link.fault is not None and self._link.fault("out", message):
            self.fail(LinkError("SERVICE_UNAVAILABLE", retry=True, status="UNAVAILABLE"))
            return
        self._to_client.put_nowait(message)

    def fail(self, error: LinkError) -> None:
        """End the stream with an error."""
        if not self._broken:
            self._broken = True
            self._to_client.put_nowait(error)

    def _expected(self) -> int:
        return 1 + sum(session == self._opening.session_id for session, _, _ in self._annotation.log)

    def _out_logged(self, position: int) -> None:
        session_id, sequence, body = self._annotation.log[position - 1]
        entry = segmentation_pb2.LoggedEvent(position=position, session_id=session_id, sequence=sequence, body=body)
        self.out(Answer(logged=entry))

    def _take(self, event: segmentation_pb2.Event) -> None:
        a, expected = self._annotation, self._expected()
        if a.writer is not self:
            self.fail(LinkError("OTHER_WRITER", status="ABORTED"))
        elif hashlib.sha256(event.body).digest() != event.sha256:
            self.fail(LinkError("DIGEST_MISMATCH", retry=True, status="DATA_LOSS"))
        elif event.sequence > expected:
            self.fail(LinkError("SEQUENCE_GAP", expected=expected, status="FAILED_PRECONDITION"))
        elif event.sequence < expected:
            session_id = self._opening.session_id
            positions = [p for p, (s, n, _) in enumerate(a.log, 1) if (s, n) == (session_id, event.sequence)]
            if a.log[positions[0] - 1][2] != event.body:
                self.fail(LinkError("SEQUENCE_CONFLICT", status="ABORTED"))
            else:
                self.out(Answer(ack=segmentation_pb2.Ack(sequence=event.sequence, position=positions[0])))
        elif reason := self._wrong(event.body):
            self.fail(LinkError(reason, expected=event.sequence, status="INVALID_ARGUMENT"))
        else:
            a.log.append((self._opening.session_id, event.sequence, event.body))
            a.message.log_length = len(a.log)
            self.out(Answer(ack=segmentation_pb2.Ack(sequence=event.sequence, position=len(a.log))))
            for other in a.sessions:
                if other is not self:
                    other._out_logged(len(a.log))
            if self._live:
                self._answer(anew=True)

    def _wrong(self, body: bytes) -> str:
        event = segmentation_pb2.EventBody.FromString(body)
        which = event.WhichOneof("action")
        if which in ("stroke", "lasso") and getattr(event, which).label not in {
            k.value for k in self._annotation.message.labels
        }:
            return "LABEL_UNKNOWN"
        if which in ("stroke", "lasso", "erase") and not getattr(event, which).x:
            return "STROKE_INVALID"
        return ""

    def _answer(self, anew: bool = False) -> None:
        """Send the visible slice, and the histogram, computed anew where asked."""
        a = self._annotation
        if anew:
            a.levels = self._link.compute(a)
            a.generation += 1
        if a.levels is None:
            if anew and not self._live:
                self.out(Answer(error=common_pb2.ErrorInfo(reason=common_pb2.NOT_SEGMENTED, message="Draw both labels.")))
            return
        info = self._link.volume_info(a)
        if self._view is not None:
            plane = info.planes[Plane(self._view.plane)]
            levels = wire.pack(cut(a.levels, plane, self._view.slice), wire.LEVEL)
            probability = segmentation_pb2.Probability(
                generation=a.generation,
                log_length=len(a.log),
                levels=levels,
                plane=self._view.plane,
                slice=self._view.slice,
            )
            self.out(Answer(probability=probability))
        if anew:
            counts = np.bincount(a.levels.reshape(-1), minlength=256).tolist()
            histogram = segmentation_pb2.Histogram(generation=a.generation, counts=counts, complete=True)
            self.out(Answer(histogram=histogram))
            done = len(a.levels)
            self.out(Answer(progress=segmentation_pb2.Progress(generation=a.generation, done=done, total=done)))
