"""DICOM series and objects: what is read, and what is refused with which words."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, ExplicitVRBigEndian, ImplicitVRLittleEndian, RLELossless, generate_uid

from services.core.errors import CalqueError, ChoiceNeeded, InvalidInput, Reason, TooLarge
from services.core.volume import Volume
from services.formats.read import read_volume, source_files
from tests.formats.files import read, refused
from tests.phantoms import (
    STRUCTURED_REPORT,
    dicom_slice,
    enhanced_object,
    oblique_phantom,
    save_dicom,
    set_pixels,
    write_dicom_series,
)

R = Reason
Change = Callable[[int, Dataset], None]
DEFLATED, JPEG_LOSSLESS, JPEG_LS, JPEG_2000, VIDEO = (
    UID(f"1.2.840.10008.1.2.{end}") for end in ("1.99", "4.70", "4.80", "4.90", "4.103")
)


@pytest.fixture(scope="module")
def phantom() -> Volume:
    return oblique_phantom((6, 18, 22))


def test_shuffled_oblique_series_comes_back(phantom: Volume, tmp_path: Path) -> None:
    volume = read(write_dicom_series(phantom, tmp_path / "series"))
    assert np.array_equal(volume.voxels, phantom.voxels)
    np.testing.assert_allclose(volume.affine, phantom.affine, atol=1e-6)
    assert volume.voxels.dtype == np.int16
    assert (volume.modality, volume.description, volume.warnings) == ("MR", "phantom", ())
    # The spacing is that of the positions; the slices' thickness says something else.
    assert volume.spacing_mm == pytest.approx((5.0, 1.1, 0.8), abs=1e-6)


def test_files_in_nested_folders_with_notes_between(phantom: Volume, tmp_path: Path) -> None:
    folder = write_dicom_series(phantom, tmp_path / "a" / "b")
    for number, file in enumerate(sorted(folder.iterdir())[:3]):
        (tmp_path / "a" / str(number)).mkdir()
        file.rename(tmp_path / "a" / str(number) / "IMAGE")
    (tmp_path / "a" / "notes.txt").write_text("not an image")
    volume = read(tmp_path / "a")
    assert np.array_equal(volume.voxels, phantom.voxels)
    assert volume.warnings == ("Files that are no images were skipped: 1.",)


def test_each_slice_keeps_its_own_rescale(tmp_path: Path) -> None:
    base = oblique_phantom((4, 6, 7))
    slope, intercept = np.array([0.5, 1.0, 2.25, 3.0]), np.array([0.0, -5.0, 7.5, 1.0])
    scaled = Volume(base.voxels, base.affine, slope, intercept, modality="PT")
    volume = read(write_dicom_series(scaled, tmp_path / "s"))
    np.testing.assert_array_equal(volume.slope, slope)
    np.testing.assert_array_equal(volume.intercept, intercept)


def test_several_series_are_listed_and_one_is_chosen(phantom: Volume, tmp_path: Path) -> None:
    write_dicom_series(phantom, tmp_path / "x" / "one", series="1.2.3")
    other = Volume(phantom.voxels[:, :9], phantom.affine, phantom.slope, phantom.intercept, modality="CT")
    write_dicom_series(other, tmp_path / "x" / "two", series="1.2.4")
    sentence = refused(tmp_path / "x", ChoiceNeeded, R.SEVERAL_SERIES)
    assert "phantom, MR, 22 × 18, 6 images" in sentence
    assert "CT, 22 × 9, 6 images" in sentence
    chosen = sentence.split("choose one: ")[1].split(" ")[0]
    assert np.array_equal(read(tmp_path / "x", series=chosen).voxels, phantom.voxels)
    refused(tmp_path / "x", ChoiceNeeded, R.SEVERAL_SERIES, series="nothing")


def test_localizers_of_the_same_series_are_told_apart(phantom: Volume, tmp_path: Path) -> None:
    folder = write_dicom_series(phantom, tmp_path / "x")
    scout = dicom_slice(phantom, 0, "1.2.826.0.1.3680043.8.498.1")
    scout.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    scout.SOPInstanceUID = generate_uid()
    save_dicom(scout, folder / "scout")
    assert "localizer" in refused(folder, ChoiceNeeded, R.SEVERAL_SERIES)


def test_frames_at_the_same_places(phantom: Volume, tmp_path: Path) -> None:
    folder = tmp_path / "times"

    def at(time: int) -> Change:
        def change(index: int, d: Dataset) -> None:
            d.TemporalPositionIdentifier = time
            d.SOPInstanceUID = generate_uid(entropy_srcs=[str(time), str(index)])
            set_pixels(d, phantom.voxels[index] + np.int16(time))

        return change

    for time in (3, 1, 2):
        write_dicom_series(phantom, folder / str(time), change=at(time))
    assert "3 images" in refused(folder, ChoiceNeeded, R.SEVERAL_FRAMES)
    for frame in range(3):
        assert np.array_equal(read(folder, frame=frame).voxels, phantom.voxels + np.int16(frame + 1))
    refused(folder, InvalidInput, R.REQUEST_INVALID, frame=3)


def test_enhanced_object(phantom: Volume, tmp_path: Path) -> None:
    volume = read(save_dicom(enhanced_object(phantom), tmp_path / "enhanced"))
    assert np.array_equal(volume.voxels, phantom.voxels)
    np.testing.assert_allclose(volume.affine, phantom.affine, atol=1e-6)


def test_enhanced_object_that_describes_fewer_frames(phantom: Volume, tmp_path: Path) -> None:
    d = enhanced_object(phantom)
    d.PerFrameFunctionalGroupsSequence.pop()
    refused(save_dicom(d, tmp_path / "enhanced"), InvalidInput, R.FILE_HEADER_INVALID)


def encode(syntax: UID, codec: Callable[[Any], bytes] | None = None) -> Change:
    """Store the pixels of unsigned 16-bit slices in another transfer syntax."""

    def change(index: int, d: Dataset) -> None:
        pixels = np.frombuffer(d.PixelData, "<u2").reshape(d.Rows, d.Columns)
        d.file_meta.TransferSyntaxUID = syntax
        if codec:
            d.PixelData = encapsulate([codec(pixels)])
            d["PixelData"].is_undefined_length = True
        elif syntax == ExplicitVRBigEndian:
            d.PixelData = pixels.astype(">u2").tobytes()
        elif syntax == RLELossless:
            d.compress(RLELossless, pixels, generate_instance_uid=False)

    return change


@pytest.mark.parametrize(
    ("syntax", "codec"),
    [
        (ImplicitVRLittleEndian, None),
        (ExplicitVRBigEndian, None),
        (DEFLATED, None),
        (RLELossless, None),
        (JPEG_LOSSLESS, imagecodecs.ljpeg_encode),
        (JPEG_LS, imagecodecs.jpegls_encode),
        (JPEG_2000, lambda a: imagecodecs.jpeg2k_encode(a, level=0, reversible=True, codecformat="j2k")),
    ],
    ids=["implicit", "big endian", "deflated", "RLE", "JPEG lossless", "JPEG-LS", "JPEG 2000"],
)
def test_every_encoding_gives_the_same_voxels(syntax: UID, codec: Callable[[Any], bytes] | None, tmp_path: Path) -> None:
    base = oblique_phantom((3, 16, 20))
    voxels = (base.voxels.astype(np.int32) + 1000).astype(np.uint16)
    unsigned = Volume(voxels, base.affine, base.slope, base.intercept, modality="MR")
    volume = read(write_dicom_series(unsigned, tmp_path / "s", change=encode(syntax, codec)))
    assert volume.voxels.dtype == np.uint16
    assert np.array_equal(volume.voxels, voxels)


@pytest.mark.parametrize("signed", [False, True])
def test_unused_bits_are_dropped_and_the_sign_extended(signed: bool, tmp_path: Path) -> None:
    base = oblique_phantom((2, 5, 6))
    values = np.random.default_rng(1).integers(-2048 if signed else 0, 2048 if signed else 4096, base.shape)

    def twelve_bits(index: int, d: Dataset) -> None:
        packed = (values[index] & 0xFFF) << 2 | 0xC001  # two bits up, overlays above and below
        set_pixels(d, packed.astype(np.uint16))
        d.BitsStored, d.HighBit, d.PixelRepresentation = 12, 13, int(signed)

    volume = read(write_dicom_series(base, tmp_path / "s", change=twelve_bits))
    assert np.array_equal(volume.voxels, values)


def test_file_without_preamble_and_meta_is_read_with_a_warning(phantom: Volume, tmp_path: Path) -> None:
    folder = write_dicom_series(phantom, tmp_path / "s", change=encode(ImplicitVRLittleEndian))
    for file in folder.iterdir():
        dataset = pydicom.dcmread(file)
        del dataset.file_meta
        dataset.preamble = None
        pydicom.dcmwrite(file, dataset, implicit_vr=True, little_endian=True, enforce_file_format=False)
        assert file.read_bytes()[128:132] != b"DICM"
    volume = read(folder)
    assert np.array_equal(volume.voxels, phantom.voxels)
    assert any("meta" in w for w in volume.warnings)


def only(index: int, **values: object) -> Change:
    """Set (or with ``None`` delete) elements of one slice; of all with index -1."""

    def change(at: int, d: Dataset) -> None:
        if index in (at, -1):
            for keyword, value in values.items():
                if value is None:
                    delattr(d, keyword)
                else:
                    setattr(d, keyword, value)

    return change


def colour(at: int, d: Dataset) -> None:
    d.SamplesPerPixel, d.PhotometricInterpretation, d.PlanarConfiguration = 3, "RGB", 0
    d.PixelData = d.PixelData * 3


def two_frames(at: int, d: Dataset) -> None:
    d.NumberOfFrames, d.PixelData = 2, d.PixelData * 2


def tilted(at: int, d: Dataset) -> None:
    d.ImagePositionPatient = [0, 0.4 * at, 5 * at]
    d.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]


def jpegls_with_a_row_less(pixels: Any) -> bytes:
    return bytes(imagecodecs.jpegls_encode(pixels[:-1].copy()))


BAD: dict[str, tuple[Change, type[CalqueError], Reason]] = {
    "position missing": (only(2, ImagePositionPatient=None), ChoiceNeeded, R.GEOMETRY_INVALID),
    "orientation skewed": (only(-1, ImageOrientationPatient=[1, 0, 0, 0.3, 1, 0]), ChoiceNeeded, R.GEOMETRY_INVALID),
    "orientation missing": (only(-1, ImageOrientationPatient=None), ChoiceNeeded, R.GEOMETRY_INVALID),
    "orientation not a number": (only(-1, ImageOrientationPatient=["nan"] * 6), InvalidInput, R.GEOMETRY_INVALID),
    "pixel spacing missing": (only(-1, PixelSpacing=None), ChoiceNeeded, R.GEOMETRY_INVALID),
    "pixel spacing zero": (only(-1, PixelSpacing=[0, 1]), InvalidInput, R.GEOMETRY_INVALID),
    "pixel spacing negative": (only(-1, PixelSpacing=[1, -1]), InvalidInput, R.GEOMETRY_INVALID),
    "gantry tilt": (tilted, ChoiceNeeded, R.GEOMETRY_INVALID),
    "colour": (colour, ChoiceNeeded, R.COLOUR_IMAGE),
    "palette": (only(-1, PhotometricInterpretation="PALETTE COLOR"), ChoiceNeeded, R.COLOUR_IMAGE),
    "mosaic": (only(-1, ImageType=["ORIGINAL", "PRIMARY", "M", "MOSAIC"]), ChoiceNeeded, R.GEOMETRY_INVALID),
    "slope zero": (only(1, RescaleSlope=0, RescaleIntercept=0), InvalidInput, R.FILE_HEADER_INVALID),
    "slope not a number": (only(1, RescaleSlope="nan", RescaleIntercept=0), InvalidInput, R.FILE_HEADER_INVALID),
    "no pixels": (only(3, PixelData=None), InvalidInput, R.FILE_TRUNCATED),
    "empty pixels": (only(3, PixelData=b""), InvalidInput, R.FILE_TRUNCATED),
    "pixels too short": (only(3, PixelData=b"\0" * 100), InvalidInput, R.FILE_TRUNCATED),
    "rows lie, fewer": (only(-1, Rows=9), InvalidInput, R.FILE_HEADER_INVALID),
    "rows lie, more": (only(-1, Rows=4000), InvalidInput, R.FILE_TRUNCATED),
    "no rows": (only(2, Rows=None), InvalidInput, R.FILE_TRUNCATED),
    "zero rows": (only(-1, Rows=0), InvalidInput, R.FILE_HEADER_INVALID),
    "huge": (only(-1, Rows=65535, Columns=65535), InvalidInput, R.FILE_HEADER_INVALID),
    "high bit above": (only(-1, HighBit=16), InvalidInput, R.FILE_HEADER_INVALID),
    "stored above allocated": (only(-1, BitsStored=17), InvalidInput, R.FILE_HEADER_INVALID),
    "bits allocated odd": (only(-1, BitsAllocated=12), InvalidInput, R.FILE_HEADER_INVALID),
    "no frames": (only(-1, NumberOfFrames=0), InvalidInput, R.FILE_HEADER_INVALID),
    "a million frames": (only(-1, NumberOfFrames=1_000_000), InvalidInput, R.FILE_HEADER_INVALID),
    "more frames than pixels": (only(-1, NumberOfFrames=2), InvalidInput, R.FILE_TRUNCATED),
    "several frames nowhere": (two_frames, ChoiceNeeded, R.GEOMETRY_INVALID),
    "unknown encoding": (encode(VIDEO, lambda a: b"video"), InvalidInput, R.FILE_NOT_READABLE),
    "damaged RLE": (encode(RLELossless, lambda a: b"\1" + b"\0" * 71), InvalidInput, R.FILE_NOT_READABLE),
    "damaged JPEG-LS": (encode(JPEG_LS, lambda a: b"\xff\xd8" * 40), InvalidInput, R.FILE_NOT_READABLE),
    "JPEG-LS of another size": (encode(JPEG_LS, jpegls_with_a_row_less), InvalidInput, R.FILE_HEADER_INVALID),
}


@pytest.mark.parametrize("case", BAD)
def test_refused(case: str, phantom: Volume, tmp_path: Path) -> None:
    change, kind, reason = BAD[case]
    refused(write_dicom_series(phantom, tmp_path / "s", change=change), kind, reason)


def test_missing_slice_is_named(phantom: Volume, tmp_path: Path) -> None:
    sentence = refused(write_dicom_series(phantom, tmp_path / "s", skip=(2,)), ChoiceNeeded, R.SLICES_UNEVEN)
    assert "10 mm between 2 and 3" in sentence
    assert "elsewhere 5 mm" in sentence


def test_copied_file_and_doubled_slice(phantom: Volume, tmp_path: Path) -> None:
    folder = write_dicom_series(phantom, tmp_path / "s")
    first = sorted(folder.iterdir())[0]
    (folder / "copy").write_bytes(first.read_bytes())
    assert "more than once" in refused(folder, ChoiceNeeded, R.SLICES_UNEVEN)
    again = pydicom.dcmread(first)
    again.SOPInstanceUID = generate_uid()
    save_dicom(again, folder / "copy")
    assert "more images than others" in refused(folder, ChoiceNeeded, R.SLICES_UNEVEN)


@pytest.mark.parametrize("part", [0.05, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.9, 0.999])
def test_truncated_anywhere(part: float, phantom: Volume, tmp_path: Path) -> None:
    folder = write_dicom_series(phantom, tmp_path / "s")
    file = sorted(folder.iterdir())[2]
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * part)])
    with pytest.raises(CalqueError):
        read(folder)


def test_other_objects_are_skipped_and_counted(phantom: Volume, tmp_path: Path) -> None:
    folder = write_dicom_series(phantom, tmp_path / "s")
    report = dicom_slice(phantom, 0, "1.9")
    report.file_meta.MediaStorageSOPClassUID = report.SOPClassUID = STRUCTURED_REPORT
    for keyword in ("Rows", "Columns", "PixelData", "BitsAllocated"):
        delattr(report, keyword)
    save_dicom(report, folder / "report")
    (warning,) = read(folder).warnings
    assert "1 (Basic Text SR Storage)" in warning
    refused(folder / "report", InvalidInput, R.FILE_NOT_AN_IMAGE)


def test_one_slice(phantom: Volume, tmp_path: Path) -> None:
    volume = read(write_dicom_series(phantom, tmp_path / "s", skip=(0, 1, 2, 4, 5)))
    assert volume.shape == (1, 18, 22)
    assert volume.spacing_mm[0] == pytest.approx(3.5)
    assert "one slice" in volume.warnings[0]


def test_deflated_bomb(phantom: Volume, tmp_path: Path) -> None:
    d = dicom_slice(phantom, 0, "1.2")
    d.file_meta.TransferSyntaxUID = DEFLATED
    d.PixelData = b"\0" * (80 << 20)
    path = save_dicom(d, tmp_path / "bomb")
    assert path.stat().st_size < 1 << 20
    refused(path, TooLarge, R.FILE_TOO_LARGE)


def test_deeply_nested_sequences(phantom: Volume, tmp_path: Path) -> None:
    path = save_dicom(dicom_slice(phantom, 0, "1.2"), tmp_path / "nested")
    data = path.read_bytes()
    # Undefined lengths all the way down: (0008,1140) SQ, an item, and again.
    level = struct.pack("<HH2sHI", 0x0008, 0x1140, b"SQ", 0, 0xFFFFFFFF) + struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    start = data.index(struct.pack("<HH2s", 0x0008, 0x103E, b"LO"))
    path.write_bytes(data[:start] + level * 10_000 + data[start:])
    refused(path, TooLarge, R.FILE_TOO_LARGE)


def test_progress_runs_to_the_end(phantom: Volume, tmp_path: Path) -> None:
    steps: list[tuple[int, int]] = []
    files = source_files(write_dicom_series(phantom, tmp_path / "s"))
    read_volume(files, progress=lambda done, total: steps.append((done, total)))
    assert steps == 2 * [(n, 6) for n in range(1, 7)]  # files looked at, then slices read
