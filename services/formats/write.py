"""Export: arrays shaped like a volume to TIFF and NIfTI. The same array gives the same bytes."""

from __future__ import annotations

import gzip
import io
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray

from services.core.errors import TooLarge
from services.core.volume import Affine
from services.formats.nifti import RAS_TO_LPS, axes_matrix, corner_distance

_SCANNER = 1  # NIfTI xform code: coordinates of the scanner
_NIFTI1_LIMIT = 32767
# A qform cannot shear; it is written where it says the same as the sform to this distance.
_QFORM_MM = 0.01


def tiff_bytes(array: NDArray[Any], *, affine: Affine, description: str = "") -> bytes:
    """A TIFF stack that ImageJ opens with its calibration in mm.

    Args:
        array: ``(slices, rows, columns)``, bool, uint8, uint16 or float32; bool is written as 0 and 255.
        affine: ``(4, 4)``, voxel index → mm; a TIFF keeps the distances, not the orientation.
        description: shown by ImageJ as the image's information.
    """
    import tifffile

    slice_mm, row_mm, column_mm = (float(mm) for mm in np.linalg.norm(affine[:3, :3], axis=0))
    out = io.BytesIO()
    metadata: dict[str, Any] = {"axes": "ZYX", "spacing": slice_mm, "unit": "mm"}
    if description:
        metadata["Info"] = description
    tifffile.imwrite(
        out,
        array.astype(np.uint8) * 255 if array.dtype == np.bool_ else array,
        imagej=True,
        resolution=(1.0 / column_mm, 1.0 / row_mm),
        metadata=metadata,
    )
    return out.getvalue()


def nifti_bytes(array: NDArray[Any], *, affine: Affine, source_axes: tuple[int, int, int]) -> bytes:
    """A NIfTI-1 file, gzip, in the axes of the volume's source and at its place.

    Args:
        array: ``(slices, rows, columns)``, bool, uint8, int16, uint16, int32 or float32; bool is written as 0 and 1.
        affine: ``(4, 4)``, voxel index ``(slice, row, column)`` → mm, LPS.
        source_axes: as in `services.core.volume.Volume`.

    Returns:
        Bytes whose array is that of the source, axis by axis, and whose affine (RAS) is the source's.

    Raises:
        TooLarge: an axis is longer than NIfTI-1 can say.
    """
    if max(array.shape) > _NIFTI1_LIMIT:
        raise TooLarge(f"A NIfTI file cannot hold an image with more than {_NIFTI1_LIMIT} voxels along an axis.")
    stored = array.astype(np.uint8) if array.dtype == np.bool_ else array
    stored = stored.transpose(np.argsort(source_axes))
    ras = RAS_TO_LPS @ affine @ axes_matrix(source_axes).T
    image: Any = nibabel.Nifti1Image(stored, ras)  # type: ignore[no-untyped-call]
    image.header.set_xyzt_units("mm", "sec")
    image.set_sform(ras, code=_SCANNER)
    image.set_qform(ras, code=_SCANNER, strip_shears=True)
    size = (stored.shape[0], stored.shape[1], stored.shape[2])
    if not corner_distance(np.asarray(image.get_qform()), ras, size) < _QFORM_MM:
        image.set_qform(None, code=0)
    return gzip.compress(image.to_bytes(), compresslevel=6, mtime=0)
