"""What files hold, step by step as it is chosen from: a series, of it a frame, for it a repair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from calque.v1 import volumes_pb2

from tablet_client.state.words import N_, _, ngettext

_KINDS = {
    volumes_pb2.SERIES_KIND_LOCALIZER: N_("localizer"),
    volumes_pb2.SERIES_KIND_DERIVED: N_("derived"),
    volumes_pb2.SERIES_KIND_OTHER_REFERENCE: N_("other frame of reference"),
}
_REPAIRS = {  # by whether to resample, and whether to shear
    (True, False): (N_("Resample"), N_("Slices are computed where they are missing or uneven.")),
    (False, True): (N_("Straighten"), N_("Slices are moved until the stack stands upright.")),
    (True, True): (
        N_("Resample and straighten"),
        N_("Slices are computed where they are missing or uneven, and moved until the stack stands upright."),
    ),
}


@dataclass(frozen=True)
class Asked:
    """What of some files to import; see the contract's ImportRequest."""

    series: str = ""
    frame_plus_one: int = 0
    resample: bool = False
    shear: bool = False


@dataclass(frozen=True)
class Row:
    """One thing to choose.

    Attributes:
        name: distinguishes it among the rows.
        title: what it is.
        facts: modality, size, spacing and folder, on one line.
        tag: its kind, where it is not simply an image.
        date: of the acquisition.
        reason: why it cannot be opened as it is; of a repair, what it does. As long as it needs to be.
        asked: what choosing it asks for; None where it cannot be opened at all.
    """

    name: str
    title: str
    facts: str = ""
    tag: str = ""
    date: str = ""
    reason: str = ""
    asked: Asked | None = None


@dataclass(frozen=True)
class Step:
    """Rows of which one is chosen, a sentence above them, and what is left out."""

    sentence: str
    rows: tuple[Row, ...]
    note: str = ""


def first_step(listing: volumes_pb2.ListSeriesResponse) -> Step | None:
    """What to choose first; None where there is nothing to choose."""
    if len(listing.series) > 1:
        places = [PurePosixPath(series.place).parts for series in listing.series]
        inside = 1 if len({parts[0] for parts in places if len(parts) > 1}) == 1 and min(map(len, places)) > 1 else 0
        rows = tuple(_series_row(series, parts[inside:]) for series, parts in zip(listing.series, places))
        return Step(_("Several series lie here. Choose one of them."), rows, _note(listing))
    return step_after(listing, Asked(series=listing.series[0].key)) if listing.series else None


def step_after(listing: volumes_pb2.ListSeriesResponse, asked: Asked) -> Step | None:
    """What to choose next of a series, its frame and then its repair; None where there is nothing more to choose."""
    series = next((one for one in listing.series if one.key == asked.series), None)
    if series is None:
        return None
    if series.frames and not asked.frame_plus_one:
        rows = [Row(frame.key, frame.text, asked=replace(asked, frame_plus_one=int(frame.key))) for frame in series.frames]
        return Step(_("This image has several time points or channels. Choose one of them."), tuple(rows))
    if (series.resample_helps or series.shear_helps) and not (asked.resample or asked.shear):
        title, done = map(_, _REPAIRS[series.resample_helps, series.shear_helps])
        reason = done + " " + _("The volume keeps a note of it for ever.")
        repaired = replace(asked, resample=series.resample_helps, shear=series.shear_helps)
        return Step(series.refusal.message, (Row("repair", title, reason=reason, asked=repaired),))
    return None


def _series_row(series: volumes_pb2.Series, place: Sequence[str]) -> Row:
    refused = series.HasField("refusal")
    repairable = series.resample_helps or series.shear_helps
    title = series.description or (place[-1] if place else "") or series.modality or _("No description")
    folder = "/".join(place if series.description else place[:-1])
    facts = [series.modality if title != series.modality else "", _size(series), _spacing(series), _frames(series), folder]
    return Row(
        name=series.key,
        title=title,
        facts=" · ".join(filter(None, facts)),
        tag=_("needs repair") if repairable else _kind(series),
        date=series.date,
        reason=series.refusal.message if refused else "",
        asked=Asked(series=series.key) if repairable or not refused else None,
    )


def _kind(series: volumes_pb2.Series) -> str:
    kind = _KINDS.get(series.kind)
    return _(kind) if kind else ""


def _size(series: volumes_pb2.Series) -> str:
    if not series.columns:
        return ""
    if not series.slices:
        return f"{series.columns} × {series.rows}"
    return f"{series.columns} × {series.rows}, " + ngettext("{n} slice", "{n} slices", series.slices)


def _spacing(series: volumes_pb2.Series) -> str:
    distances = [mm for mm in (series.column_mm, series.row_mm, series.slice_mm) if mm]
    return f"{' × '.join(f'{mm:.3g}' for mm in distances)} mm" if len(distances) > 1 else ""


def _frames(series: volumes_pb2.Series) -> str:
    return ngettext("{n} frame", "{n} frames", len(series.frames)) if series.frames else ""


def _files(count: int) -> str:
    return ngettext("{n} other file", "{n} other files", count)


def _note(listing: volumes_pb2.ListSeriesResponse) -> str:
    """What is not among the rows."""
    parts = [f"{one.count} {one.what}" if one.what else _files(one.count) for one in listing.others]
    sentences = [_("Not images: {list}.").format(list=", ".join(parts))] if parts else []
    if listing.unlisted:
        sentences.append(_("{n} more series are not listed; import a folder inside this one.").format(n=listing.unlisted))
    return " ".join(sentences)
