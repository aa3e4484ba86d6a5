"""The list of bad inputs of files, item by item: each is read as an import reads it, in a worker with limits.

The identifier of a test starts with the item's number; ``pytest --collect-only -q`` on this file prints the table.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import grpc
import nibabel
import numpy as np
import pydicom
import pytest
import tifffile

from services.core.errors import CalqueError, ChoiceNeeded, InvalidInput, Reason
from services.core.volume import Volume, intensity_window, to_window
from services.formats.read import SourceFile, source_files
from services.formats.worker import Limits, read_in_worker
from services.serving.status import status_code
from tests.formats import bad_dicom, bad_files
from tests.formats.bad_case import CASES
from tests.formats.bad_dicom import PHANTOM, element, encoded, report, series, unsigned
from tests.phantoms import save_dicom, write_dicom_series, write_nifti

STATUS = {
    "IA": grpc.StatusCode.INVALID_ARGUMENT,
    "FP": grpc.StatusCode.FAILED_PRECONDITION,
    "RE": grpc.StatusCode.RESOURCE_EXHAUSTED,
}
LIMITS = Limits(memory_bytes=2 << 30, seconds=20)
# Their cases are in the table by being imported.
assert {Path(str(module.__file__)).stem for module in (bad_dicom, bad_files)} == {"bad_dicom", "bad_files"}


def read(path: Path) -> Volume:
    return read_in_worker(source_files(path), limits=LIMITS)


@pytest.mark.parametrize("item", sorted(CASES))
def test_refused(item: str, tmp_path: Path) -> None:
    bad = CASES[item]
    path = bad.make(tmp_path)
    start = time.monotonic()
    with pytest.raises(CalqueError) as caught:
        read(path)
    assert time.monotonic() - start < 15
    sentence = str(caught.value)
    assert (status_code(caught.value), caught.value.reason) == (STATUS[bad.status], bad.reason), sentence
    for words in (bad.names, *bad.words):
        assert words in sentence
    assert "Secret" not in sentence
    assert "stopped" not in sentence  # the reader answered; nobody had to end it
    assert sentence.endswith(".")
    assert (bad.reason in (Reason.SEVERAL_SERIES, Reason.SEVERAL_FRAMES)) == bool(
        isinstance(caught.value, ChoiceNeeded) and caught.value.choices
    )


@pytest.mark.parametrize("encoding", ["RLE", "JPEG lossless", "JPEG-LS", "JPEG 2000", "HTJ2K"])
def test_14_identical_voxels(encoding: str, tmp_path: Path) -> None:
    volume = read(write_dicom_series(unsigned(), tmp_path / "s", change=encoded(encoding)))
    assert np.array_equal(volume.voxels, unsigned().voxels)
    assert volume.voxels.dtype == np.uint16


@pytest.mark.parametrize("what", ["unknown type", "odd length"])
def test_15_elements_that_nobody_needs(what: str, tmp_path: Path) -> None:
    path = series(tmp_path)
    for file in path.iterdir():
        data = file.read_bytes()
        old = element("SeriesDescription", b"LO") + b"\x08\0phantom "
        assert old in data
        if what == "unknown type":
            data = data.replace(old[:6], element("SeriesDescription", b"ZZ"))
        else:
            data = data.replace(old, old[:6] + b"\x07\0phantom")
        file.write_bytes(data)
    volume = read(path)
    assert np.array_equal(volume.voxels, PHANTOM.voxels)
    assert [w for w in volume.warnings if what in w]


@pytest.mark.parametrize("start", [b"MZ\x90\0", b"\x7fELF\2\1\1", b"II*\0\x08\0\0\0", b"PK\3\4", b"#!/bin/sh\n"])
def test_18_a_program_in_the_preamble(start: bytes, tmp_path: Path) -> None:
    path = series(tmp_path)
    for file in path.iterdir():
        data = file.read_bytes()
        file.write_bytes(start + b"payload" + data[len(start) + 7 :])
    volume = read(path)
    assert np.array_equal(volume.voxels, PHANTOM.voxels)
    held = b"".join(np.asarray(part).tobytes() for part in (volume.voxels, volume.affine, volume.slope, volume.intercept))
    assert b"payload" not in held + repr((volume.description, volume.modality, volume.warnings)).encode()


def test_19_each_slice_has_its_own_slope(tmp_path: Path) -> None:
    slope = np.array([0.5, 1.0, 2.25, 3.0])
    volume = read(write_dicom_series(replace(PHANTOM, slope=slope), tmp_path / "s"))
    for index in range(4):
        np.testing.assert_array_equal(volume.intensity(index), PHANTOM.voxels[index] * np.float32(slope[index]))


def test_20_objects_that_are_no_images_are_named(tmp_path: Path) -> None:
    path = series(tmp_path)
    save_dicom(report(), path / "report")
    assert "1 (Basic Text SR Storage)" in read(path).warnings[0]


def test_22_sform_before_qform_with_a_warning(tmp_path: Path) -> None:
    path = write_nifti(PHANTOM, tmp_path / "v.nii")
    image = nibabel.load(path)
    moved = image.affine.copy()
    moved[0, 3] += 7
    image.set_qform(moved, 1)
    image.to_filename(tmp_path / "w.nii")
    volume = read(tmp_path / "w.nii")
    np.testing.assert_allclose(volume.affine, PHANTOM.affine, atol=1e-4)
    assert "7.0 mm apart" in volume.warnings[0]


def test_26_slope_zero_means_unscaled(tmp_path: Path) -> None:
    volume = read(bad_files.nifti(bad_files.PLACES["scl"], (0.0, 5.0))(tmp_path))
    assert set(volume.slope) == {1.0}
    assert set(volume.intercept) == {0.0}


def test_27_voxels_that_are_no_number(tmp_path: Path) -> None:
    voxels = bad_files.PHANTOM.voxels.astype(np.float32)
    voxels[1, 2, 3:6] = (np.nan, np.inf, -np.inf)
    volume = read(write_nifti(replace(bad_files.PHANTOM, voxels=voxels), tmp_path / "v.nii"))
    assert volume.warnings == ("3 voxels are not a number; they count as the darkest.",)
    low, high = intensity_window(volume)
    assert np.isfinite([low, high]).all()
    assert to_window(volume.intensity(1), (low, high))[2, 3] == 0


@pytest.mark.parametrize("name", ["v.dcm", "v.tif", "v.png", "v"])
def test_33_content_decides(name: str, tmp_path: Path) -> None:
    write_nifti(bad_files.PHANTOM, tmp_path / "v.nii").rename(tmp_path / name)
    assert np.array_equal(read(tmp_path / name).voxels, bad_files.PHANTOM.voxels)
    tifffile.imwrite(tmp_path / "v.nii", bad_files.PHANTOM.voxels, photometric="minisblack")
    assert np.array_equal(read(tmp_path / "v.nii").voxels, bad_files.PHANTOM.voxels)


@pytest.mark.parametrize(
    "name",
    ["a\0.nii", "a\u202eiin.exe", "n" * 4096, "", "../a.nii", "a/../../b.nii", "/etc/a.nii", "..\\..\\a.nii", "a\ud800"],
)
def test_17_and_33_names(name: str, tmp_path: Path) -> None:
    path = write_nifti(bad_files.PHANTOM, tmp_path / "v.nii")
    with pytest.raises(InvalidInput) as caught:
        read_in_worker([SourceFile(name, path)], limits=LIMITS)
    sentence = str(caught.value)
    assert caught.value.reason == Reason.REQUEST_INVALID
    assert "“" in sentence
    assert len(sentence) < 200
    assert not {"\0", "\u202e", "\ud800"} & set(sentence)


def test_17_names_on_disk_are_not_the_users(tmp_path: Path) -> None:
    """Whatever a UID or a name says, reading leaves nothing beside the files that were read."""
    path = series(tmp_path)
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    read(path)
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before
    assert pydicom.dcmread(next(path.iterdir())).SeriesInstanceUID
