"""Which files make a volume, and what it is called."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from services.core.errors import ChoiceNeeded, InvalidInput, Reason
from services.core.volume import Volume
from services.formats.read import source_files, suggested_name
from tests.formats.files import read, refused
from tests.phantoms import oblique_phantom, write_dicom_series, write_nifti

R = Reason


@pytest.fixture(scope="module")
def phantom() -> Volume:
    return oblique_phantom((4, 8, 9))


def test_source_files(tmp_path: Path) -> None:
    (tmp_path / "x" / "b").mkdir(parents=True)
    (tmp_path / "x" / ".git").mkdir()
    for name in ("z", "b/a", ".hidden", ".git/config"):
        (tmp_path / "x" / name).write_bytes(b"1")
    assert [f.name for f in source_files(tmp_path / "x")] == ["x/b/a", "x/z"]
    assert [f.name for f in source_files(tmp_path / "x" / "z")] == ["z"]
    assert all(f.path.is_file() for f in source_files(tmp_path / "x"))
    for missing in (tmp_path / "nothing", tmp_path / "x" / ".git" / "none"):
        with pytest.raises(InvalidInput):
            source_files(missing)


def test_no_image(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "notes.nii.gz").write_text("these are only words " * 40)
    assert "notes" in refused(tmp_path / "a", InvalidInput, R.FILE_NOT_AN_IMAGE)
    (tmp_path / "a" / "notes.nii.gz").write_bytes(b"")
    refused(tmp_path / "a", InvalidInput, R.FILE_NOT_AN_IMAGE)


def test_several_kinds_and_the_choice_of_a_file(phantom: Volume, tmp_path: Path) -> None:
    folder = write_dicom_series(phantom, tmp_path / "x")
    write_nifti(phantom, folder / "one.nii")
    assert "“x/one.nii”, beside 4 DICOM files" in refused(folder, ChoiceNeeded, R.SEVERAL_SERIES)
    assert np.array_equal(read(folder, series="x/one.nii").voxels, phantom.voxels)


def test_remains_of_a_slice_are_no_notes(phantom: Volume, tmp_path: Path) -> None:
    folder = write_dicom_series(phantom, tmp_path / "x")
    (folder / "IM0009").write_bytes(b"")
    refused(folder, InvalidInput, R.FILE_TRUNCATED)
    (folder / "IM0009").write_bytes(b"\0" * 5000)
    refused(folder, InvalidInput, R.FILE_TRUNCATED)


def test_suggested_name(phantom: Volume, tmp_path: Path) -> None:
    folder = write_dicom_series(phantom, tmp_path / "x" / "series 7")
    volume = read(folder)
    assert suggested_name(source_files(folder), volume) == "phantom"
    silent = Volume(volume.voxels, volume.affine, volume.slope, volume.intercept)
    assert suggested_name(source_files(folder), silent) == "series 7"
    assert suggested_name(source_files(tmp_path / "x"), silent) == "series 7"
    for name, expected in {"head.nii.gz": "head", "a.b.tif": "a.b", "IM1": "IM1", ".nii": ".nii"}.items():
        write_nifti(phantom, tmp_path / "plain.nii").rename(tmp_path / name)
        assert suggested_name(source_files(tmp_path / name), silent) == expected
