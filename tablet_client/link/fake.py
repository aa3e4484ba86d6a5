"""A server in memory: the contract's behaviour without a network, small and real enough to test the tablet against.

It keeps logs, numbers events, acknowledges, knows one writer an annotation, imports raw arrays (``.npy`` files; a slice of
sevens counts as a missing one), and computes a probability from the labelled greys: how much nearer a voxel's grey is to
the object's mean than to the background's. It advises slices where that is undecided.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import numpy as np
from calque.v1 import common_pb2, segmentation_pb2, volumes_pb2
from numpy.typing import NDArray

from tablet_client.link.account import Account
from tablet_client.link.fake_session import Answer, FakeAnnotation, FakeSession, Fault
from tablet_client.link.fake_volume import cut, fake_volume, oriented
from tablet_client.link.port import ExportedFile, LinkError, LocalFile, Show, Step, Watch
from tablet_client.state.document import Document
from tablet_client.state.geometry import PlaneInfo, VolumeInfo
from tablet_client.state.tools import BACKGROUND_LABEL, OBJECT_LABEL

_SURE = 100  # of 255: a level within so many of either end is no doubt


class FakeLink:
    """A link to a server in memory.

    Args:
        volumes: messages and voxels ``(slices, rows, columns)`` uint16 (see `fake_volume`).

    Attributes:
        account: who is signed in; nobody is asked, unless another one is put here.
        online: False makes every call fail as if there were no network.
        flows: while it is cleared nothing arrives, neither slices nor messages, in either direction; no call fails.
        fault: see `Fault`; None: all is well.
        picture: makes a picture of a slice ``(rows, columns)`` uint16 that is being imported; None: there are none.
        pause_at: an import stays at this slice, from 1, for ever; 0: it does not.
        hold_exports: exports stay half-way, for ever.
        forgotten: uploads that were to be forgotten.
        threshold: where it says that it expects the best mask, 1 to 255; 0: it does not say.
    """

    def __init__(self, volumes: Sequence[tuple[volumes_pb2.Volume, NDArray[np.uint16]]] = ()) -> None:
        self.online = True
        self.account: Account = Account()
        self.flows = asyncio.Event()
        self.flows.set()
        self.fault: Fault | None = None
        self.picture: Callable[[NDArray[np.uint16]], bytes] | None = None
        self.pause_at = 0
        self.hold_exports = False
        self.forgotten: list[str] = []
        self.threshold = 128
        self._volumes = {message.volume_id: (message, voxels) for message, voxels in volumes}
        self._annotations: dict[str, FakeAnnotation] = {}
        self._uploads: dict[str, dict[str, bytes]] = {}

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
            await self.flows.wait()
            yield index, cut(voxels, plane, index)

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
        """See `Link`; reads one ``.npy`` file of three dimensions, or of four, of which a frame is chosen; of several files
        one is chosen as the series."""
        self._call()
        self._uploads[upload_id] = {file.name: await asyncio.to_thread(file.path.read_bytes) for file in files}
        held = {key: data for key, data in self._uploads[upload_id].items() if series in ("", key)}
        if len(held) > 1:
            raise LinkError("SEVERAL_SERIES", "Choose one.", status="FAILED_PRECONDITION")
        ((key, data),) = held.items()
        if watch:
            watch(Step("upload", len(data), len(data)))
        voxels = _array(data)
        if voxels.ndim == 4 and not frame_plus_one:
            raise LinkError("SEVERAL_FRAMES", "Choose a frame.", status="FAILED_PRECONDITION")
        if _gap(voxels) and not resample:
            raise LinkError("SLICES_UNEVEN", "A slice is missing.", status="FAILED_PRECONDITION")
        message, voxels = fake_volume(voxels[frame_plus_one - 1] if voxels.ndim == 4 else voxels, name=name or key)
        message.project = project
        if resample:
            message.warnings.append("Slices were missing; on request the volume was resampled.")
        plane = next(plane for plane in message.planes if plane.plane == message.acquisition)
        for done, image in enumerate(voxels, 1):
            if watch:
                watch(Step("import", done, len(voxels)))
            if show and self.picture:
                show(volumes_pb2.ImportPreview(plane=plane, slice=done - 1, picture=self.picture(image)))
            if done == self.pause_at:
                await asyncio.Event().wait()
        self._volumes[message.volume_id] = (message, voxels)
        return message

    async def list_series(self, upload_id: str) -> volumes_pb2.ListSeriesResponse:
        """See `Link`; those that cannot be opened come last."""
        self._call()
        series = [_series(key, data) for key, data in self._uploads[upload_id].items()]
        series.sort(key=lambda one: (one.HasField("refusal"), -one.slices))
        return volumes_pb2.ListSeriesResponse(series=series)

    async def delete_upload(self, upload_id: str) -> None:
        """See `Link`."""
        self._call()
        self.forgotten.append(upload_id)

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
            created_ms=1_794_000_000_000 + len(self._annotations),
            labels=labels
            or [
                common_pb2.Label(value=OBJECT_LABEL, name="Object", colour=0xD08A4E),
                common_pb2.Label(value=BACKGROUND_LABEL, name="Background", colour=0x4C8DD9),
            ],
        )
        self._annotations[message.annotation_id] = FakeAnnotation(message)
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

    async def submit_annotation(self, annotation_id: str) -> segmentation_pb2.Annotation:
        """See `Link`."""
        annotation = self._annotation(annotation_id)
        if not annotation.masks:
            raise LinkError("MASK_NOT_FOUND", "No mask was saved.", status="NOT_FOUND")
        return annotation.reviewed(segmentation_pb2.REVIEW_SUBMITTED, self.account.user)

    async def review_annotation(self, annotation_id: str, verdict: int, note: str = "") -> segmentation_pb2.Annotation:
        """See `Link`; whoever has it open is told."""
        annotation = self._annotation(annotation_id)
        if verdict == segmentation_pb2.REVIEW_ACCEPTED and not annotation.masks:
            raise LinkError("MASK_NOT_FOUND", "No mask was saved.", status="NOT_FOUND")
        message = annotation.reviewed(verdict, self.account.user, note)
        annotation.writer = None
        locked = verdict == segmentation_pb2.REVIEW_ACCEPTED
        self.send(annotation_id, Answer(writer=segmentation_pb2.WriterChanged(writer=False, locked=locked)))
        return message

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
            saved_ms=1_795_000_000_000 + len(annotation.masks),
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

    async def export(
        self, annotation_id: str, kind: int, format: int, mask_number: int = 0, watch: Watch | None = None
    ) -> ExportedFile:
        """See `Link`; always a ``.npy`` file, whose last byte does not come while `hold_exports`."""
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
        size = len(file.getvalue())
        for done in (0, size // 2, size):
            if done == size and self.hold_exports:
                await asyncio.Event().wait()
            if watch and done:
                watch(Step("export", done, size))
            await asyncio.sleep(0)
        return ExportedFile(segmentation_pb2.ExportKind.Name(kind).lower() + ".npy", file.getvalue())

    def close(self) -> None:
        """See `Link`."""

    # --- for tests ---------------------------------------------------------------------------------------------------

    def log_of(self, annotation_id: str) -> list[tuple[str, int, bytes]]:
        """Session, sequence and body of every event of the log; its other entries say that a session began to write."""
        return [entry for entry in self._annotations[annotation_id].log if entry[1]]

    def forget_last(self, annotation_id: str) -> None:
        """Lose the newest entry of the log, as a server does on which an old backup was put."""
        self._annotations[annotation_id].log.pop()

    def send(self, annotation_id: str, answer: Answer) -> None:
        """Send a message to all sessions."""
        for session in self._annotations[annotation_id].sessions:
            session.out(answer)

    def hang_up(self, error: LinkError | None = None) -> None:
        """Cut all streams, as a lost network does."""
        for annotation in self._annotations.values():
            for session in annotation.sessions:
                session.fail(error or LinkError("SERVICE_UNAVAILABLE", retry=True, status="UNAVAILABLE"))

    # --- inside ------------------------------------------------------------------------------------------------------

    def labels(self, annotation: FakeAnnotation) -> NDArray[np.uint8]:
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

    def compute(self, annotation: FakeAnnotation) -> NDArray[np.uint8] | None:
        """Levels of all voxels, or None while one of the two labels is missing."""
        labels = self.labels(annotation)
        voxels = self._volumes[annotation.message.volume_id][1].astype(np.float64)
        if not {OBJECT_LABEL, BACKGROUND_LABEL} <= set(np.unique(labels).tolist()):
            return None
        from_object = np.abs(voxels - voxels[labels == OBJECT_LABEL].mean())
        from_background = np.abs(voxels - voxels[labels == BACKGROUND_LABEL].mean())
        levels: NDArray[np.float64] = 255 * (from_background + 1e-9) / (from_object + from_background + 2e-9)
        return np.rint(levels).astype(np.uint8)

    def advise(self, annotation: FakeAnnotation, levels: NDArray[np.uint8]) -> segmentation_pb2.Advice:
        """The slices without strokes that have most voxels near the threshold, as many as three; enough where none has."""
        info = self.volume_info(annotation)
        plane = info.planes[info.acquisition]
        doubt = oriented((levels > _SURE) & (levels < 255 - _SURE), plane)
        drawn = oriented(self.labels(annotation), plane).reshape(plane.slices, -1).any(axis=1)
        advice = segmentation_pb2.Advice(generation=annotation.generation, expected_dice=float(1 - doubt.mean()))
        voxels = np.where(drawn, 0, doubt.sum(axis=(1, 2)))
        for index in [int(k) for k in np.argsort(-voxels, kind="stable")[:3] if voxels[k]]:
            rows, columns = (np.flatnonzero(doubt[index].any(axis=axis)) for axis in (1, 0))
            advice.places.add(
                plane=common_pb2.Plane.Name(info.acquisition.value),
                slice=index,
                row=int(rows[0]),
                column=int(columns[0]),
                rows=int(np.ptp(rows)) + 1,
                columns=int(np.ptp(columns)) + 1,
            )
        advice.enough = not advice.places
        return advice

    def volume_info(self, annotation: FakeAnnotation) -> VolumeInfo:
        """The annotation's volume."""
        return VolumeInfo.from_message(self._volumes[annotation.message.volume_id][0])

    def _call(self) -> None:
        if not self.online:
            raise LinkError("SERVICE_UNAVAILABLE", retry=True, status="UNAVAILABLE")
        self.account.check()

    def _volume(self, volume_id: str) -> tuple[volumes_pb2.Volume, NDArray[np.uint16]]:
        self._call()
        if volume_id not in self._volumes:
            raise LinkError("VOLUME_NOT_FOUND", "There is no such volume.", status="NOT_FOUND")
        return self._volumes[volume_id]

    def _annotation(self, annotation_id: str) -> FakeAnnotation:
        self._call()
        if annotation_id not in self._annotations:
            raise LinkError("ANNOTATION_NOT_FOUND", "There is no such annotation.", status="NOT_FOUND")
        return self._annotations[annotation_id]


