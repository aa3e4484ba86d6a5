"""Masks from outside must lie on the voxels of the volume, in whatever order their own axes are."""

from __future__ import annotations

from itertools import permutations, product
from pathlib import Path

import nibabel
import numpy as np
import pytest

from services.core.errors import InvalidInput, Reason
from services.core.volume import Volume
from services.formats.masks import read_mask
from services.formats.write import nifti_bytes, tiff_bytes
from tests.formats.files import one
from tests.phantoms import oblique_phantom, phantom_object, write_dicom_series

VOLUME = oblique_phantom((5, 16, 18))
MASK = phantom_object(VOLUME)


def imported(path: Path, volume: Volume = VOLUME, label: int = 0) -> np.ndarray:
    return read_mask(one(path), shape=volume.shape, affine=volume.affine, source_axes=volume.source_axes, label=label)


def mismatch(path: Path) -> str:
    with pytest.raises(InvalidInput) as caught:
        imported(path)
    assert caught.value.reason == Reason.MASK_MISMATCH
    return str(caught.value)


def test_exports_come_back(tmp_path: Path) -> None:
    (tmp_path / "m.nii.gz").write_bytes(nifti_bytes(MASK, affine=VOLUME.affine, source_axes=VOLUME.source_axes))
    assert np.array_equal(imported(tmp_path / "m.nii.gz"), MASK)
    (tmp_path / "m.tif").write_bytes(tiff_bytes(MASK, affine=VOLUME.affine))
    assert np.array_equal(imported(tmp_path / "m.tif"), MASK)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
def test_one_label_of_several(dtype: type[np.generic], tmp_path: Path) -> None:
    labels = np.random.default_rng(3).integers(0, 4, VOLUME.shape)
    stored = labels.astype(dtype)
    (tmp_path / "m.nii.gz").write_bytes(nifti_bytes(stored, affine=VOLUME.affine, source_axes=VOLUME.source_axes))
    (tmp_path / "m.tif").write_bytes(tiff_bytes(stored, affine=VOLUME.affine))
    for name in ("m.nii.gz", "m.tif"):
        for label in (1, 3):
            assert np.array_equal(imported(tmp_path / name, label=label), labels == label)
        assert np.array_equal(imported(tmp_path / name), labels > 0)
        assert not imported(tmp_path / name, label=9).any()


def test_a_label_is_a_value_and_not_what_is_stored(tmp_path: Path) -> None:
    ras = np.diag([-1.0, -1.0, 1.0, 1.0]) @ VOLUME.affine[:, [2, 1, 0, 3]]
    image = nibabel.Nifti1Image(MASK.transpose(2, 1, 0).astype(np.uint8) * 10 + 4, ras)
    image.header.set_slope_inter(0.5, 0.0)
    image.to_filename(tmp_path / "m.nii")
    assert np.array_equal(imported(tmp_path / "m.nii", label=7), MASK)
    assert np.array_equal(imported(tmp_path / "m.nii", label=2), ~MASK)


@pytest.mark.parametrize("axes", permutations(range(3)))
def test_any_axes_and_flips(axes: tuple[int, int, int], tmp_path: Path) -> None:
    ras = np.diag([-1.0, -1.0, 1.0, 1.0]) @ VOLUME.affine
    for flips in product((1, -1), repeat=3):
        index = np.zeros((4, 4))  # index in the turned array → index in the volume
        index[3, 3] = 1
        for k, (axis, flip) in enumerate(zip(axes, flips)):
            index[axis, k] = flip
            index[axis, 3] = 0 if flip > 0 else VOLUME.shape[axis] - 1
        turned = MASK.transpose(axes)[tuple(slice(None, None, flip) for flip in flips)].astype(np.uint8)
        nibabel.Nifti1Image(turned, ras @ index).to_filename(tmp_path / "m.nii")
        assert np.array_equal(imported(tmp_path / "m.nii"), MASK)


def test_elsewhere_or_of_another_size(tmp_path: Path) -> None:
    path = tmp_path / "m.nii.gz"
    for shift in ([0, 0, 0.01], [0.5, 0, 0], [0, 30, 0]):
        moved = VOLUME.affine.copy()
        moved[:3, 3] += shift
        path.write_bytes(nifti_bytes(MASK, affine=moved, source_axes=(2, 1, 0)))
        assert f"{max(shift):.3g} mm" in mismatch(path)
    path.write_bytes(nifti_bytes(MASK, affine=np.diag([5.0, 1.1, 0.8, 1]), source_axes=(2, 1, 0)))
    mismatch(path)
    path.write_bytes(nifti_bytes(MASK, affine=VOLUME.affine * [0.5, 0.5, 0.5, 1], source_axes=(2, 1, 0)))
    mismatch(path)
    path.write_bytes(nifti_bytes(MASK[:, 1:], affine=VOLUME.affine, source_axes=(2, 1, 0)))
    assert "18 × 15 × 5 voxels where the volume has 18 × 16 × 5" in mismatch(path)
    (tmp_path / "m.tif").write_bytes(tiff_bytes(MASK[1:], affine=VOLUME.affine))
    assert "18 × 16 × 4 voxels where the volume has 18 × 16 × 5" in mismatch(tmp_path / "m.tif")


def test_several_labels_and_no_numbers_and_no_mask(tmp_path: Path) -> None:
    labels = np.zeros(VOLUME.shape, np.float32)
    labels[0, 0, :4] = [1, 2.5, -1, np.nan]
    (tmp_path / "m.nii.gz").write_bytes(nifti_bytes(labels, affine=VOLUME.affine, source_axes=(2, 1, 0)))
    mask = imported(tmp_path / "m.nii.gz")
    assert mask[0, 0, :4].tolist() == [True, True, True, False]
    assert mask.sum() == 3
    four = nibabel.Nifti1Image(np.zeros((4, 4, 4, 2), np.uint8), np.eye(4))
    four.to_filename(tmp_path / "four.nii")
    mismatch(tmp_path / "four.nii")
    series = write_dicom_series(VOLUME, tmp_path / "s")
    mismatch(sorted(series.iterdir())[0])
