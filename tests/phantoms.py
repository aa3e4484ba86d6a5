"""Volumes whose every voxel is known, and writers of the files that scanners and tools would make of them."""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import nrrd
import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

from services.core.volume import Volume

MR_IMAGE = UID("1.2.840.10008.5.1.4.1.1.4")
ENHANCED_MR = UID("1.2.840.10008.5.1.4.1.1.4.1")
STRUCTURED_REPORT = UID("1.2.840.10008.5.1.4.1.1.88.11")
OBJECT_ABOVE = 700  # stored values of the phantom's object; all else lies below


def rotation(x: float, y: float, z: float) -> NDArray[np.float64]:
    """``(3, 3)`` rotation by three angles in degrees, about x, then y, then z."""
    a, b, c = np.radians([x, y, z])
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    about_z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    turned: NDArray[np.float64] = about_z @ about_y @ about_x
    return turned


def oblique_phantom(
    shape: tuple[int, int, int] = (12, 64, 80), spacing: tuple[float, float, float] = (5.0, 1.1, 0.8)
) -> Volume:
    """A noisy ball-shaped body with three bright blobs, mirrored by no plane, in thick oblique slices.

    The stack is nearly axial: slices towards superior, rows towards posterior, columns towards the left, turned by 12°, −8°
    and 5°. int16; the object's stored values are above `OBJECT_ABOVE`.
    """
    slices, rows, columns = np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij")
    values = np.random.default_rng(7).normal(0, 12, shape)
    values[slices**2 / 1.3 + rows**2 / 0.8 + columns**2 / 0.9 < 1] += 300
    for middle, size, grey in (
        ((-0.3, -0.35, 0.30), (0.35, 0.22, 0.30), 900),
        ((0.45, 0.20, -0.40), (0.30, 0.30, 0.20), 1000),
        ((0.10, 0.55, 0.35), (0.25, 0.15, 0.12), 1100),
    ):
        inside = sum(((axis - m) / s) ** 2 for axis, m, s in zip((slices, rows, columns), middle, size)) < 1
        values[inside] = grey + 0.1 * values[inside]
    turn = rotation(12, -8, 5)
    affine = np.eye(4)
    affine[:3, 0] = turn[:, 2] * spacing[0]
    affine[:3, 1] = turn[:, 1] * spacing[1]
    affine[:3, 2] = turn[:, 0] * spacing[2]
    affine[:3, 3] = (-31.25, 12.5, 107.75)
    return Volume(
        voxels=np.clip(values, -200, 1500).round().astype(np.int16),
        affine=affine,
        slope=np.ones(shape[0]),
        intercept=np.zeros(shape[0]),
        source_axes=(2, 1, 0),
        modality="MR",
        description="phantom",
    )


def phantom_object(volume: Volume) -> NDArray[np.bool_]:
    """Where the phantom's object is: ``(slices, rows, columns)``."""
    return volume.voxels.astype(np.float32) > OBJECT_ABOVE


def write_nifti(volume: Volume, path: Path) -> Path:
    """The volume as a NIfTI file ``(columns, rows, slices)``, written by nibabel alone."""
    ras = np.diag([-1.0, -1.0, 1.0, 1.0]) @ volume.affine[:, [2, 1, 0, 3]]
    image = nibabel.Nifti1Image(volume.voxels.transpose(2, 1, 0), ras)
    image.set_sform(ras, 1)
    image.set_qform(ras, 1)
    image.to_filename(path)
    return path


def write_nrrd(volume: Volume, path: Path, **header: Any) -> Path:
    """The volume as an NRRD file ``(columns, rows, slices)``, written by pynrrd alone; ``.nhdr`` names a file beside it."""
    fields = {
        "space": "left-posterior-superior",
        "space directions": volume.affine[:3, [2, 1, 0]].T,
        "space origin": volume.affine[:3, 3],
        "kinds": ["domain"] * 3,
    }
    nrrd.write(str(path), volume.voxels.transpose(2, 1, 0), fields | {k.replace("_", " "): v for k, v in header.items()})
    return path


