"""Slices of volumes as the tablet gets them: 16-bit greys."""

from __future__ import annotations

import threading
from collections import OrderedDict

import numpy as np
from numpy.typing import NDArray

from services.core.geometry import PlaneGeometry
from services.store.catalogue import Catalogue, VolumeRecord

CACHED_VOLUMES = 2


class GreyCache:
    """Slices as 16-bit greys. Acquisition slices are read by range; for the other planes a few volumes are kept whole."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._whole: OrderedDict[str, NDArray[np.uint16]] = OrderedDict()
        self._lock = threading.Lock()

    def image(self, record: VolumeRecord, plane: PlaneGeometry, index: int) -> NDArray[np.uint16]:
        """Slice ``index`` of a plane: ``(rows, columns)`` uint16."""
        if plane.slice_axis == 0 and record.volume_id not in self._whole:
            return plane.image_of_cut(self._acquired(record, plane.voxel_index(index)))
        return plane.slice_of(self._volume(record), index)

    def forget(self, volume_id: str) -> None:
        """Drop a deleted volume."""
        with self._lock:
            self._whole.pop(volume_id, None)

    def _volume(self, record: VolumeRecord) -> NDArray[np.uint16]:
        with self._lock:
            greys = self._whole.get(record.volume_id)
            if greys is None:
                greys = np.stack([self._acquired(record, index) for index in range(record.shape[0])])
                self._whole[record.volume_id] = greys
                while len(self._whole) > CACHED_VOLUMES:
                    self._whole.popitem(last=False)
            self._whole.move_to_end(record.volume_id)
            return greys

    def _acquired(self, record: VolumeRecord, index: int) -> NDArray[np.uint16]:
        stored = self._catalogue.slice(record, index).astype(np.float64)
        return record.grey.greys(stored * record.slope[index] + record.intercept[index])
