"""Masks: saved from a probability, taken from a file, and everything written as files for other programs."""

from __future__ import annotations

import hashlib
import re
import time
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from services.core import forest
from services.core.errors import InvalidInput, NotFound, Reason
from services.core.mask import at_threshold
from services.formats.masks import read_mask
from services.formats.source import SourceFile, scratch_folder
from services.formats.worker import Limits, read_in_worker
from services.formats.write import nifti_bytes, tiff_bytes
from services.segmentation.workspace import Snapshot
from services.store.annotations import AnnotationRecord, Annotations, MaskRecord
from services.store.catalogue import VolumeRecord

Format = Literal["tiff", "nifti"]
Kind = Literal["annotation", "mask", "probability"]
_ENDINGS: dict[Format, str] = {"tiff": ".tif", "nifti": ".nii.gz"}


@dataclass(frozen=True)
class ExportedFile:
    """A file for another program."""

    name: str
    data: bytes
    sha256: str


def save(annotations: Annotations, annotation_id: str, volume: VolumeRecord, kept: Snapshot, threshold: int) -> MaskRecord:
    """Keep p ≥ threshold as the annotation's newest mask, durably. Blocks."""
    content = at_threshold(kept.levels, threshold)
    digest = annotations.put_blob(annotation_id, content)
    record = MaskRecord(
        number=0,
        digest=digest,
        threshold=threshold,
        saved_ms=time.time_ns() // 1_000_000,
        log_length=kept.log_length,
        preset=kept.settings.preset,
        seed=kept.settings.seed,
        engine=forest.ENGINE,
        object_ml=float(content.sum()) * volume.voxel_ml,
    )
    return annotations.publish_mask(annotation_id, record)


def saved(annotations: Annotations, annotation_id: str, number: int, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """A saved mask by its number, 0: the newest; ``shape`` uint8, 255 inside. Raises: NotFound, Corrupt."""
    for record in annotations.masks(annotation_id):
        if number in (0, record.number):
            return annotations.get_blob(annotation_id, record.digest, shape).astype(np.uint8) * np.uint8(255)
    raise NotFound("There is no such saved mask.", Reason.MASK_NOT_FOUND)


def take(name: str, data: bytes, volume: VolumeRecord, limits: Limits) -> NDArray[np.bool_]:
    """A mask from a file's bytes, shape ``(slices, rows, columns)``. Raises: InvalidInput (it does not fit), TooLarge."""
    with scratch_folder() as folder:
        path = folder / "mask"
        path.write_bytes(data)
        mask = read_mask(
            SourceFile(name, path),
            shape=volume.shape,
            affine=volume.affine_array,
            source_axes=volume.source_axes,
            read=partial(read_in_worker, limits=limits),
        )
    if not mask.any():
        raise InvalidInput("The mask is empty.", Reason.MASK_MISMATCH)
    return mask


def write(
    array: NDArray[np.uint8], volume: VolumeRecord, annotation: AnnotationRecord, *, kind: Kind, form: Format
) -> ExportedFile:
    """An array ``(slices, rows, columns)`` uint8 as a file."""
    if form == "tiff":
        data = tiff_bytes(array, affine=volume.affine_array, description=f"Calque {kind}")
    else:
        data = nifti_bytes(array, affine=volume.affine_array, source_axes=volume.source_axes)
    stem = "-".join(_plain(part) for part in (volume.name, annotation.name, kind))
    return ExportedFile(stem + _ENDINGS[form], data, hashlib.sha256(data).hexdigest())


def _plain(text: str) -> str:
    """A text as part of a file name that every system takes."""
    return re.sub(r"[^\w.]+", "_", text).strip("._")[:60] or "unnamed"
