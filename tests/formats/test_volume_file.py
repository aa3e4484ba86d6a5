"""Volumes as files for other programs, read back by nibabel, tifffile and our own readers."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from services.core.errors import InvalidInput, TooLarge, Unavailable
from services.core.volume import VOXEL_DTYPES, Volume
from services.formats import volume_file
from services.formats.volume_file import write_volume
from services.formats.write import nifti_bytes
from tests.formats.files import positions, read
from tests.phantoms import oblique_phantom, rotation, write_dicom_series

VOLUME = oblique_phantom((5, 8, 9))
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def typed(dtype: str) -> Volume:
    """The phantom in another type, from its least to its largest value."""
    if dtype == "float32":
        return replace(VOLUME, voxels=(VOLUME.voxels / 7).astype(np.float32))
    limits = np.iinfo(dtype)
    spread = np.linspace(limits.min, limits.max, VOLUME.voxels.size).round().clip(limits.min, limits.max)
    return replace(VOLUME, voxels=spread.astype(dtype).reshape(VOLUME.shape))


@pytest.mark.parametrize("dtype", VOXEL_DTYPES)
@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_nifti_holds_the_stored_voxels_and_the_affine(dtype: str, ending: str, tmp_path: Path) -> None:
    volume, path = typed(dtype), tmp_path / f"a{ending}"
    write_volume(volume, path)
    image = nibabel.load(path)
    stored = np.asarray(image.dataobj.get_unscaled())
    assert stored.dtype == dtype
    np.testing.assert_array_equal(stored.transpose(2, 1, 0), volume.voxels)
    np.testing.assert_allclose(image.affine, LPS_TO_RAS @ volume.affine[:, [2, 1, 0, 3]], atol=1e-5)
    assert (image.dataobj.slope, image.dataobj.inter) == (1.0, 0.0)
    np.testing.assert_array_equal(read(path).voxels, volume.voxels)


@pytest.mark.parametrize("dtype", VOXEL_DTYPES)
def test_tiff_holds_the_stored_voxels_and_the_distances(dtype: str, tmp_path: Path) -> None:
    volume, path = typed(dtype), tmp_path / "a.tif"
    write_volume(volume, path)
    np.testing.assert_array_equal(tifffile.imread(path), volume.voxels)
    back = read(path)
    assert back.voxels.dtype == dtype
    assert back.spacing_mm == pytest.approx(volume.spacing_mm, rel=1e-6)
    assert back.warnings == ()


@pytest.mark.parametrize("shape", [(1, 8, 9), (5, 1, 9), (5, 8, 1), (3, 3, 3), (4, 2, 3), (1, 1, 1)])
@pytest.mark.parametrize("dtype", ["uint8", "int32"])
def test_tiff_of_any_shape(shape: tuple[int, int, int], dtype: str, tmp_path: Path) -> None:
    voxels = np.arange(np.prod(shape)).astype(dtype).reshape(shape)
    ones = np.ones(shape[0])
    write_volume(Volume(voxels=voxels, affine=VOLUME.affine, slope=ones, intercept=0 * ones), tmp_path / "a.tif")
    np.testing.assert_array_equal(read(tmp_path / "a.tif").voxels, voxels)


def test_one_rescale_stays_a_rescale(tmp_path: Path) -> None:
    volume = replace(VOLUME, slope=np.full(5, 0.1), intercept=np.full(5, -1024.5))
    stored = write_volume(volume, tmp_path / "a.nii")
    assert stored.voxels is volume.voxels
    image = nibabel.load(tmp_path / "a.nii")
    assert (image.dataobj.slope, image.dataobj.inter) == (np.float32(0.1), -1024.5)
    np.testing.assert_array_equal(np.asarray(image.dataobj.get_unscaled()).transpose(2, 1, 0), volume.voxels)
    expected = volume.voxels * 0.1 - 1024.5
    np.testing.assert_allclose(image.get_fdata().transpose(2, 1, 0), expected, rtol=1e-6)
    write_volume(volume, tmp_path / "a.tif")
    found = tifffile.imread(tmp_path / "a.tif")
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, expected.astype(np.float32))


@pytest.mark.parametrize(
    ("slope", "intercept"),
    [(np.arange(1, 6) / 8, np.zeros(5)), (np.ones(5), np.arange(5.0)), (np.full(5, 1e-46), np.zeros(5))],
    ids=["slopes", "intercepts", "less than float32 knows"],
)
def test_other_rescales_become_intensities(slope: np.ndarray, intercept: np.ndarray, tmp_path: Path) -> None:
    volume = replace(VOLUME, slope=slope, intercept=intercept)
    for name in ("a.nii.gz", "a.tif"):
        assert write_volume(volume, tmp_path / name).voxels.dtype == np.float32
        expected = (volume.voxels * slope[:, None, None] + intercept[:, None, None]).astype(np.float32)
        np.testing.assert_array_equal(read(tmp_path / name).voxels, expected)


def test_nothing_is_overwritten_and_nothing_partial_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.nii"
    path.write_text("mine")
    with pytest.raises(InvalidInput, match="already"):
        write_volume(VOLUME, path)
    assert path.read_text() == "mine"
    write_volume(VOLUME, path, overwrite=True)
    assert read(path).shape == VOLUME.shape
    (tmp_path / "link.nii").symlink_to("nowhere")
    for wrong in (tmp_path / "link.nii", tmp_path / "a.raw", tmp_path / ".nii"):
        with pytest.raises(InvalidInput):
            write_volume(VOLUME, wrong)
    long = Volume(np.zeros((1, 1, 40_000), np.uint8), VOLUME.affine, np.ones(1), np.zeros(1))
    with pytest.raises(TooLarge):
        write_volume(long, tmp_path / "b.nii")
    with pytest.raises(Unavailable, match="nothing was left"):
        write_volume(VOLUME, tmp_path / "none" / "b.nii")
    (tmp_path / "folder.nii").mkdir()
    with pytest.raises(Unavailable):
        write_volume(VOLUME, tmp_path / "folder.nii", overwrite=True)

    def no_links(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    (tmp_path / "link.nii").unlink()
    (tmp_path / "c.nii").write_text("theirs")
    with pytest.raises(InvalidInput, match="already"):
        write_volume(VOLUME, tmp_path / "c.nii")
    assert (tmp_path / "c.nii").read_text() == "theirs"
    write_volume(VOLUME, tmp_path / "d.nii")
    assert read(tmp_path / "d.nii").shape == VOLUME.shape
    assert {entry.name for entry in tmp_path.iterdir()} == {"a.nii", "folder.nii", "c.nii", "d.nii"}


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_a_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        """As the file beside, on a disk without room."""

        @staticmethod
        def open(path: Path, mode: str) -> object:
            assert mode == "xb"
            path.symlink_to("/dev/full")
            return open(path, "wb", buffering=0)

    monkeypatch.setattr(volume_file, "open", Full.open, raising=False)
    with pytest.raises(Unavailable) as caught:
        write_volume(VOLUME, tmp_path / "a.nii")
    assert caught.value.reason == "STORE_FULL"
    assert list(tmp_path.iterdir()) == []


axis = st.integers(1, 6)
millimetres = st.floats(0.1, 12.0)
angle = st.floats(-180.0, 180.0)
place = st.floats(-500.0, 500.0)


@st.composite
def volumes(draw: st.DrawFn) -> Volume:
    """Any orientation, handedness, spacing and place, in any order of the source's axes; every voxel has its own value."""
    shape = (draw(axis), draw(axis), draw(axis))
    affine = np.eye(4)
    turn = rotation(draw(angle), draw(angle), draw(angle)) * draw(st.sampled_from([1.0, -1.0]))
    affine[:3, :3] = turn * [draw(millimetres), draw(millimetres), draw(millimetres)]
    affine[:3, 3] = draw(place), draw(place), draw(place)
    return Volume(
        voxels=np.arange(np.prod(shape), dtype=np.uint16).reshape(shape),
        affine=affine,
        slope=np.ones(shape[0]),
        intercept=np.zeros(shape[0]),
        source_axes=tuple(draw(st.permutations(range(3)))),
    )


