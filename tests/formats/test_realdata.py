"""Real scans against what other tools made of them. Runs where ``CALQUE_DATA`` names the folder that holds them."""

from __future__ import annotations

import io
import os
from pathlib import Path

import highdicom
import nibabel
import numpy as np
import pydicom
import pytest
import tifffile
from numpy.typing import NDArray
from scipy import ndimage

from services.core.errors import CalqueError, ChoiceNeeded, Reason
from services.core.volume import Volume
from services.formats.dicom_pixels import stored_frames
from services.formats.dicom_seg import Segment, Told, dicom_seg_bytes
from services.formats.listing import list_series
from services.formats.masks import read_mask
from services.formats.offer import Kind
from services.formats.read import read_volume, source_files
from services.formats.volume_file import write_volume
from services.formats.worker import Limits, read_in_worker
from tests.formats.files import one, read, refused

DATA = Path(os.environ.get("CALQUE_DATA", "CALQUE_DATA is not set"))
pytestmark = pytest.mark.realdata

SARCOMA = DATA / "theibsi__data_sets" / "ibsi_validation"
PHILIPS = DATA / "neurolabusc__dcm_qa_philips"
GE = DATA / "neurolabusc__dcm_qa_stc"
ENCODINGS = DATA / "neurolabusc__dcm_qa_ts"
ENHANCED = DATA / "neurolabusc__dcm_qa_sag"
FETUS = DATA / "Medical-Image-Analysis-Laboratory__mialsuperresolutiontoolkit" / "data"
LIVER = DATA / "QIICR__dcmqi" / "data" / "segmentations"
NEUBIAS = DATA / "NEUBIAS__training-resources" / "image_data"


def intensities(volume: Volume) -> NDArray[np.float32]:
    return np.stack([volume.intensity(s) for s in range(volume.shape[0])])


def test_sarcoma_series_equals_its_nifti() -> None:
    series = read(SARCOMA / "dicom" / "STS_002" / "MR_T1" / "image")
    nifti = read(SARCOMA / "nifti" / "STS_002" / "MR_T1_image.nii.gz")
    assert series.shape == nifti.shape == (35, 90, 115)
    assert np.array_equal(intensities(series), intensities(nifti))
    np.testing.assert_allclose(series.affine, nifti.affine, atol=1e-4)
    assert series.source_axes == nifti.source_axes


@pytest.mark.parametrize(
    ("name", "size", "exactly"),
    [("MR_T1", (35, 90, 115), True), ("CT", (48, 143, 161), True), ("PET", (48, 27, 30), False)],
)
def test_sarcoma_series_by_the_plainest_way(name: str, size: tuple[int, int, int], exactly: bool) -> None:
    """There is a NIfTI of the MR alone. So for all three: the last bytes of each file, as 16-bit numbers, in the order of
    the position's third number; the place of a pixel is the equation of DICOM PS3.3 C.7.6.2.1.1."""
    folder = SARCOMA / "dicom" / "STS_002" / name
    volume = read(folder)
    assert volume.shape == size
    assert any("RT Structure Set" in w for w in volume.warnings)
    headers = [(pydicom.dcmread(p, stop_before_pixels=True), p.read_bytes()) for p in (folder / "image").iterdir()]
    headers.sort(key=lambda pair: float(pair[0].ImagePositionPatient[2]))
    for index, (d, data) in enumerate(headers):
        assert d.file_meta.TransferSyntaxUID in ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1")
        stored = np.frombuffer(data[-2 * d.Rows * d.Columns :], "<i2").reshape(d.Rows, d.Columns)
        slope, intercept = float(d.get("RescaleSlope", 1)), float(d.get("RescaleIntercept", 0))
        expected = (stored * slope + intercept).astype(np.float32)
        np.testing.assert_allclose(volume.intensity(index), expected, rtol=0 if exactly else 1e-5)
        across, down = np.array(d.ImageOrientationPatient, float).reshape(2, 3)
        between_rows, between_columns = (float(v) for v in d.PixelSpacing)
        for row, column in ((0, 0), (d.Rows - 1, 0), (0, d.Columns - 1), (d.Rows - 1, d.Columns - 1)):
            place = np.array(d.ImagePositionPatient, float) + across * between_columns * column + down * between_rows * row
            np.testing.assert_allclose((volume.affine @ [index, row, column, 1])[:3], place, atol=1e-4)


