"""Masks as DICOM Segmentations: every voxel inside lies on the voxel of the source that it was drawn on, for any reader."""

from __future__ import annotations

import gzip
import io
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import highdicom
import nibabel
import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from services.core.errors import ChoiceNeeded, Reason
from services.core.volume import Volume
from services.formats.dicom_seg import Segment, Told, dicom_seg_bytes
from services.formats.write import nifti_bytes
from tests.dicom_validator import check_dicom
from tests.formats.files import read
from tests.phantoms import (
    ENHANCED_MR,
    MR_IMAGE,
    OBJECT_ABOVE,
    enhanced_object,
    mosaic_object,
    oblique_phantom,
    phantom_object,
    rotation,
    save_dicom,
    write_dicom_series,
)

SHAPE = (5, 14, 18)
TUMOUR = [Segment("Tumour", 0xD08A4E)]
TOLD = Told("MASK", "Calque mask 3: Tumour", 3, 1_700_000_000_000, "0.1.0", "engine 1")
EMPTY_SLICE = 2
# Directions of slices, rows and columns in LPS, before the spacing.
AXIAL, SAGITTAL, CORONAL = (np.array(axes, float).T for axes in (
    ([0, 0, 1], [0, 1, 0], [1, 0, 0]), ([1, 0, 0], [0, 0, -1], [0, 1, 0]), ([0, -1, 0], [0, 0, -1], [1, 0, 0]),
))  # fmt: skip
OBLIQUE = rotation(35, -50, 70) @ AXIAL
DIRECTIONS = {
    "axial": AXIAL,
    "sagittal": SAGITTAL,
    "coronal": CORONAL,
    "oblique": OBLIQUE,
    "axial, last slice first": AXIAL * [-1, 1, 1],
    "oblique, last slice first": OBLIQUE * [-1, 1, 1],
    "rows upwards": AXIAL * [1, -1, 1],
}
SPACINGS = [(5.0, 1.1, 0.8), (0.7, 2.3, 0.41), (1.0, 1.0, 1.0)]


def scanned(
    direction: str, spacing: tuple[float, float, float] = SPACINGS[0], shape: tuple[int, int, int] = SHAPE
) -> Volume:
    phantom = oblique_phantom(shape)
    affine = np.eye(4)
    affine[:3, :3] = DIRECTIONS[direction] * spacing
    affine[:3, 3] = (-31.25, 12.5, 107.75)
    return replace(phantom, affine=affine)


def drawn(volume: Volume) -> NDArray[np.uint8]:
    """The phantom's object, without one slice where there are several."""
    mask = phantom_object(volume)
    if len(mask) > 1:
        mask[EMPTY_SLICE] = False
    assert mask.any()
    return mask.astype(np.uint8)


def as_seg(volume: Volume, array: NDArray[np.uint8] | None = None, **kwargs: object) -> bytes:
    given = {"affine": volume.affine, "source": volume.source, "segments": TUMOUR, "told": TOLD} | kwargs
    return dicom_seg_bytes(drawn(volume) if array is None else array, **given)  # type: ignore[arg-type]


def by_hand(position: object, orientation: object, spacing: object, pixels: NDArray[np.bool_]) -> list[list[float]]:
    """Where the pixels inside lie, one at a time (DICOM PS3.3 equation C.7.6.2.1-1)."""
    s, (xx, xy, xz, yx, yy, yz) = [float(v) for v in position], [float(v) for v in orientation]  # type: ignore[attr-defined]
    rows, columns = [float(v) for v in spacing]  # type: ignore[attr-defined]
    return [
        [
            xx * columns * i + yx * rows * j + s[0],
            xy * columns * i + yy * rows * j + s[1],
            xz * columns * i + yz * rows * j + s[2],
        ]
        for j, i in np.argwhere(pixels)
    ]


def of_source(images: list[pydicom.Dataset], left_out: str = "") -> list[list[float]]:
    """Where the object is in the source's own files."""
    found = []
    for image in images:
        if image.SOPInstanceUID != left_out:
            where = image.ImagePositionPatient, image.ImageOrientationPatient, image.PixelSpacing
            found += by_hand(*where, image.pixel_array > OBJECT_ABOVE)
    return found