def places(volume: Volume) -> np.ndarray:
    """``(voxels, 3)``: where each voxel lies, in the order of the values."""
    return positions(volume.affine, volume.shape).reshape(-1, 3)[np.argsort(volume.voxels, axis=None)]


@settings(deadline=None, max_examples=60)
@given(volume=volumes())
def test_an_export_lies_where_its_volume_does(volume: Volume, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("e") / "a.nii.gz"
    write_volume(volume, path)
    np.testing.assert_allclose(places(read(path)), places(volume), atol=1e-4)
    image = nibabel.load(path)  # and for others: each voxel's value at its place
    ras = positions(image.affine, image.shape).reshape(-1, 3)
    lps = ras[np.argsort(np.asarray(image.dataobj), axis=None)] * [-1, -1, 1]
    np.testing.assert_allclose(lps, places(volume), atol=1e-4)
    # What is imported and exported again is the same once more, as a mask of it is.
    again = read(path)
    mask = nifti_bytes(again.voxels % 2 == 1, affine=again.affine, source_axes=again.source_axes)
    (path.parent / "m.nii.gz").write_bytes(mask)
    odd = read(path.parent / "m.nii.gz")
    inside = positions(odd.affine, odd.shape)[odd.voxels > 0]
    expected = places(volume)[1::2]
    assert len(inside) == len(expected)
    distances = np.linalg.norm(inside[:, None] - expected[None], axis=2)
    assert (distances.min(axis=0) < 1e-4).all() if len(expected) else True


@settings(deadline=None, max_examples=60)
@given(volume=volumes())
def test_a_tiff_keeps_distances_and_order(volume: Volume, tmp_path_factory: pytest.TempPathFactory) -> None:
    """It knows no patient: slices towards superior, rows towards posterior, columns towards the left, from the origin."""
    path = tmp_path_factory.mktemp("t") / "a.tif"
    write_volume(volume, path)
    found = read(path)
    assert np.array_equal(found.voxels, volume.voxels)
    index = np.argwhere(np.ones(volume.shape, bool))
    expected = (index * volume.spacing_mm)[:, ::-1]
    np.testing.assert_allclose(places(found), expected, atol=1e-4)
    apart, before = (np.linalg.norm(np.diff(places(v), axis=0), axis=1) for v in (found, volume))
    np.testing.assert_allclose(apart, before, atol=1e-4)


@settings(deadline=None, max_examples=12)
@given(angles=st.tuples(angle, angle, angle), origin=st.tuples(place, place, place))
def test_a_dicom_series_lies_where_it_did(
    angles: tuple[float, float, float], origin: tuple[float, float, float], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("d")
    affine = np.eye(4)
    turn = rotation(*angles)
    affine[:3, :3] = turn[:, [2, 1, 0]] * [4.0, 1.25, 0.75]
    affine[:3, 3] = origin
    voxels = np.arange(3 * 5 * 6, dtype=np.int16).reshape(3, 5, 6)
    scanned = Volume(voxels, affine, np.ones(3), np.zeros(3))
    imported = read(write_dicom_series(scanned, folder / "s"))
    np.testing.assert_allclose(places(imported), places(scanned), atol=1e-4)
    write_volume(imported, folder / "a.nii")
    np.testing.assert_allclose(places(read(folder / "a.nii")), places(scanned), atol=1e-4)
    write_volume(imported, folder / "a.tif")
    assert np.array_equal(read(folder / "a.tif").voxels, imported.voxels)
    assert read(folder / "a.tif").spacing_mm == pytest.approx(scanned.spacing_mm, rel=1e-6)