def _array(data: bytes) -> NDArray[np.uint16]:
    try:
        voxels: NDArray[np.uint16] = np.load(io.BytesIO(data), allow_pickle=False).astype(np.uint16)
    except (ValueError, EOFError) as error:
        raise LinkError("FILE_NOT_READABLE", "The file is not an array.", status="INVALID_ARGUMENT") from error
    if voxels.ndim not in (3, 4):
        raise LinkError("FILE_NOT_AN_IMAGE", "The file is not a volume.", status="INVALID_ARGUMENT")
    return voxels


def _gap(voxels: NDArray[np.uint16]) -> bool:
    return bool((voxels == 7).all(axis=(-2, -1)).any())


def _series(key: str, data: bytes) -> volumes_pb2.Series:
    series = volumes_pb2.Series(key=key, kind=volumes_pb2.SERIES_KIND_IMAGE, place=key)
    try:
        voxels = _array(data)
    except LinkError as error:
        series.refusal.CopyFrom(common_pb2.ErrorInfo(reason=error.reason, message=error.message))
        return series
    series.slices, series.rows, series.columns = voxels.shape[-3:]
    series.slice_mm, series.row_mm, series.column_mm = 3.0, 1.0, 1.0
    if voxels.ndim == 4:
        series.frames.extend(common_pb2.Choice(key=str(n), text=f"time {n}") for n in range(1, len(voxels) + 1))
    if _gap(voxels):
        series.refusal.CopyFrom(common_pb2.ErrorInfo(reason=common_pb2.SLICES_UNEVEN, message="A slice is missing."))
        series.resample_helps = True
    return series
