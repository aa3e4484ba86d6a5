"""Files → a volume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from services.core.errors import Choice, ChoiceNeeded, Reason
from services.core.volume import Volume
from services.formats.contents import Contents, contents
from services.formats.grid_file import read_grid
from services.formats.listing import listed
from services.formats.nifti import read_nifti
from services.formats.offer import Offer
from services.formats.repair import NO_REPAIRS, Repairs
from services.formats.room import Room
from services.formats.source import Progress, SourceFile, source_files
from services.formats.tiff import read_tiff
from services.formats.tiff_offer import tiff_groups

__all__ = ["Repairs", "SourceFile", "read_volume", "source_files", "suggested_name"]

_LISTED = 20
# Left out of a volume's name.
_ENDINGS = (
    ".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd", ".ome.tiff", ".ome.tif", ".tiff", ".tif", ".dcm", ".ima", ".zip",
)  # fmt: skip


def read_volume(
    files: Sequence[SourceFile],
    *,
    series: str = "",
    frame: int | None = None,
    progress: Progress | None = None,
    repairs: Repairs = NO_REPAIRS,
    room: Room | None = None,
) -> Volume:
    """Read the volume that some files hold.

    Args:
        files: a DICOM series in any order and nesting, one NIfTI, NRRD or MetaImage file (with the file of its voxels,
            where the header is one of its own), one TIFF stack or its single pages, or zip archives of these. Others
            among them (notes, previews) are skipped, and counted in a warning.
        series: which volume, where there are several: a key of `services.formats.listing.list_series`, or the name of a
            file.
        frame: which time point, echo or channel, from 0, where a SEVERAL_FRAMES refusal asked.
        progress: called with files looked at, where there are many, then with slices read; each time also with all.
        repairs: of a DICOM stack, on request only; a warning tells of them for ever.
        room: where the voxels go, as far as the reader knows before it reads them; ``None``: into memory.

    Raises:
        InvalidInput: not readable, truncated, or geometry or header that cannot be right.
        ChoiceNeeded: several series, several frames, uneven slices, colour, or no usable geometry.
        TooLarge: over a limit on size.
    """
    with contents(files) as found:
        return _read(_only(found, series), series, frame, progress, repairs, room)


def _only(found: Contents, series: str) -> Contents:
    """Of the files those that a choice names: one file, the pages of a folder, or a DICOM series among the DICOM files."""
    if not series:
        return found
    for kind in ("dicom", "nifti", "grid", "tiff"):
        if named := [file for file in getattr(found, kind) if file.name == series]:
            return replace(Contents(voxels=found.voxels), **{kind: named})
    for group in tiff_groups(found.tiff) if series.endswith("/") else ():
        if group.key == series:
            return Contents(tiff=list(group.files))
    return replace(found, nifti=[], grid=[], tiff=[]) if found.dicom else found


def _read(
    found: Contents,
    series: str,
    frame: int | None,
    progress: Progress | None,
    repairs: Repairs,
    room: Room | None,
) -> Volume:
    groups = tiff_groups(found.tiff) if len(found.tiff) > 1 else []
    remains = 0 if found.dicom else len(found.remains)
    if sum((bool(found.dicom), len(found.nifti), len(found.grid), len(groups) or len(found.tiff), remains)) > 1:
        offers = listed(found).offers
        if len(offers) > 1:
            raise _several(found, offers)
        found = _only(found, offers[0].key)
    if found.dicom:
        from services.formats.dicom import read_dicom  # needs pydicom, which who reads only masks does not have

        volume = read_dicom(found.dicom, series, frame, progress, repairs, found.remains, room)
    elif found.nifti:
        volume = read_nifti(found.nifti[0], frame, progress, room)
    elif found.grid:
        volume = read_grid(found.grid[0], found.voxels, frame)
    else:
        volume = read_tiff(found.tiff, frame, progress, room)
    if not found.other:
        return volume
    return replace(volume, warnings=(*volume.warnings, f"Files that are no images were skipped: {len(found.other)}."))


def _several(found: Contents, offers: Sequence[Offer]) -> ChoiceNeeded:
    """One of several images is to be chosen."""
    names = [offer.key for offer in offers if offer.opens and offer.told() == offer.key]
    shown = ", ".join(f"“{name}”" for name in names[:_LISTED]) + (" …" if len(names) > _LISTED else "")
    also = f", beside {len(found.dicom)} DICOM files" if found.dicom else ""
    return ChoiceNeeded(
        f"The files hold several images; choose one: {shown}{also}.",
        Reason.SEVERAL_SERIES,
        tuple(Choice(offer.key, offer.told()) for offer in offers),
    )


def suggested_name(files: Sequence[SourceFile], volume: Volume) -> str:
    """A name for the library, at most 256 characters: a single file's own, else the series', else the folder's."""
    headers = [file for file in files if file.name.lower().endswith((".nhdr", ".mhd"))]
    if len(files) == 1 or (len(headers) == 1 and len(files) == 2):
        name = PurePosixPath((headers or files)[0].name).name
        for ending in _ENDINGS:
            if name.lower().endswith(ending) and len(name) > len(ending):
                name = name[: -len(ending)]
                break
        return name[:256]
    folders = [PurePosixPath(file.name).parts[:-1] for file in files]
    common: list[str] = []
    for parts in zip(*folders):
        if len(set(parts)) > 1:
            break
        common.append(parts[0])
    return (volume.description or (common[-1] if common else "") or "volume")[:256]