def test_three_series_in_one_folder() -> None:
    assert "3 series" in refused(SARCOMA / "dicom" / "STS_002", ChoiceNeeded, Reason.SEVERAL_SERIES)


def test_what_a_study_holds_is_listed() -> None:
    found = list_series(source_files(SARCOMA / "dicom"))
    assert [(o.modality, o.kind, (o.columns, o.rows, o.slices), o.date) for o in found.offers] == [
        ("CT", Kind.IMAGE, (161, 143, 48), "2006-01-28"),
        ("MR", Kind.DERIVED, (115, 90, 35), "2006-01-03"),
        ("PT", Kind.DERIVED, (30, 27, 48), "2006-01-28"),
    ]
    assert found.others == (("RT Structure Set Storage", 3),)


@pytest.mark.parametrize(
    ("series", "reference"),
    [
        (PHILIPS / "In", PHILIPS / "Ref" / "EPI_asc_CLEAR_201.nii"),
        (GE / "In" / "GE" / "ProtocolDataBlock" / "mr_0004", GE / "Ref" / "GE_DCM2NIIX_regression_test_4.nii"),
        (GE / "In" / "GE" / "ProtocolDataBlock" / "mr_0007", GE / "Ref" / "GE_DCM2NIIX_regression_test_7.nii"),
    ],
    ids=["Philips", "GE interleaved", "GE sequential"],
)
def test_series_lies_where_the_reference_does(series: Path, reference: Path) -> None:
    refused(series, ChoiceNeeded, Reason.SEVERAL_FRAMES)
    image = nibabel.load(reference)
    stored = np.asarray(image.dataobj.get_unscaled())
    for frame in range(3):
        volume = read(series, frame=frame)
        slices, rows, columns = np.indices(volume.shape)
        mm = volume.affine @ np.stack([slices.ravel(), rows.ravel(), columns.ravel(), np.ones(slices.size)])
        found = np.linalg.inv(image.affine) @ np.diag([-1.0, -1.0, 1.0, 1.0]) @ mm
        index = np.rint(found[:3]).astype(int)
        np.testing.assert_allclose(found[:3], index, atol=0.01)
        assert np.array_equal(stored[(*index, frame)], volume.voxels.ravel())


def test_nine_encodings_give_the_same_pixels() -> None:
    files = sorted((ENCODINGS / "In").glob("*.dcm"))
    assert len(files) == 9
    decoded = [next(stored_frames(pydicom.dcmread(f), f.name, [0], 1)) for f in files]
    expected = pydicom.dcmread(files[0]).pixel_array
    for pixels in decoded:
        assert pixels.dtype == np.uint16
        assert np.array_equal(pixels, expected)


def test_mosaic_lies_where_the_reference_does() -> None:
    image = nibabel.load(ENCODINGS / "Ref" / "1.nii")
    stored = np.asarray(image.dataobj.get_unscaled())
    volumes = [read(file) for file in sorted((ENCODINGS / "In").glob("*.dcm"))]
    assert all(np.array_equal(volume.voxels, volumes[0].voxels) for volume in volumes)
    volume = volumes[0]
    assert volume.shape == (35, 64, 64)
    slices, rows, columns = np.indices(volume.shape)
    mm = volume.affine @ np.stack([slices.ravel(), rows.ravel(), columns.ravel(), np.ones(slices.size)])
    found = np.linalg.inv(image.affine) @ np.diag([-1.0, -1.0, 1.0, 1.0]) @ mm
    np.testing.assert_allclose(found[:3], np.rint(found[:3]), atol=1e-4)
    assert np.array_equal(stored[tuple(np.rint(found[:3]).astype(int))], volume.voxels.ravel())


