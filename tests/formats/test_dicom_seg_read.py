"""DICOM Segmentations as masks: ours come back as they were, others' lie where they say, and lies are refused."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLSLossless,
    RLELossless,
)

from services.core.errors import CalqueError, ChoiceNeeded, InvalidInput, Reason
from services.core.volume import Volume
from services.formats.dicom_seg import Segment
from services.formats.masks import read_mask
from services.formats.worker import Limits, in_worker
from tests.formats.files import one, read, refused
from tests.formats.test_dicom_seg import DIRECTIONS, as_seg, drawn, scanned
from tests.phantoms import enhanced_object, save_dicom, write_dicom_series

LIMITS = Limits(memory_bytes=2 << 30, seconds=30)
TWO = [Segment("Object", 0xD08A4E), Segment("Background", 0x4C8DD9)]


@pytest.fixture(scope="module")
def volume(tmp_path_factory: pytest.TempPathFactory) -> Volume:
    return read(write_dicom_series(scanned("oblique"), tmp_path_factory.mktemp("series") / "s"))


@pytest.fixture(scope="module")
def images(volume: Volume, tmp_path_factory: pytest.TempPathFactory) -> list[Dataset]:
    folder = write_dicom_series(scanned("oblique"), tmp_path_factory.mktemp("images") / "s")
    found = {str(d.SOPInstanceUID): d for d in map(pydicom.dcmread, folder.iterdir())}
    assert volume.source is not None
    for image in found.values():
        image.PatientBirthDate = image.PatientSex = image.AccessionNumber = image.StudyID = ""
    return [found[uid] for uid in volume.source.instance_uids]


def imported(path: Path, volume: Volume, segment: int = 0) -> NDArray[np.bool_]:
    where = {"shape": volume.shape, "affine": volume.affine, "source_axes": volume.source_axes}
    return read_mask(one(path), label=segment, **where)  # type: ignore[arg-type]


def kept(data: bytes, path: Path) -> Path:
    path.write_bytes(data)
    return path


def labels_of(volume: Volume) -> NDArray[np.uint8]:
    labels = drawn(volume)
    labels[1, :3] = 2
    labels[4, -1, 2:5] = 2
    return labels


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_ours_comes_back(direction: str, tmp_path: Path) -> None:
    volume = read(write_dicom_series(scanned(direction), tmp_path / "series"))
    assert np.array_equal(imported(kept(as_seg(volume), tmp_path / "m.dcm"), volume), drawn(volume) > 0)


def test_ours_of_frames_of_one_slice_and_in_the_worker(volume: Volume, tmp_path: Path) -> None:
    save_dicom(enhanced_object(scanned("coronal")), tmp_path / "enhanced.dcm")
    enhanced = read(tmp_path / "enhanced.dcm")
    assert np.array_equal(imported(kept(as_seg(enhanced), tmp_path / "e.dcm"), enhanced), drawn(enhanced) > 0)
    single = read(write_dicom_series(scanned("sagittal", shape=(1, 14, 18)), tmp_path / "one"))
    mask = np.zeros(single.shape, np.uint8)
    mask[0, 3:9, 5:17] = 1
    assert np.array_equal(imported(kept(as_seg(single, mask), tmp_path / "s.dcm"), single), mask > 0)
    path = kept(as_seg(volume), tmp_path / "m.dcm")
    where = {"shape": volume.shape, "affine": volume.affine, "source_axes": volume.source_axes}
    there = read_mask(one(path), **where, run=lambda job: in_worker(job, limits=LIMITS))  # type: ignore[arg-type]
    assert np.array_equal(there, drawn(volume) > 0)


def test_one_of_several_segments_is_chosen(volume: Volume, tmp_path: Path) -> None:
    labels = labels_of(volume)
    path = kept(as_seg(volume, labels, segments=TWO), tmp_path / "m.dcm")
    for segment in (0, 3):
        with pytest.raises(ChoiceNeeded) as caught:
            imported(path, volume, segment)
        assert caught.value.reason == Reason.SEVERAL_SEGMENTS
        assert [(c.key, c.text) for c in caught.value.choices] == [("1", "1: Object"), ("2", "2: Background")]
    for segment in (1, 2):
        assert np.array_equal(imported(path, volume, segment), labels == segment)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless, JPEGLSLossless])
def test_a_label_map_by_another_tool(syntax: str, volume: Volume, images: list[Dataset], tmp_path: Path) -> None:
    labels = labels_of(volume)
    seg = by_highdicom(images, labels, 2, "LABELMAP", transfer_syntax_uid=syntax)
    seg.save_as(tmp_path / "m.dcm", enforce_file_format=True)
    for segment in (1, 2):
        assert np.array_equal(imported(tmp_path / "m.dcm", volume, segment), labels == segment)


def test_frames_cut_another_way_and_smaller_ones(volume: Volume, images: list[Dataset], tmp_path: Path) -> None:
    mask = drawn(volume)
    for axes, flips, cut in (((2, 0, 1), (1, -1, 1), 0), ((1, 2, 0), (-1, 1, -1), 0), ((0, 1, 2), (1, 1, 1), 3)):
        index = np.zeros((4, 4))  # index in the turned array → index in the volume
        index[3, 3] = 1
        for k, (axis, flip) in enumerate(zip(axes, flips)):
            index[axis, k], index[axis, 3] = flip, 0 if flip > 0 else volume.shape[axis] - 1
        turned = mask.transpose(axes)[tuple(slice(None, None, flip) for flip in flips)]
        affine = volume.affine @ index
        affine[:3, 3] += cut * affine[:3, 1] + cut * affine[:3, 2]
        inside = np.ascontiguousarray(turned[:, cut:, cut:])
        placed = highdicom.Volume(inside, affine, coordinate_system="PATIENT")
        by_highdicom(images, placed, 1, "BINARY").save_as(tmp_path / "m.dcm", enforce_file_format=True)
        expected = mask.copy()
        expected[:, :cut] = expected[:, :, :cut] = 0
        assert np.array_equal(imported(tmp_path / "m.dcm", volume), expected > 0)


def by_highdicom(images: list[Dataset], array: Any, segments: int, kind: str, **kwargs: Any) -> Any:
    """A segmentation as another program would make it."""
    algorithm = highdicom.AlgorithmIdentificationSequence("other", codes.cid7162.ArtificialIntelligence, "1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        descriptions = [
            highdicom.seg.SegmentDescription(n, f"Part {n}", codes.SCT.Organ, codes.SCT.Liver, "AUTOMATIC", algorithm)
            for n in range(1, segments + 1)
        ]
        return highdicom.seg.Segmentation(
            images, array, kind, descriptions, "1.2.3.4", 1, "1.2.3.5", 1, "Other", "Other", "1", "0", **kwargs
        )


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
def test_other_encodings_and_a_file_without_meta(syntax: str, volume: Volume, tmp_path: Path) -> None:
    seg = pydicom.dcmread(io.BytesIO(as_seg(volume)))
    seg.file_meta.TransferSyntaxUID = syntax
    pydicom.dcmwrite(tmp_path / "m.dcm", seg, enforce_file_format=True)
    assert np.array_equal(imported(tmp_path / "m.dcm", volume), drawn(volume) > 0)
    if syntax == ImplicitVRLittleEndian:
        plain = io.BytesIO()
        pydicom.dcmwrite(plain, Dataset(seg), implicit_vr=True, little_endian=True)
        assert np.array_equal(imported(kept(plain.getvalue(), tmp_path / "p.dcm"), volume), drawn(volume) > 0)


def test_it_is_never_an_image(volume: Volume, tmp_path: Path) -> None:
    folder = write_dicom_series(scanned("oblique"), tmp_path / "s")
    kept(as_seg(volume), folder / "a_mask.dcm")
    beside = read(folder)
    assert np.array_equal(beside.voxels, volume.voxels)
    assert beside.warnings == ("Objects that are no images were skipped: 1 (segmentation).",)
    refused(folder / "a_mask.dcm", InvalidInput, Reason.FILE_NOT_AN_IMAGE)


def frames(seg: Dataset) -> Any:
    return seg.PerFrameFunctionalGroupsSequence


def shared(seg: Dataset) -> Any:
    return seg.SharedFunctionalGroupsSequence[0]


def move(seg: Dataset, frame: int, mm: list[float]) -> None:
    place = frames(seg)[frame].PlanePositionSequence[0]
    place.ImagePositionPatient = [f"{float(v) + by:.8g}" for v, by in zip(place.ImagePositionPatient, mm)]


def normal(volume: Volume, times: float) -> list[float]:
    return list(times * volume.affine[:3, 0])


HEADER, MISMATCH, GEOMETRY = Reason.FILE_HEADER_INVALID, Reason.MASK_MISMATCH, Reason.GEOMETRY_INVALID
LIES: dict[str, tuple[Callable[[Dataset, Volume], Any], Reason]] = {
    "fewer frames than described": (lambda s, v: setattr(s, "NumberOfFrames", 1), HEADER),
    "no frames": (lambda s, v: setattr(s, "NumberOfFrames", 0), HEADER),
    "more frames than pixels": (
        lambda s, v: [frames(s).append(frames(s)[0]), setattr(s, "NumberOfFrames", len(frames(s)))],
        Reason.FILE_TRUNCATED,
    ),
    "more pixels than frames": (lambda s, v: setattr(s, "PixelData", s.PixelData + bytes(64)), HEADER),
    "no pixels": (lambda s, v: delattr(s, "PixelData"), Reason.FILE_TRUNCATED),
    "a size beyond belief": (lambda s, v: [setattr(s, k, 65535) for k in ("Rows", "Columns")], HEADER),
    "strange pixels": (lambda s, v: setattr(s, "BitsAllocated", 32), HEADER),
    "no kind": (lambda s, v: delattr(s, "SegmentationType"), HEADER),
    "fractions": (lambda s, v: setattr(s, "SegmentationType", "FRACTIONAL"), MISMATCH),
    "frames of an unknown segment": (
        lambda s, v: setattr(shared(s).SegmentIdentificationSequence[0], "ReferencedSegmentNumber", 7),
        HEADER,
    ),
    "frames of no segment": (lambda s, v: delattr(shared(s), "SegmentIdentificationSequence"), HEADER),
    "two segments of one number": (lambda s, v: s.SegmentSequence.append(s.SegmentSequence[0]), HEADER),
    "no segments": (lambda s, v: setattr(s, "SegmentSequence", []), HEADER),
    "no position": (lambda s, v: delattr(frames(s)[1], "PlanePositionSequence"), GEOMETRY),
    "no spacing": (lambda s, v: delattr(shared(s), "PixelMeasuresSequence"), GEOMETRY),
    "spacing zero": (lambda s, v: setattr(shared(s).PixelMeasuresSequence[0], "PixelSpacing", [0, 0]), GEOMETRY),
    "another spacing": (lambda s, v: setattr(shared(s).PixelMeasuresSequence[0], "PixelSpacing", [1.1, 0.9]), MISMATCH),
    "wider slices": (
        lambda s, v: setattr(shared(s).PixelMeasuresSequence[0], "SpacingBetweenSlices", 10.0),
        MISMATCH,
    ),
    "directions that are none": (
        lambda s, v: setattr(shared(s).PlaneOrientationSequence[0], "ImageOrientationPatient", [1, 0, 0, 1, 0, 0]),
        GEOMETRY,
    ),
    "turned": (
        lambda s, v: setattr(shared(s).PlaneOrientationSequence[0], "ImageOrientationPatient", [1, 0, 0, 0, 1, 0]),
        MISMATCH,
    ),
    "a tenth of a slice beside": (lambda s, v: move(s, 0, normal(v, 0.1)), MISMATCH),
    "a tenth of a pixel beside": (lambda s, v: move(s, 0, list(0.1 * v.affine[:3, 2])), MISMATCH),
    "far away": (lambda s, v: move(s, 0, [1e15, 0, 0]), MISMATCH),
    "outside the volume": (lambda s, v: move(s, 0, normal(v, 40)), MISMATCH),
    "two frames at one place": (
        lambda s, v: setattr(frames(s)[1], "PlanePositionSequence", frames(s)[0].PlanePositionSequence),
        HEADER,
    ),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_refused(lie: str, volume: Volume, tmp_path: Path) -> None:
    change, reason = LIES[lie]
    seg = pydicom.dcmread(io.BytesIO(as_seg(volume)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        change(seg, volume)
        pydicom.dcmwrite(tmp_path / "m.dcm", seg, enforce_file_format=True)
    with pytest.raises(CalqueError) as caught:
        imported(tmp_path / "m.dcm", volume)
    assert caught.value.reason == reason, str(caught.value)
    assert str(caught.value).endswith(".")
    assert "Secret" not in str(caught.value)


def test_any_damage_ends_in_a_mask_or_a_sentence(volume: Volume, tmp_path: Path) -> None:
    good = as_seg(volume, labels_of(volume), segments=TWO)
    random = np.random.default_rng(5)
    masks = 0
    for number in range(300):
        data = bytearray(good[: random.integers(400, len(good))] if number % 5 == 0 else good)
        for at in random.integers(132, len(data), random.integers(1, 6)):
            data[at] = random.integers(256)
        with suppress(CalqueError):
            assert imported(kept(bytes(data), tmp_path / "m.dcm"), volume, 1).shape == volume.shape
            masks += 1
    assert 0 < masks < 240
