"""TIFF stacks: calibration, channels, folders and damage."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile

from services.core.errors import ChoiceNeeded, InvalidInput, Reason, TooLarge
from services.formats.read import SourceFile, read_volume
from services.formats.tiff import natural_key
from services.formats.write import tiff_bytes
from tests.formats.files import read, refused
from tests.phantoms import oblique_phantom

R = Reason
ONE_MM = "1 mm is assumed"


@pytest.fixture
def stack() -> np.ndarray:
    return np.random.default_rng(4).integers(0, 4000, (5, 7, 9)).astype(np.uint16)


def test_export_comes_back_with_its_calibration(tmp_path: Path) -> None:
    phantom = oblique_phantom((5, 16, 18))
    mask = phantom.voxels > 0
    data = tiff_bytes(mask, affine=phantom.affine, description="mask")
    assert data == tiff_bytes(mask, affine=phantom.affine, description="mask")
    (tmp_path / "m.tif").write_bytes(data)
    volume = read(tmp_path / "m.tif")
    assert volume.spacing_mm == pytest.approx((5.0, 1.1, 0.8), rel=1e-5)
    assert np.array_equal(volume.voxels, mask.astype(np.uint8) * 255)
    assert volume.warnings == ()
    assert volume.source_axes == (2, 1, 0)
    # Slices go to superior, rows to posterior, columns to the left.
    np.testing.assert_allclose(volume.affine @ [2, 3, 4, 1], [4 * 0.8, 3 * 1.1, 2 * 5.0, 1], rtol=1e-5)
    with tifffile.TiffFile(tmp_path / "m.tif") as tif:
        assert tif.is_imagej
        assert tif.series[0].axes == "ZYX"
        assert tif.imagej_metadata["Info"] == "mask"


@pytest.mark.parametrize(
    "options", [{}, {"compression": "zlib"}, {"bigtiff": True}, {"byteorder": ">"}, {"tile": (16, 16)}]
)
def test_plain_stack_counts_as_1_mm_with_a_warning(options: dict[str, object], stack: np.ndarray, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", stack, photometric="minisblack", **options)
    volume = read(tmp_path / "a.tif")
    assert np.array_equal(volume.voxels, stack)
    assert volume.voxels.dtype.isnative
    assert volume.spacing_mm == (1.0, 1.0, 1.0)
    assert ONE_MM in volume.warnings[0]


@pytest.mark.parametrize(("unit", "mm"), [("mm", 1.0), ("\\u00B5m", 1e-3), ("micron", 1e-3), ("cm", 10.0)])
def test_units_of_imagej(unit: str, mm: float, stack: np.ndarray, tmp_path: Path) -> None:
    tifffile.imwrite(
        tmp_path / "a.tif",
        stack,
        imagej=True,
        resolution=(4.0, 2.0),
        metadata={"axes": "ZYX", "spacing": 7.0, "unit": unit},
    )
    assert read(tmp_path / "a.tif").spacing_mm == pytest.approx((7 * mm, 0.5 * mm, 0.25 * mm))


def test_imagej_without_slice_distance_or_unit(stack: np.ndarray, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", stack, imagej=True, resolution=(4.0, 2.0), metadata={"axes": "ZYX", "unit": "mm"})
    volume = read(tmp_path / "a.tif")
    assert volume.spacing_mm == pytest.approx((1.0, 0.5, 0.25))
    assert "how far apart" in volume.warnings[0]
    tifffile.imwrite(tmp_path / "a.tif", stack, imagej=True, resolution=(4.0, 2.0), metadata={"axes": "ZYX"})
    assert ONE_MM in read(tmp_path / "a.tif").warnings[0]


def test_ome(stack: np.ndarray, tmp_path: Path) -> None:
    sizes = {"PhysicalSizeX": 0.5, "PhysicalSizeY": 0.6, "PhysicalSizeZ": 3.0}
    units = {f"PhysicalSize{axis}Unit": "mm" for axis in "XYZ"}
    tifffile.imwrite(tmp_path / "a.ome.tif", stack, ome=True, metadata={"axes": "ZYX", **sizes, **units})
    assert read(tmp_path / "a.ome.tif").spacing_mm == pytest.approx((3.0, 0.6, 0.5))
    tifffile.imwrite(
        tmp_path / "b.ome.tif", stack, ome=True, metadata={"axes": "ZYX", "PhysicalSizeX": 5, "PhysicalSizeY": 6}
    )
    volume = read(tmp_path / "b.ome.tif")
    assert volume.spacing_mm == pytest.approx((0.006, 0.006, 0.005))
    assert "how far apart" in volume.warnings[0]


@pytest.mark.parametrize("ome", [False, True])
def test_channels_and_times_are_frames(ome: bool, tmp_path: Path) -> None:
    data = np.arange(2 * 3 * 4 * 5 * 6, dtype=np.uint16).reshape(2, 3, 4, 5, 6)
    order = "TZCYX" if not ome else "TCZYX"
    pages = data if not ome else data.transpose(0, 2, 1, 3, 4)
    kind = {"ome": True} if ome else {"imagej": True}
    tifffile.imwrite(tmp_path / "a.tif", pages, metadata={"axes": order}, **kind)
    assert "8 channels" in refused(tmp_path / "a.tif", ChoiceNeeded, R.SEVERAL_FRAMES)
    for time in range(2):
        for channel in range(4):
            volume = read(tmp_path / "a.tif", frame=4 * time + channel)
            assert np.array_equal(volume.voxels, data[time, :, channel])
    refused(tmp_path / "a.tif", InvalidInput, R.REQUEST_INVALID, frame=8)


def test_large_imagej_stacks_have_one_page(stack: np.ndarray, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", stack, imagej=True, metadata={"axes": "ZYX"})
    data = bytearray((tmp_path / "a.tif").read_bytes())
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        first = tif.pages[0]
        end_of_entries = first.offset + 2 + 12 * len(first.tags)
        assert first.dataoffsets[0] + stack.nbytes <= len(data)
    struct.pack_into(tif.byteorder + "I", data, end_of_entries, 0)  # no page follows; the pixels still do
    (tmp_path / "a.tif").write_bytes(data)
    assert np.array_equal(read(tmp_path / "a.tif").voxels, stack)
    (tmp_path / "a.tif").write_bytes(data[: first.dataoffsets[0] + stack[0].nbytes])
    with pytest.raises(InvalidInput):
        read(tmp_path / "a.tif")


def test_folder_in_natural_order(stack: np.ndarray, tmp_path: Path) -> None:
    folder = tmp_path / "em"
    folder.mkdir()
    for number, image in zip((9, 10, 11, 100, 2), stack):
        tifffile.imwrite(folder / f"z{number}.tif", image)
    assert np.array_equal(read(folder).voxels, stack[[4, 0, 1, 2, 3]])
    tifffile.imwrite(folder / "z5.tif", stack)
    assert "“em/z5.tif”" in refused(folder, ChoiceNeeded, R.SEVERAL_SERIES)
    assert np.array_equal(read(folder, series="em/z5.tif").voxels, stack)
    assert sorted(["b", "a10", "a9", "10", "9"], key=natural_key) == ["9", "10", "a9", "a10", "b"]


def test_types(tmp_path: Path) -> None:
    for stored, kept in (("bool", "uint8"), ("int16", "int16"), ("float16", "float32"), ("float64", "float32")):
        data = np.random.default_rng(5).integers(0, 2, (3, 4, 16)).astype(stored)
        tifffile.imwrite(tmp_path / "a.tif", data, photometric="minisblack")
        volume = read(tmp_path / "a.tif")
        assert volume.voxels.dtype == np.dtype(kept)
        assert np.array_equal(volume.voxels, data.astype(kept))
    for unread in ("uint64", "complex64"):
        tifffile.imwrite(tmp_path / "a.tif", np.zeros((3, 4, 5), unread), photometric="minisblack")
        refused(tmp_path / "a.tif", InvalidInput, R.FILE_HEADER_INVALID)


def test_colour_and_mixed_sizes(stack: np.ndarray, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((5, 6, 3), np.uint8), photometric="rgb")
    refused(tmp_path / "a.tif", ChoiceNeeded, R.COLOUR_IMAGE)
    palette = np.zeros((3, 256), np.uint16)
    tifffile.imwrite(tmp_path / "b.tif", np.zeros((5, 6), np.uint8), photometric="palette", colormap=palette)
    refused(tmp_path / "b.tif", ChoiceNeeded, R.COLOUR_IMAGE)
    with tifffile.TiffWriter(tmp_path / "c.tif") as tif:
        tif.write(stack[0])
        tif.write(stack[0, :3])
    refused(tmp_path / "c.tif", ChoiceNeeded, R.SEVERAL_SERIES)


def page_chain(count: int, *, back_to: int | None = None) -> bytes:
    """Pages of one entry each, one after the other; the last leads back to one of them, or nowhere."""
    pages = []
    for number in range(count):
        last = number == count - 1
        following = 8 + 18 * (number + 1) if not last else 0 if back_to is None else 8 + 18 * back_to
        pages.append(struct.pack("<HHHIII", 1, 256, 4, 1, 10, following))
    return b"II*\0" + struct.pack("<I", 8) + b"".join(pages)


def test_chains_of_pages(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(page_chain(5, back_to=2))
    assert "back to themselves" in refused(tmp_path / "a.tif", InvalidInput, R.FILE_HEADER_INVALID)
    (tmp_path / "a.tif").write_bytes(page_chain(20_001))
    refused(tmp_path / "a.tif", TooLarge, R.FILE_TOO_LARGE)


@pytest.mark.parametrize("big", [False, True])
def test_lying_counts_and_truncation(big: bool, stack: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, stack[0], photometric="minisblack", bigtiff=big)  # one page: its pixels end the file
    whole = path.read_bytes()
    for keep in (3, 7, 12, 40, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:keep])
        with pytest.raises(InvalidInput):
            read(path)
    with tifffile.TiffFile(io.BytesIO(whole)) as tif:
        tags = {name: tif.pages[0].tags[name] for name in ("ImageLength", "StripByteCounts")}
        order = tif.byteorder
    lying = bytearray(whole)
    struct.pack_into(order + ("Q" if big else "I"), lying, tags["StripByteCounts"].offset + 4, 1 << 31)
    path.write_bytes(lying)
    refused(path, InvalidInput, R.FILE_HEADER_INVALID)
    lying = bytearray(whole)
    struct.pack_into(order + "H", lying, tags["ImageLength"].valueoffset, 60_000)
    path.write_bytes(lying)
    with pytest.raises((InvalidInput, ChoiceNeeded)):
        read(path)


def test_names_that_deceive(stack: np.ndarray, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.dcm", stack, photometric="minisblack")
    assert np.array_equal(read(tmp_path / "a.dcm").voxels, stack)  # content decides
    for name in ("../a.tif", "a/../../b.tif", "/etc/a.tif", "a\0.tif", "a\u202efit.tif", "", "n" * 4096):
        with pytest.raises(InvalidInput):
            read_volume([SourceFile(name, tmp_path / "a.dcm")])
