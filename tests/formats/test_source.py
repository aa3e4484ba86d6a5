"""The source series of a volume: each slice names the image that it is, also after the worker and the store."""

from pathlib import Path

import numpy as np
import pydicom
import pytest

from services.core.volume import Volume, grey_map
from services.formats.read import read_volume, source_files
from services.formats.repair import Repairs
from services.formats.worker import read_in_worker
from services.store.catalogue import Catalogue
from services.store.directory import DirectoryStore
from tests.phantoms import enhanced_object, mosaic_object, oblique_phantom, save_dicom, write_dicom_series


@pytest.fixture
def phantom() -> Volume:
    return oblique_phantom((5, 8, 10))


def test_each_slice_names_its_image(phantom: Volume, tmp_path: Path) -> None:
    folder = write_dicom_series(phantom, tmp_path / "s")
    volume = read_in_worker(source_files(folder))
    assert volume.source is not None
    images = {str(image.SOPInstanceUID): image for image in map(pydicom.dcmread, folder.iterdir())}
    for index, uid in enumerate(volume.source.instance_uids):
        image = images[uid]
        position = (volume.affine @ [index, 0, 0, 1])[:3]
        np.testing.assert_allclose([float(v) for v in image.ImagePositionPatient], position, atol=1e-5)
        assert volume.source.series_uid == image.SeriesInstanceUID
        assert volume.source.study_uid == image.StudyInstanceUID
        assert volume.source.sop_class_uid == image.SOPClassUID
    assert set(volume.source.frame_numbers) == {1}
    catalogue = Catalogue(DirectoryStore(tmp_path / "store"))
    record = catalogue.add(volume, name="x", imported_ms=1, window=(0, 1), grey=grey_map(volume), thumbnail=b"")
    assert catalogue.load(record).source == volume.source


def test_frames_of_a_multi_frame_object(phantom: Volume, tmp_path: Path) -> None:
    save_dicom(enhanced_object(phantom), tmp_path / "e.dcm")
    source = read_volume(source_files(tmp_path / "e.dcm")).source
    assert source is not None
    assert source.frame_numbers == (5, 4, 3, 2, 1)
    assert len(set(source.instance_uids)) == 1


def test_no_source_where_slices_are_not_images(phantom: Volume, tmp_path: Path) -> None:
    save_dicom(mosaic_object(phantom), tmp_path / "m.dcm")
    assert read_volume(source_files(tmp_path / "m.dcm")).source is None
    gap = write_dicom_series(phantom, tmp_path / "gap", skip=(2,))
    assert read_volume(source_files(gap), repairs=Repairs(resample=True)).source is None
