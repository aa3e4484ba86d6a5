"""NRRD and MetaImage: written by pynrrd, and by hand in ITK's words, read back voxel by voxel."""

from __future__ import annotations

import gzip
import zipfile
from dataclasses import replace
from pathlib import Path

import nrrd
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from services.core.errors import CalqueError, ChoiceNeeded, InvalidInput, Reason
from services.core.volume import VOXEL_DTYPES, Volume
from services.formats.masks import read_mask
from services.formats.read import read_volume, source_files, suggested_name
from services.formats.volume_file import write_volume
from tests.formats.files import one, positions, read, refused
from tests.phantoms import oblique_phantom, rotation, write_metaimage, write_nrrd

PHANTOM = oblique_phantom((4, 8, 9))
SPACES = {
    "left-posterior-superior": (1, 1, 1),
    "LPS": (1, 1, 1),
    "right-anterior-superior": (-1, -1, 1),
    "RAS": (-1, -1, 1),
    "left-anterior-superior": (1, -1, 1),
    "LAS": (1, -1, 1),
}


@st.composite
def volumes(draw: st.DrawFn) -> Volume:
    """Small volumes of any type and orientation, flipped and turned; no two voxels alike where the type has room."""
    shape = draw(st.tuples(*[st.integers(1, 5)] * 3))
    dtype = draw(st.sampled_from(VOXEL_DTYPES))
    # Whole numbers of a quarter millimetre: rounding tells no two places apart, or together.
    spacing = np.array(draw(st.tuples(*[st.integers(1, 24)] * 3))) / 4
    turn = rotation(*draw(st.tuples(*[st.integers(-180, 180)] * 3)))
    flips = np.array(draw(st.tuples(*[st.sampled_from([-1.0, 1.0])] * 3)))
    affine = np.eye(4)
    affine[:3, :3] = turn[:, draw(st.permutations(range(3)))] * flips * spacing
    affine[:3, 3] = np.array(draw(st.tuples(*[st.integers(-400, 400)] * 3))) / 4
    voxels = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    return replace(PHANTOM, voxels=voxels, affine=affine, slope=np.ones(shape[0]), intercept=np.zeros(shape[0]))


def same_place(found: Volume, written: Volume) -> None:
    """The same voxels at the same places, whatever the order of the axes, by asking the nearest voxel of each place."""
    places = positions(written.affine, written.shape).reshape(-1, 3)
    index = (np.linalg.inv(found.affine) @ np.vstack([places.T, np.ones(len(places))]))[:3]
    np.testing.assert_allclose(index, np.rint(index), atol=1e-4 / min(found.spacing_mm))
    assert sorted(found.shape) == sorted(written.shape)
    at = tuple(np.rint(index).astype(int))
    np.testing.assert_array_equal(found.voxels[at], written.voxels.ravel())
    np.testing.assert_allclose((found.affine @ np.vstack([at, np.ones(len(places))]))[:3].T, places, atol=1e-4)


@settings(deadline=None)
@given(
    volumes(),
    st.sampled_from(list(SPACES)),
    st.sampled_from(["raw", "gzip", "bzip2"]),
    st.sampled_from([".nrrd", ".nhdr"]),
    st.sampled_from("<>"),
)
def test_nrrd_of_any_space(
    tmp_path_factory: pytest.TempPathFactory, volume: Volume, space: str, encoding: str, ending: str, order: str
) -> None:
    path = tmp_path_factory.mktemp("n") / f"a{ending}"
    signs = np.array(SPACES[space])
    stored = volume.voxels.astype(volume.voxels.dtype.newbyteorder(order))
    directions, origin = volume.affine[:3, [2, 1, 0]].T * signs, volume.affine[:3, 3] * signs
    write_nrrd(
        replace(volume, voxels=stored),
        path,
        encoding=encoding,
        space=space,
        space_directions=directions,
        space_origin=origin,
    )
    found = read(path)
    assert found.voxels.dtype == volume.voxels.dtype
    assert found.warnings == ()
    same_place(found, volume)
    write_volume(found, path.parent / "b.nii")
    same_place(read(path.parent / "b.nii"), volume)


