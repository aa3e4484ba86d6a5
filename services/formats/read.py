"""Files → a volume. What a file is, its first bytes decide; its name does not."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from services.core.errors import ChoiceNeeded, InvalidInput, Reason
from services.core.volume import Volume
from services.formats.archive import is_zip, unpacked
from services.formats.detached import voxel_files
from services.formats.metaimage import is_metaimage, read_metaimage
from services.formats.nifti import head_of, is_gzip, is_nifti, read_nifti
from services.formats.nrrd import is_nrrd, read_nrrd
from services.formats.repair import NO_REPAIRS, Repairs
from services.formats.room import Room
from services.formats.source import (
    Progress,
    SourceFile,
    check_names,
    file_choices,
    joined,
    refusing,
    short_name,
    source_files,
    truncated,
)
from services.formats.tiff import is_tiff, read_tiff

__all__ = ["Repairs", "SourceFile", "read_volume", "source_files", "suggested_name"]

_HEAD = 1024
_LISTED = 20
# The storage class of segmentations or of label maps, in the file meta or in a data set without: tag, VR or none, length.
SEGMENTATION = "DICOM segmentation"  # what `kind_of_head` calls one
_SEGMENTATION = re.compile(
    rb"(\x02\x00\x02\x00|\x08\x00\x16\x00)(UI\x1c\x00|\x1c\x00\x00\x00)1\.2\.840\.10008\.5\.1\.4\.1\.1\.66\.[47]"
)
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
        series: which volume, where a SEVERAL_SERIES refusal listed several: its identifier there, or the name of a file.
        frame: which time point, echo or channel, from 0, where a SEVERAL_FRAMES refusal asked.
        progress: called with files looked at, where there are many, then with slices read; each time also with all.
        repairs: of a DICOM stack, on request only; a warning tells of them for ever.
        room: where the voxels go, as far as the reader knows before it reads them; ``None``: into memory.

    Raises:
        InvalidInput: not readable, truncated, or geometry or header that cannot be right.
        ChoiceNeeded: several series, several frames, uneven slices, colour, or no usable geometry.
        TooLarge: over a limit on size.
    """
    check_names(list(files))
    with joined(files, in_parts=lambda file: is_nifti(_head(file))) as pieces:
        heads = {file: _head(file) for file in pieces}
        zips = [file for file, head in heads.items() if is_zip(head) and not is_dicom(head)]
        packable = (is_dicom, is_tiff, is_nrrd, is_metaimage)
        gzips = [file for file, head in heads.items() if any(kind(head) for kind in packable) and is_gzip(file)]
        with unpacked(pieces, zips, gzips) as whole:
            return _read(whole, series, frame, progress, repairs, room)


def _read(
    files: Sequence[SourceFile],
    series: str,
    frame: int | None,
    progress: Progress | None,
    repairs: Repairs,
    room: Room | None,
) -> Volume:
    whole = files
    if named := [file for file in files if series and file.name == series]:
        files, series = named, ""
    dicom, nifti, tiff, grids, other = _sorted_by_content(files, whole)
    kinds = [kind for kind in (dicom, nifti, tiff, grids) if kind]
    if not kinds:
        shown = short_name(files[0].name) if files else "that was sent"
        raise InvalidInput(
            f"The file {shown} is neither DICOM, NIfTI, NRRD, MetaImage nor TIFF, nor a zip archive of them.",
            Reason.FILE_NOT_AN_IMAGE,
        )
    if len(kinds) > 1 or len(nifti) > 1 or len(grids) > 1:
        several = [*nifti, *grids, *tiff]
        shown = ", ".join(f"“{file.name}”" for file in several[:_LISTED]) + (" …" if len(several) > _LISTED else "")
        also = f", beside {len(dicom)} DICOM files" if dicom else ""
        raise ChoiceNeeded(
            f"The files hold several images; choose one: {shown}{also}.", Reason.SEVERAL_SERIES, file_choices(several)
        )
    if dicom:
        from services.formats.dicom import read_dicom  # needs pydicom, which who reads only masks does not have

        _check_no_remains(other)
        volume = read_dicom(dicom, series, frame, progress, repairs, room)
    elif nifti:
        volume = read_nifti(nifti[0], frame, progress, room)
    elif grids:
        read = read_nrrd if is_nrrd(_head(grids[0])) else read_metaimage
        volume = read(grids[0], whole, frame)
    else:
        volume = read_tiff(tiff, frame, progress, room)
    if not other:
        return volume
    return replace(volume, warnings=(*volume.warnings, f"Files that are no images were skipped: {len(other)}."))


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


