"""The library: a card for each volume."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from enum import Enum

from calque.v1 import common_pb2, segmentation_pb2, volumes_pb2


class Work(Enum):
    """How far the work on a volume is."""

    UNKNOWN = "unknown"
    NEW = "new"
    IN_WORK = "in work"
    DONE = "done"


@dataclass(frozen=True)
class Card:
    """A volume as the library shows it.

    Attributes:
        volume_id, name: as in the contract.
        modality: DICOM code, or empty.
        size_mm: "230 × 230 × 180 mm", columns, rows and slices of the acquisition plane; empty when unknown.
        date: day of the import, "2026-11-30", in the tablet's time zone.
        imported_ms: for the order, newest first.
        thumbnail: JPEG.
        work: how far the work is.
        warnings: how many sentences stay with the volume.
    """

    volume_id: str
    name: str
    modality: str
    size_mm: str
    date: str
    imported_ms: int
    thumbnail: bytes
    work: Work = Work.UNKNOWN
    warnings: int = 0


def card(
    volume: volumes_pb2.Volume,
    annotations: Sequence[segmentation_pb2.Annotation] | None = None,
    zone: tzinfo | None = None,
) -> Card:
    """A volume's card; ``annotations`` None where they are not known, ``zone`` None for the tablet's own."""
    return Card(
        volume_id=volume.volume_id,
        name=volume.name,
        modality=volume.modality,
        size_mm=_size_mm(volume),
        date=datetime.fromtimestamp(volume.imported_ms / 1000, zone).strftime("%Y-%m-%d"),
        imported_ms=volume.imported_ms,
        thumbnail=volume.thumbnail,
        work=work_of(annotations),
        warnings=len(volume.warnings),
    )


def work_of(annotations: Sequence[segmentation_pb2.Annotation] | None) -> Work:
    """Done once a mask was saved, in work once something was drawn: the first entry of a log says that a session began."""
    if annotations is None:
        return Work.UNKNOWN
    if any(annotation.masks for annotation in annotations):
        return Work.DONE
    return Work.IN_WORK if any(annotation.log_length > 1 for annotation in annotations) else Work.NEW


def found(cards: Iterable[Card], words: str) -> list[Card]:
    """The cards whose name, modality or date holds every one of the words, the newest first."""
    wanted = words.casefold().split()
    kept = [c for c in cards if all(w in f"{c.name} {c.modality} {c.date}".casefold() for w in wanted)]
    return sorted(kept, key=lambda c: -c.imported_ms)


def _size_mm(volume: volumes_pb2.Volume) -> str:
    plane: common_pb2.PlaneGeometry | None = next((p for p in volume.planes if p.plane == volume.acquisition), None)
    if plane is None:
        return ""
    size = (plane.columns * plane.column_mm, plane.rows * plane.row_mm, plane.slices * plane.slice_mm)
    return " × ".join(f"{mm:.0f}" for mm in size) + " mm"
