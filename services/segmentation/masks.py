"""Masks: saved from a probability, or taken from a file."""

from __future__ import annotations

import time
from functools import partial

import numpy as np
from numpy.typing import NDArray

from services.core import forest
from services.core.errors import InvalidInput, Reason
from services.core.mask import at_threshold
from services.core.scratch import scratch_folder
from services.formats.masks import read_mask
from services.formats.source import SourceFile
from services.formats.worker import Limits, in_worker
from services.segmentation.settings import Snapshot
from services.store.annotations import Annotations, MaskRecord
from services.store.catalogue import VolumeRecord


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
        preset=kept.learning.preset,
        seed=kept.learning.seed,
        engine=forest.ENGINE,
        object_ml=float(content.sum()) * volume.voxel_ml,
        connected=kept.switches.connected,
        fill_holes=kept.switches.fill_holes,
        classifier=kept.learning.classifier,
        latent_model=kept.learning.latent_model,
    )
    return annotations.publish_mask(annotation_id, record)


def take(name: str, data: bytes, volume: VolumeRecord, limits: Limits, segment: int = 0) -> NDArray[np.bool_]:
    """A mask from a file's bytes; which segment or label of it is as in `read_mask`.

    Returns:
        ``(slices, rows, columns)``.

    Raises:
        InvalidInput: it does not fit.
        ChoiceNeeded: SEVERAL_SEGMENTS.
        TooLarge: over a limit.
    """
    with scratch_folder() as folder:
        path = folder / "mask"
        path.write_bytes(data)
        mask = read_mask(
            SourceFile(name, path),
            shape=volume.shape,
            affine=volume.affine_array,
            source_axes=volume.source_axes,
            label=segment,
            run=partial(in_worker, limits=limits),
        )
    if not mask.any():
        raise InvalidInput("The mask is empty.", Reason.MASK_MISMATCH)
    return mask
