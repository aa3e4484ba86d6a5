"""What comes packed, or as a whole disc: zip archives, gzip files, DICOMDIR, mosaics."""

from __future__ import annotations

import gzip
import tempfile
import zipfile
from multiprocessing.forkserver import ensure_running
from pathlib import Path

import numpy as np
import pytest
import tifffile

from services.core.errors import ChoiceNeeded, InvalidInput, Reason
from services.core.volume import Volume
from services.formats.read import source_files, suggested_name
from services.formats.worker import Limits, read_in_worker
from tests.formats.bad_dicom import directory
from tests.formats.bad_inputs import CASES
from tests.formats.files import read, refused
from tests.phantoms import mosaic_object, oblique_phantom, save_dicom, set_pixels, write_dicom_series, write_nifti


@pytest.fixture(scope="module")
def phantom() -> Volume:
    return oblique_phantom((5, 8, 10))


def zipped(folder: Path, path: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        for file in sorted(p for p in folder.rglob("*") if p.is_file()):
            out.write(file, file.relative_to(folder))
    return path


def test_a_zip_of_each_format(phantom: Volume, tmp_path: Path) -> None:
    write_dicom_series(phantom, tmp_path / "dicom" / "deep" / "series")
    (tmp_path / "nifti").mkdir()
    write_nifti(phantom, tmp_path / "nifti" / "a.nii.gz")
    (tmp_path / "tiff").mkdir()
    for number in range(5):
        tifffile.imwrite(tmp_path / "tiff" / f"z{number}.tif", phantom.voxels[number])
    for kind in ("dicom", "nifti", "tiff"):
        (tmp_path / kind / ".DS_Store").write_bytes(b"hidden")
        path = zipped(tmp_path / kind, tmp_path / f"{kind}.zip")
        volume = read(path)
        assert np.array_equal(volume.voxels, phantom.voxels)
        assert not [w for w in volume.warnings if "skipped" in w]
    assert suggested_name(source_files(tmp_path / "tiff.zip"), volume) == "tiff"


def test_choices_name_what_is_in_the_zip(phantom: Volume, tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    write_nifti(phantom, tmp_path / "x" / "a.nii")
    write_nifti(phantom, tmp_path / "x" / "b.nii")
    path = zipped(tmp_path / "x", tmp_path / "x.zip")
    assert "“x.zip/b.nii”" in refused(path, ChoiceNeeded, Reason.SEVERAL_SERIES)
    assert np.array_equal(read(path, series="x.zip/b.nii").voxels, phantom.voxels)


def test_nothing_unpacked_is_left(phantom: Volume, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_dicom_series(phantom, tmp_path / "s")
    path = zipped(tmp_path / "s", tmp_path / "s.zip")
    read_in_worker(source_files(path))  # so that the server of workers is there: its socket's path must be short
    (tmp_path / "temporary").mkdir()
    ensure_running()  # the server of workers, whose socket's path must be short
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    assert read_in_worker(source_files(path), limits=Limits(2 << 30, 20)).shape == phantom.shape
    read(path)
    refused(CASES["32 an archive in an archive"].make(tmp_path), InvalidInput, Reason.FILE_NOT_READABLE)
    assert list((tmp_path / "temporary").glob("calque*")) != []
    assert list((tmp_path / "temporary").glob("calque*/*")) == []


def test_packed_slices_and_pages(phantom: Volume, tmp_path: Path) -> None:
    folder = write_dicom_series(phantom, tmp_path / "s")
    for file in list(folder.iterdir()):
        file.with_suffix(".dcm.gz").write_bytes(gzip.compress(file.read_bytes()))
        file.unlink()
    assert np.array_equal(read(folder).voxels, phantom.voxels)
    tifffile.imwrite(tmp_path / "a.tif", phantom.voxels, photometric="minisblack")
    (tmp_path / "a.tif.gz").write_bytes(gzip.compress((tmp_path / "a.tif").read_bytes()))
    assert np.array_equal(read(tmp_path / "a.tif.gz").voxels, phantom.voxels)


def test_a_disc(phantom: Volume, tmp_path: Path) -> None:
    folder = write_dicom_series(phantom, tmp_path / "disc", skip=(1, 2, 3, 4))
    (file,) = folder.iterdir()
    write_dicom_series(phantom, tmp_path / "disc" / "OTHER", series="1.2.9")
    save_dicom(directory(file.name), folder / "DICOMDIR")
    # The directory itself stands for what it names, the folder for all that is there.
    assert read(folder / "DICOMDIR").shape == (1, 8, 10)
    assert "2 series" in refused(folder, ChoiceNeeded, Reason.SEVERAL_SERIES)
    save_dicom(directory("GONE", "IM0001"), folder / "DICOMDIR")
    refused(folder / "DICOMDIR", InvalidInput, Reason.FILE_NOT_AN_IMAGE)
    assert read(zipped(folder / "OTHER", tmp_path / "o.zip")).warnings == ()
    save_dicom(directory("GONE", "IM0001"), folder / "OTHER" / "DICOMDIR")
    assert any("names 1 files" in w for w in read(folder / "OTHER").warnings)


@pytest.mark.parametrize("slices", [4, 5, 9])
def test_mosaic(slices: int, tmp_path: Path) -> None:
    phantom = oblique_phantom((slices, 8, 10))
    volume = read(save_dicom(mosaic_object(phantom), tmp_path / "m.dcm"))
    assert np.array_equal(volume.voxels, phantom.voxels)
    np.testing.assert_allclose(volume.affine, phantom.affine, atol=1e-5)


def test_mosaic_whose_tiles_run_the_other_way(phantom: Volume, tmp_path: Path) -> None:
    volume = read(save_dicom(mosaic_object(phantom, normal=-1.0), tmp_path / "m.dcm"))
    assert np.array_equal(volume.voxels, phantom.voxels)
    np.testing.assert_allclose(volume.affine, phantom.affine, atol=1e-5)


def test_mosaics_of_several_times(phantom: Volume, tmp_path: Path) -> None:
    for time in (1, 2):
        d = mosaic_object(phantom)
        d.AcquisitionNumber = d.InstanceNumber = time
        d.SOPInstanceUID = d.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{time}"
        set_pixels(d, np.frombuffer(d.PixelData, np.int16).reshape(d.Rows, d.Columns) + np.int16(time))
        save_dicom(d, tmp_path / f"{time}.dcm")
    refused(tmp_path, ChoiceNeeded, Reason.SEVERAL_FRAMES)
    for frame in range(2):
        assert np.array_equal(read(tmp_path, frame=frame).voxels, phantom.voxels + np.int16(frame + 1))
