"""From an upload to a volume in the catalogue: read in a worker process, de-identify, look once, store, publish.

The worker never holds the key of the pseudonyms; past `private` nothing is as the files say it, their names included.
"""

from __future__ import annotations

import io
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from services.core.deidentify import Pseudonyms, deidentified, neutral_name
from services.core.errors import InvalidInput, Reason, TooLarge
from services.core.geometry import PlaneGeometry, acquisition_plane, plane_geometry
from services.core.scratch import scratch_folder
from services.core.volume import Volume, to_window
from services.formats.contents import kind_of
from services.formats.offer import Listing
from services.formats.read import Repairs, SourceFile, suggested_name
from services.formats.room import Plan
from services.formats.shared_room import VOXELS
from services.formats.worker import Limits, Stop, list_in_worker, read_in_worker
from services.store.catalogue import Catalogue, VolumeRecord
from services.store.port import Store
from services.volumes.intake import Intake
from services.volumes.uploads import UploadFolder

THUMBNAIL_PIXELS = 320
PREVIEW_PIXELS = 256
NOT_DEIDENTIFIED = (
    "De-identification was switched off when this volume was imported: its name, and what is kept and exported with it, "
    "may tell who the patient is."
)


@dataclass(frozen=True)
class Step:
    """How far an import is: of files looked at, or of slices read."""

    done: int
    total: int
    slices: bool


@dataclass(frozen=True)
class Preview:
    """A slice that is there: its plane, its number in it, a JPEG."""

    plane: PlaneGeometry
    slice: int
    picture: bytes


Watch = Callable[[Step | Preview | VolumeRecord], None]


def list_upload(upload: UploadFolder, limits: Limits) -> Listing:
    """What an upload's files hold. Blocks; errors are those of ``Volumes.ListSeries``."""
    with scratch_folder() as folder:
        return list_in_worker(upload.sources(folder), limits=limits)


def import_upload(
    upload: UploadFolder,
    store: Store,
    *,
    name: str,
    project: str,
    series: str,
    frame: int | None,
    repairs: Repairs,
    limits: Limits,
    pseudonyms: Pseudonyms | None,
    watch: Watch,
    stop: Stop,
) -> None:
    """Make a volume of an upload's files, and forget the upload; also one that cannot be read. Blocks.

    Args:
        pseudonyms: who the patient is becomes; ``None``: the volume is kept as the files say it is.
        watch: told of progress and pictures, from several threads, and of the record as soon as the volume is readable.
        stop: ends it; then there is no volume, and the upload stays.

    Raises:
        Stopped: by ``stop``. The errors of ``Volumes.Import``.
    """
    # Slices are counted as they come: what the reader tells by itself is of files until then.
    counting = Intake(stop, lambda done, total: watch(Step(done, total, True)), lambda *seen: watch(_preview(*seen)))
    with _forgotten_when_refused(upload), store.scratch() as folder, counting as intake:
        stop.check()
        files = upload.sources(folder)
        volume = read_in_worker(
            files,
            series=series,
            frame=frame,
            repairs=repairs,
            progress=lambda done, total: None if intake.begun else watch(Step(done, total, False)),
            limits=limits,
            folder=folder,
            follower=intake,
            stop=stop,
        )
        volume, name = private(volume, name, files, pseudonyms)
        file, window, grey = intake.finish(volume, folder / VOXELS)
        middle = volume.shape[0] // 2
        plane = plane_geometry(volume.shape, volume.affine, acquisition_plane(volume.shape, volume.affine))
        record = Catalogue(store).add(
            volume,
            name=name,
            imported_ms=time.time_ns() // 1_000_000,
            window=window,
            grey=grey,
            thumbnail=picture(plane, volume.intensity(middle), volume.voi or window, THUMBNAIL_PIXELS),
            file=file,
            deidentified=pseudonyms is not None,
            project=project,
            key_check=pseudonyms.check if pseudonyms is not None and volume.source is not None else "",
        )
        watch(record)
    upload.delete()


@contextmanager
def _forgotten_when_refused(upload: UploadFolder) -> Iterator[None]:
    """Forget an upload that cannot be read. Not one that a choice is asked for, or that there was no room for."""
    try:
        yield
    except (InvalidInput, TooLarge) as error:
        if error.reason is not Reason.STORE_FULL:
            upload.delete()
        raise


def private(volume: Volume, name: str, files: Sequence[SourceFile], pseudonyms: Pseudonyms | None) -> tuple[Volume, str]:
    """The volume as it may be kept, and its name: the user's, or else one that tells nothing of the patient."""
    if pseudonyms is None:
        warned = replace(volume, warnings=(*volume.warnings, NOT_DEIDENTIFIED))
        return warned, name or suggested_name(files, volume)
    volume = deidentified(volume, pseudonyms)
    return volume, name or neutral_name(volume, kind_of(files), secrets.token_hex(2))


def _preview(plan: Plan, index: int, intensity: NDArray[np.float32], window: tuple[float, float]) -> Preview:
    plane = plane_geometry(plan.shape, plan.affine, acquisition_plane(plan.shape, plan.affine))
    # Which way round slices are numbered, the map tells both ways.
    return Preview(plane, plane.voxel_index(index), picture(plane, intensity, window, PREVIEW_PIXELS))


def picture(plane: PlaneGeometry, intensity: NDArray[np.float32], window: tuple[float, float], pixels: int) -> bytes:
    """JPEG of an acquisition slice as the viewer shows it, true proportions, at most ``pixels`` wide and high."""
    width_mm, height_mm = plane.columns * plane.column_mm, plane.rows * plane.row_mm
    scale = pixels / max(width_mm, height_mm)
    size = (max(1, round(width_mm * scale)), max(1, round(height_mm * scale)))
    levels = np.rint(to_window(plane.image_of_cut(intensity), window)).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(levels)).resize(size, Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=80)
    return buffer.getvalue()
