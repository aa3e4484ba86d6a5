"""DICOM files → what can be chosen among them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from services.core.errors import CalqueError, ChoiceNeeded, Reason
from services.core.volume import Affine
from services.formats.dicom import Series, group, no_image, planned, read_headers
from services.formats.dicom_broken import Broken, spoilt
from services.formats.dicom_geometry import Placed
from services.formats.offer import Kind, Offer, place_of, tried
from services.formats.repair import Repair, Repairs
from services.formats.source import SourceFile

# Resampling is not proposed where it would give more slices than this for each that is there: that is no missing slice.
_MOST_MADE = 3

Plan = tuple[list[Placed], Affine, Repair | None]


def dicom_offers(
    files: Sequence[SourceFile], remains: Sequence[tuple[str, CalqueError]], *, alone: bool
) -> tuple[list[Offer], list[str]]:
    """All series of some files, and what each object is that is no image.

    Args:
        files: as for `read_dicom`.
        remains: as there.
        alone: whether there is nothing else that could be an image.

    Raises:
        InvalidInput: there are only objects that are no images, and these files are alone.
    """
    found = read_headers(files, remains)
    if alone and not found.images and not found.broken:
        raise no_image(files, found)
    candidates = group(found.images)
    names = [candidate.names(files) for candidate in candidates]
    errors = spoilt(found.broken, [(c.images[0].series, held) for c, held in zip(candidates, names)])
    kinds = _kinds(candidates)
    offers = [_offer(files, *one) for one in zip(candidates, kinds, names, errors)]
    known = {candidate.images[0].series for candidate in candidates}
    strangers = [one for one in found.broken if (one.series not in known if one.series else not candidates)]
    return offers + _broken_offers(strangers), found.skipped


def _kinds(candidates: Sequence[Series]) -> list[Kind]:
    """What each is for. The largest stack of a series has its frame of reference; the others may have another one."""
    largest: dict[str, Series] = {}
    for candidate in sorted(candidates, key=lambda c: len(c.images)):
        if not candidate.images[0].kind:
            largest[candidate.images[0].series] = candidate
    kinds = []
    for candidate in candidates:
        one = candidate.images[0]
        if one.kind:
            kinds.append(Kind(one.kind))
        elif largest[one.series].images[0].frame_of_reference != one.frame_of_reference:
            kinds.append(Kind.OTHER_REFERENCE)
        else:
            kinds.append(Kind.IMAGE)
    return kinds


def _offer(
    files: Sequence[SourceFile], series: Series, kind: Kind, names: Sequence[str], missing: CalqueError | None
) -> Offer:
    one = series.images[0]
    pixel = np.array(one.pixel_mm or (0.0, 0.0))
    row_mm, column_mm = pixel if np.isfinite(pixel).all() and (pixel > 0).all() else (0.0, 0.0)
    offer = Offer(
        key=series.id,
        kind=kind,
        modality=one.modality,
        description=one.description,
        place=place_of(names),
        date=one.date,
        columns=one.columns,
        rows=one.rows,
        slices=len(series.images),
        spacing_mm=(float(column_mm), float(row_mm), 0.0),
    )
    if missing is not None:
        return offer.refused(missing)

    def plan(frame: int | None, repairs: Repairs) -> Plan:
        slices, affine, repair = planned(files, series, frame, repairs)
        if repair is not None and repair.uneven:
            heights = repair.heights_mm
            if heights[-1] - heights[0] > _MOST_MADE * len(heights) * np.median(np.diff(heights)):
                raise ChoiceNeeded("Too much of the volume would be made up.", Reason.SLICES_UNEVEN)
        return slices, affine, repair

    return tried(offer, plan, _stacked, repairable=True)


def _stacked(offer: Offer, plan: Plan) -> Offer:
    """With the slices of one frame and their usual distance; one slice has none."""
    slices, affine, repair = plan
    step = 0.0
    if repair is not None:
        step = float(np.median(np.diff(repair.heights_mm)))
    elif len(slices) > 1:
        step = float(np.linalg.norm(affine[:3, 0]))
    return replace(offer, slices=len(slices), spacing_mm=(*offer.spacing_mm[:2], step))


def _broken_offers(broken: Sequence[Broken]) -> list[Offer]:
    """One for each series of which no file can be read, and one for all files that do not name theirs."""
    by_series: dict[str, list[Broken]] = {}
    for one in broken:
        by_series.setdefault(one.series, []).append(one)
    return [
        Offer(
            key=hashlib.sha256(f"broken {series}".encode()).hexdigest()[:8],
            modality=held[0].modality,
            description=held[0].description,
            place=place_of(one.name for one in held),
            columns=held[0].columns,
            rows=held[0].rows,
        ).refused(held[0].error)
        for series, held in by_series.items()
    ]