def by_pydicom(data: bytes) -> list[list[float]]:
    seg = pydicom.dcmread(io.BytesIO(data))
    shared = seg.SharedFunctionalGroupsSequence[0]
    orientation = shared.PlaneOrientationSequence[0].ImageOrientationPatient
    spacing = shared.PixelMeasuresSequence[0].PixelSpacing
    frames = seg.pixel_array.reshape(-1, seg.Rows, seg.Columns)
    found = []
    for group, frame in zip(seg.PerFrameFunctionalGroupsSequence, frames, strict=True):
        found += by_hand(group.PlanePositionSequence[0].ImagePositionPatient, orientation, spacing, frame > 0)
    return found


def by_highdicom(data: bytes) -> NDArray[np.float64]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        volume = highdicom.seg.segread(io.BytesIO(data)).get_volume(combine_segments=True, allow_missing_positions=True)
    return np.argwhere(volume.array > 0) @ volume.affine[:3, :3].T + volume.affine[:3, 3]


def by_nibabel(data: bytes) -> NDArray[np.float64]:
    image = nibabel.Nifti1Image.from_bytes(gzip.decompress(data))
    ras = nibabel.affines.apply_affine(image.affine, np.argwhere(np.asarray(image.dataobj) > 0))
    return ras * [-1, -1, 1]


def assert_same_places(found: object, expected: object) -> None:
    """Two lists of points are the same points: voxels lie far enough apart for a nearest one to be the one."""
    here, there = np.array(found), np.array(expected)
    assert here.shape == there.shape
    assert cKDTree(here).query(there)[0].max() < 1e-3
    assert cKDTree(there).query(here)[0].max() < 1e-3


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_three_readers_find_it_on_the_source(direction: str, spacing: tuple[float, float, float], tmp_path: Path) -> None:
    folder = write_dicom_series(scanned(direction, spacing), tmp_path / "series")
    volume = read(folder)
    assert volume.source is not None
    data = as_seg(volume)
    images = [pydicom.dcmread(path) for path in folder.iterdir()]
    expected = of_source(images, left_out=volume.source.instance_uids[EMPTY_SLICE])
    assert_same_places(by_pydicom(data), expected)
    assert_same_places(by_highdicom(data), expected)
    nifti = nifti_bytes(drawn(volume), affine=volume.affine, source_axes=volume.source_axes)
    assert_same_places(by_nibabel(nifti), expected)


@pytest.mark.parametrize("fractions", [False, True])
def test_it_says_how_its_source_was_de_identified(fractions: bool, tmp_path: Path) -> None:
    volume = read(write_dicom_series(scanned("oblique"), tmp_path / "series"))
    plain = pydicom.dcmread(io.BytesIO(as_seg(volume, fractions=fractions)))
    data = as_seg(volume, fractions=fractions, told=replace(TOLD, deidentified=True))
    said = pydicom.dcmread(io.BytesIO(data))
    assert said.PatientIdentityRemoved == "YES"
    assert said.LongitudinalTemporalInformationModified == "MODIFIED"
    codes = [(c.CodeValue, c.CodingSchemeDesignator, c.CodeMeaning) for c in said.DeidentificationMethodCodeSequence]
    assert codes == [
        ("113100", "DCM", "Basic Application Confidentiality Profile"),
        ("113105", "DCM", "Clean Descriptors Option"),
        ("113107", "DCM", "Retain Longitudinal Temporal Information Modified Dates Option"),
    ]
    assert "PatientIdentityRemoved" not in plain
    assert "DeidentificationMethodCodeSequence" not in plain
    assert "LongitudinalTemporalInformationModified" not in plain
    assert said.SOPInstanceUID != plain.SOPInstanceUID
    check_dicom(data, tmp_path)


