"""DICOM: a folder of classic images, or an enhanced multi-frame object, → one volume.

In the order of the flow: headers of all files are read (without pixels), images are told from other objects and grouped
into series that make one stack, one series is chosen, its slices are ordered by position, and only then are pixels decoded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray

from services.core.errors import CalqueError, Choice, ChoiceNeeded, InvalidInput, Reason
from services.core.source import SourceSeries
from services.core.volume import VOXEL_DTYPES, Affine, Volume
from services.formats.dicom_broken import Broken, broken_file, spoilt
from services.formats.dicom_geometry import Placed, check_orientation, stack
from services.formats.dicom_header import Found, Image, read_images
from services.formats.dicom_pixels import stored_frames
from services.formats.repair import NO_REPAIRS, Repair, Repairs, repaired
from services.formats.room import Plan, Room
from services.formats.source import (
    MAX_CHOICES,
    Progress,
    SourceFile,
    bad_header,
    check_size,
    naming,
    refusing,
    short_name,
    truncated,
)

_LISTED = 20


@dataclass
class Series:
    """Images that make one stack: same series, frame of reference, size, orientation, pixel size and kind."""

    id: str
    images: list[Image] = field(default_factory=list)

    def told(self) -> str:
        """One line for people: identifier, description, modality, size, count."""
        one = self.images[0]
        words = [one.description or "no description", one.modality or "unknown modality"]
        words += [f"{one.columns} × {one.rows}", f"{len(self.images)} image" + ("s" if len(self.images) != 1 else "")]
        words += ["localizer"] if one.kind == "LOCALIZER" else ["derived"] if one.kind == "DERIVED" else []
        return f"{self.id} ({', '.join(words)})"

    def names(self, files: Sequence[SourceFile]) -> list[str]:
        """The user's names of its files, each once."""
        return [files[number].name for number in dict.fromkeys(image.file for image in self.images)]


def read_dicom(
    files: Sequence[SourceFile],
    series: str = "",
    frame: int | None = None,
    progress: Progress | None = None,
    repairs: Repairs = NO_REPAIRS,
    remains: Sequence[tuple[str, CalqueError]] = (),
    room: Room | None = None,
) -> Volume:
    """Read one series.

    Args:
        files: DICOM files, in any order; objects that are no images are skipped, and counted in a warning.
        series: identifier from a SEVERAL_SERIES refusal, or empty where there is only one.
        frame: which image where several lie at each place (times, echoes), from 0.
        progress: called with files looked at and files in all, then with slices read and slices in all.
        repairs: of a stack that would be refused otherwise.
        remains: names of files that may have been slices but cannot be read, and why.
        room: where the voxels go; what is repaired goes elsewhere.

    Returns:
        Voxels as stored, a slope and intercept a slice, slices ordered along the stack's normal. `Volume.source_axes` is
        that of a NIfTI file of the same image, ``(columns, rows, slices)``: a series has no array of its own.

    Raises:
        InvalidInput, ChoiceNeeded, TooLarge: see ``services.core.errors.Reason``.
    """
    found = read_headers(files, remains, progress)
    if not found.images:
        raise found.broken[0].error if found.broken else no_image(files, found)
    candidates = group(found.images)
    chosen = _choose(candidates, series)
    missing = spoilt(found.broken, [(c.images[0].series, c.names(files)) for c in candidates])[candidates.index(chosen)]
    if missing is not None:
        raise missing
    warnings = set(found.warnings)
    if found.skipped:
        kinds = ", ".join(sorted(set(found.skipped))[:5])
        warnings.add(f"Objects that are no images were skipped: {len(found.skipped)} ({kinds}).")
    if found.broken:
        warnings.add(f"Files of other series that cannot be read were left out: {len(found.broken)}.")
    slices, affine, repair = planned(files, chosen, frame, repairs)
    if len(slices) == 1:
        warnings.add("There is one slice only; its thickness is taken for the distance of slices.")
    warnings |= {sentence for image in chosen.images for sentence in image.shows}
    by_source = {(image.file, image.frame): image for image in chosen.images}
    ordered = [by_source[s.source] for s in slices]
    if any(image.inverted for image in ordered):
        warnings.add("The file stores bright as low values (MONOCHROME1); its intensities were turned round.")
    # Slices that are to be repaired are of use to nobody before.
    place = room if room is not None and repair is None else Room()
    volume = _volume(files, ordered, affine, sorted(warnings), progress, place)
    return volume if repair is None else repaired(volume, repair, files[ordered[0].file].name)


@dataclass(frozen=True)
class Headers:
    """What the headers of some files say.

    Attributes:
        images: of all series.
        broken: files that cannot be read.
        skipped: what each object that is no image is.
        warnings: what was noticed.
        disc: whether a directory names files.
    """

    images: list[Image]
    broken: list[Broken]
    skipped: list[str]
    warnings: frozenset[str]
    disc: bool


