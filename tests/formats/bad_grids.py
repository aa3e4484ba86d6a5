"""Bad inputs 17 and 21 to 31 as NRRD and MetaImage have them."""

from __future__ import annotations

import bz2
import gzip
import zlib
from collections.abc import Callable
from pathlib import Path

from services.core.errors import Reason
from tests.formats.bad_case import case, deflated_zeros, gzip_then_zeros
from tests.phantoms import oblique_phantom, write_metaimage

R = Reason
PHANTOM = oblique_phantom((4, 8, 9))
VOXELS = PHANTOM.voxels.tobytes()
PLACED = "space directions: (1,0,0) (0,1,0) (0,0,5)\nspace origin: (0,0,0)\nspace: lps"


def nrrd(old: str = "", new: str = "", voxels: bytes = VOXELS, ending: str = ".nrrd") -> Callable[[Path], Path]:
    """An NRRD file, raw, in whose header one text is another."""
    text = f"NRRD0005\ntype: short\ndimension: 3\nsizes: 9 8 4\nendian: little\nencoding: raw\n{PLACED}\n"
    assert old in text

    def make(folder: Path) -> Path:
        (folder / f"v{ending}").write_bytes(text.replace(old, new, 1).encode() + b"\n" + voxels)
        return folder / f"v{ending}"

    return make


def meta(voxels: bytes | None = None, ending: str = ".mha", **header: object) -> Callable[[Path], Path]:
    """A MetaImage with some fields in its header changed, or with ``None`` left out."""

    def make(folder: Path) -> Path:
        path = write_metaimage(PHANTOM, folder / f"v{ending}", **header)  # type: ignore[arg-type]
        if voxels is not None:
            data = path.read_bytes()
            path.write_bytes(data[: len(data) - len(VOXELS)] + voxels)
        return path

    return make


def frames(kind: str, count: int, voxels: bytes = b"") -> Callable[[Path], Path]:
    """An NRRD file with a first axis of so many values that do not lie in space."""
    four = PLACED.replace("directions:", "directions: none") + f"\nkinds: {kind} domain domain domain"
    old = f"dimension: 3\nsizes: 9 8 4\nendian: little\nencoding: raw\n{PLACED}"
    return nrrd(old, f"dimension: 4\nsizes: {count} 9 8 4\nendian: little\nencoding: raw\n{four}", voxels)


for told, number in (("zero", "0"), ("NaN", "nan"), ("infinite", "inf")):
    vectors = f"(1,0,0) (0,{number},0) (0,0,5)"
    case(f"21 NRRD spacing {told}", "IA", R.GEOMETRY_INVALID, "v.nrrd")(nrrd("(1,0,0) (0,1,0) (0,0,5)", vectors))
for told, number in (("zero", "0"), ("negative", "-1"), ("NaN", "nan"), ("infinite", "inf")):
    case(f"21 MetaImage spacing {told}", "IA", R.GEOMETRY_INVALID, "v.mha")(meta(ElementSpacing=f"1 {number} 5"))
case("22 NRRD axes in one plane", "IA", R.GEOMETRY_INVALID, "v.nrrd")(nrrd("(0,0,5)", "(1,1,0)"))
case("22 NRRD origin not a number", "IA", R.GEOMETRY_INVALID, "v.nrrd")(nrrd("origin: (0,0,0)", "origin: (0,nan,0)"))
case("22 NRRD without a space", "IA", R.GEOMETRY_INVALID, "v.nrrd", "lies in the patient")(nrrd("space: lps", "content: x"))
case("22 NRRD in a space of nobody", "IA", R.GEOMETRY_INVALID, "v.nrrd")(nrrd("space: lps", "space: 3D-right-handed"))
case("22 NRRD without an origin", "IA", R.GEOMETRY_INVALID, "v.nrrd")(nrrd("space origin", "content"))
case("22 NRRD with two axes in space", "IA", R.GEOMETRY_INVALID, "v.nrrd")(nrrd("(0,1,0)", "none"))
case("22 MetaImage axes in one plane", "IA", R.GEOMETRY_INVALID, "v.mha")(meta(TransformMatrix="1 0 0 0 1 0 1 0 0"))
case("22 MetaImage directions too long", "IA", R.GEOMETRY_INVALID, "v.mha")(meta(TransformMatrix="2 0 0 0 1 0 0 0 1"))
case("22 MetaImage directions not numbers", "IA", R.GEOMETRY_INVALID, "v.mha")(meta(TransformMatrix="nan 0 0 0 1 0 0 0 1"))
case("22 MetaImage without directions", "IA", R.GEOMETRY_INVALID, "v.mha", "lies in the patient")(
    meta(TransformMatrix=None)
)
case("22 MetaImage offset infinite", "IA", R.GEOMETRY_INVALID, "v.mha")(meta(Offset="0 inf 0"))
case("22 MetaImage with few numbers", "IA", R.FILE_HEADER_INVALID, "v.mha")(meta(Offset="0 0"))
case("23 NRRD of huge sizes", "RE", R.FILE_TOO_LARGE, "v.nrrd")(nrrd("9 8 4", "9000000 8000000 4000000"))
case("23 NRRD of many frames", "RE", R.FILE_TOO_LARGE, "v.nrrd")(frames("vector", 2_000_000_000))
case("23 MetaImage of huge sizes", "RE", R.FILE_TOO_LARGE, "v.mha")(meta(DimSize="900000 800000 9000"))
for told, sizes in (("negative", "9 -8 4"), ("zero", "9 0 4"), ("no number", "9 nan 4")):
    case(f"24 NRRD size {told}", "IA", R.FILE_HEADER_INVALID, "v.nrrd")(nrrd("9 8 4", sizes))
