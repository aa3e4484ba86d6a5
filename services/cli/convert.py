"""``calque convert``: any readable input, or a mask on its volume, as one NIfTI or TIFF file at the same place."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from services.cli.check import parser_limits
from services.core.errors import InvalidInput
from services.core.volume import Volume
from services.formats.masks import read_mask
from services.formats.repair import Repairs
from services.formats.source import source_files
from services.formats.volume_file import Stored, form_of, refuse_existing, write_volume
from services.formats.worker import in_worker, read_in_worker


def convert(
    source: Path,
    target: Path,
    *,
    series: str,
    frame: int | None,
    repairs: Repairs,
    force: bool,
    on: Path | None = None,
    segment: int = 0,
) -> list[str]:
    """Read ``source`` and write ``target``.

    Args:
        source: a file or a folder.
        target: its ending, .nii, .nii.gz, .tif or .tiff, says what is written.
        series: which series, where the files hold several.
        frame: which image of a 4-D file, from 0.
        repairs: of slices that are uneven or tilted.
        force: whether a file ``target`` may be replaced.
        on: a volume that ``source`` is a mask of; ``series`` and ``frame`` are of this volume then.
        segment: which segment of a DICOM segmentation, by its number; 0: the only one.

    Returns:
        What was written, and every warning, in sentences.

    Raises:
        CalqueError: as in `read_in_worker`, `read_mask` and `write_volume`; nothing is left then.
    """
    form = form_of(target)
    if not force:
        refuse_existing(target)
    files = source_files(on or source)
    volume = read_in_worker(files, series=series, frame=frame, repairs=repairs, limits=parser_limits())
    if on is not None:
        volume = _masked(volume, source, segment)
    stored = write_volume(volume, target, overwrite=force)
    told = [_written(volume, stored, target), *volume.warnings]
    if form == "tiff":
        told.append("A TIFF keeps distances only, not orientation and position; choose NIfTI to keep these.")
    return told


def _masked(volume: Volume, source: Path, segment: int) -> Volume:
    """The mask of a volume in its place: 1 inside, 0 outside."""
    run = partial(in_worker, limits=parser_limits())
    axes, (file, *others) = volume.source_axes, source_files(source)
    if others:
        raise InvalidInput("A mask is one file.")
    mask = read_mask(file, shape=volume.shape, affine=volume.affine, source_axes=axes, label=segment, run=run)
    plain = np.ones(volume.shape[0]), np.zeros(volume.shape[0])
    return replace(volume, voxels=mask.astype(np.uint8), slope=plain[0], intercept=plain[1])


def _written(volume: Volume, stored: Stored, target: Path) -> str:
    size = " × ".join(str(volume.shape[k]) for k in (2, 1, 0))
    kind = stored.voxels.dtype.name
    if stored.voxels is not volume.voxels:
        values = f"intensities as {kind}, since the {volume.voxels.dtype.name} values of the source need a rescale"
    elif (stored.slope, stored.intercept) != (1.0, 0.0):
        values = f"{kind} as stored, slope {stored.slope:g}, intercept {stored.intercept:g}"
    else:
        values = f"{kind} as stored"
    return f"Wrote {target.name}: {size} voxels, {values}."