@settings(deadline=None)
@given(volumes(), st.booleans(), st.sampled_from([".mha", ".mhd"]), st.booleans())
def test_metaimage_of_any_orientation(
    tmp_path_factory: pytest.TempPathFactory, volume: Volume, packed: bool, ending: str, big: bool
) -> None:
    path = write_metaimage(volume, tmp_path_factory.mktemp("m") / f"a{ending}", packed=packed, big=big)
    found = read(path)
    assert found.voxels.dtype == volume.voxels.dtype
    assert found.warnings == ()
    same_place(found, volume)


def test_the_order_of_a_transform_matrix(tmp_path: Path) -> None:
    """What ITK prints for this header: direction columns (0, 1, 0), (−0.6, 0, 0.8) and (0.8, 0, 0.6)."""
    header = {"TransformMatrix": "0 1 0 -0.6 0 0.8 0.8 0 0.6", "Offset": "1 2 3", "ElementSpacing": "2 3 4"}
    volume = read(write_metaimage(PHANTOM, tmp_path / "a.mha", **header))
    assert volume.source_axes == (2, 1, 0)
    expected = np.array([[3.2, -1.8, 0, 1], [0, 0, 2, 2], [2.4, 2.4, 0, 3], [0, 0, 0, 1]])
    np.testing.assert_allclose(volume.affine, expected, atol=1e-12)
    assert np.array_equal(volume.voxels, PHANTOM.voxels)


def test_a_place_in_the_scanner_is_told(tmp_path: Path) -> None:
    volume = read(write_nrrd(PHANTOM, tmp_path / "a.nrrd", space="scanner-xyz"))
    np.testing.assert_allclose(volume.affine, PHANTOM.affine, atol=1e-6)
    assert "on the back, head first" in volume.warnings[0]


def test_units_and_modality(tmp_path: Path) -> None:
    volume = read(write_nrrd(PHANTOM, tmp_path / "a.nrrd", space_units=["um"] * 3))
    np.testing.assert_allclose(volume.affine[:3], PHANTOM.affine[:3] / 1000, atol=1e-6)
    assert read(write_metaimage(PHANTOM, tmp_path / "a.mha", Modality="MET_MOD_CT")).modality == "CT"


@pytest.mark.parametrize("first", [True, False])
def test_frames_of_nrrd_are_offered(first: bool, tmp_path: Path) -> None:
    frames = np.stack([PHANTOM.voxels.transpose(2, 1, 0) + n for n in range(3)], axis=0 if first else 3)
    directions = np.full((4, 3), np.nan)
    directions[slice(1, 4) if first else slice(0, 3)] = PHANTOM.affine[:3, [2, 1, 0]].T
    kinds = ["vector", *["domain"] * 3] if first else [*["domain"] * 3, "time"]
    header = {"space": "lps", "space directions": directions, "space origin": PHANTOM.affine[:3, 3], "kinds": kinds}
    nrrd.write(str(tmp_path / "a.nrrd"), frames, header)
    assert "from 1 to 3" in refused(tmp_path / "a.nrrd", ChoiceNeeded, Reason.SEVERAL_FRAMES)
    for n in range(3):
        found = read(tmp_path / "a.nrrd", frame=n)
        assert np.array_equal(found.voxels, PHANTOM.voxels + n)
        np.testing.assert_allclose(found.affine, PHANTOM.affine, atol=1e-6)
    refused(tmp_path / "a.nrrd", InvalidInput, Reason.REQUEST_INVALID, frame=3)