case("24 NRRD of other dimensions than sizes", "IA", R.FILE_HEADER_INVALID, "v.nrrd")(nrrd("dimension: 3", "dimension: 4"))
case("24 MetaImage size negative", "IA", R.FILE_HEADER_INVALID, "v.mha")(meta(DimSize="9 -8 4"))
case("24 MetaImage size zero", "IA", R.FILE_HEADER_INVALID, "v.mha")(meta(DimSize="9 0 4"))
case("24 MetaImage of nine dimensions", "IA", R.FILE_HEADER_INVALID, "v.mha")(meta(NDims=9))
case("24 MetaImage of another count of sizes", "IA", R.FILE_HEADER_INVALID, "v.mha")(meta(DimSize="9 8"))
case("24 MetaImage without channels", "IA", R.FILE_HEADER_INVALID, "v.mha")(meta(ElementNumberOfChannels=0))
case("13 MetaImage in colour", "FP", R.COLOUR_IMAGE, "v.mha")(meta(ElementNumberOfChannels=3, ElementType="MET_UCHAR"))
case("13 NRRD in colour", "FP", R.COLOUR_IMAGE, "v.nrrd")(frames("RGB-color", 3))
case("25 NRRD of vectors", "FP", R.SEVERAL_FRAMES, "v.nrrd", "choose a frame from 1 to 3")(frames("vector", 3, VOXELS * 3))
case("25 MetaImage of channels", "FP", R.SEVERAL_FRAMES, "v.mha", "choose a frame from 1 to 2")(
    meta(VOXELS * 2, ElementNumberOfChannels=2)
)
case("26 MetaImage with intensities by a function", "IA", R.FILE_HEADER_INVALID, "v.mha")(
    meta(ElementToIntensityFunctionSlope=2)
)
case("28 NRRD voxels past the end", "IA", R.FILE_TRUNCATED, "v.nrrd")(nrrd("space: lps", "space: lps\nbyte skip: 1000"))
case("28 NRRD voxels before the start", "IA", R.FILE_HEADER_INVALID, "v.nrrd")(
    nrrd("space: lps", "space: lps\nbyte skip: -2")
)
case("28 MetaImage voxels past the end", "IA", R.FILE_HEADER_INVALID, "v.mha")(meta(HeaderSize=10**9))
case("28 NRRD cut off", "IA", R.FILE_TRUNCATED, "v.nrrd")(nrrd(voxels=VOXELS[:-1]))
case("28 NRRD cut off within its header", "IA", R.FILE_HEADER_INVALID, "v.nrrd", "lacks")(
    lambda folder: (folder / "v.nrrd").write_bytes(nrrd()(folder).read_bytes()[:30]) and folder / "v.nrrd"
)
case("28 MetaImage cut off", "IA", R.FILE_TRUNCATED, "v.mha")(meta(VOXELS[:-1]))
case("28 MetaImage cut off within its header", "IA", R.FILE_TRUNCATED, "v.mha")(
    lambda folder: (folder / "v.mha").write_bytes(meta()(folder).read_bytes()[:60]) and folder / "v.mha"
)
case("28 NRRD of more than it says", "IA", R.FILE_HEADER_INVALID, "v.nrrd", "more pixels")(nrrd(voxels=VOXELS + b"1"))
case("28 MetaImage of more than it says", "IA", R.FILE_HEADER_INVALID, "v.mha", "more pixels")(meta(VOXELS + b"1"))
case("28 NRRD without its voxels", "IA", R.FILE_NOT_READABLE, "v.nhdr", "holds both")(
    nrrd("space: lps", "space: lps\ndata file: w.raw", b"", ".nhdr")
)
case("31 NRRD says a field twice", "IA", R.FILE_NOT_READABLE, "v.nrrd")(nrrd("space: lps", "space: lps\nsizes: 1 2 3"))
case("31 MetaImage says a field twice", "IA", R.FILE_HEADER_INVALID, "v.mha", "twice")(meta(Comment="x\nDimSize = 1 2 3"))
case("31 NRRD of an unknown type", "IA", R.FILE_HEADER_INVALID, "v.nrrd")(nrrd("type: short", "type: block"))
case("31 MetaImage of an unknown type", "IA", R.FILE_HEADER_INVALID, "v.mha")(meta(ElementType="MET_STRING"))
case("31 NRRD as text", "IA", R.FILE_NOT_READABLE, "v.nrrd", "as text")(nrrd("encoding: raw", "encoding: ascii"))
case("31 MetaImage as text", "IA", R.FILE_NOT_READABLE, "v.mha", "as text")(meta(BinaryData="False"))
case("31 NRRD without an order of bytes", "IA", R.FILE_HEADER_INVALID, "v.nrrd")(nrrd("endian: little", "content: x"))
case("31 NRRD in an unknown unit", "IA", R.FILE_HEADER_INVALID, "v.nrrd", "unknown unit")(
    nrrd("space: lps", 'space: lps\nspace units: "furlong" "furlong" "furlong"')
)
case("31 NRRD with a header without end", "IA", R.FILE_HEADER_INVALID, "v.nrrd", "without end")(
    nrrd("space: lps", "space: lps\n" + "# a word\n" * 200_000)
)
case("31 MetaImage with a header without end", "IA", R.FILE_HEADER_INVALID, "v.mha", "without end")(
    meta(Comment="word " * 20_000)
)
for ending, make in (
    (".nhdr", lambda name: nrrd("space: lps", f"space: lps\ndata file: {name}", b"", ".nhdr")),
    (".mhd", lambda name: meta(None, ".mhd", ElementDataFile=name)),
):
    for told, name in (("up", "../../v.raw"), ("root", "/etc/passwd"), ("Windows", "..\\v.raw")):
        case(f"17 path {told} in a {ending} header", "IA", R.FILE_HEADER_INVALID, f"v{ending}", "outside of its folder")(
            make(name)
        )


