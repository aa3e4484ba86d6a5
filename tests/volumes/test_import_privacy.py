"""What the library tells of a patient after an import."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pydicom
import pytest
from calque.v1 import volumes_pb2
from pydicom.dataset import Dataset

from services.store.catalogue import Catalogue
from tests.phantoms import oblique_phantom, write_dicom_series, write_nifti
from tests.served import Served, serve
from tests.volumes.importing import bring, dicom_files


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with serve(tmp_path / "store", parser_memory_bytes=4 << 30) as served:
        yield served


async def test_a_typed_name_stays_and_studies_of_a_patient_have_one_pseudonym(served: Served, tmp_path: Path) -> None:
    def later(_: int, dataset: Dataset) -> None:
        dataset.StudyDate, dataset.StudyInstanceUID = "20240314", "1.2.3.4.5"

    first, _ = await bring(served, dicom_files(oblique_phantom((4, 20, 24)), tmp_path / "first"))
    folder = write_dicom_series(oblique_phantom((5, 20, 24)), tmp_path / "second", change=later)
    second, _ = await bring(served, {path.name: path.read_bytes() for path in folder.iterdir()}, name="Case 7")
    assert (second.name, second.pseudonym) == ("Case 7", first.pseudonym)
    one, other = (Catalogue(served.store).get(volume.volume_id).source for volume in (first, second))
    assert one is not None
    assert other is not None
    assert pydicom.valuerep.DA(other.study_date) - pydicom.valuerep.DA(one.study_date) == timedelta(14)
    assert one.study_uid != other.study_uid
    assert one.frame_of_reference_uid == other.frame_of_reference_uid


async def test_images_that_may_show_the_patient_have_a_warning(served: Served, tmp_path: Path) -> None:
    def burned(_: int, dataset: Dataset) -> None:
        dataset.BurnedInAnnotation, dataset.RecognizableVisualFeatures = "YES", "YES"

    folder = write_dicom_series(oblique_phantom((4, 20, 24)), tmp_path / "burned", change=burned)
    volume, _ = await bring(served, {path.name: path.read_bytes() for path in folder.iterdir()})
    assert [warning for warning in volume.warnings if "burned into the images" in warning]
    assert [warning for warning in volume.warnings if "can be recognised" in warning]


async def test_without_de_identification_a_volume_is_as_its_files_say(tmp_path: Path) -> None:
    async with serve(tmp_path / "store", deidentify="off") as served:
        volume, _ = await bring(served, dicom_files(oblique_phantom((4, 20, 24)), tmp_path / "dicom"))
        nifti = write_nifti(oblique_phantom((5, 20, 24)), tmp_path / "a.nii").read_bytes()
        other, _ = await bring(served, {"a.nii": nifti})
        source = Catalogue(served.store).get(volume.volume_id).source
    assert (volume.name, other.name) == ("phantom", "a")
    assert source is not None
    assert (source.patient_id, source.patient_name, source.study_date) == ("PID-4711", "Someone^Secret", "20240229")
    for one in (volume, other):
        assert (one.deidentified, one.pseudonym) == (False, "")
        assert [warning for warning in one.warnings if "De-identification was switched off" in warning]


async def test_an_import_de_identifies_what_was_imported_without(tmp_path: Path) -> None:
    files = dicom_files(oblique_phantom((4, 20, 24)), tmp_path / "dicom")
    async with serve(tmp_path / "store", deidentify="off") as served:
        before, _ = await bring(served, files)
    async with serve(tmp_path / "store") as served:
        after, _ = await bring(served, files)
        listed = (await served.volumes.ListVolumes(volumes_pb2.ListVolumesRequest())).volumes
        assert list(listed) == [after]
        assert b"PID-4711" not in served.store.read(f"volumes/{after.volume_id}/volume.json")
    assert (before.deidentified, after.deidentified) == (False, True)
    assert before.volume_id == after.volume_id
    async with serve(tmp_path / "store", deidentify="off") as served:
        again, _ = await bring(served, files)
    assert again == after