def test_discs_are_read_by_their_directories() -> None:
    disc = DATA / "pydicom__pydicom" / "src" / "pydicom" / "data" / "test_files" / "dicomdirtests"
    assert len(source_files(disc / "DICOMDIR")) == 32
    assert "24 series" in refused(disc / "DICOMDIR", ChoiceNeeded, Reason.SEVERAL_SERIES)
    found = list_series(source_files(disc / "DICOMDIR"))
    assert len(found.offers) == 24
    for offer in found.offers:
        if offer.opens:
            volume = read(disc / "DICOMDIR", series=offer.key)
            assert volume.shape == (offer.slices, offer.rows, offer.columns)
        else:
            with pytest.raises(CalqueError) as caught:
                read(disc / "DICOMDIR", series=offer.key)
            assert str(caught.value) == offer.sentence
    kinds = [(o.opens, o.kind) for o in found.offers]
    first = kinds.index((True, Kind.LOCALIZER))
    assert set(kinds[:first]) == {(True, Kind.IMAGE)}
    assert [o for o, _ in kinds] == sorted((o for o, _ in kinds), reverse=True)


def test_enhanced_object_equals_its_frames() -> None:
    (path,) = ENHANCED.glob("In/XA30/enhanced/*/*.dcm")
    volume = read(path)
    d = pydicom.dcmread(path)
    assert volume.shape == (63, 86, 86)
    pixels = d.pixel_array
    for group, image in zip(d.PerFrameFunctionalGroupsSequence, pixels):
        position = [float(v) for v in group.PlanePositionSequence[0].ImagePositionPatient]
        index, row, column, _ = np.linalg.inv(volume.affine) @ [*position, 1]
        np.testing.assert_allclose([row, column, index - round(index)], 0, atol=0.01)
        assert np.array_equal(volume.voxels[round(index)], image)


def test_masks_lie_on_their_volumes() -> None:
    pairs = [(p, p.with_name(p.name.replace("image", "mask"))) for p in SARCOMA.glob("nifti/*/*_image.nii.gz")]
    masks = FETUS / "derivatives" / "manual_masks" / "sub-01" / "anat"
    pairs += [(p, masks / p.name.replace("T2w", "T2w_desc-brain_mask")) for p in FETUS.glob("sub-01/anat/*.nii.gz")]
    assert len(pairs) == 18
    for image, mask in pairs:
        volume = read(image)
        inside = read_mask(one(mask), shape=volume.shape, affine=volume.affine, source_axes=volume.source_axes)
        assert inside.sum() == np.count_nonzero(np.asarray(nibabel.load(mask).dataobj))


def test_segmentation_of_the_liver_lands_on_its_ct() -> None:
    volume = read(LIVER / "ct-3slice")
    assert volume.shape == (3, 512, 512)
    inside = read_mask(one(LIVER / "liver.dcm"), shape=volume.shape, affine=volume.affine, source_axes=volume.source_axes)
    # By highdicom alone: each voxel of its volume at the voxel of ours that has the same place.
    seg = highdicom.seg.segread(LIVER / "liver.dcm")
    theirs = seg.get_volume(combine_segments=True)
    at = np.argwhere(theirs.array > 0) @ theirs.affine[:3, :3].T + theirs.affine[:3, 3]
    index = (at - volume.affine[:3, 3]) @ np.linalg.inv(volume.affine[:3, :3]).T
    np.testing.assert_allclose(index, np.rint(index), atol=1e-3)
    expected = np.zeros(volume.shape, bool)
    expected[tuple(np.rint(index).astype(int).T)] = True
    assert np.array_equal(inside, expected)
    assert inside.sum(axis=(1, 2)).tolist() == [36233, 35645, 35220]
    # By references alone: what it names as its source is the series, and each frame names the slice that it lies on.
    assert volume.source is not None
    names = list(volume.source.instance_uids)
    pixels = seg.get_pixels_by_source_instance(names, combine_segments=True, ignore_spatial_locations=True)
    assert np.array_equal(inside, pixels > 0)
    assert [str(item.SeriesInstanceUID) for item in seg.ReferencedSeriesSequence] == [volume.source.series_uid]
    # What lies under it looks like liver, and mirrored or a slice's width beside it does not.
    hu = np.stack([volume.intensity(s) for s in range(3)])
    assert 40 < np.median(hu[inside]) < 70
    smooth = np.stack([ndimage.uniform_filter(image, 5) for image in hu])
    tissue = (smooth > 0) & (smooth < 110)
    assert tissue[inside].mean() > 0.8
    for other in (inside[:, :, ::-1], inside[:, ::-1], np.roll(inside, 60, axis=2)):
        assert tissue[other].mean() < tissue[inside].mean() - 0.1
    # Written by us on the same series, it is the same mask again.
    data = dicom_seg_bytes(
        inside.astype(np.uint8),
        affine=volume.affine,
        source=volume.source,
        segments=[Segment("Liver", 0xDD8265)],
        told=Told("MASK", "Liver", 1, 1_700_000_000_000, "0.1.0", "engine 1"),
    )
    again = highdicom.seg.segread(io.BytesIO(data))
    by_name = again.get_pixels_by_source_instance(names, combine_segments=True)
    assert np.array_equal(by_name > 0, inside)