def zlib_zeros(size_mb: int) -> bytes:
    """A zlib stream of so many MiB of zeros, its checksum wrong: it is never reached."""
    return b"\x78\x9c" + deflated_zeros(size_mb) + bytes(4)


def bzip2_zeros(size_mb: int) -> bytes:
    """A bzip2 file of so many MiB of zeros, in as many streams."""
    return bz2.compress(bytes(1 << 20)) * size_mb


HONEST = "sizes: 32768 32768 1"
for told, encoding, data in (
    ("gzip", "gzip", gzip_then_zeros(VOXELS, 2048)),
    ("bzip2", "bzip2", bzip2_zeros(64)),
):
    case(f"29 NRRD {told} bomb", "RE", R.FILE_TOO_LARGE, "v.nrrd")(nrrd("encoding: raw", f"encoding: {encoding}", data))
    case(f"29 NRRD {told} bomb that says what it is", "RE", R.FILE_TOO_LARGE, "v.nrrd")(
        nrrd("sizes: 9 8 4\nendian: little\nencoding: raw", f"{HONEST}\nendian: little\nencoding: {encoding}", data)
    )
case("29 MetaImage zlib bomb", "RE", R.FILE_TOO_LARGE, "v.mha")(meta(zlib_zeros(2048), CompressedData=True))
case("29 MetaImage zlib bomb that says what it is", "RE", R.FILE_TOO_LARGE, "v.mha")(
    meta(zlib_zeros(2048), CompressedData=True, DimSize="32768 32768 1")
)


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]


for told, encoding, data in (
    ("bad CRC", "gzip", flipped(gzip.compress(VOXELS, mtime=0), -6)),
    ("bad checksum", "bzip2", flipped(bz2.compress(VOXELS), 11)),
):
    case(f"29 NRRD {encoding}, {told}", "IA", R.FILE_NOT_READABLE, "v.nrrd")(
        nrrd("encoding: raw", f"encoding: {encoding}", data)
    )
case("29 NRRD gzip cut off", "IA", R.FILE_TRUNCATED, "v.nrrd")(
    nrrd("encoding: raw", "encoding: gzip", gzip.compress(VOXELS)[:-9])
)
case("29 MetaImage zlib, bad checksum", "IA", R.FILE_NOT_READABLE, "v.mha")(
    meta(flipped(zlib.compress(VOXELS), -2), CompressedData=True)
)
case("29 MetaImage zlib cut off", "IA", R.FILE_TRUNCATED, "v.mha")(meta(zlib.compress(VOXELS)[:-9], CompressedData=True))
case("33 a word about NRRD under its name", "IA", R.FILE_NOT_AN_IMAGE, "v.nrrd")(
    lambda folder: (folder / "v.nrrd").write_bytes(b"NRRD is a format of files.") and folder / "v.nrrd"
)
