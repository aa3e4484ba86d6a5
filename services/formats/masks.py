"""Masks from outside: a file of the same grid as a volume → inside or outside for each voxel. Nothing is resampled."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import product

import numpy as np
from numpy.typing import NDArray

from services.core.errors import ChoiceNeeded, InvalidInput, Reason
from services.core.volume import Affine, Volume
from services.formats.contents import is_segmentation
from services.formats.metaimage import is_metaimage
from services.formats.nifti import head_of, is_nifti
from services.formats.nrrd import is_nrrd
from services.formats.read import read_volume
from services.formats.source import SourceFile, check_names, short_name
from services.formats.tiff import is_tiff

# How far a corner voxel of the mask may lie from its voxel of the volume. Headers keep float32 and rounded quaternions.
TOLERANCE_MM = 1e-3


def read_mask(
    file: SourceFile,
    *,
    shape: tuple[int, int, int],
    affine: Affine,
    source_axes: tuple[int, int, int],
    label: int = 0,
    run: Callable[[Callable[[], Volume]], Volume] = lambda job: job(),
) -> NDArray[np.bool_]:
    """Read a mask drawn elsewhere on a volume.

    Args:
        file: NIfTI, NRRD or MetaImage, matched by its geometry (its axes may be permuted or flipped), a DICOM Segmentation,
            whose frames are put where they lie, or a TIFF stack, matched by its shape.
        shape: slices, rows, columns of the volume.
        affine: the volume's, voxel index → mm, LPS.
        source_axes: the volume's; sizes are told in the order of its file.
        label: what is inside: of a DICOM Segmentation the number of a segment, 0 where there is but one; of other files a
            value, 0 for every one but zero.
        run: how foreign bytes are read, for instance in a worker.

    Returns:
        ``shape``, True where the file has the label, or is neither zero nor not-a-number.

    Raises:
        InvalidInput: MASK_MISMATCH, or whatever is wrong with the file.
        ChoiceNeeded: SEVERAL_SEGMENTS.
    """
    check_names([file])
    head = head_of(file, 1024)
    if is_segmentation(head):
        return _alike(file, run(partial(read_segment, file, shape, affine, label)), shape)
    try:
        if is_nifti(head) or is_nrrd(head) or is_metaimage(head):
            return _matched(file, run(partial(read_volume, [file])), shape, affine, source_axes, label)
        if is_tiff(head):
            return _alike(file, run(partial(read_volume, [file])), shape, label)
    except ChoiceNeeded as error:
        raise InvalidInput(f"A mask must be one volume of labels. {error}", Reason.MASK_MISMATCH) from None
    raise InvalidInput(
        f"The file {short_name(file.name)} is neither a NIfTI, NRRD, MetaImage, DICOM-SEG nor TIFF mask.",
        Reason.MASK_MISMATCH,
    )


def read_segment(file: SourceFile, shape: tuple[int, int, int], affine: Affine, segment: int) -> Volume:
    """`services.formats.dicom_seg_read.segment_on`, loaded where it runs."""
    from services.formats.dicom_seg_read import segment_on

    return segment_on(file, shape, affine, segment)


def _alike(file: SourceFile, mask: Volume, shape: tuple[int, int, int], label: int = 0) -> NDArray[np.bool_]:
    """The mask's voxels as they are, where the two sizes are the same."""
    if mask.shape != shape:
        raise _other_size(file, mask.shape, shape, (2, 1, 0))
    return np.ascontiguousarray(_inside(mask, label))


def _matched(
    file: SourceFile,
    mask: Volume,
    shape: tuple[int, int, int],
    affine: Affine,
    source_axes: tuple[int, int, int],
    label: int,
) -> NDArray[np.bool_]:
    """The mask's voxels in the volume's order, where the two grids are the same points of the patient."""
    to_volume = np.linalg.inv(affine) @ mask.affine
    turn = np.rint(to_volume[:3, :3]).astype(np.int64)
    if (np.abs(turn).sum(axis=0) != 1).any() or (np.abs(turn).sum(axis=1) != 1).any():
        raise _elsewhere(file)
    axes = tuple(int(np.flatnonzero(turn[k])[0]) for k in range(3))  # the mask's axis along the volume's axis k
    if tuple(mask.shape[axis] for axis in axes) != shape:
        raise _other_size(file, tuple(mask.shape[axis] for axis in axes), shape, source_axes)
    flips = tuple(int(turn[k].sum()) for k in range(3))
    # The same point by both ways: the corner's index in the mask, and the index that permuting and flipping gives it.
    index = np.zeros((4, 4))
    index[3, 3] = 1.0
    for k in range(3):
        index[k, axes[k]] = flips[k]
        index[k, 3] = 0.0 if flips[k] > 0 else shape[k] - 1.0
    corners = np.array([[*c, 1.0] for c in product(*[(0, n - 1) for n in mask.shape])]).T
    apart = np.linalg.norm(((affine @ index - mask.affine) @ corners)[:3], axis=0).max()
    if not apart <= TOLERANCE_MM:
        raise _elsewhere(file, float(apart))
    turned = _inside(mask, label).transpose(axes)[tuple(slice(None, None, flip) for flip in flips)]
    return np.ascontiguousarray(turned)


def _inside(mask: Volume, label: int) -> NDArray[np.bool_]:
    voxels = mask.voxels
    if not label:
        inside: NDArray[np.bool_] = (voxels != 0) & (voxels == voxels)
        return inside
    values = voxels.astype(np.float64) * mask.slope[:, None, None] + mask.intercept[:, None, None]
    return np.asarray(values == label)


def _other_size(
    file: SourceFile, mask: tuple[int, ...], volume: tuple[int, int, int], source_axes: tuple[int, int, int]
) -> InvalidInput:
    sizes = [" × ".join(str(size[k]) for k in np.argsort(source_axes)) for size in (mask, volume)]
    return InvalidInput(
        f"The mask {short_name(file.name)} has {sizes[0]} voxels where the volume has {sizes[1]}.", Reason.MASK_MISMATCH
    )


def _elsewhere(file: SourceFile, apart: float | None = None) -> InvalidInput:
    how = f": it lies up to {apart:.3g} mm beside it" if apart is not None else ": its axes point elsewhere"
    return InvalidInput(
        f"The mask {short_name(file.name)} does not lie on the volume's voxels{how}; resample it onto the volume.",
        Reason.MASK_MISMATCH,
    )
