"""Bad inputs 1 to 20: DICOM. Every case starts from a good series of four slices and spoils it."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, ExplicitVRLittleEndian, RLELossless, generate_uid

from services.core.errors import Reason
from tests.formats.bad_case import case, deflated_zeros, gzip_then_zeros
from tests.phantoms import (
    STRUCTURED_REPORT,
    dicom_slice,
    enhanced_object,
    mosaic_object,
    oblique_phantom,
    save_dicom,
    write_dicom_series,
)

R = Reason
PHANTOM = oblique_phantom((4, 18, 22))
DEFLATED = UID("1.2.840.10008.1.2.1.99")
SYNTAXES = {"JPEG": "4.50", "JPEG lossless": "4.70", "JPEG-LS": "4.80", "JPEG 2000": "4.90", "HTJ2K": "4.201"}


def series(folder: Path, change: Callable[[int, Dataset], None] | None = None, **how: Any) -> Path:
    return write_dicom_series(PHANTOM, folder / "s", change=change, **how)


def all_with(**values: object) -> Callable[[Path], Path]:
    """A series with elements set, or with ``None`` deleted, in every slice."""

    def change(index: int, d: Dataset) -> None:
        for keyword, value in values.items():
            if value is None:
                delattr(d, keyword)
            else:
                setattr(d, keyword, value)

    return lambda folder: series(folder, change)


def one_file(folder: Path, change: Callable[[bytes], bytes]) -> Path:
    """A series in which the bytes of one file, IM0001, are changed."""
    path = series(folder)
    (path / "IM0001").write_bytes(change((path / "IM0001").read_bytes()))
    return path


def element(keyword: str, vr: bytes) -> bytes:
    tag = pydicom.tag.Tag(keyword)
    return struct.pack("<HH2s", tag.group, tag.element, vr)


for part, what in ((0.35, "header"), (0.9, "pixels")):
    case(f"01 truncated {what}", "IA", R.FILE_TRUNCATED, "s/IM0001")(
        lambda folder, part=part: one_file(folder, lambda b: b[: int(len(b) * part)])
    )
case("02 no pixel data", "IA", R.FILE_TRUNCATED, "s/IM000")(all_with(PixelData=None))
case("02 empty pixel data", "IA", R.FILE_TRUNCATED, "s/IM000")(all_with(PixelData=b""))
case("03 more rows than pixels", "IA", R.FILE_TRUNCATED, "s/IM000")(all_with(Rows=20_000))
case("03 fewer columns than pixels", "IA", R.FILE_HEADER_INVALID, "s/IM000")(all_with(Columns=21))
case("04 product above the cap", "IA", R.FILE_HEADER_INVALID, "s/IM000")(all_with(Rows=65535, Columns=65535))
case("04 product above 64 bits", "IA", R.FILE_HEADER_INVALID, "s/IM000")(
    all_with(Rows=65535, Columns=65535, NumberOfFrames=2_147_483_647)
)


@case("05 deflated bomb of 2 GB", "RE", R.FILE_TOO_LARGE, "bomb.dcm")
def deflated_bomb(folder: Path) -> Path:
    d = dicom_slice(PHANTOM, 0, "1.2")
    d.file_meta.TransferSyntaxUID = DEFLATED
    data = save_dicom(d, folder / "bomb.dcm").read_bytes()
    meta = 132 + 12 + int(pydicom.filereader.read_file_meta_info(folder / "bomb.dcm").FileMetaInformationGroupLength)
    (folder / "bomb.dcm").write_bytes(data[:meta] + deflated_zeros(2048))
    assert (folder / "bomb.dcm").stat().st_size < 3 << 20
    return folder / "bomb.dcm"


for frames in (0, -1, 2, 1_000_000):
    reason = R.FILE_TRUNCATED if frames == 2 else R.FILE_HEADER_INVALID
    case(f"06 NumberOfFrames {frames}", "IA", reason, "s/IM000")(all_with(NumberOfFrames=frames))


@case("06 fewer frames than described", "IA", R.FILE_TRUNCATED, "e.dcm")
def frames_without_pixels(folder: Path) -> Path:
    d = enhanced_object(PHANTOM)
    d.PixelData = d.PixelData[: len(d.PixelData) // 2]
    return save_dicom(d, folder / "e.dcm")


@case("06 more frames than described", "IA", R.FILE_HEADER_INVALID, "e.dcm", "describes 3")
def frames_without_place(folder: Path) -> Path:
    d = enhanced_object(PHANTOM)
    d.PerFrameFunctionalGroupsSequence.pop()
    return save_dicom(d, folder / "e.dcm")


case("07 HighBit above BitsAllocated", "IA", R.FILE_HEADER_INVALID, "s/IM000")(all_with(HighBit=16))
case("07 BitsStored above BitsAllocated", "IA", R.FILE_HEADER_INVALID, "s/IM000")(all_with(BitsStored=17))
case("07 BitsAllocated of no byte", "IA", R.FILE_HEADER_INVALID, "s/IM000")(all_with(BitsAllocated=12))
case("08 no orientation", "FP", R.GEOMETRY_INVALID, "s/IM000")(all_with(ImageOrientationPatient=None))
case("08 orientation askew", "FP", R.GEOMETRY_INVALID, "s/IM000")(all_with(ImageOrientationPatient=[1, 0, 0, 0.3, 1, 0]))
case("08 orientation too long", "FP", R.GEOMETRY_INVALID, "s/IM000")(all_with(ImageOrientationPatient=[2, 0, 0, 0, 1, 0]))


@case("09 two series", "FP", R.SEVERAL_SERIES, "phantom", "2 series", "choose one")
def two_series(folder: Path) -> Path:
    write_dicom_series(PHANTOM, folder / "s" / "a", series="1.2.3")
    write_dicom_series(PHANTOM, folder / "s" / "b", series="1.2.4")
    return folder / "s"


@case("09 two frames of reference", "FP", R.SEVERAL_SERIES, "phantom", "2 series")
def two_frames_of_reference(folder: Path) -> Path:
    def change(index: int, d: Dataset) -> None:
        d.FrameOfReferenceUID = f"1.2.{index % 2}"

    return series(folder, change)


@case("09 localizer and derived image", "FP", R.SEVERAL_SERIES, "phantom", "localizer", "derived")
def localizer_and_derived(folder: Path) -> Path:
    path = series(folder)
    for kind in ("LOCALIZER", "DERIVED"):
        d = dicom_slice(PHANTOM, 0, "1.2.826.0.1.3680043.8.498.1")
        d.ImageType = ["DERIVED", "SECONDARY"] if kind == "DERIVED" else ["ORIGINAL", "PRIMARY", kind]
        d.SOPInstanceUID = generate_uid()
        save_dicom(d, path / kind)
    return path


@case("10 copied file", "FP", R.SLICES_UNEVEN, "s/copy", "more than once")
def copied(folder: Path) -> Path:
    path = series(folder)
    (path / "copy").write_bytes((path / "IM0001").read_bytes())
    return path


@case("10 another image at the same place", "FP", R.SLICES_UNEVEN, "s/copy", "more images than others")
def doubled(folder: Path) -> Path:
    path = series(folder)
    d = pydicom.dcmread(path / "IM0001")
    d.SOPInstanceUID = generate_uid()
    save_dicom(d, path / "copy")
    return path


@case("11 missing slice", "FP", R.SLICES_UNEVEN, "s/IM000", "10 mm between 1 and 2", "elsewhere 5 mm")
def missing(folder: Path) -> Path:
    return write_dicom_series(oblique_phantom((5, 18, 22)), folder / "s", skip=(1,))


@case("12 gantry tilt", "FP", R.GEOMETRY_INVALID, "s/IM000", "gantry tilt")
def tilted(folder: Path) -> Path:
    def change(index: int, d: Dataset) -> None:
        d.ImagePositionPatient, d.ImageOrientationPatient = [0, 0.4 * index, 5 * index], [1, 0, 0, 0, 1, 0]

    return series(folder, change)


@case("13 RGB", "FP", R.COLOUR_IMAGE, "s/IM000", "choose the series of grey images")
def colour(folder: Path) -> Path:
    def change(index: int, d: Dataset) -> None:
        d.SamplesPerPixel, d.PhotometricInterpretation, d.PlanarConfiguration = 3, "RGB", 0
        d.PixelData = d.PixelData * 3

    return series(folder, change)


case("13 palette", "FP", R.COLOUR_IMAGE, "s/IM000")(all_with(PhotometricInterpretation="PALETTE COLOR"))


@case("15 bad VR where voxels come from", "IA", R.FILE_HEADER_INVALID, "s/IM0001", "unknown type")
def bad_vr(folder: Path) -> Path:
    return one_file(folder, lambda b: b.replace(element("Rows", b"US"), element("Rows", b"ZZ")))


@case("15 odd length where geometry comes from", "IA", R.FILE_HEADER_INVALID, "s/IM0001", "odd length")
def odd_length(folder: Path) -> Path:
    start = element("PixelSpacing", b"DS")
    old, new = (start + struct.pack("<H", len(v)) + v for v in (b"1.1\\0.8 ", b"1.1\\0.8"))
    return one_file(folder, lambda b: b.replace(old, new))


def enhanced_with(folder: Path, old: bytes, new: bytes) -> Path:
    """An enhanced object in which some bytes, within its sequences of undefined length, are others."""
    d = enhanced_object(PHANTOM)
    for sequence in (d["SharedFunctionalGroupsSequence"], d["PerFrameFunctionalGroupsSequence"]):
        sequence.is_undefined_length = True
        for item in sequence.value:
            item.is_undefined_length_sequence_item = True
            for inner in item:
                inner.is_undefined_length = True
                inner.value[0].is_undefined_length_sequence_item = True
    data = save_dicom(d, folder / "e.dcm").read_bytes()
    assert old in data
    (folder / "e.dcm").write_bytes(data.replace(old, new, 1))
    return folder / "e.dcm"


SPACING = element("PixelSpacing", b"DS")
for keyword, vr in (
    ("ImagePositionPatient", b"DS"),
    ("ImageOrientationPatient", b"DS"),
    ("PixelSpacing", b"DS"),
    ("PlanePositionSequence", b"SQ"),
    ("PixelMeasuresSequence", b"SQ"),
):
    case(f"15 bad VR of {keyword} within a sequence", "IA", R.FILE_HEADER_INVALID, "e.dcm", "unknown type")(
        lambda folder, k=keyword, v=vr: enhanced_with(folder, element(k, v), element(k, b"ZZ"))
    )
case("15 odd length within a sequence", "IA", R.FILE_HEADER_INVALID, "e.dcm", "odd length")(
    lambda folder: enhanced_with(folder, SPACING + b"\x08\0" + b"1.1\\0.8 ", SPACING + b"\x07\0" + b"1.1\\0.8")
)


@case("05 gzip bomb of 2 GB", "RE", R.FILE_TOO_LARGE, "bomb.dcm.gz")
def packed_bomb(folder: Path) -> Path:
    head = save_dicom(dicom_slice(PHANTOM, 0, "1.2"), folder / "one.dcm").read_bytes()
    (folder / "bomb.dcm.gz").write_bytes(gzip_then_zeros(head, 2048))
    return folder / "bomb.dcm.gz"


@case("16 sequences nested 10,000 deep", "RE", R.FILE_TOO_LARGE, "nested.dcm")
def nested(folder: Path) -> Path:
    data = save_dicom(dicom_slice(PHANTOM, 0, "1.2"), folder / "nested.dcm").read_bytes()
    level = struct.pack("<HH2sHI", 0x0008, 0x1140, b"SQ", 0, 0xFFFFFFFF) + struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    start = data.index(element("SeriesDescription", b"LO"))
    (folder / "nested.dcm").write_bytes(data[:start] + level * 10_000 + data[start:])
    return folder / "nested.dcm"


for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID", "SOPClassUID"):
    for told, uid in (("up", "../../../etc/passwd"), ("root", "/etc/passwd"), ("Windows", "C:\\evil")):
        case(f"17 path {told} in {keyword}", "IA", R.FILE_HEADER_INVALID, "s/IM000", "path")(all_with(**{keyword: uid}))


@case("17 path in the file meta", "IA", R.FILE_HEADER_INVALID, "s/IM0001", "path")
def path_in_meta(folder: Path) -> Path:
    def change(data: bytes) -> bytes:
        at = data.index(element("MediaStorageSOPInstanceUID", b"UI")) + 8
        return data[:at] + b"../../evil" + data[at + 10 :]

    return one_file(folder, change)


@case("17 path in a DICOMDIR", "IA", R.FILE_HEADER_INVALID, "DICOMDIR", "outside of its disc")
def path_in_directory(folder: Path) -> Path:
    path = series(folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        save_dicom(directory("..", "..", "etc", "passwd"), path / "DICOMDIR")
    return path


@case("20 a DICOMDIR without its disc", "IA", R.FILE_NOT_AN_IMAGE, "disc", "import the whole disc")
def directory_alone(folder: Path) -> Path:
    return save_dicom(directory("IM0001"), folder / "disc")


@case("20 a mosaic that does not say how it lies", "FP", R.GEOMETRY_INVALID, "m.dcm", "mosaic")
def mute_mosaic(folder: Path) -> Path:
    d = mosaic_object(PHANTOM)
    del d[0x00291010]
    return save_dicom(d, folder / "m.dcm")


def directory(*parts: str) -> Dataset:
    """A DICOMDIR that names one file."""
    d, record = Dataset(), Dataset()
    d.file_meta = FileMetaDataset()
    d.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    d.file_meta.MediaStorageSOPClassUID = UID("1.2.840.10008.1.3.10")
    d.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names that are none
        record.DirectoryRecordType, record.ReferencedFileID = "IMAGE", list(parts)
        d.DirectoryRecordSequence = [record]
    return d


case("19 slope zero", "IA", R.FILE_HEADER_INVALID, "s/IM000")(all_with(RescaleSlope=0, RescaleIntercept=0))
case("19 slope not a number", "IA", R.FILE_HEADER_INVALID, "s/IM000")(all_with(RescaleSlope="nan", RescaleIntercept=0))
case("19 intercept infinite", "IA", R.FILE_HEADER_INVALID, "s/IM000")(all_with(RescaleSlope=1, RescaleIntercept="inf"))


def encoded(name: str, change: Callable[[bytes], bytes] = lambda b: b) -> Callable[[int, Dataset], None]:
    """Change slices of unsigned 16 bits (of 8, for JPEG) to compressed ones, whose frames may be spoilt."""

    def encode(index: int, d: Dataset) -> None:
        pixels = np.frombuffer(d.PixelData, "<u2").reshape(d.Rows, d.Columns)
        if name == "RLE":
            d.compress(RLELossless, pixels, generate_instance_uid=False)
            frame = next(pydicom.encaps.generate_frames(d.PixelData, number_of_frames=1))
        elif name == "JPEG":
            d.BitsAllocated, d.BitsStored, d.HighBit = 8, 8, 7
            frame = imagecodecs.jpeg8_encode((pixels >> 4).astype(np.uint8), level=95)
        elif name == "JPEG 2000":
            frame = imagecodecs.jpeg2k_encode(pixels, level=0, reversible=True, codecformat="j2k")
        elif name == "HTJ2K":
            frame = imagecodecs.htj2k_encode(pixels, reversible=True)
        else:
            frame = (imagecodecs.ljpeg_encode if name == "JPEG lossless" else imagecodecs.jpegls_encode)(pixels)
        if name != "RLE":
            d.file_meta.TransferSyntaxUID = UID(f"1.2.840.10008.1.2.{SYNTAXES[name]}")
        d.PixelData = encapsulate([change(bytes(frame))])
        d["PixelData"].is_undefined_length = True

    return encode


def unsigned() -> Any:
    """The phantom with stored values that every encoding has room for."""
    return replace(PHANTOM, voxels=(PHANTOM.voxels.astype(np.int32) + 1000).astype(np.uint16))


for encoding in ("RLE", *SYNTAXES):
    for spoilt, spoil in {
        "cut": lambda b: b[: len(b) // 2],
        "noise": lambda b: b[:20] + np.random.default_rng(9).bytes(len(b) - 20),
    }.items():
        case(f"20 corrupt {encoding}, {spoilt}", "IA", R.FILE_NOT_READABLE, "s/IM000")(
            lambda folder, e=encoding, s=spoil: write_dicom_series(unsigned(), folder / "s", change=encoded(e, s))
        )


for encoding, at in (("RLE", 4), ("HTJ2K", 8)):  # where the first segment starts; how wide the image is
    case(f"20 corrupt {encoding}, a size that lies", "IA", R.FILE_NOT_READABLE, "s/IM000")(
        lambda folder, e=encoding, at=at: write_dicom_series(
            unsigned(), folder / "s", change=encoded(e, lambda b: b[:at] + b"\x7f\xff\xff\x7f" + b[at + 4 :])
        )
    )


@case("20 only a report", "IA", R.FILE_NOT_AN_IMAGE, "report.dcm", "Basic Text SR")
def only_a_report(folder: Path) -> Path:
    return save_dicom(report(), folder / "report.dcm")


def report() -> Dataset:
    """An object that is no image."""
    d = dicom_slice(PHANTOM, 0, "1.9")
    d.file_meta.MediaStorageSOPClassUID = d.SOPClassUID = STRUCTURED_REPORT
    for keyword in ("Rows", "Columns", "PixelData", "BitsAllocated"):
        delattr(d, keyword)
    return d