def test_each_frame_names_the_image_that_it_lies_on(tmp_path: Path) -> None:
    folder = write_dicom_series(scanned("oblique"), tmp_path / "series")
    volume = read(folder)
    images = {str(d.SOPInstanceUID): d for d in map(pydicom.dcmread, folder.iterdir())}
    seg = pydicom.dcmread(io.BytesIO(as_seg(volume)))
    named = []
    for group, frame in zip(seg.PerFrameFunctionalGroupsSequence, seg.pixel_array, strict=True):
        (reference,) = group.DerivationImageSequence[0].SourceImageSequence
        image = images[reference.ReferencedSOPInstanceUID]
        named.append(reference.ReferencedSOPInstanceUID)
        assert reference.ReferencedSOPClassUID == MR_IMAGE
        assert "ReferencedFrameNumber" not in reference
        np.testing.assert_array_equal(frame > 0, image.pixel_array > OBJECT_ABOVE)
    assert volume.source is not None
    assert sorted(named) == sorted(uid for n, uid in enumerate(volume.source.instance_uids) if drawn(volume)[n].any())
    (series,) = seg.ReferencedSeriesSequence
    assert series.SeriesInstanceUID == volume.source.series_uid
    assert {i.ReferencedSOPInstanceUID for i in series.ReferencedInstanceSequence} == set(images)
    assert (seg.StudyInstanceUID, seg.FrameOfReferenceUID) == (
        volume.source.study_uid,
        volume.source.frame_of_reference_uid,
    )


@pytest.mark.parametrize(("direction", "first"), [("sagittal", 1), ("oblique", 5)])
def test_frames_of_a_multi_frame_source_are_named_by_number(direction: str, first: int, tmp_path: Path) -> None:
    source = enhanced_object(scanned(direction))
    save_dicom(source, tmp_path / "enhanced.dcm")
    volume = read(tmp_path / "enhanced.dcm")
    assert volume.source is not None
    assert volume.source.frame_numbers[0] == first
    data = as_seg(volume)
    seg = pydicom.dcmread(io.BytesIO(data))
    for group, frame in zip(seg.PerFrameFunctionalGroupsSequence, seg.pixel_array, strict=True):
        (reference,) = group.DerivationImageSequence[0].SourceImageSequence
        assert (reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID) == (ENHANCED_MR, source.SOPInstanceUID)
        own = source.PerFrameFunctionalGroupsSequence[reference.ReferencedFrameNumber - 1]
        np.testing.assert_allclose(
            [float(v) for v in group.PlanePositionSequence[0].ImagePositionPatient],
            [float(v) for v in own.PlanePositionSequence[0].ImagePositionPatient],
            atol=1e-4,
        )
        np.testing.assert_array_equal(frame > 0, source.pixel_array[reference.ReferencedFrameNumber - 1] > OBJECT_ABOVE)
    assert [len(s.ReferencedInstanceSequence) for s in seg.ReferencedSeriesSequence] == [1]
    assert len(seg.SourceImageSequence) == 1
    check_dicom(data, tmp_path)


def test_a_volume_whose_slices_run_against_its_normal(tmp_path: Path) -> None:
    folder = write_dicom_series(scanned("coronal"), tmp_path / "series")
    volume = read(folder)
    assert volume.source is not None
    turned = volume.affine.copy()
    turned[:3, 3] += (len(volume.voxels) - 1) * turned[:3, 0]
    turned[:3, 0] *= -1
    source = replace(volume.source, instance_uids=volume.source.instance_uids[::-1])
    other = as_seg(volume, drawn(volume)[::-1].copy(), affine=turned, source=source)
    assert_same_places(by_pydicom(other), by_pydicom(as_seg(volume)))
    for data in (as_seg(volume), other):
        seg = pydicom.dcmread(io.BytesIO(data))
        images = {str(d.SOPInstanceUID): d for d in map(pydicom.dcmread, folder.iterdir())}
        for group, frame in zip(seg.PerFrameFunctionalGroupsSequence, seg.pixel_array, strict=True):
            (reference,) = group.DerivationImageSequence[0].SourceImageSequence
            pixels = images[reference.ReferencedSOPInstanceUID].pixel_array
            np.testing.assert_array_equal(frame > 0, pixels > OBJECT_ABOVE)