def read_headers(
    files: Sequence[SourceFile], remains: Sequence[tuple[str, CalqueError]] = (), progress: Progress | None = None
) -> Headers:
    """Read all headers; a file that cannot be read does not stop it."""
    images: list[Image] = []
    broken: list[Broken] = []
    skipped: list[str] = []
    warnings: set[str] = set()
    named: set[str] = set()  # by the directory of a disc
    for done, file in enumerate(files, 1):
        try:
            with refusing(file.name):
                found = read_images(file, done - 1)
        except CalqueError as error:
            broken.append(broken_file(file, error))
            found = Found(what="file that cannot be read")
        else:
            if not found.images:
                skipped.append(found.what)
        images += found.images
        warnings |= set(found.warnings)
        folder = PurePosixPath(file.name).parent
        named |= {(folder.joinpath(*parts)).as_posix() for parts in found.names}
        if progress:
            progress(done, len(files))
    broken += [Broken(name, error) for name, error in remains]
    if absent := named - {file.name for file in files}:
        warnings.add(f"The directory of the disc names {len(absent)} files that were not among those imported.")
    return Headers(images, broken, skipped, frozenset(warnings), bool(named))


def no_image(files: Sequence[SourceFile], found: Headers) -> InvalidInput:
    """The error for files that are objects but no images."""
    first = short_name(files[0].name)
    if found.disc:
        told = f"The file {first} is the directory of a disc, which holds no image itself; import the whole disc."
    else:
        also, kinds = " and the others" if len(files) > 1 else "", ", ".join(sorted(set(found.skipped))[:5])
        told = f"There is no image in {first}{also}, only: {kinds}."
    return InvalidInput(told, Reason.FILE_NOT_AN_IMAGE)


def planned(
    files: Sequence[SourceFile], series: Series, frame: int | None, repairs: Repairs
) -> tuple[list[Placed], Affine, Repair | None]:
    """How a series makes a stack, before any pixel is read: see `stack`. Raises: InvalidInput, ChoiceNeeded."""
    for image in series.images:
        _check_grey(files[image.file], image)
        if image.broken:
            raise image.broken
    placed = [_place(files[image.file], image) for image in series.images]
    check_orientation(placed[0].orientation, placed[0].name)
    return stack(placed, frame, series.images[0].thickness_mm or 1.0, repairs)


def group(images: Sequence[Image]) -> list[Series]:
    """Images → series that make one stack each, in the order of the files. Identifiers hold nothing of the patient."""
    groups: dict[tuple[Any, ...], list[tuple[NDArray[np.float64] | None, Series]]] = {}
    for image in images:
        key = (image.series, image.frame_of_reference, image.rows, image.columns, image.kind, _rounded(image.pixel_mm))
        alike = groups.setdefault(key, [])
        for orientation, series in alike:
            if _parallel(orientation, image.orientation):
                series.images.append(image)
                break
        else:
            text = repr((*key, len(alike))).encode()
            alike.append((image.orientation, Series(hashlib.sha256(text).hexdigest()[:8], [image])))
    return sorted((s for alike in groups.values() for _, s in alike), key=lambda s: s.images[0].file)


def _rounded(pixel_mm: tuple[float, float] | None) -> tuple[float, float] | None:
    return None if pixel_mm is None else (round(pixel_mm[0], 4), round(pixel_mm[1], 4))


def _parallel(one: NDArray[np.float64] | None, other: NDArray[np.float64] | None) -> bool:
    if one is None or other is None:
        return one is other
    return bool(np.allclose(one, other, rtol=0, atol=2e-3, equal_nan=True))


def _choose(candidates: list[Series], wanted: str) -> Series:
    if wanted:
        for candidate in candidates:
            if candidate.id == wanted:
                return candidate
    elif len(candidates) == 1:
        return candidates[0]
    told = "; ".join(c.told() for c in candidates[:_LISTED]) + (" …" if len(candidates) > _LISTED else "")
    start = "There is no such series" if wanted else f"The files hold {len(candidates)} series"
    choices = tuple(Choice(c.id, c.told()) for c in candidates[:MAX_CHOICES])
    raise ChoiceNeeded(f"{start}; choose one: {told}.", Reason.SEVERAL_SERIES, choices)


def _check_grey(file: SourceFile, image: Image) -> None:
    if image.colour:
        raise ChoiceNeeded(
            f"The file {short_name(file.name)} is a colour image (for example a screenshot or ultrasound); "
            "choose the series of grey images that it was made from.",
            Reason.COLOUR_IMAGE,
        )
    if image.mosaic:
        raise ChoiceNeeded(
            f"The file {short_name(file.name)} is a mosaic of many slices and does not say how they lie; "
            "export the series as single slices.",
            Reason.GEOMETRY_INVALID,
        )


