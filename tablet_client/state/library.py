"""The library: a card for each volume."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from enum import Enum

from calque.v1 import common_pb2, segmentation_pb2, volumes_pb2

from tablet_client.state.palette import colour_of

SORTS = ("date", "name", "state")
"""Orders of the cards: what changed last first, by name, or what is in work first."""


class Work(Enum):
    """How far the work on a volume is."""

    UNKNOWN = "unknown"
    NEW = "new"
    IN_WORK = "in work"
    DONE = "done"
    SUBMITTED = "submitted"
    SENT_BACK = "sent_back"
    ACCEPTED = "accepted"


_URGENCY = (Work.SENT_BACK, Work.IN_WORK, Work.NEW, Work.SUBMITTED, Work.DONE, Work.ACCEPTED, Work.UNKNOWN)
_REVIEWED = (
    (segmentation_pb2.REVIEW_SENT_BACK, Work.SENT_BACK),
    (segmentation_pb2.REVIEW_SUBMITTED, Work.SUBMITTED),
    (segmentation_pb2.REVIEW_ACCEPTED, Work.ACCEPTED),
)
"""What counts of the annotations of a volume, before other things."""


@dataclass(frozen=True)
class Card:
    """A volume as the library shows it.

    Attributes:
        volume_id, name: as in the contract.
        modality: DICOM code, or empty.
        size_mm: "230 × 230 × 180 mm", columns, rows and slices of the acquisition plane; empty when unknown.
        dates: days of the import and of what was drawn last, "2026-11-30", in the tablet's time zone.
        imported_ms: milliseconds since 1970, UTC.
        thumbnail: JPEG.
        work: how far the work is.
        changed_ms: when something was drawn last, as imported_ms; 0: never, or not known.
        who: who drew it; empty: nobody said.
        colours: of its annotations, the oldest first, 0xRRGGBB.
        warnings: how many sentences stay with the volume.
        project: that it belongs to.
    """

    volume_id: str
    name: str
    modality: str
    size_mm: str
    dates: tuple[str, ...]
    imported_ms: int
    thumbnail: bytes
    work: Work = Work.UNKNOWN
    changed_ms: int = 0
    who: str = ""
    colours: tuple[int, ...] = ()
    warnings: int = 0
    project: str = ""


def card(
    volume: volumes_pb2.Volume,
    annotations: Sequence[segmentation_pb2.Annotation] | None = None,
    zone: tzinfo | None = None,
) -> Card:
    """A volume's card; ``annotations`` None where they are not known, ``zone`` None for the tablet's own."""
    last = max(annotations or (), key=lambda annotation: annotation.changed_ms, default=segmentation_pb2.Annotation())
    return Card(
        volume_id=volume.volume_id,
        name=volume.name,
        modality=volume.modality,
        size_mm=_size_mm(volume),
        dates=tuple(_day(moment, zone) for moment in (volume.imported_ms, last.changed_ms) if moment),
        imported_ms=volume.imported_ms,
        thumbnail=volume.thumbnail,
        work=work_of(annotations),
        changed_ms=last.changed_ms,
        who=last.changed_by,
        colours=tuple(colour_of(annotation) for annotation in reversed(annotations or ())),
        warnings=len(volume.warnings),
        project=volume.project,
    )


def work_of(annotations: Sequence[segmentation_pb2.Annotation] | None) -> Work:
    """Done once a mask was saved, in work once something was drawn; where one is reviewed, how far that is."""
    if annotations is None:
        return Work.UNKNOWN
    reviews = {annotation.review for annotation in annotations}
    for review, work in _REVIEWED:
        if review in reviews:
            return work
    if any(annotation.masks for annotation in annotations):
        return Work.DONE
    return Work.IN_WORK if any(annotation.events for annotation in annotations) else Work.NEW


def found(cards: Iterable[Card], words: str, sort: str = SORTS[0], project: str = "") -> list[Card]:
    """Cards of a project, or of all, whose name, modality, dates or last reader hold all words, in an order of `SORTS`."""
    wanted = words.casefold().split()
    kept = [c for c in cards if project in ("", c.project) and all(word in _words(c) for word in wanted)]
    kept.sort(key=lambda c: -max(c.imported_ms, c.changed_ms))
    if sort == "name":
        kept.sort(key=lambda c: _parts(c.name))
    elif sort == "state":
        kept.sort(key=lambda c: _URGENCY.index(c.work))
    return kept


def choices(projects: Iterable[str], volumes: Iterable[volumes_pb2.Volume]) -> tuple[str, ...]:
    """Projects to choose from, in alphabetical order: the user's, and those of volumes; none where there is only one."""
    names = sorted({*projects, *(volume.project for volume in volumes if volume.project)})
    return tuple(names) if len(names) > 1 else ()


def when(moment_ms: int, now_ms: int, zone: tzinfo | None = None) -> str:
    """A moment as a card tells it: ``"14:05"`` on the same day, else ``"2026-11-30"``; ``zone`` None: the tablet's own."""
    moment, now = (datetime.fromtimestamp(ms / 1000, zone) for ms in (moment_ms, now_ms))
    return moment.strftime("%H:%M") if moment.date() == now.date() else _day(moment_ms, zone)


def _words(card: Card) -> str:
    return " ".join((card.name, card.modality, *card.dates, card.who)).casefold()


def _day(moment_ms: int, zone: tzinfo | None) -> str:
    return datetime.fromtimestamp(moment_ms / 1000, zone).strftime("%Y-%m-%d")


def _parts(name: str) -> list[tuple[int, str]]:
    """A name as people sort it: the numbers in it count as numbers, and come before words."""
    parts = re.findall(r"[0-9]+|[^0-9]+", name.casefold())
    return [(int(part), "") if part[0] in "0123456789" else (sys.maxsize, part) for part in parts]


def _size_mm(volume: volumes_pb2.Volume) -> str:
    plane: common_pb2.PlaneGeometry | None = next((p for p in volume.planes if p.plane == volume.acquisition), None)
    if plane is None:
        return ""
    size = (plane.columns * plane.column_mm, plane.rows * plane.row_mm, plane.slices * plane.slice_mm)
    return " × ".join(f"{mm:.0f}" for mm in size) + " mm"