@pytest.mark.parametrize("shape", [(1, 14, 18), (2, 3, 5), (3, 1, 9), (2, 4, 2)])
def test_small_stacks(shape: tuple[int, int, int], tmp_path: Path) -> None:
    volume = read(write_dicom_series(scanned("oblique", shape=shape), tmp_path / "series"))
    mask = np.zeros(shape, np.uint8)
    mask[0, -1, -2:] = mask[-1, 0, 0] = 1
    data = as_seg(volume, mask)
    assert_same_places(by_pydicom(data), np.argwhere(mask) @ volume.affine[:3, :3].T + volume.affine[:3, 3])
    check_dicom(data, tmp_path)


@pytest.mark.parametrize("kind", ["mask", "empty", "labels", "probability"])
def test_the_standard_is_kept(kind: str, tmp_path: Path) -> None:
    volume = read(write_dicom_series(scanned("oblique"), tmp_path / "series"))
    array = drawn(volume)
    if kind == "mask":
        data = as_seg(volume)
    elif kind == "empty":
        data = as_seg(volume, array * 0)
    elif kind == "labels":
        array[1, :2] = 2
        told = replace(TOLD, label="ANNOTATION", engine="")
        data = as_seg(volume, array, segments=[Segment("Object", 0xD08A4E), Segment("Background\\1", 0x4C8DD9)], told=told)
        seg = pydicom.dcmread(io.BytesIO(data))
        assert [s.SegmentLabel for s in seg.SegmentSequence] == ["Object", "Background/1"]
        assert {s.SegmentAlgorithmType for s in seg.SegmentSequence} == {"MANUAL"}
        by_segment = highdicom.seg.segread(io.BytesIO(data)).get_volume(combine_segments=True, allow_missing_positions=True)
        for number in (1, 2):
            here = np.argwhere(by_segment.array == number) @ by_segment.affine[:3, :3].T + by_segment.affine[:3, 3]
            assert_same_places(here, np.argwhere(array == number) @ volume.affine[:3, :3].T + volume.affine[:3, 3])
    else:
        levels = np.random.default_rng(2).integers(0, 256, SHAPE).astype(np.uint8)
        data = as_seg(volume, levels, fractions=True)
        seg = pydicom.dcmread(io.BytesIO(data))
        told = (seg.SegmentationType, seg.SegmentationFractionalType, seg.MaximumFractionalValue)
        assert told == ("FRACTIONAL", "PROBABILITY", 255)
        lies_at = np.array([g.PlanePositionSequence[0].ImagePositionPatient for g in seg.PerFrameFunctionalGroupsSequence])
        slices = np.rint((lies_at.astype(float) - volume.affine[:3, 3]) @ np.linalg.inv(volume.affine[:3, :3]).T)[:, 0]
        np.testing.assert_array_equal(seg.pixel_array, levels[slices.astype(int)])
    assert "Segmentation" in check_dicom(data, tmp_path).splitlines()


def test_it_says_what_it_is(tmp_path: Path) -> None:
    volume = read(write_dicom_series(scanned("axial"), tmp_path / "series"))
    assert volume.source is not None
    source = replace(volume.source, patient_id="CQ-1", patient_name="頭^Ä", study_date="2024-02-30", study_time="101500.5")
    seg = pydicom.dcmread(io.BytesIO(as_seg(volume, source=source, segments=[Segment("頭" * 64, 0xFF0000)])))
    assert (seg.PatientID, seg.PatientName, seg.StudyDate, seg.StudyTime) == ("CQ-1", "頭^Ä", "", "101500.5")
    assert (seg.Modality, seg.SegmentationType, seg.ContentLabel) == ("SEG", "BINARY", "MASK")
    assert (seg.SeriesNumber, seg.SeriesDescription) == (1003, "Calque mask 3: Tumour")
    assert (seg.ContentDate, seg.ContentTime) == ("20231114", "221320")
    (segment,) = seg.SegmentSequence
    assert (segment.SegmentLabel, segment.SegmentAlgorithmType) == ("頭" * 64, "SEMIAUTOMATIC")
    (algorithm,) = segment.SegmentationAlgorithmIdentificationSequence
    assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == ("Calque", "engine 1")
    # Red in L*a*b* is 53.2, 80.1, 67.2.
    lightness, a, b = segment.RecommendedDisplayCIELabValue
    assert [lightness / 655.35, a / 257 - 128, b / 257 - 128] == pytest.approx([53.2, 80.1, 67.2], abs=0.2)