def test_frames_of_metaimage_are_offered(tmp_path: Path) -> None:
    two = [PHANTOM.voxels, PHANTOM.voxels + 5]
    times = replace(oblique_phantom((8, 8, 9)), voxels=np.concatenate(two))
    turn = np.eye(4)
    fourth = {"NDims": 4, "DimSize": "9 8 4 2", "ElementSpacing": "0.8 1.1 5 1", "Offset": "1 2 3 0"}
    matrix = {"TransformMatrix": " ".join(map(str, turn.ravel()))}
    time = write_metaimage(times, tmp_path / "a.mha", **fourth, **matrix)
    interleaved = np.stack(two, axis=-1).reshape(4, 8, 18)
    channel = write_metaimage(
        replace(PHANTOM, voxels=interleaved), tmp_path / "b.mha", ElementNumberOfChannels=2, DimSize="9 8 4"
    )
    for path in (time, channel):
        assert "from 1 to 2" in refused(path, ChoiceNeeded, Reason.SEVERAL_FRAMES)
        for n in range(2):
            assert np.array_equal(read(path, frame=n).voxels, two[n])
    turn[3, 0] = 0.1
    matrix = {"TransformMatrix": " ".join(map(str, turn.ravel()))}
    moving = write_metaimage(times, tmp_path / "c.mha", **fourth, **matrix)
    assert "moves from frame to frame" in refused(moving, InvalidInput, Reason.GEOMETRY_INVALID, frame=0)


