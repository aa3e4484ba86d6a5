"""Repairs on request: of a field that is linear in space, every repaired voxel is known exactly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from services.core.errors import CalqueError, ChoiceNeeded, Reason
from services.core.volume import Volume
from services.formats.read import Repairs, read_volume, source_files
from services.formats.worker import Limits, read_in_worker
from tests.formats.files import positions, read, refused
from tests.phantoms import set_pixels, write_dicom_series

ROWS, COLUMNS = 7, 9
GAP, TILT, BOTH = Repairs(resample=True), Repairs(shear=True), Repairs(resample=True, shear=True)


def field(mm: np.ndarray) -> np.ndarray:
    """Intensity at positions ``(..., 3)``."""
    return mm @ np.array([40.0, 20.0, 8.0]) + 100


def stack(folder: Path, heights: list[float], drift: tuple[float, float] = (0, 0)) -> Path:
    """Axial slices of the field at some heights, moved in x and y for each mm of height."""
    affine = np.array([[0, 0, 1.0, -4], [0, 1, 0, -3], [2, 0, 0, 0], [0, 0, 0, 1]])
    base = Volume(
        np.zeros((len(heights), ROWS, COLUMNS), np.int16),
        affine,
        np.ones(len(heights)),
        np.zeros(len(heights)),
        modality="CT",
    )

    def change(index: int, d: Dataset) -> None:
        z = heights[index]
        corner = np.array([-4 + drift[0] * z, -3 + drift[1] * z, z])
        r, c = np.mgrid[:ROWS, :COLUMNS]
        mm = corner + np.stack([c, r, np.zeros_like(r)], axis=-1)
        d.ImagePositionPatient = [f"{v:.6g}" for v in corner]
        set_pixels(d, np.rint(field(mm)).astype(np.int16))

    return write_dicom_series(base, folder, change=change)


def repaired(path: Path, repairs: Repairs) -> Volume:
    volume = read_volume(source_files(path), repairs=repairs)
    there = read_in_worker(source_files(path), repairs=repairs, limits=Limits(2 << 30, 30))
    assert np.array_equal(volume.voxels, there.voxels)
    assert volume.warnings == there.warnings
    return volume


def test_a_missing_slice_is_filled(tmp_path: Path) -> None:
    path = stack(tmp_path / "s", [0, 2, 6, 8, 10])
    refused(path, ChoiceNeeded, Reason.SLICES_UNEVEN)
    volume = repaired(path, GAP)
    assert volume.shape == (6, ROWS, COLUMNS)
    np.testing.assert_allclose(volume.voxels, field(positions(volume.affine, volume.shape)), atol=1e-3)
    assert "1 of its 6 slices" in volume.warnings[0]
    assert volume.spacing_mm == (2, 1, 1)


def test_uneven_slices_become_even(tmp_path: Path) -> None:
    volume = repaired(stack(tmp_path / "s", [0, 2, 4.5, 6.5, 8.5, 12]), GAP)
    assert volume.spacing_mm == (2, 1, 1)
    assert volume.shape[0] == 7
    np.testing.assert_allclose(volume.voxels, field(positions(volume.affine, volume.shape)), atol=1e-3)


@pytest.mark.parametrize(("heights", "repairs"), [([0, 2, 4, 6], TILT), ([0, 2, 6, 8], BOTH)])
@pytest.mark.parametrize("drift", [(0.25, 0), (0, -0.25), (0.5, 0.125)])
def test_a_tilted_stack_is_straightened(
    heights: list[float], repairs: Repairs, drift: tuple[float, float], tmp_path: Path
) -> None:
    path = stack(tmp_path / "s", heights, drift)
    with pytest.raises(CalqueError):
        read(path)
    with pytest.raises(CalqueError):
        read_volume(source_files(path), repairs=GAP)
    volume = repaired(path, repairs)
    direction = volume.affine[:3, 0] / np.linalg.norm(volume.affine[:3, 0])
    np.testing.assert_allclose(direction, [0, 0, 1], atol=1e-9)
    mm = positions(volume.affine, volume.shape)
    # Where the tilted slices lay, nothing is lost and nothing is wrong; outside there is the lowest intensity.
    low = np.array([-4, -3]) + mm[..., 2:] * drift
    inside = ((mm[..., :2] >= low) & (mm[..., :2] <= low + np.array([COLUMNS - 1, ROWS - 1]))).all(axis=-1)
    if repairs is TILT:
        np.testing.assert_allclose(volume.voxels[inside], field(mm)[inside], atol=1e-2)
        assert inside.sum() >= 4 * (ROWS - 1) * (COLUMNS - 1)
    else:
        well = inside & (np.abs(mm[..., 2] - 4) > 0.1)
        np.testing.assert_allclose(volume.voxels[well], field(mm)[well], atol=1e-2)
    far = (mm[..., :2] < low - 1).any(axis=-1)
    assert set(np.unique(volume.voxels[far])) <= {volume.voxels.min()}
    assert any("gantry tilt" in w for w in volume.warnings)


def test_what_is_well_is_not_touched(tmp_path: Path) -> None:
    path = stack(tmp_path / "s", [0, 2, 4, 6])
    volume = repaired(path, BOTH)
    assert volume.voxels.dtype == np.int16
    assert np.array_equal(volume.voxels, read(path).voxels)
    assert volume.warnings == ()


def test_a_slice_beside_the_line_is_never_repaired(tmp_path: Path) -> None:
    path = stack(tmp_path / "s", [0, 2, 4, 6])

    moved = sorted(path.iterdir())[1]
    d = pydicom.dcmread(moved)
    d.ImagePositionPatient = [30, 20, d.ImagePositionPatient[2]]
    d.save_as(moved)
    for repairs in (BOTH, GAP):
        with pytest.raises(ChoiceNeeded):
            read_volume(source_files(path), repairs=repairs)
