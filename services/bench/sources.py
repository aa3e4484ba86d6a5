"""A generated volume of 512 × 512 × 200 as files of each kind that the benchmark of imports reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

SHAPE = (200, 512, 512)
_SPACING_MM = (1.5, 0.5, 0.5)


def write_sources(folder: Path) -> dict[str, Path]:
    """The volume as a classic DICOM series of one file a slice, as NIfTI, and as NIfTI packed with gzip."""
    voxels = generated()
    image = _image(voxels, _SPACING_MM)
    paths = {"dicom": folder / "series", "nifti": folder / "volume.nii", "nifti_gz": folder / "volume.nii.gz"}
    for name in ("nifti", "nifti_gz"):
        image.to_filename(paths[name])
    paths["dicom"].mkdir()
    series, frame = generate_uid(), generate_uid()
    for index, pixels in enumerate(voxels):
        _slice(pixels, index, series, frame).save_as(paths["dicom"] / f"{index:04d}", enforce_file_format=True)
    return paths


def write_small(folder: Path) -> Path:
    """A volume of a few voxels, to warm up with."""
    path = folder / "small.nii"
    _image(np.arange(512, dtype=np.int16).reshape(8, 8, 8), (1.0, 1.0, 1.0)).to_filename(path)
    return path


def generated() -> NDArray[np.int16]:
    """A noisy ball in a noisy field: ``SHAPE`` int16, the same every time."""
    random = np.random.default_rng(1)
    rows, columns = np.meshgrid(*[np.linspace(-1, 1, n) for n in SHAPE[1:]], indexing="ij")
    voxels = np.empty(SHAPE, np.int16)
    for index, height in enumerate(np.linspace(-1, 1, SHAPE[0])):
        body = 600 * (height**2 + rows**2 + columns**2 < 0.8)
        voxels[index] = np.abs(random.normal(body, 20)).astype(np.int16)
    return voxels


def _image(voxels: NDArray[np.int16], spacing_mm: tuple[float, float, float]) -> Any:
    affine = np.diag([*spacing_mm[::-1], 1.0])
    return nibabel.Nifti1Image(voxels.transpose(2, 1, 0), affine)  # type: ignore[no-untyped-call]


def _slice(pixels: NDArray[np.int16], index: int, series: str, frame: str) -> Dataset:
    d = Dataset()
    d.file_meta = FileMetaDataset()
    d.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    d.file_meta.MediaStorageSOPClassUID = d.SOPClassUID = MRImageStorage
    d.file_meta.MediaStorageSOPInstanceUID = d.SOPInstanceUID = generate_uid()
    d.Modality, d.SeriesDescription, d.PatientName = "MR", "Benchmark", "Nobody"
    d.SeriesInstanceUID, d.FrameOfReferenceUID, d.InstanceNumber = series, frame, index + 1
    d.ImageType = ["ORIGINAL", "PRIMARY"]
    d.ImagePositionPatient = [0.0, 0.0, index * _SPACING_MM[0]]
    d.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    d.PixelSpacing = list(_SPACING_MM[1:])
    d.SliceThickness = _SPACING_MM[0]
    d.Rows, d.Columns = pixels.shape
    d.SamplesPerPixel, d.PhotometricInterpretation = 1, "MONOCHROME2"
    d.BitsAllocated, d.BitsStored, d.HighBit, d.PixelRepresentation = 16, 16, 15, 1
    d.PixelData = pixels.tobytes()
    return d
