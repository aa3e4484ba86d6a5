"""Bad inputs 21 to 33: NIfTI, TIFF, archives and names."""

from __future__ import annotations

import gzip
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import tifffile

from services.core.errors import Reason
from tests.formats.bad_case import case, deflated_zeros, gzip_then_zeros
from tests.phantoms import oblique_phantom, write_nifti

R = Reason
PHANTOM = oblique_phantom((4, 8, 9))
PLACES = {"dim": (40, "<8h"), "datatype": (70, "<h"), "pixdim": (76, "<8f"), "vox_offset": (108, "<f"), "scl": (112, "<2f")}
SFORM = (280, "<12f")


def nifti(place: tuple[int, str], values: tuple[float, ...], at: int = 0) -> Callable[[Path], Path]:
    """A NIfTI file in whose header some numbers, from the ``at``th of a field on, are others."""

    def make(folder: Path) -> Path:
        path = write_nifti(PHANTOM, folder / "v.nii")
        data = bytearray(path.read_bytes())
        form = place[1][-1]
        struct.pack_into(f"<{len(values)}{form}", data, place[0] + at * struct.calcsize(form), *values)
        path.write_bytes(data)
        return path

    return make


for told, number in (("zero", 0.0), ("negative", -1.0), ("NaN", np.nan), ("infinite", np.inf)):
    case(f"21 NIfTI spacing {told}", "IA", R.GEOMETRY_INVALID, "v.nii")(nifti(PLACES["pixdim"], (number,), at=2))

    @case(f"21 ImageJ spacing {told}", "IA", R.GEOMETRY_INVALID, "v.tif")
    def imagej_spacing(folder: Path, number: float = number) -> Path:
        meta = {"axes": "ZYX", "spacing": number, "unit": "mm"}
        tifffile.imwrite(folder / "v.tif", np.zeros((3, 4, 5), np.uint8), imagej=True, resolution=(2, 2), metadata=meta)
        return folder / "v.tif"


for told, number in (("zero", 0.0), ("negative", -2.0)):

    @case(f"21 OME spacing {told}", "IA", R.GEOMETRY_INVALID, "v.ome.tif")
    def ome_spacing(folder: Path, number: float = number) -> Path:
        sizes = {"PhysicalSizeX": 1.0, "PhysicalSizeY": number, "PhysicalSizeZ": 1.0}
        tifffile.imwrite(folder / "v.ome.tif", np.zeros((3, 4, 5), np.uint8), ome=True, metadata={"axes": "ZYX", **sizes})
        return folder / "v.ome.tif"


case("22 affine not a number", "IA", R.GEOMETRY_INVALID, "v.nii")(nifti(SFORM, (np.nan,), at=1))
case("22 affine singular", "IA", R.GEOMETRY_INVALID, "v.nii")(nifti(SFORM, (1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0)))
case("22 affine of zeros", "IA", R.GEOMETRY_INVALID, "v.nii")(nifti(SFORM, (0,) * 12))
case("23 huge dimensions", "RE", R.FILE_TOO_LARGE, "v.nii")(nifti(PLACES["dim"], (3, 32767, 32767, 32767)))
case("23 huge number of volumes", "RE", R.FILE_TOO_LARGE, "v.nii")(
    nifti(PLACES["dim"], (7, 9, 8, 4, 32767, 32767, 32767, 32767))
)
case("24 negative dimension", "IA", R.FILE_HEADER_INVALID, "v.nii")(nifti(PLACES["dim"], (-8,), at=2))
case("24 dimension of zero", "IA", R.FILE_HEADER_INVALID, "v.nii")(nifti(PLACES["dim"], (0,), at=3))
case("24 no dimensions", "IA", R.FILE_HEADER_INVALID, "v.nii")(nifti(PLACES["dim"], (0,)))
case("24 nine dimensions", "IA", R.FILE_HEADER_INVALID, "v.nii")(nifti(PLACES["dim"], (9,)))
for extra in ((3,), (1, 3)):

    @case(f"25 {3 + len(extra)}-D", "FP", R.SEVERAL_FRAMES, "v.nii", "choose a frame from 1 to 3")
    def several_frames(folder: Path, extra: tuple[int, ...] = extra) -> Path:
        nibabel.Nifti1Image(np.zeros((9, 8, 4, *extra), np.int16), np.eye(4)).to_filename(folder / "v.nii")
        return folder / "v.nii"


case("26 slope not a number", "IA", R.FILE_HEADER_INVALID, "v.nii")(nifti(PLACES["scl"], (np.nan, 0)))
case("26 slope infinite", "IA", R.FILE_HEADER_INVALID, "v.nii")(nifti(PLACES["scl"], (np.inf, 0)))
case("26 intercept not a number", "IA", R.FILE_HEADER_INVALID, "v.nii")(nifti(PLACES["scl"], (1, np.nan)))
case("28 voxels past the end", "IA", R.FILE_HEADER_INVALID, "v.nii")(nifti(PLACES["vox_offset"], (1e9,)))
case("28 voxels nowhere", "IA", R.FILE_HEADER_INVALID, "v.nii")(nifti(PLACES["vox_offset"], (np.nan,)))
case("28 voxels partly past the end", "IA", R.FILE_TRUNCATED, "v.nii")(nifti(PLACES["vox_offset"], (400,)))


