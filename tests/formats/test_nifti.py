"""NIfTI: geometry, types and damage. nibabel writes the files and is the oracle; headers are spoilt by hand."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from services.core.errors import ChoiceNeeded, InvalidInput, Reason, TooLarge
from services.core.volume import Volume
from services.formats.nifti import read_nifti
from services.formats.write import nifti_bytes
from tests.formats.files import one, positions, read, refused
from tests.phantoms import oblique_phantom, rotation, write_nifti

R = Reason
# Places of fields in a NIfTI-1 header.
DIM, DATATYPE, BITPIX, PIXDIM, VOX_OFFSET, SLOPE, INTERCEPT, UNITS, QCODE, SCODE, SROW = (
    40, 70, 72, 76, 108, 112, 116, 123, 252, 254, 280,
)  # fmt: skip


@pytest.fixture
def phantom() -> Volume:
    return oblique_phantom((6, 18, 22))


def spoil(path: Path, at: int, form: str, *values: object) -> Path:
    """Overwrite bytes of a plain NIfTI-1 file."""
    data = bytearray(path.read_bytes())
    struct.pack_into("<" + form, data, at, *values)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_phantom_comes_back(ending: str, phantom: Volume, tmp_path: Path) -> None:
    volume = read(write_nifti(phantom, tmp_path / f"p{ending}"))
    assert np.array_equal(volume.voxels, phantom.voxels)
    assert volume.voxels.flags.c_contiguous
    np.testing.assert_allclose(volume.affine, phantom.affine, atol=1e-4)
    assert volume.source_axes == (2, 1, 0)
    assert volume.warnings == ()


affines = st.builds(
    lambda angles, spacing, offset, order, flips: _affine(angles, spacing, offset, order, flips),
    st.tuples(*[st.floats(-40, 40)] * 3),
    st.permutations([0.9, 1.3, 4.0]) | st.just([1.0, 1.0, 1.0]),
    st.tuples(*[st.floats(-300, 300)] * 3),
    st.permutations([0, 1, 2]),
    st.tuples(*[st.sampled_from([1, -1])] * 3),
)


def _affine(
    angles: tuple[float, ...], spacing: list[float], offset: tuple[float, ...], order: list[int], flips: tuple[int, ...]
) -> NDArray[np.float64]:
    affine = np.eye(4)
    affine[:3, :3] = (rotation(*angles) @ np.eye(3)[:, order]) * np.array(flips) * np.array(spacing)
    affine[:3, 3] = offset
    return affine


@settings(max_examples=60, deadline=None)
@given(affine=affines)
def test_any_orientation_there_and_back(affine: NDArray[np.float64], tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("n")
    data = np.arange(3 * 4 * 5, dtype=np.int16).reshape(3, 4, 5)  # every voxel its own number
    nibabel.Nifti1Image(data, affine).to_filename(folder / "a.nii")
    source = nibabel.load(folder / "a.nii")

    volume = read_nifti(one(folder / "a.nii"))
    largest = [n for n in range(3) if np.linalg.norm(affine[:3, n]) > 3.9]
    assert volume.source_axes[0] == (largest[0] if largest else 2)
    # The same number lies at the same place of the patient, by nibabel and by us.
    ras = positions(source.affine, data.shape).reshape(-1, 3)[np.argsort(np.asarray(source.dataobj).ravel())]
    lps = positions(volume.affine, volume.shape).reshape(-1, 3)[np.argsort(volume.voxels.ravel())]
    np.testing.assert_allclose(lps * [-1, -1, 1], ras, atol=1e-4)

    exported = nifti_bytes(volume.voxels, affine=volume.affine, source_axes=volume.source_axes)
    back = nibabel.Nifti1Image.from_bytes(gzip.decompress(exported))
    np.testing.assert_allclose(back.affine, source.affine, atol=1e-4)
    np.testing.assert_allclose(back.get_qform(), source.affine, atol=1e-2)
    assert (int(back.header["sform_code"]), int(back.header["qform_code"])) == (1, 1)
    assert np.array_equal(np.asarray(back.dataobj), data)
    assert exported == nifti_bytes(volume.voxels, affine=volume.affine, source_axes=volume.source_axes)


def test_sheared_affine_is_written_without_qform() -> None:
    affine = np.diag([2.0, 1.0, 1.0, 1.0])
    affine[1, 0] = 0.5
    back = nibabel.Nifti1Image.from_bytes(
        gzip.decompress(nifti_bytes(np.ones((3, 4, 5), bool), affine=affine, source_axes=(2, 1, 0)))
    )
    assert int(back.header["qform_code"]) == 0
    np.testing.assert_allclose(back.affine, np.diag([-1, -1, 1, 1]) @ affine[:, [2, 1, 0, 3]], atol=1e-6)


@pytest.mark.parametrize(
    ("stored", "kept"),
    [
        ("uint8", "uint8"), ("int8", "int8"), ("int16", "int16"), ("uint16", "uint16"), ("int32", "int32"),
        ("uint32", "uint32"), ("float32", "float32"), ("float64", "float32"), ("int64", "int32"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("endian", ["<", ">"])
@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
def test_types_byte_orders_and_versions(stored: str, kept: str, endian: str, kind: Any, tmp_path: Path) -> None:
    data = np.random.default_rng(2).integers(0, 120, (3, 4, 5)).astype(stored)
    header = kind.header_class(endianness=endian)
    header.set_data_dtype(stored)
    kind(data, np.diag([1.0, 1, 2, 1]), header).to_filename(tmp_path / "a.nii")
    volume = read(tmp_path / "a.nii")
    assert volume.voxels.dtype == np.dtype(kept)
    assert np.array_equal(volume.voxels, data.transpose(2, 1, 0))


def test_integers_stay_as_stored_with_slope_and_intercept(phantom: Volume, tmp_path: Path) -> None:
    path = spoil(write_nifti(phantom, tmp_path / "a.nii"), SLOPE, "ff", 0.5, -3.0)
    volume = read(path)
    assert np.array_equal(volume.voxels, phantom.voxels)
    expected = nibabel.load(path).get_fdata().transpose(2, 1, 0)
    for index in range(volume.shape[0]):
        np.testing.assert_allclose(volume.intensity(index), expected[index], atol=1e-4)
    spoil(path, SLOPE, "ff", 0.0, 17.0)  # a slope of zero means: not scaled
    assert (read(path).slope == 1).all()
    assert (read(path).intercept == 0).all()


def test_sform_wins_and_a_disagreement_is_kept(phantom: Volume, tmp_path: Path) -> None:
    path = write_nifti(phantom, tmp_path / "a.nii")
    spoil(path, SROW + 12, "f", struct.unpack_from("<f", path.read_bytes(), SROW + 12)[0] + 5.0)
    volume = read(path)
    assert volume.affine[0, 3] == pytest.approx(phantom.affine[0, 3] - 5.0, abs=1e-4)
    assert "5.0 mm apart" in volume.warnings[0]
    spoil(path, SCODE, "h", 0)
    np.testing.assert_allclose(read(path).affine, phantom.affine, atol=1e-3)
    assert read(path).warnings == ()


def test_micrometres_become_millimetres(phantom: Volume, tmp_path: Path) -> None:
    volume = read(spoil(write_nifti(phantom, tmp_path / "a.nii"), UNITS, "B", 3))
    np.testing.assert_allclose(volume.affine[:3], phantom.affine[:3] / 1000, atol=1e-6)
    assert "unit" in volume.warnings[0]


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_frames(ending: str, tmp_path: Path) -> None:
    data = np.arange(3 * 4 * 5 * 2, dtype=np.int16).reshape(3, 4, 5, 1, 2)
    nibabel.Nifti1Image(data, np.diag([1.0, 1, 2, 1])).to_filename(tmp_path / f"a{ending}")
    assert "2 volumes" in refused(tmp_path / f"a{ending}", ChoiceNeeded, R.SEVERAL_FRAMES)
    for frame in (0, 1):
        volume = read(tmp_path / f"a{ending}", frame=frame)
        assert np.array_equal(volume.voxels, data[..., 0, frame].transpose(2, 1, 0))
    refused(tmp_path / f"a{ending}", InvalidInput, R.REQUEST_INVALID, frame=2)


def test_trailing_axes_of_one_are_dropped_and_a_picture_is_one_slice(tmp_path: Path) -> None:
    data = np.arange(60, dtype=np.int16).reshape(3, 4, 5, 1, 1)
    nibabel.Nifti1Image(data, np.eye(4)).to_filename(tmp_path / "a.nii")
    assert read(tmp_path / "a.nii").shape == (5, 4, 3)
    nibabel.Nifti1Image(data[:, :, 0, 0, 0], np.eye(4)).to_filename(tmp_path / "b.nii")
    assert read(tmp_path / "b.nii").shape == (1, 4, 3)


def test_voxels_that_are_no_numbers_are_counted(tmp_path: Path) -> None:
    data = np.zeros((3, 4, 5), np.float32)
    data[0, 0, 0], data[1, 1, 1] = np.nan, np.inf
    nibabel.Nifti1Image(data, np.eye(4)).to_filename(tmp_path / "a.nii")
    assert read(tmp_path / "a.nii").warnings[0].startswith("2 voxels are not a number")


BAD = {
    "ndim 0": (DIM, "h", (0,), InvalidInput, R.FILE_HEADER_INVALID),
    "ndim 9": (DIM, "h", (9,), InvalidInput, R.FILE_HEADER_INVALID),
    "dimension zero": (DIM + 2, "h", (0,), InvalidInput, R.FILE_HEADER_INVALID),
    "dimension negative": (DIM + 4, "h", (-5,), InvalidInput, R.FILE_HEADER_INVALID),
    "dimensions huge": (DIM, "hhhh", (3, 32767, 32767, 32767), TooLarge, R.FILE_TOO_LARGE),
    "frames huge": (DIM, "hhhhhhhh", (7, 22, 18, 6, 32767, 32767, 9, 9), TooLarge, R.FILE_TOO_LARGE),
    "dimensions above the bytes": (DIM + 6, "h", (60,), InvalidInput, R.FILE_TRUNCATED),
    "spacing zero": (PIXDIM + 4, "f", (0.0,), InvalidInput, R.GEOMETRY_INVALID),
    "spacing negative": (PIXDIM + 8, "f", (-1.0,), InvalidInput, R.GEOMETRY_INVALID),
    "spacing not a number": (PIXDIM + 12, "f", (np.nan,), InvalidInput, R.GEOMETRY_INVALID),
    "spacing infinite": (PIXDIM + 4, "f", (np.inf,), InvalidInput, R.GEOMETRY_INVALID),
    "affine not a number": (SROW, "f", (np.nan,), InvalidInput, R.GEOMETRY_INVALID),
    "affine singular": (SROW, "12f", (1, 1, 0, 0, 1, 1, 0, 0, 0, 0, 1, 0), InvalidInput, R.GEOMETRY_INVALID),
    "no position": (QCODE, "hh", (0, 0), InvalidInput, R.GEOMETRY_INVALID),
    "unknown unit": (UNITS, "B", (5,), InvalidInput, R.FILE_HEADER_INVALID),
    "slope not a number": (SLOPE, "f", (np.nan,), InvalidInput, R.FILE_HEADER_INVALID),
    "intercept infinite": (INTERCEPT, "f", (np.inf,), InvalidInput, R.FILE_HEADER_INVALID),
    "voxels after the end": (VOX_OFFSET, "f", (1e9,), InvalidInput, R.FILE_HEADER_INVALID),
    "voxels in the header": (VOX_OFFSET, "f", (100.0,), InvalidInput, R.FILE_HEADER_INVALID),
    "offset not a number": (VOX_OFFSET, "f", (np.nan,), InvalidInput, R.FILE_HEADER_INVALID),
    "colour": (DATATYPE, "hh", (128, 24), ChoiceNeeded, R.COLOUR_IMAGE),
    "complex": (DATATYPE, "hh", (32, 64), InvalidInput, R.FILE_HEADER_INVALID),
    "unknown type": (DATATYPE, "hh", (999, 16), InvalidInput, R.FILE_HEADER_INVALID),
    "bits of another type": (BITPIX, "h", (8,), InvalidInput, R.FILE_HEADER_INVALID),
    "voxels in another file": (344, "4s", (b"ni1\0",), InvalidInput, R.FILE_NOT_READABLE),
}


@pytest.mark.parametrize("case", BAD)
def test_refused(case: str, phantom: Volume, tmp_path: Path) -> None:
    at, form, values, kind, reason = BAD[case]
    refused(spoil(write_nifti(phantom, tmp_path / "a.nii"), at, form, *values), kind, reason)


@pytest.mark.parametrize("keep", [100, 347, 351, 352, 2000])
def test_truncated(keep: int, phantom: Volume, tmp_path: Path) -> None:
    path = write_nifti(phantom, tmp_path / "a.nii")
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InvalidInput):
        read(path)


def test_damaged_gzip(phantom: Volume, tmp_path: Path) -> None:
    path = write_nifti(phantom, tmp_path / "a.nii.gz")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    refused(path, InvalidInput, R.FILE_TRUNCATED)
    path.write_bytes(whole[:-8] + b"\0\0\0\0" + whole[-4:])  # the checksum
    refused(path, InvalidInput, R.FILE_NOT_READABLE)
    path.write_bytes(whole[:5000] + b"\xff" * 50 + whole[5050:])
    refused(path, InvalidInput, R.FILE_NOT_READABLE)


def test_gzip_bomb(phantom: Volume, tmp_path: Path) -> None:
    plain = write_nifti(phantom, tmp_path / "a.nii").read_bytes()
    (tmp_path / "a.nii").unlink()
    (tmp_path / "b.nii").write_bytes(gzip.compress(plain + b"\0" * (20 << 20)))
    refused(tmp_path / "b.nii", TooLarge, R.FILE_TOO_LARGE)