def write_metaimage(volume: Volume, path: Path, *, packed: bool = False, big: bool = False, **header: object) -> Path:
    """The volume as a MetaImage, in the words that ITK writes; ``.mhd`` names a file beside it. ``None`` leaves out."""
    types = {"int8": "CHAR", "uint8": "UCHAR", "int16": "SHORT", "uint16": "USHORT", "int32": "INT", "uint32": "UINT"}
    directions = volume.affine[:3, [2, 1, 0]] / np.array(volume.spacing_mm)[::-1]
    local = path.suffix == ".mha"
    fields: dict[str, object] = {
        "ObjectType": "Image",
        "NDims": 3,
        "BinaryData": "True",
        "BinaryDataByteOrderMSB": big,
        "CompressedData": packed,
        "TransformMatrix": " ".join(f"{v:.17g}" for v in directions.T.ravel()),
        "Offset": " ".join(f"{v:.17g}" for v in volume.affine[:3, 3]),
        "CenterOfRotation": "0 0 0",
        "AnatomicalOrientation": "RAI",
        "ElementSpacing": " ".join(f"{v:.17g}" for v in volume.spacing_mm[::-1]),
        "DimSize": " ".join(str(n) for n in volume.shape[::-1]),
        "ElementType": "MET_" + types.get(volume.voxels.dtype.name, "FLOAT"),
    }
    fields |= header
    fields.setdefault("ElementDataFile", "LOCAL" if local else f"{path.stem}.raw")
    voxels = volume.voxels.astype(volume.voxels.dtype.newbyteorder(">" if big else "<")).tobytes()
    voxels = zlib.compress(voxels) if packed else voxels
    text = "".join(f"{key} = {value}\n" for key, value in fields.items() if value is not None).encode()
    path.write_bytes(text + voxels if local else text)
    if not local:
        path.with_suffix(".raw").write_bytes(voxels)
    return path


def dicom_slice(volume: Volume, index: int, series: str) -> Dataset:
    """One slice as a data set, not yet written."""
    along, down = (volume.affine[:3, k] / np.linalg.norm(volume.affine[:3, k]) for k in (2, 1))
    d = Dataset()
    d.file_meta = FileMetaDataset()
    d.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    d.file_meta.MediaStorageSOPClassUID = d.SOPClassUID = MR_IMAGE
    d.file_meta.MediaStorageSOPInstanceUID = d.SOPInstanceUID = generate_uid(entropy_srcs=[series, str(index)])
    d.PatientName = "Someone^Secret"
    d.PatientID = "PID-4711"
    d.StudyInstanceUID = generate_uid(entropy_srcs=["study"])
    d.StudyDate, d.StudyTime = "20240229", "101500"
    d.Modality = volume.modality
    d.SeriesDescription = volume.description
    d.SeriesInstanceUID = series
    d.FrameOfReferenceUID = generate_uid(entropy_srcs=["frame of reference"])
    d.ImageType = ["ORIGINAL", "PRIMARY", "M"]
    d.InstanceNumber = index + 1
    d.ImagePositionPatient = [_ds(v) for v in volume.affine[:3, 3] + index * volume.affine[:3, 0]]
    d.ImageOrientationPatient = [_ds(v) for v in (*along, *down)]
    d.PixelSpacing = [_ds(volume.spacing_mm[1]), _ds(volume.spacing_mm[2])]
    d.SliceThickness = _ds(volume.spacing_mm[0] * 0.7)  # not the spacing, on purpose
    set_pixels(d, volume.voxels[index])
    if volume.slope[index] != 1 or volume.intercept[index] != 0:
        d.RescaleSlope, d.RescaleIntercept = _ds(volume.slope[index]), _ds(volume.intercept[index])
    return d


def set_pixels(dataset: Dataset, pixels: NDArray[Any], frames: int | None = None) -> None:
    """Give a data set native grey pixels of an integer type."""
    dataset.Rows, dataset.Columns = pixels.shape[-2:]
    if frames is not None:
        dataset.NumberOfFrames = frames
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 8 * pixels.dtype.itemsize
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = 1 if pixels.dtype.kind == "i" else 0
    data = pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()
    dataset.PixelData = data + b"\0" * (len(data) % 2)