def _place(file: SourceFile, image: Image) -> Placed:
    if image.position is None or image.orientation is None or image.pixel_mm is None:
        raise ChoiceNeeded(
            f"The file {short_name(file.name)} does not say where its image lies in the patient "
            "(position, orientation or pixel spacing); choose a series that does.",
            Reason.GEOMETRY_INVALID,
        )
    numbers = np.concatenate([image.position, image.orientation, image.pixel_mm])
    if not np.isfinite(numbers).all() or min(image.pixel_mm) <= 0:
        raise InvalidInput(
            f"The file {short_name(file.name)} has a position or a pixel spacing that is zero or not a number.",
            Reason.GEOMETRY_INVALID,
        )
    source = image.file, image.frame
    return Placed(
        source, file.name, image.position, image.orientation, image.pixel_mm, image.order, image.instance, image.told
    )


def _volume(
    files: Sequence[SourceFile],
    ordered: list[Image],
    affine: Affine,
    warnings: list[str],
    progress: Progress | None,
    room: Room,
) -> Volume:
    """Decode the pixels of ordered images, file by file, in the order of their first slices."""
    first = ordered[0]
    check_size(files[first.file].name, len(ordered), first.rows, first.columns)
    slope, intercept = np.array([image.slope for image in ordered]), np.array([image.intercept for image in ordered])
    voi = ordered[len(ordered) // 2].voi
    by_file: dict[int, list[tuple[int, Image]]] = {}
    for index, image in enumerate(ordered):
        by_file.setdefault(image.file, []).append((index, image))
    voxels: NDArray[Any] | None = None
    done: list[int] = []
    for number, wanted in by_file.items():
        file = files[number]
        with refusing(file.name):
            for index, pixels in _decoded(file, sorted(wanted, key=lambda one: one[1].frame)):
                dtype = pixels.dtype if voxels is None else _widened(file, voxels.dtype, pixels.dtype)
                if voxels is None or dtype != voxels.dtype:  # only now is it known that the sizes are true
                    before = voxels
                    voxels = room.take(Plan((len(ordered), *pixels.shape), dtype, affine, slope, intercept, voi))
                    for already in done:
                        voxels[already] = before[already]  # type: ignore[index]
                        room.ready(already)
                voxels[index] = pixels
                done.append(index)
                room.ready(index)
                if progress:
                    progress(len(done), len(ordered))
    if voxels is None:
        raise truncated(files[first.file].name)
    with naming(files[first.file].name):
        return Volume(
            voxels=voxels,
            affine=affine,
            slope=slope,
            intercept=intercept,
            source_axes=(2, 1, 0),
            modality=first.modality,
            description=first.description,
            warnings=tuple(warnings),
            voi=voi,
            source=_source(ordered),
        )


def _source(ordered: list[Image]) -> SourceSeries | None:
    """The series, where each slice is an image of its own with a name, all of one class."""
    first = ordered[0].source
    images = {(i.source.instance_uids, i.source.frame_numbers, i.source.sop_class_uid) for i in ordered}
    if len(images) < len(ordered) or len({sop_class for _, _, sop_class in images}) > 1 or ordered[0].tile is not None:
        return None
    if not (all(image.source.instance_uids[0] for image in ordered) and first.study_uid and first.series_uid):
        return None
    return replace(
        first,
        instance_uids=tuple(image.source.instance_uids[0] for image in ordered),
        frame_numbers=tuple(image.source.frame_numbers[0] for image in ordered),
    )


def _decoded(file: SourceFile, wanted: list[tuple[int, Image]]) -> Iterator[tuple[int, NDArray[Any]]]:
    """Pixels of slices that one file holds, frames ascending: number of the slice, ``(rows, columns)``."""
    first = wanted[0][1]
    if first.native is not None and first.tile is None:
        with file.path.open("rb") as raw:
            for index, image in wanted:
                yield index, first.native.read(raw, file.name, (image.rows, image.columns), image.frame)
        return
    dataset = pydicom.dcmread(file.path, force=True)
    if first.tile is None:
        frames = stored_frames(dataset, file.name, [image.frame for _, image in wanted], first.frames)
        yield from zip((index for index, _ in wanted), frames)
        return
    (whole,) = stored_frames(dataset, file.name, [0], 1)
    for index, image in wanted:
        row, column = image.tile or (0, 0)
        yield index, whole[row : row + image.rows, column : column + image.columns]


def _widened(file: SourceFile, before: np.dtype[Any], dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The type of all slices, when one is stored in another type than those before it."""
    both = np.result_type(before, dtype)
    if both.name not in VOXEL_DTYPES:
        raise bad_header(file.name, "stores its pixels in another way than the other slices")
    return both
