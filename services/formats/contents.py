"""The files of an import, unpacked and sorted by what they are. Their first bytes decide that; their names do not."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from services.core.errors import CalqueError, InvalidInput, Reason
from services.formats.archive import is_zip, unpacked
from services.formats.detached import voxel_files
from services.formats.metaimage import is_metaimage
from services.formats.nifti import head_of, is_gzip, is_nifti
from services.formats.nrrd import is_nrrd
from services.formats.source import SourceFile, check_names, joined, refusing, short_name, truncated
from services.formats.tiff import is_tiff

_HEAD = 1024
SEGMENTATION = "DICOM segmentation"
"""What `kind_of_head` calls one."""
# The storage class of segmentations or of label maps, in the file meta or in a data set without: tag, VR or none, length.
_SEGMENTATION = re.compile(
    rb"(\x02\x00\x02\x00|\x08\x00\x16\x00)(UI\x1c\x00|\x1c\x00\x00\x00)1\.2\.840\.10008\.5\.1\.4\.1\.1\.66\.[47]"
)


@dataclass(frozen=True)
class Contents:
    """Files by what they are, in the user's order.

    Attributes:
        dicom, nifti, grid, tiff: images, as far as their first bytes tell; ``grid`` is NRRD and MetaImage.
        voxels: what headers among ``grid`` name for their voxels, whatever it looks like.
        other: what is none of these.
        remains: names of what cannot be read but may have held images: damaged archives, and beside DICOM files that are
            empty or nothing but zeros, as a copy that broke off leaves; and why.
    """

    dicom: list[SourceFile] = field(default_factory=list)
    nifti: list[SourceFile] = field(default_factory=list)
    grid: list[SourceFile] = field(default_factory=list)
    tiff: list[SourceFile] = field(default_factory=list)
    voxels: list[SourceFile] = field(default_factory=list)
    other: list[SourceFile] = field(default_factory=list)
    remains: list[tuple[str, CalqueError]] = field(default_factory=list)


@contextmanager
def contents(files: Sequence[SourceFile]) -> Iterator[Contents]:
    """What some files are; what is unpacked for it goes with the context.

    Raises:
        InvalidInput: a name that cannot be, or nothing among the files that could be an image.
        CalqueError: that of an archive which cannot be read, where there is nothing else.
    """
    check_names(list(files))
    with ExitStack() as stack:
        pieces = stack.enter_context(joined(files, in_parts=lambda file: is_nifti(_head(file))))
        heads = {file: _head(file) for file in pieces}
        zips = [file for file, head in heads.items() if is_zip(head) and not is_dicom(head)]
        packable = (is_dicom, is_tiff, is_nrrd, is_metaimage)
        gzips = [file for file, head in heads.items() if any(kind(head) for kind in packable) and is_gzip(file)]
        whole, damaged = stack.enter_context(unpacked(pieces, zips, gzips))
        found = _sorted_by_content(whole, damaged)
        if not (found.dicom or found.nifti or found.grid or found.tiff):
            if damaged:
                raise damaged[0][1]
            shown = short_name(whole[0].name) if whole else "that was sent"
            raise InvalidInput(
                f"The file {shown} is neither DICOM, NIfTI, NRRD, MetaImage nor TIFF, nor a zip archive of them.",
                Reason.FILE_NOT_AN_IMAGE,
            )
        yield found


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


def _sorted_by_content(files: Sequence[SourceFile], damaged: Sequence[tuple[str, CalqueError]]) -> Contents:
    heads = {file: _head(file) for file in files}
    kinds = {file: _kind(file, head) for file, head in heads.items()}
    held = set(voxel_files([file for file, kind in kinds.items() if kind == "grid"], files))
    found = Contents(remains=list(damaged))
    for file in files:
        into: list[SourceFile] = found.voxels if file in held else getattr(found, kinds[file])
        into.append(file)
    if found.dicom:
        zeros = [file.name for file in found.other if not heads[file].strip(b"\0")]
        found.remains.extend((name, truncated(name)) for name in zeros)
    return found


def _kind(file: SourceFile, head: bytes) -> str:
    """The list of `Contents` that a file belongs to, by itself."""
    # A DICOM file may carry a TIFF header in its preamble, so DICOM is asked first.
    if is_dicom(head):
        kind = "dicom"
    elif is_nifti(head):
        return "nifti"
    elif is_tiff(head):
        kind = "tiff"
    elif is_nrrd(head) or is_metaimage(head):
        kind = "grid"
    else:
        return "other"
    return "other" if is_gzip(file) else kind  # still packed: it was packed twice