def write_dicom_series(
    volume: Volume,
    folder: Path,
    *,
    series: str = "1.2.826.0.1.3680043.8.498.1",
    change: Callable[[int, Dataset], None] | None = None,
    skip: tuple[int, ...] = (),
) -> Path:
    """The volume as a folder of classic slices with shuffled names. ``change(index, dataset)`` may spoil each."""
    folder.mkdir(parents=True, exist_ok=True)
    names = np.random.default_rng(3).permutation(volume.shape[0])
    for index in range(volume.shape[0]):
        if index in skip:
            continue
        dataset = dicom_slice(volume, index, series)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom warns of what is spoilt on purpose
            if change:
                change(index, dataset)
            save_dicom(dataset, folder / f"IM{names[index]:04d}")
    return folder


def enhanced_object(volume: Volume, series: str = "1.2.826.0.1.3680043.8.498.2") -> Dataset:
    """The volume as one enhanced multi-frame object, frames in reverse order."""
    d = dicom_slice(volume, 0, series)
    d.file_meta.MediaStorageSOPClassUID = d.SOPClassUID = ENHANCED_MR
    plain = [dicom_slice(volume, index, series) for index in reversed(range(volume.shape[0]))]
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness"):
        delattr(d, keyword)
    shared = Dataset()
    shared.PlaneOrientationSequence = [_part(plain[0], "ImageOrientationPatient")]
    shared.PixelMeasuresSequence = [_part(plain[0], "PixelSpacing", "SliceThickness")]
    d.SharedFunctionalGroupsSequence = [shared]
    d.PerFrameFunctionalGroupsSequence = []
    for p in plain:
        own = Dataset()
        own.PlanePositionSequence = [_part(p, "ImagePositionPatient")]
        d.PerFrameFunctionalGroupsSequence.append(own)
    set_pixels(d, volume.voxels[::-1], frames=volume.shape[0])
    return d


def mosaic_object(volume: Volume, series: str = "1.2.826.0.1.3680043.8.498.3", *, normal: float = 1.0) -> Dataset:
    """The volume as a Siemens mosaic, with the two tags of its private header that tell how the tiles lie.

    ``normal`` of −1: the tiles run against the normal of the image, as the last slice first.
    """
    slices, rows, columns = volume.shape
    order = volume.voxels if normal > 0 else volume.voxels[::-1]
    across = int(np.ceil(np.sqrt(slices)))
    whole = np.zeros((across * rows, across * columns), volume.voxels.dtype)
    for n in range(slices):
        row, column = n // across * rows, n % across * columns
        whole[row : row + rows, column : column + columns] = order[n]
    d = dicom_slice(volume, 0 if normal > 0 else slices - 1, series)
    d.ImageType = ["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"]
    corner = np.array(d.ImagePositionPatient, float)
    for axis, size, small in ((1, across * rows, rows), (2, across * columns, columns)):
        corner -= volume.affine[:3, axis] * (size - small) / 2
    d.ImagePositionPatient = [_ds(v) for v in corner]
    d.SpacingBetweenSlices = _ds(volume.spacing_mm[0])
    set_pixels(d, whole)
    step = volume.affine[:3, 0] / volume.spacing_mm[0] * normal
    block = d.private_block(0x0029, "SIEMENS CSA HEADER", create=True)
    tags = {"NumberOfImagesInMosaic": [str(slices)], "SliceNormalVector": [f"{v:.8f}" for v in step]}
    block.add_new(0x10, "OB", _csa_header(tags))
    return d


def _csa_header(tags: dict[str, list[str]]) -> bytes:
    data = b"SV10\4\3\2\1" + struct.pack("<II", len(tags), 77)
    for name, texts in tags.items():
        data += struct.pack("<64si4siii", name.encode(), len(texts), b"FD", 3, len(texts), 77)
        for text in texts:
            raw = text.encode() + b"\0"
            data += struct.pack("<4i", len(raw), len(raw), 77, len(raw)) + raw + b"\0" * (-len(raw) % 4)
    return data + b"\0" * (len(data) % 2)


def save_dicom(dataset: Dataset, path: Path) -> Path:
    """Write a data set in the encoding that its file meta names."""
    pydicom.dcmwrite(path, dataset, enforce_file_format=True)
    return path


def _part(dataset: Dataset, *keywords: str) -> Dataset:
    part = Dataset()
    for keyword in keywords:
        setattr(part, keyword, dataset[keyword].value)
    return part


def _ds(value: float) -> str:
    """A decimal string of at most 16 characters."""
    return f"{float(value):.9g}"
