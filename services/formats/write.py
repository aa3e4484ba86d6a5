"""Export: arrays shaped like a volume to TIFF and NIfTI. The same array gives the same bytes."""

from __future__ import annotations

import gzip
import io
from typing import IO, Any

import nibabel
import numpy as np
from numpy.typing import NDArray

from services.core.errors import TooLarge
from services.core.volume import Affine
from services.formats.grid import axes_matrix
from services.formats.nifti import RAS_TO_LPS, corner_distance

_SCANNER = 1  # NIfTI xform code: coordinates of the scanner
_NIFTI1_LIMIT = 32767
# A qform cannot shear; it is written where it says the same as the sform to this distance.
_QFORM_MM = 0.01
_IMAGEJ_DTYPES = ("uint8", "uint16", "int16", "float32")
# Above it a classic TIFF has no offsets left for its pages; some are needed for the pages' own entries.
_IMAGEJ_BYTES = 2**32 - 2**25


def tiff_bytes(array: NDArray[Any], *, affine: Affine, description: str = "") -> bytes:
    """A TIFF stack that ImageJ opens with its calibration in mm.

    Args:
        array: ``(slices, rows, columns)``, bool, uint8, uint16, int16 or float32; bool is written as 0 and 255.
        affine: ``(4, 4)``, voxel index → mm; a TIFF keeps the distances, not the orientation.
        description: shown by ImageJ as the image's information.
    """
    out = io.BytesIO()
    stored = array.astype(np.uint8) * 255 if array.dtype == np.bool_ else array
    write_tiff(out, stored, affine=affine, description=description)
    return out.getvalue()


def nifti_bytes(array: NDArray[Any], *, affine: Affine, source_axes: tuple[int, int, int]) -> bytes:
    """A NIfTI-1 file, gzip, in the axes of the volume's source and at its place.

    Args:
        array: ``(slices, rows, columns)``, bool or as in `write_nifti`; bool is written as 0 and 1.
        affine: ``(4, 4)``, voxel index ``(slice, row, column)`` → mm, LPS.
        source_axes: as in `services.core.volume.Volume`.

    Returns:
        Bytes whose array is that of the source, axis by axis, and whose affine (RAS) is the source's.

    Raises:
        TooLarge: an axis is longer than NIfTI-1 can say.
    """
    out = io.BytesIO()
    stored = array.astype(np.uint8) if array.dtype == np.bool_ else array
    with gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=out, mtime=0) as packed:
        write_nifti(packed, stored, affine=affine, source_axes=source_axes)
    return out.getvalue()


def write_tiff(out: IO[bytes], array: NDArray[Any], *, affine: Affine, description: str = "") -> None:
    """Write a stack with its calibration in mm, as ImageJ has it.

    What ImageJ does not know (int8, integers of 32 bits, a single column, more than 4 GB) is written as OME-TIFF.

    Args:
        out: where to, seekable.
        array: ``(slices, rows, columns)``, one of `services.core.volume.VOXEL_DTYPES`.
        affine, description: as in `tiff_bytes`.
    """
    import tifffile

    slice_mm, row_mm, column_mm = (float(mm) for mm in np.linalg.norm(affine[:3, :3], axis=0))
    # One column alone would be taken for the samples of a colour.
    if array.dtype.name in _IMAGEJ_DTYPES and array.nbytes <= _IMAGEJ_BYTES and array.shape[2] > 1:
        metadata: dict[str, Any] = {"axes": "ZYX", "spacing": slice_mm, "unit": "mm"}
        if description:
            metadata["Info"] = description
        resolution = (1.0 / column_mm, 1.0 / row_mm)
        tifffile.imwrite(out, array, imagej=True, resolution=resolution, metadata=metadata)
        return
    metadata = {"axes": "ZYX"}
    for axis, mm in zip("ZYX", (slice_mm, row_mm, column_mm)):
        metadata |= {f"PhysicalSize{axis}": mm, f"PhysicalSize{axis}Unit": "mm"}
    if description:
        metadata["Description"] = description
    big = array.nbytes > _IMAGEJ_BYTES
    tifffile.imwrite(out, array, ome=True, bigtiff=big, photometric="minisblack", metadata=metadata)


def write_nifti(
    out: IO[bytes] | gzip.GzipFile,
    array: NDArray[Any],
    *,
    affine: Affine,
    source_axes: tuple[int, int, int],
    slope: float = 1.0,
    intercept: float = 0.0,
) -> None:
    """Write a NIfTI-1 file, not packed.

    Args:
        out: where to; from its beginning.
        array: ``(slices, rows, columns)``, one of `services.core.volume.VOXEL_DTYPES`.
        affine, source_axes: as in `nifti_bytes`.
        slope, intercept: intensity = stored × slope + intercept; the file keeps both as float32.

    Raises:
        TooLarge: an axis is longer than NIfTI-1 can say.
    """
    if max(array.shape) > _NIFTI1_LIMIT:
        raise TooLarge(f"A NIfTI file cannot hold an image with more than {_NIFTI1_LIMIT} voxels along an axis.")
    stored = array.transpose(np.argsort(source_axes))
    ras = RAS_TO_LPS @ affine @ axes_matrix(source_axes).T
    image: Any = nibabel.Nifti1Image(stored, ras)  # type: ignore[no-untyped-call]
    image.header.set_xyzt_units("mm", "sec")
    image.header.set_slope_inter(slope, intercept)  # set, so that nibabel writes the stored values as they are
    image.set_sform(ras, code=_SCANNER)
    image.set_qform(ras, code=_SCANNER, strip_shears=True)
    size = (stored.shape[0], stored.shape[1], stored.shape[2])
    if not corner_distance(np.asarray(image.get_qform()), ras, size) < _QFORM_MM:
        image.set_qform(None, code=0)
    image.to_stream(out)
