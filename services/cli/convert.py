"""``calque convert``: any readable input as one NIfTI or TIFF file, the same voxels at the same place."""

from __future__ import annotations

from pathlib import Path

from services.cli.check import parser_limits
from services.core.volume import Volume
from services.formats.repair import Repairs
from services.formats.source import source_files
from services.formats.volume_file import Stored, form_of, refuse_existing, write_volume
from services.formats.worker import read_in_worker


def convert(source: Path, target: Path, *, series: str, frame: int | None, repairs: Repairs, force: bool) -> list[str]:
    """Read ``source`` and write ``target``.

    Args:
        source: a file or a folder.
        target: its ending, .nii, .nii.gz, .tif or .tiff, says what is written.
        series: which series, where the files hold several.
        frame: which image of a 4-D file, from 0.
        repairs: of slices that are uneven or tilted.
        force: whether a file ``target`` may be replaced.

    Returns:
        What was written, and every warning, in sentences.

    Raises:
        CalqueError: as in `read_in_worker` and `write_volume`; nothing is left then.
    """
    form = form_of(target)
    if not force:
        refuse_existing(target)
    files = source_files(source)
    volume = read_in_worker(files, series=series, frame=frame, repairs=repairs, limits=parser_limits())
    stored = write_volume(volume, target, overwrite=force)
    told = [_written(volume, stored, target), *volume.warnings]
    if form == "tiff":
        told.append("A TIFF keeps distances only, not orientation and position; choose NIfTI to keep these.")
    return told


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
