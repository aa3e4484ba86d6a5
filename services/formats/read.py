"""Files → a volume. What a file is, its first bytes decide; its name does not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from services.core.errors import ChoiceNeeded, InvalidInput, Reason
from services.core.volume import Volume
from services.formats.archive import is_zip, unpacked
from services.formats.nifti import head_of, is_gzip, is_nifti, read_nifti
from services.formats.repair import NO_REPAIRS, Repairs
from services.formats.source import (
    Progress,
    SourceFile,
    check_names,
    file_choices,
    refusing,
    short_name,
    source_files,
    truncated,
)
from services.formats.tiff import is_tiff, read_tiff

__all__ = ["Repairs", "SourceFile", "read_volume", "source_files", "suggested_name"]

_HEAD = 1024
_LISTED = 20


def read_volume(
    files: Sequence[SourceFile],
    *,
    series: str = "",
    frame: int | None = None,
    progress: Progress | None = None,
    repairs: Repairs = NO_REPAIRS,
) -> Volume:
    """Read the volume that some files hold.

    Args:
        files: a DICOM series in any order and nesting, one NIfTI file, one TIFF stack or its single pages, or zip
            archives of these. Others among them (notes, previews) are skipped, and counted in a warning.
        series: which volume, where a SEVERAL_SERIES refusal listed several: its identifier there, or the name of a file.
        frame: which time point, echo or channel, from 0, where a SEVERAL_FRAMES refusal asked.
        progress: called with steps done and steps in all.
        repairs: of a DICOM stack, on request only; a warning tells of them for ever.

    Raises:
        InvalidInput: not readable, truncated, or geometry or header that cannot be right.
        ChoiceNeeded: several series, several frames, uneven slices, colour, or no usable geometry.
        TooLarge: over a limit on size.
    """
    check_names(list(files))
    heads = {file: _head(file) for file in files}
    zips = [file for file, head in heads.items() if is_zip(head) and not is_dicom(head)]
    gzips = [file for file, head in heads.items() if (is_dicom(head) or is_tiff(head)) and is_gzip(file)]
    with unpacked(files, zips, gzips) as whole:
        return _read(whole, series, frame, progress, repairs)


def _read(
    files: Sequence[SourceFile], series: str, frame: int | None, progress: Progress | None, repairs: Repairs
) -> Volume:
    if named := [file for file in files if series and file.name == series]:
        files, series = named, ""
    dicom, nifti, tiff, other = _sorted_by_content(files)
    kinds = [kind for kind in (dicom, nifti, tiff) if kind]
    if not kinds:
        shown = short_name(files[0].name) if files else "that was sent"
        raise InvalidInput(
            f"The file {shown} is neither DICOM, NIfTI nor TIFF, nor a zip archive of them.", Reason.FILE_NOT_AN_IMAGE
        )
    if len(kinds) > 1 or len(nifti) > 1:
        several = [*nifti, *tiff]
        shown = ", ".join(f"“{file.name}”" for file in several[:_LISTED]) + (" …" if len(several) > _LISTED else "")
        also = f", beside {len(dicom)} DICOM files" if dicom else ""
        raise ChoiceNeeded(
            f"The files hold several images; choose one: {shown}{also}.", Reason.SEVERAL_SERIES, file_choices(several)
        )
    if dicom:
        from services.formats.dicom import read_dicom  # needs pydicom, which who reads only masks does not have

        _check_no_remains(other)
        volume = read_dicom(dicom, series, frame, progress, repairs)
    elif nifti:
        volume = read_nifti(nifti[0], frame)
    else:
        volume = read_tiff(tiff, frame, progress)
    if not other:
        return volume
    return replace(volume, warnings=(*volume.warnings, f"Files that are no images were skipped: {len(other)}."))


def suggested_name(files: Sequence[SourceFile], volume: Volume) -> str:
    """A name for the library, at most 256 characters: a single file's own, else the series', else the folder's."""
    if len(files) == 1:
        name = PurePosixPath(files[0].name).name
        for ending in (".nii.gz", ".nii", ".ome.tiff", ".ome.tif", ".tiff", ".tif", ".dcm", ".ima", ".zip"):
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
    """What the first file that is an image, or an archive, is: ``DICOM``, ``NIfTI``, ``TIFF``, ``zip``, or empty."""
    return next(filter(None, (kind_of_head(_head(file)) for file in files)), "")


def kind_of_head(head: bytes) -> str:
    """What a file is by its first bytes (at least 352), inflated; see `kind_of`."""
    # A DICOM file may carry a TIFF header in its preamble, so DICOM is asked first.
    for kind, told in ((is_dicom, "DICOM"), (is_nifti, "NIfTI"), (is_tiff, "TIFF"), (is_zip, "zip")):
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
    files: Sequence[SourceFile],
) -> tuple[list[SourceFile], list[SourceFile], list[SourceFile], list[SourceFile]]:
    """DICOM, NIfTI, TIFF and other files."""
    dicom: list[SourceFile] = []
    nifti: list[SourceFile] = []
    tiff: list[SourceFile] = []
    other: list[SourceFile] = []
    for file in files:
        head = _head(file)
        # A DICOM file may carry a TIFF header in its preamble, so DICOM is asked first.
        kind = dicom if is_dicom(head) else nifti if is_nifti(head) else tiff if is_tiff(head) else other
        if kind is not nifti and kind is not other and is_gzip(file):  # still packed: it was packed twice
            kind = other
        kind.append(file)
    return dicom, nifti, tiff, other