@case("29 gzip bomb of 2 GB", "RE", R.FILE_TOO_LARGE, "bomb.nii.gz")
def gzip_bomb(folder: Path) -> Path:
    head = write_nifti(PHANTOM, folder / "v.nii").read_bytes()
    (folder / "bomb.nii.gz").write_bytes(gzip_then_zeros(head, 2048))
    return folder / "bomb.nii.gz"


@case("29 gzip bomb that says what it is", "RE", R.FILE_TOO_LARGE, "bomb.nii.gz", "more than 200 times")
def honest_gzip_bomb(folder: Path) -> Path:
    head = nifti(PLACES["dim"], (3, 32767, 32767, 1))(folder).read_bytes()[:352]
    (folder / "bomb.nii.gz").write_bytes(gzip_then_zeros(head, 2048))
    return folder / "bomb.nii.gz"


def deflated_page(rows: int, columns: int, data: bytes) -> Callable[[Path], Path]:
    """A TIFF of one page, deflated."""
    tags = {256: columns, 257: rows, 258: 8, 259: 8, 262: 1, 273: 8 + 2 + 12 * 9 + 4, 277: 1, 278: rows, 279: len(data)}
    page = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())

    def make(folder: Path) -> Path:
        (folder / "v.tif").write_bytes(b"II*\0" + struct.pack("<IH", 8, len(tags)) + page + bytes(4) + data)
        return folder / "v.tif"

    return make


ZLIB_BOMB = b"\x78\x9c" + deflated_zeros(2048) + struct.pack(">I", ((2048 << 20) % 65521) << 16 | 1)
# The decoder stops where the page is full.
case("29 TIFF deflate bomb", "IA", R.FILE_NOT_READABLE, "v.tif")(deflated_page(10, 10, ZLIB_BOMB))
case("29 TIFF deflate bomb that says what it is", "RE", R.FILE_TOO_LARGE, "v.tif", "more than 200 times")(
    deflated_page(1 << 15, 1 << 16, ZLIB_BOMB)
)


def packed(change: Callable[[bytearray], Any]) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        data = bytearray(gzip.compress(write_nifti(PHANTOM, folder / "v.nii").read_bytes(), mtime=0))
        change(data)
        (folder / "v.nii.gz").write_bytes(data)
        return folder / "v.nii.gz"

    return make


@case("29 bad CRC", "IA", R.FILE_NOT_READABLE, "v.nii.gz")
def bad_crc(folder: Path) -> Path:
    def change(data: bytearray) -> None:
        data[-6] ^= 0xFF

    return packed(change)(folder)


@case("29 gzip cut off", "IA", R.FILE_TRUNCATED, "v.nii.gz")
def gzip_cut_off(folder: Path) -> Path:
    def change(data: bytearray) -> None:
        del data[len(data) - 12 :]

    return packed(change)(folder)


def pages(count: int, back_to: int | None = None) -> Callable[[Path], Path]:
    """A TIFF of pages of one entry each; the last leads back to one of them, or nowhere."""

    def make(folder: Path) -> Path:
        numbers = np.zeros(count, dtype=[("n", "<u2"), ("tag", "<u2"), ("type", "<u2"), ("v", "<u4", 2), ("next", "<u4")])
        numbers["n"], numbers["tag"], numbers["type"], numbers["v"] = 1, 256, 4, (1, 10)
        numbers["next"] = 8 + 18 * (np.arange(count) + 1)
        numbers["next"][-1] = 0 if back_to is None else 8 + 18 * back_to
        (folder / "v.tif").write_bytes(b"II*\0" + struct.pack("<I", 8) + numbers.tobytes())
        return folder / "v.tif"

    return make


case("30 cyclic pages", "IA", R.FILE_HEADER_INVALID, "v.tif", "back to themselves")(pages(5, back_to=2))
case("30 a page that is its own next", "IA", R.FILE_HEADER_INVALID, "v.tif")(pages(1, back_to=0))
case("30 a million pages", "RE", R.FILE_TOO_LARGE, "v.tif")(pages(1_000_000))


def bigtiff(change: Callable[[bytearray, Any], None], **options: Any) -> Callable[[Path], Path]:
    """A BigTIFF of one page, and a change to its bytes that knows its tags."""

    def make(folder: Path) -> Path:
        path = folder / "v.tif"
        tifffile.imwrite(
            path, np.zeros((16, 64), np.uint16), photometric="minisblack", bigtiff=True, byteorder="<", **options
        )
        with tifffile.TiffFile(path) as tif:
            tags = tif.pages[0].tags
        data = bytearray(path.read_bytes())
        change(data, tags)
        path.write_bytes(data)
        return path

    return make


