"""What files hold, for a user to choose from: one `Offer` for each image, in the order in which people look for theirs.

Offers come from headers alone. They travel out of the worker process as plain values, `plain` and `of_plain`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Any, TypeVar

from services.core.errors import CalqueError, Choice, ChoiceNeeded, Reason
from services.formats.repair import NO_REPAIRS, Repairs
from services.formats.source import MAX_CHOICES

MAX_FRAMES = 20_000
"""Most frames of all offers together: what is listed has to fit into one message."""

_REPAIRS = (Repairs(resample=True), Repairs(shear=True), Repairs(resample=True, shear=True))
T = TypeVar("T")


class Kind(StrEnum):
    """What an image is for. The contract has the same names (``calque.v1.SeriesKind``)."""

    IMAGE = "IMAGE"
    LOCALIZER = "LOCALIZER"
    DERIVED = "DERIVED"
    OTHER_REFERENCE = "OTHER_REFERENCE"


@dataclass(frozen=True)
class Offer:
    """One image that can be chosen, or that cannot and why. What the files do not say is 0 or empty.

    Attributes:
        key: what to ask `read_volume` for, as ``series``.
        kind: what it is for.
        modality: DICOM code.
        description: what the source says of itself.
        place: folder of its files, or the one file, by the user's name.
        date: day of acquisition, else of series or study, ``2004-01-19``.
        columns, rows, slices: size; slices of one frame, as the files have them.
        spacing_mm: distances of columns, rows and slices, the usual one where slices are uneven.
        frames: images at each place, of which one must be chosen.
        reason, sentence: why it cannot be opened as it is.
        repairs: what would make it readable, where it cannot be opened.
    """

    key: str
    kind: Kind = Kind.IMAGE
    modality: str = ""
    description: str = ""
    place: str = ""
    date: str = ""
    columns: int = 0
    rows: int = 0
    slices: int = 0
    spacing_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    frames: tuple[Choice, ...] = ()
    reason: Reason | None = None
    sentence: str = ""
    repairs: Repairs = NO_REPAIRS

    @property
    def opens(self) -> bool:
        """Whether it can be opened as it is, perhaps after the choice of a frame."""
        return self.reason is None

    def told(self) -> str:
        """One line for people: the key, and in brackets what it is unless the key says it."""
        if self.key.rstrip("/") == self.place:
            return self.key
        words = [self.description or "no description", self.modality or "unknown modality"]
        words.append(f"{self.columns} × {self.rows} × {self.slices}")
        return f"{self.key} ({', '.join(words)})"

    def refused(self, error: CalqueError, repairs: Repairs = NO_REPAIRS) -> Offer:
        """The same, which cannot be opened."""
        return replace(self, reason=error.reason, sentence=str(error), repairs=repairs)


@dataclass(frozen=True)
class Listing:
    """All that some files hold.

    Attributes:
        offers: in order, at most `MAX_CHOICES`.
        others: objects and files that are no images: what they are (empty: nothing known), and how many.
        unlisted: offers that are left out because there are too many.
    """

    offers: tuple[Offer, ...]
    others: tuple[tuple[str, int], ...] = ()
    unlisted: int = 0


def listing(offers: Iterable[Offer], others: Iterable[str]) -> Listing:
    """Offers in order, cut to what is listed: images that can be opened, the largest first; localizers and derived images;
    what cannot be opened as it is, what a repair helps first. ``others`` names each file that is no image."""
    ordered = sorted(offers, key=_order)
    kept, room = [], MAX_FRAMES
    for offer in ordered[:MAX_CHOICES]:
        kept.append(replace(offer, frames=offer.frames[:room]))
        room -= len(kept[-1].frames)
    return Listing(tuple(kept), tuple(sorted(Counter(others).items())), len(ordered) - len(kept))


def _order(offer: Offer) -> tuple[int, int, str, str]:
    if not offer.opens:
        rank = 2 if offer.repairs != NO_REPAIRS else 3
    else:
        rank = 1 if offer.kind in (Kind.LOCALIZER, Kind.DERIVED) else 0
    return rank, -offer.columns * offer.rows * offer.slices, offer.place, offer.key


def tried(
    offer: Offer,
    plan: Callable[[int | None, Repairs], T],
    describe: Callable[[Offer, T], Offer],
    *,
    repairable: bool = False,
) -> Offer:
    """An offer completed by what the reader makes of headers.

    Args:
        offer: as far as it is known.
        plan: makes what is needed to read a frame, with repairs; raises what reading would.
        describe: adds what a plan tells.
        repairable: whether repairs are worth a try.
    """
    refusal: CalqueError | None = None
    frame: int | None = None
    for repairs in (NO_REPAIRS, *(_REPAIRS if repairable else ())):
        try:
            try:
                planned = plan(frame, repairs)
            except ChoiceNeeded as choice:
                if choice.reason != Reason.SEVERAL_FRAMES:
                    raise
                offer, frame = replace(offer, frames=choice.choices), 0
                planned = plan(frame, repairs)
        except CalqueError as error:
            refusal = refusal or error
            continue
        offer = describe(offer, planned)
        return offer if refusal is None else offer.refused(refusal, repairs)
    assert refusal is not None
    return offer.refused(refusal)


def place_of(names: Iterable[str]) -> str:
    """Where files lie, by their names: the one file, or the folder that holds them all; empty: the outermost."""
    several = list(names)
    if len(several) == 1:
        return several[0]
    common: list[str] = []
    for parts in zip(*(PurePosixPath(name).parts[:-1] for name in several)):
        if len(set(parts)) > 1:
            break
        common.append(parts[0])
    return "/".join(common)


def plain(offer: Offer) -> dict[str, Any]:
    """An offer as values for JSON; distances in mm."""
    axes = ("columns", "rows", "slices")
    return {
        "key": offer.key,
        "kind": offer.kind.value.lower(),
        "modality": offer.modality,
        "description": offer.description,
        "place": offer.place,
        "date": offer.date,
        "size": dict(zip(axes, (offer.columns, offer.rows, offer.slices))),
        "spacing_mm": dict(zip(axes, offer.spacing_mm)),
        "frames": [{"key": choice.key, "text": choice.text} for choice in offer.frames],
        "opens": offer.opens,
        "reason": offer.reason.value if offer.reason else "",
        "sentence": offer.sentence,
        "repairs": [name for name in ("resample", "shear") if getattr(offer.repairs, name)],
    }


def of_plain(told: Mapping[str, Any]) -> Offer:
    """The offer that `plain` made values of."""
    size, spacing = told["size"], told["spacing_mm"]
    return Offer(
        key=str(told["key"]),
        kind=Kind(told["kind"].upper()),
        modality=str(told["modality"]),
        description=str(told["description"]),
        place=str(told["place"]),
        date=str(told["date"]),
        columns=int(size["columns"]),
        rows=int(size["rows"]),
        slices=int(size["slices"]),
        spacing_mm=(float(spacing["columns"]), float(spacing["rows"]), float(spacing["slices"])),
        frames=tuple(Choice(str(choice["key"]), str(choice["text"])) for choice in told["frames"]),
        reason=Reason(told["reason"]) if told["reason"] else None,
        sentence=str(told["sentence"]),
        repairs=Repairs("resample" in told["repairs"], "shear" in told["repairs"]),
    )