def test_tiff_calibration() -> None:
    head = read(NEUBIAS / "xyz_8bit_calibrated_anisotropic__mri_head.tif")
    assert head.shape == (27, 226, 186)
    assert head.spacing_mm == pytest.approx((7.0, 0.5, 0.5))
    assert head.warnings == ()
    uncalibrated = read(NEUBIAS / "xyz_8bit__mitotic_plate_badZcalibrated.tif")
    assert "how far apart" in uncalibrated.warnings[0]
    assert read(NEUBIAS / "xyz_8bit__em_volume_tiff_series").shape == (21, 256, 256)
    refused(NEUBIAS / "xyzc_16bit__spots.tif", ChoiceNeeded, Reason.SEVERAL_FRAMES)


def test_malformed_tiffs_get_an_answer() -> None:
    files = [p for p in (DATA / "image-rs__image-tiff" / "tests" / "fuzz_images").rglob("*") if p.is_file()]
    assert len(files) == 130
    refusals: list[str] = []
    for path in files:
        try:
            read_in_worker([one(path)], limits=Limits(memory_bytes=2 << 30, seconds=20))
        except CalqueError as error:
            refusals.append(str(error))
    assert len(refusals) >= 120
    assert not [r for r in refusals if "stopped" in r]  # nobody had to be killed


def test_a_disc_of_many_patients_is_never_mixed() -> None:
    disc = DATA / "pydicom__pydicom" / "src" / "pydicom" / "data" / "test_files" / "dicomdirtests"
    files = [f for f in source_files(disc) if "TINY_ALPHA" not in f.name]
    with pytest.raises(ChoiceNeeded) as caught:
        read_volume(files)
    assert caught.value.reason == Reason.SEVERAL_SERIES


@pytest.mark.parametrize(
    ("source", "frame"),
    [
        (SARCOMA / "dicom" / "STS_002" / "MR_T1" / "image", None),
        (SARCOMA / "dicom" / "STS_002" / "CT", None),
        (SARCOMA / "dicom" / "STS_002" / "PET", None),
        (PHILIPS / "In", 1),
        (GE / "In" / "GE" / "ProtocolDataBlock" / "mr_0004", 2),
        (NEUBIAS / "xyz_8bit_calibrated_anisotropic__mri_head.tif", None),
    ],
    ids=["MR", "CT", "PET", "Philips", "GE", "TIFF"],
)
def test_what_is_written_is_what_was_read(source: Path, frame: int | None, tmp_path: Path) -> None:
    volume = read(source, frame=frame)
    write_volume(volume, tmp_path / "a.nii.gz")
    image = nibabel.load(tmp_path / "a.nii.gz")
    slices, rows, columns = np.indices(volume.shape)
    mm = volume.affine @ np.stack([slices.ravel(), rows.ravel(), columns.ravel(), np.ones(slices.size)])
    found = np.linalg.inv(image.affine) @ np.diag([-1.0, -1.0, 1.0, 1.0]) @ mm
    index = np.rint(found[:3]).astype(int)
    np.testing.assert_allclose(
        image.affine[:3] @ np.vstack([index, np.ones(slices.size)]), mm[:3] * [[-1], [-1], [1]], atol=1e-4
    )
    values = np.asarray(image.dataobj, dtype=np.float32)[tuple(index)]
    np.testing.assert_allclose(values.reshape(volume.shape), intensities(volume), rtol=1e-6)
    write_volume(volume, tmp_path / "a.tif")
    assert np.array_equal(tifffile.imread(tmp_path / "a.tif"), intensities(volume))
    assert read(tmp_path / "a.tif").spacing_mm == pytest.approx(volume.spacing_mm, rel=1e-6)