def test_the_same_mask_gives_the_same_bytes_and_another_has_other_names(tmp_path: Path) -> None:
    volume = read(write_dicom_series(scanned("axial"), tmp_path / "series"))
    assert volume.source is not None
    first = as_seg(volume)
    assert as_seg(volume) == first
    other = drawn(volume)
    other[0, 0, 0] ^= 1
    changed = [
        as_seg(volume, other),
        as_seg(volume, told=replace(TOLD, number=4)),
        as_seg(volume, segments=[Segment("Liver", 0xD08A4E)]),
        as_seg(volume, source=replace(volume.source, patient_id="other")),
    ]
    objects = [pydicom.dcmread(io.BytesIO(data)) for data in (first, *changed)]
    assert len({seg.SOPInstanceUID for seg in objects}) == len({seg.SeriesInstanceUID for seg in objects}) == len(objects)


def test_what_cannot_lie_on_a_series_is_refused(tmp_path: Path) -> None:
    volume = read(write_dicom_series(scanned("axial"), tmp_path / "series"))
    assert volume.source is not None
    save_dicom(mosaic_object(scanned("axial")), tmp_path / "mosaic.dcm")
    mosaic = read(tmp_path / "mosaic.dcm")
    sheared, tilted = volume.affine.copy(), volume.affine.copy()
    sheared[:3, 1] += 0.1 * sheared[:3, 2]
    tilted[:3, 0] += 0.5 * tilted[:3, 1]
    small = read(write_dicom_series(scanned("axial", shape=(3, 1, 7)), tmp_path / "small"))
    nameless = replace(volume.source, frame_of_reference_uid="")
    unnamed = replace(volume.source, instance_uids=("頭", *volume.source.instance_uids[1:]))
    for reason, given in (
        (Reason.NO_SOURCE_SERIES, {"source": None}),
        (Reason.NO_SOURCE_SERIES, {"source": mosaic.source}),
        (Reason.NO_SOURCE_SERIES, {"source": nameless}),
        (Reason.NO_SOURCE_SERIES, {"source": unnamed}),
        (Reason.GEOMETRY_INVALID, {"affine": sheared}),
        (Reason.GEOMETRY_INVALID, {"affine": tilted}),
        (Reason.GEOMETRY_INVALID, {"array": np.ones((3, 1, 7), np.uint8), "affine": small.affine, "source": small.source}),
    ):
        with pytest.raises(ChoiceNeeded, match=r"choose NIfTI.*\.$") as caught:
            as_seg(volume, **given)
        assert caught.value.reason == reason


def test_highdicom_is_loaded_only_when_a_segmentation_is_written() -> None:
    source = "import sys, services.segmentation.servicer, services.formats.dicom_seg; print('highdicom' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=120, check=True)
    assert result.stdout.split() == ["False"]


def test_the_validator_finds_what_is_wrong(tmp_path: Path) -> None:
    volume = read(write_dicom_series(scanned("axial"), tmp_path / "series"))
    seg = pydicom.dcmread(io.BytesIO(as_seg(volume)))
    del seg.SegmentSequence[0].SegmentLabel
    wrong = io.BytesIO()
    pydicom.dcmwrite(wrong, seg)
    check_dicom(as_seg(volume), tmp_path)
    with pytest.raises(AssertionError, match="SegmentLabel"):
        check_dicom(wrong.getvalue(), tmp_path)
