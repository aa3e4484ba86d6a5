"""The header of a DICOM file, read once and with limits. What cannot be right is noticed on the way past each element.

An element with an unknown type (VR) or an odd length is harmless where nobody looks at it: it is read past, with a warning.
Where voxels or geometry come from, it is refused, also within the sequences that place the frames of an enhanced object.
"""

from __future__ import annotations

import os
import struct
import zlib
from dataclasses import dataclass
from typing import IO, Any

import pydicom
from pydicom.tag import BaseTag, Tag
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32

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
        "PlanePositionSequence", "PlaneOrientationSequence", "PixelMeasuresSequence", "PixelValueTransformationSequence",
    )
)  # fmt: skip
_GROUPS = frozenset(int(Tag(k)) for k in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"))
_LONG = frozenset(vr.value for vr in pydicom.valuerep.EXPLICIT_VR_LENGTH_32)
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_DEEPEST = 100  # sequences in sequences; functional groups need two


@dataclass(frozen=True)
class Header:
    """A data set without its pixels.

    Attributes:
        dataset: pydicom's.
        pixel_bytes: length of the pixels as the file states it, `UNDEFINED` for compressed ones, 0 where there are none.
        pixels_at: where in the file they begin; of a deflated file, where they begin in what it inflates to.
        inflated: whether the file is deflated.
        cut: whether the file ends before its pixels do.
        warnings: what was noticed.
    """

    dataset: Any
    pixel_bytes: int
    pixels_at: int
    inflated: bool
    cut: bool
    warnings: tuple[str, ...]


def read_header(file: SourceFile, tags: list[BaseTag | int]) -> Header:
    """Read some elements of a file.

    Raises:
        InvalidInput, TooLarge: the header is damaged, or inflates to too much. Exceptions of pydicom go through.
    """
    inflated = check_deflated(file)
    with file.path.open("rb") as raw:
        scan = _Scan(file, None if inflated else raw)
        dataset = pydicom.filereader.read_partial(raw, stop_when=scan.stop, force=True, specific_tags=tags)
        # The parser stops before the element of the pixels: tag, VR and length are still to come.
        pixels_at = raw.tell() + scan.head_bytes
        room = scan.size_bytes - pixels_at
    cut = not inflated and scan.pixel_bytes != UNDEFINED and scan.pixel_bytes > room
    if scan.floating:
        raise InvalidInput(f"The file {short_name(file.name)} has pixels of floating point, which are not read.")
    return Header(dataset, scan.pixel_bytes, pixels_at, inflated, cut, tuple(sorted(scan.warnings)))


class _Scan:
    """Looks at every element of the outermost level as the parser comes to it, and stops it at the pixels."""

    def __init__(self, file: SourceFile, raw: IO[bytes] | None) -> None:
        self._file = file
        self.size_bytes = file.size_bytes  # asked once: there are many elements
        self._raw = raw  # what the parser reads; None where it reads inflated bytes
        self._explicit = False
        self.pixel_bytes = 0
        self.head_bytes = 0  # of the element that the pixels are
        self.floating = False
        self.warnings: set[str] = set()

    def stop(self, tag: Any, vr: str | None, length: int) -> bool:
        """Whether the parser is to stop before this element."""
        self._explicit |= vr is not None
        self.look(int(tag), vr, length, self._explicit)
        if tag == _PIXELS:
            self.pixel_bytes = length
            self.head_bytes = 12 if vr in EXPLICIT_VR_LENGTH_32 else 8  # DICOM PS3.5 7.1.2
        self.floating |= tag in _OTHER_PIXELS
        if tag == _PIXELS or tag in _OTHER_PIXELS:
            return True
        if self._raw is not None and tag in _GROUPS:
            start = self._raw.tell()
            _Groups(self._file, self._raw, self, big=self._is_big(int(tag))).sequence(length, self._explicit)
            self._raw.seek(start)
        return False

    def look(self, tag: int, vr: str | None, length: int, explicit: bool) -> None:
        """Notice what is wrong with an element. Raises: InvalidInput, where voxels or geometry come from it."""
        if explicit and vr not in _VRS:
            self._notice(tag, "an element of an unknown type (VR)")
        if length != UNDEFINED and length % 2:
            self._notice(tag, "an element of an odd length")
        if self._raw is not None and tag != _PIXELS and length != UNDEFINED and length > self.size_bytes:
            raise truncated(self._file.name)

    def _notice(self, tag: int, what: str) -> None:
        if tag in _NEEDED:
            raise bad_header(self._file.name, f"describes its image with {what}")
        self.warnings.add(f"Some files have {what}; it is not needed and was passed over.")

    def _is_big(self, tag: int) -> bool:
        """Whether the element that was just parsed is in big endian: its tag stands before its length."""
        assert self._raw is not None
        here = self._raw.tell()
        self._raw.seek(here - (12 if self._explicit else 8))
        group = self._raw.read(2)
        self._raw.seek(here)
        return int.from_bytes(group, "big") == tag >> 16


class _Groups:
    """Walks through the functional groups, element by element, before the parser trusts their lengths."""

    def __init__(self, file: SourceFile, raw: IO[bytes], scan: _Scan, *, big: bool) -> None:
        self._file, self._raw, self._scan = file, raw, scan
        self._order = ">" if big else "<"
        self._depth = 0

    def sequence(self, length: int, explicit: bool) -> None:
        """The items of a sequence, from its first on."""
        self._depth += 1
        if self._depth > _DEEPEST:
            raise RecursionError
        end = self._end(length)
        while self._raw.tell() < end:
            tag, size = self._tag(), self._unpack("I")
            if tag == _SEQUENCE_END:
                break
            if tag != _ITEM:
                raise bad_header(self._file.name, "describes its image with a sequence that is none")
            self._item(size, explicit)
        self._depth -= 1

    def _item(self, length: int, explicit: bool) -> None:
        end = self._end(length)
        while self._raw.tell() < end:
            tag, vr = self._tag(), None
            if tag == _ITEM_END:
                self._unpack("I")
                return
            if explicit:
                vr = self._raw.read(2).decode("latin-1")
                size = self._unpack("2xI" if vr in _LONG else "H")
            else:
                size = self._unpack("I")
            self._scan.look(tag, vr, size, explicit)
            if size == UNDEFINED or vr == "SQ" or (vr is None and tag in _NEEDED and _is_sequence(tag)):
                self.sequence(size, explicit and vr != "UN")
            else:
                self._raw.seek(size, 1)

    def _end(self, length: int) -> int:
        end = self._scan.size_bytes if length == UNDEFINED else self._raw.tell() + length
        if end > self._scan.size_bytes:
            raise truncated(self._file.name)
        return end

    def _tag(self) -> int:
        return self._unpack("H") << 16 | self._unpack("H")

    def _unpack(self, form: str) -> int:
        data = self._raw.read(struct.calcsize(self._order + form))
        if len(data) < struct.calcsize(self._order + form):
            raise truncated(self._file.name)
        (number,) = struct.unpack(self._order + form, data)
        return int(number)


def _is_sequence(tag: int) -> bool:
    return pydicom.datadict.dictionary_VR(tag) == "SQ"


def check_deflated(file: SourceFile) -> bool:
    """Inflate a deflated file once, within a limit: pydicom would inflate it whole before it looks. Whether it is one."""
    with file.path.open("rb") as raw:
        if raw.read(132)[128:] != b"DICM":
            return False
        if not _names_deflated(raw):
            return False
        meta = pydicom.filereader.read_file_meta_info(file.path)
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


def _names_deflated(raw: IO[bytes]) -> bool:
    """Whether the file meta information that follows says that the file is deflated (DICOM PS3.10 7.1)."""
    while len(head := raw.read(8)) == 8 and head[:2] == b"\x02\x00":
        wide = head[4:6].decode("latin-1") in EXPLICIT_VR_LENGTH_32
        length = int.from_bytes(raw.read(4) if wide else head[6:8], "little")
        if head[2:4] == b"\x10\x00":
            return raw.read(length).strip(b"\0 ") == _DEFLATED.encode()
        raw.seek(length, os.SEEK_CUR)
    return False