def test_a_header_finds_its_voxels_in_an_upload(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    write_nrrd(PHANTOM, tmp_path / "in" / "a.nhdr")
    write_metaimage(PHANTOM, tmp_path / "in" / "b.mhd")
    files = source_files(tmp_path / "in")
    assert len(files) == 4
    message = refused(tmp_path / "in", ChoiceNeeded, Reason.SEVERAL_SERIES)
    assert "a.nhdr" in message
    assert "b.raw" not in message
    for name in ("in/a.nhdr", "in/b.mhd"):
        volume = read(tmp_path / "in", series=name)
        assert np.array_equal(volume.voxels, PHANTOM.voxels)
        assert volume.warnings == ()
    alone = source_files(tmp_path / "in" / "b.mhd")
    assert [file.name for file in alone] == ["b.mhd", "b.raw"]
    assert suggested_name(alone, PHANTOM) == "b"
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as out:
        for file in (tmp_path / "in").glob("b.*"):
            out.write(file, f"deep/{file.name}")
    assert np.array_equal(read(tmp_path / "x.zip").voxels, PHANTOM.voxels)
    (tmp_path / "in" / "b.raw").unlink()
    assert "holds both" in refused(tmp_path / "in" / "b.mhd", InvalidInput, Reason.FILE_NOT_READABLE)


def test_voxels_that_look_like_another_format(tmp_path: Path) -> None:
    """The file of the voxels is not asked what it is: a header says what it holds."""
    voxels = PHANTOM.voxels.copy()
    voxels.reshape(-1)[:4] = np.frombuffer(b"II*\0\x08\0\0\0", "<i2")
    write_metaimage(replace(PHANTOM, voxels=voxels), tmp_path / "a.mhd")
    assert np.array_equal(read(tmp_path).voxels, voxels)


@pytest.mark.parametrize("ending", [".nrrd", ".mha"])
def test_gzip_around_the_whole(ending: str, tmp_path: Path) -> None:
    write = write_nrrd if ending == ".nrrd" else write_metaimage
    data = write(PHANTOM, tmp_path / f"a{ending}").read_bytes()
    (tmp_path / f"b{ending}.gz").write_bytes(gzip.compress(data))
    assert np.array_equal(read(tmp_path / f"b{ending}.gz").voxels, PHANTOM.voxels)


def test_bytes_to_skip(tmp_path: Path) -> None:
    for packed in ("raw", "gzip"):
        lines = write_nrrd(PHANTOM, tmp_path / "a.nrrd", encoding="raw").read_bytes().split(b"\n\n", 1)
        voxels = b"12345" + lines[1]
        for skip in (5, -1) if packed == "raw" else (5,):
            head = lines[0].replace(b"encoding: raw", f"encoding: {packed}\nbyteskip: {skip}".encode())
            (tmp_path / "b.nrrd").write_bytes(head + b"\n\n" + (gzip.compress(voxels) if packed == "gzip" else voxels))
            assert np.array_equal(read(tmp_path / "b.nrrd").voxels, PHANTOM.voxels)
    data = write_metaimage(PHANTOM, tmp_path / "a.mhd", HeaderSize=-1).with_suffix(".raw").read_bytes()
    (tmp_path / "a.raw").write_bytes(b"123" + data)
    assert np.array_equal(read(tmp_path / "a.mhd").voxels, PHANTOM.voxels)
    write_metaimage(PHANTOM, tmp_path / "a.mhd", HeaderSize=3)
    (tmp_path / "a.raw").write_bytes(b"123" + data)
    assert np.array_equal(read(tmp_path / "a.mhd").voxels, PHANTOM.voxels)


def test_fields_are_read_in_any_case_and_notes_are_not_read(tmp_path: Path) -> None:
    data = write_nrrd(PHANTOM, tmp_path / "a.nrrd", encoding="gzip").read_bytes()
    head, voxels = data.split(b"\n\n", 1)
    head = head.replace(b"encoding: gzip", b"Encoding: GZIP").replace(b"type:", b"Type:")
    head += b"\nPatient:=Secret^Someone\ncontent: \"Secret'\n# Secret"
    (tmp_path / "a.nrrd").write_bytes(head.replace(b"\n", b"\r\n") + b"\r\n\r\n" + voxels)
    volume = read(tmp_path / "a.nrrd")
    assert np.array_equal(volume.voxels, PHANTOM.voxels)
    assert "Secret" not in repr(volume)


def test_masks(tmp_path: Path) -> None:
    inside = PHANTOM.voxels > 700
    mask = replace(PHANTOM, voxels=inside.astype(np.uint8))
    where = {"shape": PHANTOM.shape, "affine": PHANTOM.affine, "source_axes": PHANTOM.source_axes}
    for path in (write_nrrd(mask, tmp_path / "a.nrrd"), write_metaimage(mask, tmp_path / "a.mha", packed=True)):
        assert np.array_equal(read_mask(one(path), **where), inside)  # type: ignore[arg-type]


def test_64_bits(tmp_path: Path) -> None:
    for dtype, kept in (("int64", "int32"), ("float64", "float32")):
        wide: NDArray[np.generic] = PHANTOM.voxels.transpose(2, 1, 0).astype(dtype)
        header = {"space": "lps", "space directions": PHANTOM.affine[:3, [2, 1, 0]].T, "space origin": [0, 0, 0]}
        nrrd.write(str(tmp_path / "a.nrrd"), wide, header)
        volume = read(tmp_path / "a.nrrd")
        assert volume.voxels.dtype == kept
        assert np.array_equal(volume.voxels, PHANTOM.voxels)


@pytest.mark.parametrize("ending", [".nhdr", ".mhd"])
@pytest.mark.parametrize("name", ["../a.raw", "/etc/passwd", "..\\a.raw", "a\x1b.raw", "%03d.raw 1 9 1", "LIST", "C:a.raw"])
def test_voxels_elsewhere_are_not_opened(ending: str, name: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / f"a{ending}"
    if ending == ".mhd":
        write_metaimage(PHANTOM, path, ElementDataFile=name)
    else:
        data = write_nrrd(PHANTOM, path).read_bytes()
        path.write_bytes(data.replace(b"a.raw.gz", name.encode()).replace(b"a.raw", name.encode()))
    for file in (tmp_path / "a.raw", tmp_path / "in" / "LIST"):
        file.write_bytes(PHANTOM.voxels.tobytes())
    with pytest.raises(CalqueError) as caught:
        read_volume([one(path), *source_files(tmp_path)], series=path.name)
    assert isinstance(caught.value, InvalidInput)
