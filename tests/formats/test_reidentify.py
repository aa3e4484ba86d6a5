"""A segmentation on pseudonyms goes back to the original series by the key, or not at all."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from typer.testing import CliRunner

from services.cli.main import app
from services.core.deidentify import Pseudonyms, deidentified
from services.core.errors import InvalidInput, Unavailable
from services.core.source import SourceSeries
from services.formats.dicom_seg import Segment, Told, dicom_seg_bytes
from services.formats.read import SourceFile, read_volume, source_files
from services.formats.reidentify import reidentified
from tests.dicom_validator import check_dicom
from tests.phantoms import dicom_slice, oblique_phantom, phantom_object, save_dicom, set_pixels, write_dicom_series

PHANTOM = oblique_phantom((4, 16, 18))
NAMES, OTHERS = Pseudonyms(bytes(range(32))), Pseudonyms(bytes(32))
SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"


def born(_: int, dataset: Dataset) -> None:
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.PatientName, dataset.PatientBirthDate, dataset.AccessionNumber = "Müller^Ärmel", "19570312", "A-1"


@pytest.fixture
def series(tmp_path: Path) -> Path:
    return write_dicom_series(PHANTOM, tmp_path / "series", change=born)


def segmentation(source: SourceSeries, path: Path) -> Path:
    """What another program would make of a de-identified series: an object that names it, its images, some in sequences."""
    d = dicom_slice(PHANTOM, 0, "1.2.3.4.5")
    d.SOPClassUID = d.file_meta.MediaStorageSOPClassUID = SEGMENTATION
    d.SOPInstanceUID = d.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4.6"
    d.StudyInstanceUID, d.FrameOfReferenceUID = source.study_uid, source.frame_of_reference_uid
    d.PatientID, d.PatientName, d.StudyDate, d.StudyTime = source.patient_id, source.patient_name, source.study_date, ""
    d.PatientIdentityRemoved, d.DeidentificationMethod, d.ContentDate = "YES", "Calque", "20261123"
    referenced, d.SourceImageSequence = Dataset(), []
    referenced.SeriesInstanceUID, referenced.ReferencedInstanceSequence = source.series_uid, []
    for uid in source.instance_uids:
        image = Dataset()
        image.ReferencedSOPClassUID, image.ReferencedSOPInstanceUID = source.sop_class_uid, uid
        referenced.ReferencedInstanceSequence.append(image)
    d.ReferencedSeriesSequence = [referenced]
    d.SourceImageSequence.append(referenced.ReferencedInstanceSequence[1])
    set_pixels(d, np.eye(16, 18, dtype=np.uint8))
    return save_dicom(d, path)


def pseudonymous(series: Path, path: Path) -> Path:
    source = deidentified(read_volume(source_files(series)), NAMES).source
    assert source is not None
    return segmentation(source, path)


def back(path: Path, series: Path, names: Pseudonyms = NAMES) -> tuple[Any, int]:
    data, images = reidentified(SourceFile(path.name, path), source_files(series), names)
    return pydicom.dcmread(io.BytesIO(data)), images


def test_it_names_the_originals_again(series: Path, tmp_path: Path) -> None:
    path = pseudonymous(series, tmp_path / "seg.dcm")
    originals = [pydicom.dcmread(file) for file in series.iterdir()]
    dataset, images = back(path, series)
    assert images == 4
    (referenced,) = dataset.ReferencedSeriesSequence
    named = {one.ReferencedSOPInstanceUID for one in referenced.ReferencedInstanceSequence}
    assert named == {original.SOPInstanceUID for original in originals}
    assert dataset.SourceImageSequence[0].ReferencedSOPInstanceUID in named
    assert referenced.SeriesInstanceUID == originals[0].SeriesInstanceUID
    for keyword in ("StudyInstanceUID", "FrameOfReferenceUID", "PatientID", "PatientName", "PatientBirthDate", "StudyDate"):
        assert dataset[keyword].value == originals[0][keyword].value
    assert (dataset.StudyTime, dataset.AccessionNumber, dataset.ContentDate) == ("101500", "A-1", "20261123")
    assert str(dataset.PatientName) == "Müller^Ärmel"
    assert "PatientIdentityRemoved" not in dataset
    assert "DeidentificationMethod" not in dataset
    assert np.array_equal(dataset.pixel_array, np.eye(16, 18))
    before = pydicom.dcmread(path)
    assert dataset.SOPInstanceUID not in (before.SOPInstanceUID, "")
    assert dataset.SOPInstanceUID == dataset.file_meta.MediaStorageSOPInstanceUID
    assert not [element for element in dataset.iterall() if str(element.value).startswith("2.25.")]
    assert dataset.SeriesInstanceUID not in {*(original.SeriesInstanceUID for original in originals), "1.2.3.4.5"}


def test_our_own_segmentation_names_the_originals_again(series: Path, tmp_path: Path) -> None:
    volume = deidentified(read_volume(source_files(series)), NAMES)
    mask = phantom_object(volume).astype(np.uint8)
    told = Told("MASK", "Calque mask 1: Tumour", 1, 1_700_000_000_000, "0.1.0", "engine 1", deidentified=True)
    path = tmp_path / "seg.dcm"
    path.write_bytes(
        dicom_seg_bytes(mask, affine=volume.affine, source=volume.source, segments=[Segment("Tumour", 255)], told=told)
    )
    assert pydicom.dcmread(path).PatientIdentityRemoved == "YES"
    dataset, images = back(path, series)
    assert images == len(mask)
    original = pydicom.dcmread(next(series.iterdir()))
    for keyword in ("PatientID", "StudyInstanceUID", "FrameOfReferenceUID", "StudyDate"):
        assert dataset[keyword].value == original[keyword].value
    for keyword in (
        "PatientIdentityRemoved", "DeidentificationMethodCodeSequence", "LongitudinalTemporalInformationModified",
    ):  # fmt: skip
        assert keyword not in dataset
    check_dicom(reidentified(SourceFile(path.name, path), source_files(series), NAMES)[0], tmp_path)


def test_another_key_gets_nothing(series: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="another key"):
        back(pseudonymous(series, tmp_path / "seg.dcm"), series, OTHERS)


def test_another_patients_series_gets_nothing(series: Path, tmp_path: Path) -> None:
    def other(_: int, dataset: Dataset) -> None:
        dataset.PatientID = "PID-4712"

    elsewhere = write_dicom_series(PHANTOM, tmp_path / "elsewhere", change=other)
    with pytest.raises(InvalidInput, match="none of the patients"):
        back(pseudonymous(series, tmp_path / "seg.dcm"), elsewhere)


def test_every_image_that_it_names_must_be_there(series: Path, tmp_path: Path) -> None:
    path = pseudonymous(series, tmp_path / "seg.dcm")
    next(series.iterdir()).unlink()
    with pytest.raises(InvalidInput, match="4 images, of which 1 are not"):
        back(path, series)


def test_its_study_must_be_there(series: Path, tmp_path: Path) -> None:
    source = deidentified(read_volume(source_files(series)), NAMES).source
    assert source is not None
    with pytest.raises(InvalidInput, match="its study is not"):
        back(segmentation(replace(source, study_uid="2.25.7"), tmp_path / "seg.dcm"), series)


def test_an_object_that_names_no_image_gets_nothing(series: Path, tmp_path: Path) -> None:
    dataset = pydicom.dcmread(pseudonymous(series, tmp_path / "seg.dcm"))
    del dataset.ReferencedSeriesSequence, dataset.SourceImageSequence
    with pytest.raises(InvalidInput, match="names 0 images"):
        back(save_dicom(dataset, tmp_path / "other.dcm"), series)


def test_the_command(series: Path, tmp_path: Path) -> None:
    path, key, out = pseudonymous(series, tmp_path / "seg.dcm"), tmp_path / "key", tmp_path / "back.dcm"
    key.write_bytes(NAMES.key)
    key.chmod(0o600)
    command = ["reidentify", str(path), "--series", str(series), "--key", str(key), "-o", str(out)]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert "4 of the original images" in result.stdout
    assert "PID-4711" not in result.output
    assert pydicom.dcmread(out).PatientID == "PID-4711"
    written = out.read_bytes()
    assert isinstance(CliRunner().invoke(app, command).exception, InvalidInput)  # the file is there
    assert out.read_bytes() == written
    assert CliRunner().invoke(app, [*command, "--force"]).exit_code == 0
    assert out.read_bytes() != written
    (tmp_path / "no").write_text("no DICOM")
    for bad in (tmp_path / "no", series, tmp_path / "nothing"):
        refused = CliRunner().invoke(app, ["reidentify", str(bad), *command[2:-1], str(tmp_path / "new.dcm")])
        assert isinstance(refused.exception, InvalidInput)
        assert not (tmp_path / "new.dcm").exists()
    nowhere = CliRunner().invoke(app, [*command[:-1], str(tmp_path / "nowhere" / "new.dcm")])
    assert isinstance(nowhere.exception, Unavailable)
