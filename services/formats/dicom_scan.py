"""The header of a DICOM file, read once and with limits. What cannot be right is noticed on the way past each element.

An element with an unknown type (VR) or an odd length is harmless where nobody looks at it: it is read past, with a warning.
Where voxels or geometry come from, it is refused.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

import pydicom
from pydicom.tag import Tag

from services.core.errors import InvalidInput, TooLarge
from services.formats.source import SourceFile, bad_header, short_name, truncated

UNDEFINED = 0xFFFFFFFF  # the length of pixels in compressed fragments
_DEFLATED = "1.2.840.10008.1.2.1.99"
_MAX_INFLATED = 1 << 30
_MAX_RATIO = 100  # pixels of scanners deflate to a half or a third
_PIXELS = 0x7FE00010
_OTHER_PIXELS = (0x7FE00008, 0x7FE00009)  # floating point
_VRS = frozenset(vr.value for vr in pydicom.valuerep.VR)
# What voxels and geometry are made of.
_NEEDED = frozenset(
    int(Tag(keyword))
    for keyword in (
        "Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated", "BitsStored",
        "HighBit", "PixelRepresentation", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "RescaleSlope",
        "RescaleIntercept", "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence", "PixelData",
    )
)  # fmt: skip


@dataclass(frozen=True)
class Header:
    """A data set without its pixels.

    Attributes:
        dataset: pydicom's.
        pixel_bytes: length of the pixels as the file states it, `UNDEFINED` for compressed ones, 0 where there are none.
        cut: whether the file ends before its pixels do.
        warnings: what was noticed.
    """

    dataset: Any
    pixel_bytes: int
    cut: bool
    warnings: tuple[str, ...]


def read_header(file: SourceFile, keywords: list[str | int]) -> Header:
    """Read some elements of a file, by keyword or tag.

    Raises:
        InvalidInput, TooLarge: the header is damaged, or inflates to too much. Exceptions of pydicom go through.
    """
    inflated = check_deflated(file)
    scan = _Scan(file.name)
    with file.path.open("rb") as raw:
        dataset = pydicom.filereader.read_partial(
            raw, stop_when=scan.stop, force=True, specific_tags=[int(Tag(k)) for k in keywords]
        )
        room = file.size_bytes - raw.tell()
    cut = not inflated and scan.pixel_bytes != UNDEFINED and scan.pixel_bytes > room
    if scan.floating:
        raise InvalidInput(f"The file {short_name(file.name)} has pixels of floating point, which are not read.")
    return Header(dataset, scan.pixel_bytes, cut, tuple(sorted(scan.warnings)))


class _Scan:
    """Looks at every element of the outermost level as the parser comes to it, and stops it at the pixels."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._explicit = False
        self.pixel_bytes = 0
        self.floating = False
        self.warnings: set[str] = set()

    def stop(self, tag: Any, vr: str | None, length: int) -> bool:
        """Whether the parser is to stop before this element."""
        self._explicit |= vr is not None
        if self._explicit and vr not in _VRS:
            self._notice(int(tag), "an element of an unknown type (VR)")
        if length != UNDEFINED and length % 2:
            self._notice(int(tag), "an element of an odd length")
        if tag == _PIXELS:
            self.pixel_bytes = length
        self.floating |= tag in _OTHER_PIXELS
        return tag == _PIXELS or tag in _OTHER_PIXELS

    def _notice(self, tag: int, what: str) -> None:
        if tag in _NEEDED:
            raise bad_header(self._name, f"describes its image with {what}")
        self.warnings.add(f"Some files have {what}; it is not needed and was passed over.")


def check_deflated(file: SourceFile) -> bool:
    """Inflate a deflated file once, within a limit: pydicom would inflate it whole before it looks. Whether it is one."""
    with file.path.open("rb") as raw:
        if raw.read(132)[128:] != b"DICM":
            return False
        meta = pydicom.filereader.read_file_meta_info(file.path)
        if meta.get("TransferSyntaxUID") != _DEFLATED:
            return False
        raw.seek(132 + 12 + int(meta.FileMetaInformationGroupLength))
        inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        size, packed = 0, file.size_bytes
        while not inflate.eof and (chunk := inflate.unconsumed_tail or raw.read(1 << 16)):
            size += len(inflate.decompress(chunk, 1 << 20))
            if size > _MAX_INFLATED or (size > 1 << 26 and size > packed * _MAX_RATIO):
                raise TooLarge(f"The compressed file {short_name(file.name)} inflates to more than is allowed.")
        if not inflate.eof:
            raise truncated(file.name)
    return True