def lying_count(data: bytearray, tags: Any) -> None:
    struct.pack_into("<Q", data, tags["StripByteCounts"].offset + 4, 1 << 60)


def lying_page(data: bytearray, tags: Any) -> None:
    struct.pack_into("<Q", data, min(tag.offset for tag in tags) - 8, 1 << 40)


def overlapping(data: bytearray, tags: Any) -> None:
    software, description = tags["Software"], tags["ImageDescription"]
    assert description.count > 8 < software.count
    struct.pack_into("<Q", data, software.offset + 12, description.valueoffset + 3)


def twice(data: bytearray, tags: Any) -> None:
    struct.pack_into("<H", data, tags["ImageLength"].offset, 256)


TEXT = {"description": "a text of more than eight", "software": "another text of more", "metadata": None}
case("31 BigTIFF, an entry longer than the file", "IA", R.FILE_HEADER_INVALID, "v.tif")(bigtiff(lying_count))
case("31 BigTIFF, a page of too many entries", "IA", R.FILE_HEADER_INVALID, "v.tif")(bigtiff(lying_page))
case("31 BigTIFF, overlapping entries", "IA", R.FILE_HEADER_INVALID, "v.tif", "overlap")(bigtiff(overlapping, **TEXT))
case("31 BigTIFF, an entry twice", "IA", R.FILE_HEADER_INVALID, "v.tif", "twice")(bigtiff(twice))


def archive(*entries: tuple[str | zipfile.ZipInfo, bytes]) -> Callable[[Path], Path]:
    """A zip archive of a good volume and then these entries."""

    def make(folder: Path) -> Path:
        good = write_nifti(PHANTOM, folder / "v.nii")
        with zipfile.ZipFile(folder / "v.zip", "w", zipfile.ZIP_DEFLATED) as out:
            out.write(good, "v.nii")
            for name, data in entries:
                out.writestr(name, data)
        return folder / "v.zip"

    return make


def link() -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("passwd")
    info.create_system, info.external_attr = 3, 0o120777 << 16
    return info


def nested_archive(folder: Path) -> Path:
    inner = archive(("zeros", bytes(1 << 20)))(folder).read_bytes()
    return archive(("inner.dat", inner))(folder)


for told, name in (
    ("up", "../../evil.nii"),
    ("root", "/evil.nii"),
    ("Windows", "..\\..\\evil.nii"),
    ("drive", "C:/evil.nii"),
):
    case(f"32 zip slip, {told}", "IA", R.REQUEST_INVALID, "v.zip", "leads out of it")(archive((name, b"evil")))
case("32 a link", "IA", R.FILE_NOT_READABLE, "v.zip", "link")(archive((link(), b"/etc/passwd")))
case("32 an archive in an archive", "IA", R.FILE_NOT_READABLE, "v.zip", "another archive")(nested_archive)
case("32 an archive of nothing", "IA", R.FILE_NOT_AN_IMAGE, "v.zip", "holds no files")(
    lambda folder: (folder / "v.zip").write_bytes(b"PK\5\6" + bytes(18)) and folder / "v.zip"
)


@case("32 a bomb in an archive", "RE", R.FILE_TOO_LARGE, "v.zip")
def bomb_in_archive(folder: Path) -> Path:
    """An entry of 2 GB, made without packing it: the packed bytes stand in for those of a small one."""
    data = deflated_zeros(2048)
    with zipfile.ZipFile(folder / "v.zip", "w") as out:
        out.writestr("zeros", data)
    made = bytearray((folder / "v.zip").read_bytes())
    for start, method in ((made.index(b"PK\1\2"), 10), (0, 8)):
        struct.pack_into("<H", made, start + method, zipfile.ZIP_DEFLATED)
        struct.pack_into("<I", made, start + method + 14, 2048 << 20)
    (folder / "v.zip").write_bytes(made)
    return folder / "v.zip"


@case("32 an archive that lies about a checksum", "IA", R.FILE_NOT_READABLE, "v.zip", "damaged")
def lying_archive(folder: Path) -> Path:
    made = bytearray(archive(("a", b"some bytes"))(folder).read_bytes())
    made[made.index(b"PK\1\2") + 16] ^= 0xFF
    (folder / "v.zip").write_bytes(made)
    return folder / "v.zip"


@case("33 words under the name of an image", "IA", R.FILE_NOT_AN_IMAGE, "words.nii.gz")
def words(folder: Path) -> Path:
    (folder / "words.nii.gz").write_text("these are only words " * 40)
    return folder / "words.nii.gz"


@case("29 a gzip bomb in an archive", "RE", R.FILE_TOO_LARGE, "bomb.nii.gz")
def packed_bomb_in_archive(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "v.zip", "w", zipfile.ZIP_STORED) as out:
        out.write(gzip_bomb(folder), "bomb.nii.gz")
    return folder / "v.zip"
