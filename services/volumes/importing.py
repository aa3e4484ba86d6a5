"""From an upload to a volume in the catalogue: read in a worker process, de-identify, look once, store, publish.

The worker never holds the key of the pseudonyms; past `private` nothing is as the files say it, their names included.
"""

from __future__ import annotations

import io
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from PIL import Image

from services.core.deidentify import Pseudonyms, deidentified, neutral_name
from services.core.errors import InvalidInput, Reason, TooLarge
from services.core.geometry import acquisition_plane, plane_geometry
from services.core.volume import Volume, grey_map, intensity_window, to_window
from services.formats.read import SourceFile, kind_of, suggested_name
from services.formats.scratch import scratch_folder
from services.formats.worker import Limits, read_in_worker
from services.store.catalogue import Catalogue, VolumeRecord
from services.volumes.uploads import UploadFolder

THUMBNAIL_PIXELS = 320
NOT_DEIDENTIFIED = (
    "De-identification was switched off when this volume was imported: its name, and what is kept and exported with it, "
    "may tell who the patient is."
)


def import_upload(
    upload: UploadFolder,
    catalogue: Catalogue,
    *,
    name: str,
    series: str,
    frame: int | None,
    limits: Limits,
    progress: Callable[[int, int], None],
    pseudonyms: Pseudonyms | None,
) -> VolumeRecord:
    """Make a volume of an upload's files and forget the upload. Blocks; errors are those of ``Volumes.Import``.

    An upload that cannot be read is forgotten as well; one that a choice is asked for is not. ``pseudonyms`` None: the
    volume is kept as the files say it is.
    """
    try:
        with scratch_folder() as folder:
            files = upload.assemble(folder)
            volume = read_in_worker(files, series=series, frame=frame, progress=progress, limits=limits)
            volume, name = private(volume, name, files, pseudonyms)
    except (InvalidInput, TooLarge) as error:
        if error.reason is not Reason.STORE_FULL:
            upload.delete()
        raise
    window = intensity_window(volume)
    record = catalogue.add(
        volume,
        name=name,
        imported_ms=time.time_ns() // 1_000_000,
        window=window,
        grey=grey_map(volume),
        thumbnail=thumbnail(volume, volume.voi or window),
        deidentified=pseudonyms is not None,
        key_check=pseudonyms.check if pseudonyms is not None and volume.source is not None else "",
    )
    upload.delete()
    return record


def private(volume: Volume, name: str, files: Sequence[SourceFile], pseudonyms: Pseudonyms | None) -> tuple[Volume, str]:
    """The volume as it may be kept, and its name: the user's, or else one that tells nothing of the patient."""
    if pseudonyms is None:
        warned = replace(volume, warnings=(*volume.warnings, NOT_DEIDENTIFIED))
        return warned, name or suggested_name(files, volume)
    volume = deidentified(volume, pseudonyms)
    return volume, name or neutral_name(volume, kind_of(files), secrets.token_hex(2))


def thumbnail(volume: Volume, window: tuple[float, float]) -> bytes:
    """JPEG of the middle acquisition slice as the viewer shows it, true proportions, at most `THUMBNAIL_PIXELS` wide."""
    plane = plane_geometry(volume.shape, volume.affine, acquisition_plane(volume.shape, volume.affine))
    middle = volume.shape[0] // 2
    levels = np.rint(to_window(volume.intensity(middle), window)).astype(np.uint8)
    image = plane.image_of_cut(levels)
    width_mm, height_mm = plane.columns * plane.column_mm, plane.rows * plane.row_mm
    scale = THUMBNAIL_PIXELS / max(width_mm, height_mm)
    size = (max(1, round(width_mm * scale)), max(1, round(height_mm * scale)))
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).resize(size, Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=80)
    return buffer.getvalue()
