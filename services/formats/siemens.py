"""Siemens mosaics: all slices of a volume as tiles of one image. Tile by tile they become images of their own.

The position of a mosaic is where the corner of one slice as large as the whole image would lie, so it is moved by half of
the difference. Number and order of the tiles stand in the private CSA header alone (``SV10``: tags of a 64-byte name, a
count, and items padded to four bytes); without them a mosaic is refused, since a stack in the wrong order looks right.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
import pydicom
from numpy.typing import NDArray

from services.formats.source import SourceFile

_CREATOR = "SIEMENS CSA HEADER"
_GROUP = 0x0029
_MAX_TAGS, _MAX_ITEMS = 1024, 4096
_MAX_TILES = 4096


@dataclass(frozen=True)
class Mosaic:
    """How the tiles lie.

    Attributes:
        tiles: how many hold a slice; the last of the image may be empty.
        across: how many tiles lie side by side, and one above the other.
        normal: ``(3,)`` unit vector, LPS, from each slice to the next.
        spacing_mm: from slice to slice.
    """

    tiles: int
    across: int
    normal: NDArray[np.float64]
    spacing_mm: float


def read_mosaic(file: SourceFile, rows: int, columns: int, spacing_mm: float) -> Mosaic | None:
    """What the private header of a mosaic says, or ``None`` where it says too little or what cannot be."""
    tags = [(_GROUP << 16) | element for element in range(0x10, 0x20)]
    tags += [(_GROUP << 16) | (block << 8) | 0x10 for block in range(0x10, 0x20)]
    dataset = pydicom.dcmread(file.path, stop_before_pixels=True, specific_tags=list(tags), force=True)
    for block in range(0x10, 0x20):
        if str(dataset.get((_GROUP, block), pydicom.DataElement(0x00290010, "LO", "")).value) == _CREATOR:
            element = dataset.get((_GROUP, (block << 8) | 0x10))
            csa = csa_header(bytes(element.value)) if element is not None else {}
            return _mosaic(csa, rows, columns, spacing_mm)
    return None


def _mosaic(csa: dict[str, list[str]], rows: int, columns: int, spacing_mm: float) -> Mosaic | None:
    try:
        tiles = int(csa["NumberOfImagesInMosaic"][0])
        normal = np.array([float(number) for number in csa["SliceNormalVector"]])
    except (KeyError, IndexError, ValueError):
        return None
    if not 1 <= tiles <= _MAX_TILES or normal.shape != (3,) or not abs(np.linalg.norm(normal) - 1) < 1e-3:
        return None
    across = int(np.ceil(np.sqrt(tiles)))
    if rows % across or columns % across or not 0 < spacing_mm < 1e3:
        return None
    return Mosaic(tiles, across, normal, spacing_mm)


def csa_header(data: bytes) -> dict[str, list[str]]:
    """The texts of each tag of a CSA header, without empty ones; nothing where it is damaged or of the older kind."""
    found: dict[str, list[str]] = {}
    try:
        if data[:4] != b"SV10":
            return {}
        (tags,) = struct.unpack_from("<I", data, 8)
        at = 16
        for _ in range(min(tags, _MAX_TAGS)):
            name, items = struct.unpack_from("<64s12xI", data, at)
            at += 84
            texts: list[str] = []
            for _ in range(min(items, _MAX_ITEMS)):
                (length,) = struct.unpack_from("<4xI", data, at)
                at += 16
                text = data[at : at + length].split(b"\0")[0].decode("latin-1").strip()
                at += (length + 3) // 4 * 4
                texts += [text] if text else []
            found[name.split(b"\0")[0].decode("latin-1")] = texts
    except struct.error:
        return {}
    return found