def kind_of(files: Sequence[SourceFile]) -> str:
    """What the first file that is an image, or an archive, is: ``DICOM``, ``NIfTI``, ``zip`` and so on, or empty."""
    return next(filter(None, (kind_of_head(_head(file)) for file in files)), "")


def kind_of_head(head: bytes) -> str:
    """What a file is by its first bytes (at least 352), inflated; see `kind_of`."""
    # A DICOM file may carry a TIFF header in its preamble, so DICOM is asked first.
    kinds = (is_dicom, "DICOM"), (is_nifti, "NIfTI"), (is_tiff, "TIFF"), (is_nrrd, "NRRD"), (is_metaimage, "MetaImage")
    for kind, told in ((is_segmentation, SEGMENTATION), *kinds, (is_zip, "zip")):
        if kind(head):
            return told
    return ""


def is_dicom(head: bytes) -> bool:
    """Whether these first bytes of a file (at least 132) are DICOM, with its preamble or, as in old files, without."""
    if head[128:132] == b"DICM":
        return True
    # Without: the first element is of group 2 or 8 and has either a VR, or a length that is small.
    if len(head) < 132 or head[:2] not in (b"\x02\x00", b"\x08\x00") or head[3:4] != b"\x00":
        return False
    return head[4:6] in (b"UL", b"CS", b"UI", b"DA", b"OB") or int.from_bytes(head[4:8], "little") <= 64


def is_segmentation(head: bytes) -> bool:
    """Whether these first bytes (at least 512) are of a DICOM Segmentation, by their storage class."""
    return is_dicom(head) and _SEGMENTATION.search(head) is not None


def _head(file: SourceFile) -> bytes:
    with refusing(file.name):
        return head_of(file, _HEAD)


def _check_no_remains(other: Sequence[SourceFile]) -> None:
    """Refuse files beside DICOM that hold nothing but zeros: the remains of a copy that broke off, maybe of a slice."""
    for file in other:
        with refusing(file.name):
            if not head_of(file, _HEAD).strip(b"\0"):
                raise truncated(file.name)


def _sorted_by_content(
    files: Sequence[SourceFile], whole: Sequence[SourceFile]
) -> tuple[list[SourceFile], list[SourceFile], list[SourceFile], list[SourceFile], list[SourceFile]]:
    """DICOM, NIfTI, TIFF, NRRD and MetaImage, and other files; without those of ``whole`` that hold a header's voxels."""
    kinds = {file: _kind(file) for file in files}
    held = set(voxel_files([file for file, kind in kinds.items() if kind == "grid"], whole))

    def of(kind: str) -> list[SourceFile]:
        return [file for file in files if kinds[file] == kind and file not in held]

    return of("dicom"), of("nifti"), of("tiff"), of("grid"), of("")


def _kind(file: SourceFile) -> str:
    head = _head(file)
    # A DICOM file may carry a TIFF header in its preamble, so DICOM is asked first.
    if is_dicom(head):
        kind = "dicom"
    elif is_nifti(head):
        return "nifti"
    elif is_tiff(head):
        kind = "tiff"
    else:
        kind = "grid" if is_nrrd(head) or is_metaimage(head) else ""
    return "" if kind and is_gzip(file) else kind  # still packed: it was packed twice
