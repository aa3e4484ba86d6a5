"""Annotations in a store: name and labels, the log, masks.

::

    annotations/<volume>/<annotation>/heads/<number>     name, labels and review as JSON; the highest number counts
    annotations/<volume>/<annotation>/log/<position>     one entry of the log (see services.store.log)
    annotations/<volume>/<annotation>/log-segments/<n>   old entries of the log together (see services.store.segments)
    annotations/<volume>/<annotation>/masks/<number>     what a saved mask is, as JSON
    annotations/<volume>/<annotation>/blobs/<sha256>     content of masks, saved or uploaded

Everything is create-only. An annotation's identifier begins with its volume's.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal
from uuid import uuid4

import numpy as np
import structlog
from numpy.typing import NDArray

from services.core.errors import ChoiceNeeded, Corrupt, NotFound, Reason
from services.store import records
from services.store.log import Log, Summary, summary
from services.store.port import Store, is_identifier
from services.store.segments import log_length

log = structlog.get_logger()


@dataclass(frozen=True)
class LabelRecord:
    """A label: its value from 1, its name, its colour as 0xRRGGBB."""

    value: int
    name: str
    colour: int


PAPER_LABELS = (LabelRecord(1, "Object", 0xD08A4E), LabelRecord(2, "Background", 0x4C8DD9))


@dataclass(frozen=True)
class AnnotationRecord:
    """Name, labels and review of an annotation; times in milliseconds since 1970, UTC.

    ``review`` is how far the review is: ``submitted``, ``accepted``, ``sent_back`` with a ``review_note``, or nothing yet;
    ``accepted_mask`` is the number of the saved mask that was accepted with it, which alone may train models; 0: none.
    """

    annotation_id: str
    volume_id: str
    name: str
    created_ms: int
    labels: tuple[LabelRecord, ...]
    review: Literal["", "submitted", "accepted", "sent_back"] = ""
    reviewed_by: str = ""
    reviewed_ms: int = 0
    accepted_mask: int = 0
    review_note: str = ""

    def check_open(self) -> None:
        """Raises: ChoiceNeeded: it was accepted, so that nothing of it may change."""
        if self.review == "accepted":
            message = "This annotation was accepted and is locked; a reviewer can send it back."
            raise ChoiceNeeded(message, Reason.ANNOTATION_LOCKED)


@dataclass(frozen=True)
class MaskRecord:
    """A saved mask; fields as in ``calque.v1.Mask``."""

    number: int
    digest: str
    threshold: int
    saved_ms: int
    log_length: int
    preset: str
    seed: int
    engine: str
    object_ml: float
    connected: bool = False
    fill_holes: bool = False
    classifier: str = "forest"
    latent_model: str = ""


class Annotations:
    """The annotations of a store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def create(self, volume_id: str, *, name: str, labels: tuple[LabelRecord, ...], created_ms: int) -> AnnotationRecord:
        """Begin an annotation."""
        record = AnnotationRecord(f"{volume_id}-{uuid4().hex}", volume_id, name, created_ms, labels)
        self._put_head(record, 1)
        return record

    def of_volume(self, volume_id: str) -> list[AnnotationRecord]:
        """The annotations of a volume that can be read, the newest first: a damaged one hides no other."""
        records = []
        for name in self._store.folders(f"annotations/{volume_id}"):
            try:
                records.append(self.get(f"{volume_id}-{name}"))
            except NotFound:  # being deleted
                continue
            except Corrupt:
                log.error("the record of an annotation is damaged", annotation=f"{volume_id}-{name}")
        return sorted(records, key=lambda record: (-record.created_ms, record.annotation_id))

    def get(self, annotation_id: str) -> AnnotationRecord:
        """An annotation as it stands now. Raises: NotFound, Corrupt."""
        return self._newest(annotation_id)[0]

    def _newest(self, annotation_id: str) -> tuple[AnnotationRecord, int]:
        """An annotation and the number of its head. Raises: NotFound, Corrupt."""
        heads = list(self._store.list(f"{_folder(annotation_id)}/heads"))
        if not heads:
            raise NotFound("There is no such annotation.", Reason.ANNOTATION_NOT_FOUND)
        try:
            data = self._store.read(heads[-1])
        except NotFound as error:  # deleted in this moment
            raise NotFound("There is no such annotation.", Reason.ANNOTATION_NOT_FOUND) from error
        try:
            fields = records.decode(data)
            labels = tuple(LabelRecord(**label) for label in fields.pop("labels"))
            return AnnotationRecord(labels=labels, **fields), int(heads[-1].rpartition("/")[2])
        except (ValueError, KeyError, TypeError) as error:
            raise Corrupt("The record of this annotation is damaged.") from error

    def rename(self, annotation_id: str, *, name: str, labels: tuple[LabelRecord, ...]) -> AnnotationRecord:
        """Give other names. Of two who do so at once, the later one counts. Raises: NotFound, ChoiceNeeded (accepted)."""

        def change(record: AnnotationRecord) -> AnnotationRecord:
            record.check_open()
            return replace(record, name=name, labels=labels)

        return self._change(annotation_id, change)

    def accept(self, annotation_id: str, mask: int, *, by: str, now_ms: int) -> AnnotationRecord:
        """Lock an annotation whose saved mask of this number is good. Who writes its log is to be fenced off afterwards."""
        told: dict[str, Any] = {"reviewed_by": by, "reviewed_ms": now_ms, "accepted_mask": mask, "review_note": ""}
        return self._change(annotation_id, lambda record: replace(record, review="accepted", **told))

    def send_back(self, annotation_id: str, note: str, *, by: str, now_ms: int) -> AnnotationRecord:
        """Have an annotation worked on again, as a note says that may be empty."""
        told: dict[str, Any] = {"reviewed_by": by, "reviewed_ms": now_ms, "accepted_mask": 0, "review_note": note}
        return self._change(annotation_id, lambda record: replace(record, review="sent_back", **told))

    def submit(self, annotation_id: str, *, by: str, now_ms: int) -> AnnotationRecord:
        """Ask for the review of an annotation. Raises: NotFound, ChoiceNeeded (accepted)."""

        def change(record: AnnotationRecord) -> AnnotationRecord:
            record.check_open()
            return replace(record, review="submitted", reviewed_by=by, reviewed_ms=now_ms, review_note="")

        return self._change(annotation_id, change)

    def _change(self, annotation_id: str, change: Callable[[AnnotationRecord], AnnotationRecord]) -> AnnotationRecord:
        """Put what ``change`` makes of the newest head as the next one; where another is first, of that one."""
        while True:
            record, number = self._newest(annotation_id)
            changed = change(record)
            if self._put_head(changed, number + 1):
                return changed

    def delete(self, annotation_id: str) -> None:
        """Remove an annotation with its log and masks; its name goes first. Raises: NotFound."""
        self.get(annotation_id)
        for part in ("heads", "log", "log-segments", "masks", "blobs"):
            for key in list(self._store.list(f"{_folder(annotation_id)}/{part}")):
                self._store.delete(key)

    def log(self, annotation_id: str) -> Log:
        """The annotation's log, read from the store. Raises: NotFound, Corrupt."""
        self.get(annotation_id)
        return Log(self._store, f"{_folder(annotation_id)}/log")

    def log_summary(self, annotation_id: str) -> Summary:
        """What the log holds, without reading it all. Of a damaged one no more than its length is known."""
        prefix = f"{_folder(annotation_id)}/log"
        try:
            return summary(self._store, prefix)
        except (Corrupt, NotFound):
            length = log_length(self._store, prefix)
            return Summary(length, events=length)

    def put_blob(self, annotation_id: str, content: NDArray[np.bool_]) -> str:
        """Keep a mask's content, shape ``(slices, rows, columns)``. Returns its SHA-256, hexadecimal."""
        digest = mask_digest(content)
        key, data = f"{_folder(annotation_id)}/blobs/{digest}", zlib.compress(np.packbits(content).tobytes(), 6)
        if not self._store.create(key, data):
            try:
                slices, rows, columns = content.shape
                self.get_blob(annotation_id, digest, (slices, rows, columns))
            except Corrupt:  # the same content, kept before and damaged since
                self._store.delete(key)
                self._store.create(key, data)
        return digest

    def get_blob(self, annotation_id: str, digest: str, shape: tuple[int, int, int]) -> NDArray[np.bool_]:
        """A mask's content. Raises: NotFound, Corrupt."""
        if not is_identifier(digest):
            raise NotFound("There is no such mask.", Reason.MASK_NOT_FOUND)
        try:
            data = self._store.read(f"{_folder(annotation_id)}/blobs/{digest}")
        except NotFound as error:
            raise NotFound("There is no such mask.", Reason.MASK_NOT_FOUND) from error
        try:
            bits = np.frombuffer(zlib.decompress(data), dtype=np.uint8)
            content = np.unpackbits(bits, count=int(np.prod(shape))).astype(bool).reshape(shape)
        except (zlib.error, ValueError) as error:
            raise Corrupt("A stored mask is damaged; the strokes are kept, save the mask again.") from error
        if mask_digest(content) != digest:
            raise Corrupt("A stored mask is damaged; the strokes are kept, save the mask again.")
        return content

    def publish_mask(self, annotation_id: str, mask: MaskRecord) -> MaskRecord:
        """Make a mask whose content is kept the newest one; its number is given here."""
        number = self.mask_count(annotation_id) + 1
        while True:
            mask = replace(mask, number=number)
            if self._store.create(_mask_key(annotation_id, number), records.encode(asdict(mask))):
                return mask
            number += 1

    def masks(self, annotation_id: str) -> list[MaskRecord]:
        """Saved masks whose records can be read, the newest first: a damaged one hides no other."""
        found = []
        for number in range(self.mask_count(annotation_id), 0, -1):
            try:
                found.append(self.mask(annotation_id, number))
            except Corrupt:
                log.error("the record of a mask is damaged", annotation=annotation_id, number=number)
        return found

    def mask(self, annotation_id: str, number: int) -> MaskRecord:
        """A saved mask by its number; 0: the newest. Raises: NotFound, Corrupt."""
        number = number or self.mask_count(annotation_id)
        try:
            return MaskRecord(**records.decode(self._store.read(_mask_key(annotation_id, number))))
        except NotFound as error:
            raise NotFound("There is no such saved mask.", Reason.MASK_NOT_FOUND) from error
        except (ValueError, TypeError) as error:
            raise Corrupt("The record of a stored mask is damaged; the strokes are kept, save the mask again.") from error

    def mask_count(self, annotation_id: str) -> int:
        """Saved masks, without reading them."""
        return sum(1 for _ in self._store.list(f"{_folder(annotation_id)}/masks"))

    def _put_head(self, record: AnnotationRecord, number: int) -> bool:
        key = f"{_folder(record.annotation_id)}/heads/{number:06d}"
        return self._store.create(key, records.encode(asdict(record)))


def mask_digest(content: NDArray[np.bool_]) -> str:
    """SHA-256 of a mask's shape and voxels, hexadecimal."""
    head = "x".join(str(n) for n in content.shape).encode()
    return hashlib.sha256(head + b"\n" + np.packbits(content).tobytes()).hexdigest()


def _mask_key(annotation_id: str, number: int) -> str:
    return f"{_folder(annotation_id)}/masks/{number:06d}"


def _folder(annotation_id: str) -> str:
    volume, _, name = annotation_id.partition("-")
    if not (is_identifier(volume) and is_identifier(name)):
        raise NotFound("There is no such annotation.", Reason.ANNOTATION_NOT_FOUND)
    return f"annotations/{volume}/{name}"
