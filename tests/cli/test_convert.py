"""`calque convert`: what it writes is what was read, and a refusal leaves nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
import tifffile
from pydicom.dataset import Dataset
from typer.testing import CliRunner

from services.cli.main import app
from services.core.errors import CalqueError, ChoiceNeeded, InvalidInput, Reason
from services.formats.dicom_seg import Segment, Told, dicom_seg_bytes
from services.formats.read import read_volume, source_files
from tests.phantoms import oblique_phantom, write_dicom_series, write_nifti
from tests.processes import ROOT

VOLUME = oblique_phantom((5, 16, 18))


def converted(*arguments: object) -> list[str]:
    """The sentences that it says."""
    result = CliRunner().invoke(app, ["convert", *[str(argument) for argument in arguments]])
    if isinstance(result.exception, CalqueError):
        raise result.exception
    assert (result.exit_code, result.stderr) == (0, "")
    return result.stdout.splitlines()


def test_a_series_as_nifti_and_tiff(tmp_path: Path) -> None:
    series = write_dicom_series(VOLUME, tmp_path / "series")
    assert converted(series, tmp_path / "a.nii.gz")[0] == "Wrote a.nii.gz: 18 × 16 × 5 voxels, int16 as stored."
    image = nibabel.load(tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(np.asarray(image.dataobj).transpose(2, 1, 0), VOLUME.voxels)
    expected = np.diag([-1.0, -1.0, 1.0, 1.0]) @ VOLUME.affine[:, [2, 1, 0, 3]]
    np.testing.assert_allclose(image.affine, expected, atol=1e-4)
    assert "distances only" in converted(series, tmp_path / "a.tif")[-1]
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "a.tif"), VOLUME.voxels)


def test_a_stack_with_a_gap_is_resampled_and_a_tilted_one_straightened_on_request(tmp_path: Path) -> None:
    gap = write_dicom_series(VOLUME, tmp_path / "gap", skip=(2,))
    with pytest.raises(ChoiceNeeded, match="have this one resampled"):
        converted(gap, tmp_path / "gap.nii", "--shear")
    told = converted(gap, tmp_path / "gap.nii", "--resample")
    assert any("on request the volume was resampled, 1 of its 5 slices" in line for line in told)
    assert nibabel.load(tmp_path / "gap.nii").shape == (18, 16, 5)

    def tilt(index: int, d: Dataset) -> None:
        d.ImagePositionPatient, d.ImageOrientationPatient = [0, 0.8 * index, 5 * index], [1, 0, 0, 0, 1, 0]

    tilted = write_dicom_series(VOLUME, tmp_path / "tilt", change=tilt)
    with pytest.raises(ChoiceNeeded, match="have it straightened here"):
        converted(tilted, tmp_path / "tilt.nii", "--resample")
    assert any("were straightened on request" in line for line in converted(tilted, tmp_path / "tilt.nii", "--shear"))


def test_a_segmentation_on_its_series(tmp_path: Path) -> None:
    series = write_dicom_series(VOLUME, tmp_path / "series")
    volume = read_volume(source_files(series))
    labels = np.zeros(VOLUME.shape, np.uint8)
    labels[1, 2:9], labels[3, :, 4] = 1, 2
    data = dicom_seg_bytes(
        labels,
        affine=volume.affine,
        source=volume.source,
        segments=[Segment("Tumour", 0xFF0000), Segment("Rest", 0x00FF00)],
        told=Told("ANNOTATION", "Calque annotation", 0, 1_700_000_000_000, "0.1.0"),
    )
    (tmp_path / "seg.dcm").write_bytes(data)
    with pytest.raises(ChoiceNeeded) as caught:
        converted(tmp_path / "seg.dcm", tmp_path / "m.nii.gz", "--source", series)
    assert caught.value.reason == Reason.SEVERAL_SEGMENTS
    for segment in (1, 2):
        told = converted(tmp_path / "seg.dcm", tmp_path / "m.nii.gz", "--source", series, "--segment", segment, "--force")
        assert told[0] == "Wrote m.nii.gz: 18 × 16 × 5 voxels, uint8 as stored."
        image = nibabel.load(tmp_path / "m.nii.gz")
        np.testing.assert_array_equal(np.asarray(image.dataobj).transpose(2, 1, 0), labels == segment)
        expected = np.diag([-1.0, -1.0, 1.0, 1.0]) @ VOLUME.affine[:, [2, 1, 0, 3]]
        np.testing.assert_allclose(image.affine, expected, atol=1e-4)
    with pytest.raises(InvalidInput):
        converted(tmp_path / "seg.dcm", tmp_path / "n.nii.gz")
    with pytest.raises(InvalidInput):
        converted(series, tmp_path / "n.nii.gz", "--source", series)
    assert not (tmp_path / "n.nii.gz").exists()


def test_one_frame_and_one_series(tmp_path: Path) -> None:
    frames = np.random.default_rng(1).integers(0, 99, (4, 5, 6, 3)).astype(np.int16)
    nibabel.Nifti1Image(frames, np.eye(4)).to_filename(tmp_path / "four.nii")
    with pytest.raises(ChoiceNeeded):
        converted(tmp_path / "four.nii", tmp_path / "one.nii")
    converted(tmp_path / "four.nii", tmp_path / "one.nii", "--frame", 2)
    np.testing.assert_array_equal(np.asarray(nibabel.load(tmp_path / "one.nii").dataobj), frames[..., 1])
    other = oblique_phantom((6, 9, 10))
    write_dicom_series(VOLUME, tmp_path / "disc" / "1", series="1.2.3.1")
    write_dicom_series(other, tmp_path / "disc" / "2", series="1.2.3.2")
    with pytest.raises(ChoiceNeeded) as caught:
        converted(tmp_path / "disc", tmp_path / "chosen.nii")
    (key,) = (choice.key for choice in caught.value.choices if "6 images" in choice.text)
    converted(tmp_path / "disc", tmp_path / "chosen.nii", "--series", key)
    np.testing.assert_array_equal(np.asarray(nibabel.load(tmp_path / "chosen.nii").dataobj).T, other.voxels)


def test_nothing_is_overwritten_unless_asked(tmp_path: Path) -> None:
    source = write_nifti(VOLUME, tmp_path / "a.nii")
    before = source.read_bytes()
    for target in (source, tmp_path / "a.mha"):
        with pytest.raises(InvalidInput):
            converted(source, target)
    assert source.read_bytes() == before
    (tmp_path / "b.tif").write_text("old")
    converted(source, tmp_path / "b.tif", "--force")
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "b.tif"), VOLUME.voxels)
    assert {path.name for path in tmp_path.iterdir()} == {"a.nii", "b.tif"}


def test_a_refusal_is_one_sentence_and_status_2(tmp_path: Path) -> None:
    (tmp_path / "text\x1b[31m").write_text("no image")
    command = [sys.executable, "-m", "services.cli", "convert", str(tmp_path / "text\x1b[31m"), str(tmp_path / "a.nii")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "proto")])}
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=environment)
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.startswith("calque: ")
    assert len(result.stderr.splitlines()) == 1
    assert "\x1b" not in result.stderr
    assert not (tmp_path / "a.nii").exists()
