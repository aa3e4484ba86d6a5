"""From an upload to a volume in the catalogue: read in a worker process, look once, store, publish."""

from __future__ import annotations

import io
import time
from collections.abc import Callable

import numpy as np
from PIL import Image

from services.core.geometry import acquisition_plane, plane_geometry
from services.core.volume import Volume, grey_map, intensity_window, to_window
from services.formats.offer import Listing
from services.formats.read import Repairs, suggested_name
from services.formats.source import scratch_folder
from services.formats.worker import Limits, list_in_worker, read_in_worker
from services.store.catalogue import Catalogue, VolumeRecord
from services.volumes.uploads import UploadFolder

THUMBNAIL_PIXELS = 320


def list_upload(upload: UploadFolder, limits: Limits) -> Listing:
    """What an upload's files hold. Blocks; errors are those of ``Volumes.ListSeries``."""
    with scratch_folder() as folder:
        return list_in_worker(upload.assemble(folder), limits=limits)


def import_upload(
    upload: UploadFolder,
    catalogue: Catalogue,
    *,
    name: str,
    series: str,
    frame: int | None,
    repairs: Repairs,
    limits: Limits,
    progress: Callable[[int, int], None],
) -> VolumeRecord:
    """Make a volume of an upload's files and forget the upload. Blocks; errors are those of ``Volumes.Import``."""
    with scratch_folder() as folder:
        files = upload.assemble(folder)
        volume = read_in_worker(files, series=series, frame=frame, repairs=repairs, progress=progress, limits=limits)
    window = intensity_window(volume)
    record = catalogue.add(
        volume,
        name=name or suggested_name(files, volume),
        imported_ms=time.time_ns() // 1_000_000,
        window=window,
        grey=grey_map(volume),
        thumbnail=thumbnail(volume, volume.voi or window),
    )
    upload.delete()
    return record


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
