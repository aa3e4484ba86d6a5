"""MetaImage (``.mha``; ``.mhd`` with its voxels in a file beside it): one file → what its header announces.

The header is lines of ``Key = value``, the last of which names the file of the voxels. As ITK has it, positions are LPS in
mm, and the numbers of TransformMatrix are the directions of the first axis, then of the second, then of the third.
Definition: https://docs.itk.org/en/latest/learn/metaio.html
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.core.errors import ChoiceNeeded, InvalidInput, Reason
from services.core.volume import Affine, check_affine
from services.formats.grid import Layout, Raw, beside, no_position
from services.formats.source import SourceFile, bad_header, naming, refusing, short_name, truncated

_FIRST = re.compile(rb"\s*[A-Za-z]\w*[ \t]*=")
_KNOWN = re.compile(rb"^\s*(ObjectType[ \t]*=[ \t]*Image|NDims[ \t]*=[ \t]*\d+)\s*$", re.MULTILINE)
_MAX_HEADER = 1 << 16
_TYPES = {
    "MET_CHAR": "i1", "MET_UCHAR": "u1", "MET_SHORT": "i2", "MET_USHORT": "u2", "MET_INT": "i4", "MET_UINT": "u4",
    "MET_LONG": "i4", "MET_ULONG": "u4", "MET_LONG_LONG": "i8", "MET_ULONG_LONG": "u8", "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}  # fmt: skip
_MODALITIES = {"MET_MOD_CT": "CT", "MET_MOD_MR": "MR", "MET_MOD_PET": "PT", "MET_MOD_NM": "NM", "MET_MOD_US": "US"}


def is_metaimage(head: bytes) -> bool:
    """Whether these first bytes of a file start the header of a MetaImage."""
    return _FIRST.match(head) is not None and _KNOWN.search(head) is not None


def voxels_name(file: SourceFile) -> str:
    """The name, relative to the header's folder, of the file that holds its voxels; empty where the header's own does."""
    name = _header(file)[0]["ElementDataFile"]
    return "" if name.upper() == "LOCAL" else name


def metaimage_layout(file: SourceFile, files: Sequence[SourceFile]) -> Layout:
    """What the header of a MetaImage announces: three axes, or four, the last of which counts frames, channels first.

    Args:
        file: that begins with the header.
        files: of the import, among them the one that holds the voxels where the header says so.

    Raises:
        InvalidInput: damaged, without its voxels, or a header or geometry that cannot be right.
        ChoiceNeeded: colour.
    """
    with refusing(file.name):
        header, start = _header(file)
        shape, dtype = _shape(file, header), _dtype(file, header)
        affine = _affine(file, header, len(shape) - 1)
        _check_stored(file, header)
        name = header["ElementDataFile"]
        local = name.upper() == "LOCAL"
        held = file if local else beside(file, name, files)
        skip = int(header.get("HeaderSize", "0"))
        packed = _true(header, "CompressedData")
        if skip < -1 or skip > held.size_bytes or (skip == -1 and packed):
            raise bad_header(file.name, "says that its voxels start where they cannot")
        start = -1 if skip == -1 else skip + (start if local else 0)
        raw = Raw(held, start, 0, "zlib" if packed else "", shape, dtype)
        return Layout(raw, (1, 2, 3), affine, _MODALITIES.get(header.get("Modality", ""), ""))


def _header(file: SourceFile) -> tuple[dict[str, str], int]:
    """The lines up to the one that names the file of the voxels, and the byte behind it."""
    header: dict[str, str] = {}
    with file.path.open("rb") as raw:
        while "ElementDataFile" not in header:
            line = raw.readline(_MAX_HEADER)
            if raw.tell() > _MAX_HEADER:
                raise bad_header(file.name, "has a header without end")
            if not line:
                raise truncated(file.name)
            key, equals, value = (part.strip() for part in line.decode("latin-1").partition("="))
            if key in header:
                raise bad_header(file.name, f"says twice what its {_shown(key)} is")
            if equals:
                header[key] = value
        return header, raw.tell()


def _shown(key: str) -> str:
    return short_name("".join(c for c in key if c.isalnum())[:40])


def _shape(file: SourceFile, header: dict[str, str]) -> tuple[int, ...]:
    """Sizes of channels, of the three axes, and of the fourth where there is one."""
    sizes = tuple(int(size) for size in header.get("DimSize", "").split())
    if len(sizes) not in (3, 4) or str(len(sizes)) != header.get("NDims", ""):
        raise bad_header(file.name, "does not have three or four dimensions, each with its size")
    channels = int(header.get("ElementNumberOfChannels", "1"))
    if channels in (3, 4) and header.get("ElementType") == "MET_UCHAR":
        raise ChoiceNeeded(
            f"The file {short_name(file.name)} is a colour image; save it as grey values.", Reason.COLOUR_IMAGE
        )
    return (channels, *sizes)


def _dtype(file: SourceFile, header: dict[str, str]) -> np.dtype[Any]:
    code = _TYPES.get(header.get("ElementType", ""))
    if code is None:
        raise bad_header(file.name, "has voxels of a type that is not read")
    big = _true(header, "BinaryDataByteOrderMSB") or _true(header, "ElementByteOrderMSB")
    return np.dtype((">" if big else "<") + code)


def _check_stored(file: SourceFile, header: dict[str, str]) -> None:
    """Refuse voxels as text, and intensities by a function, which programs read in different ways."""
    if not _true(header, "BinaryData", "True"):
        raise InvalidInput(
            f"The file {short_name(file.name)} keeps its voxels as text; save it again as binary.", Reason.FILE_NOT_READABLE
        )
    for key, usual in (("ElementToIntensityFunctionSlope", 1.0), ("ElementToIntensityFunctionOffset", 0.0)):
        if float(header.get(key, usual)) != usual:
            raise bad_header(file.name, "gives its intensities by a function, which is not read")


def _affine(file: SourceFile, header: dict[str, str], axes: int) -> Affine:
    """The file's affine in mm, LPS."""
    turn = _numbers(header, "TransformMatrix", "Rotation", "Orientation")
    origin = _numbers(header, "Offset", "Position", "Origin")
    spacing = _numbers(header, "ElementSpacing", "ElementSize")
    if turn is None or origin is None or spacing is None:
        raise no_position(file, "TransformMatrix, Offset and ElementSpacing")
    if (turn.size, origin.size, spacing.size) != (axes * axes, axes, axes):
        raise bad_header(file.name, f"does not place its {axes} dimensions with as many numbers as it takes")
    turn = turn.reshape(axes, axes)
    mixed = np.abs(turn[3:, :3]).sum() + np.abs(turn[:3, 3:]).sum()
    if not (np.isfinite(spacing).all() and spacing.min() > 0 and mixed == 0):
        raise InvalidInput(
            f"The file {short_name(file.name)} has a distance between voxels that is zero, negative or not a number, "
            "or an image that moves from frame to frame.",
            Reason.GEOMETRY_INVALID,
        )
    directions = turn[:3, :3].T
    if not np.allclose(np.linalg.norm(directions, axis=0), 1.0, rtol=0, atol=1e-3):
        raise InvalidInput(
            f"The file {short_name(file.name)} has directions that are not of length one.", Reason.GEOMETRY_INVALID
        )
    affine = np.eye(4)
    affine[:3, :3] = directions * spacing[:3]
    affine[:3, 3] = origin[:3]
    with naming(file.name):
        check_affine(affine)
    return affine


def _numbers(header: dict[str, str], *keys: str) -> NDArray[np.float64] | None:
    """The numbers under the first of some keys of the same meaning."""
    text = next((header[key] for key in keys if key in header), None)
    return None if text is None else np.array([float(number) for number in text.split()])


def _true(header: dict[str, str], key: str, usual: str = "False") -> bool:
    return header.get(key, usual).lower() in ("true", "t", "1", "yes")
