"""Labels of voxels, kept only for the acquisition slices that were touched, and cut along any plane."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tablet_client.state.geometry import Plane, PlaneInfo

Patch = dict[int, NDArray[np.int64]]
"""Voxels: for each acquisition slice the flat indices ``(n,)`` of its pixels, row × columns + column."""

_Under = dict[int, NDArray[np.uint8]]
"""Labels of a patch's voxels, ``(n,)`` for each acquisition slice."""


class _Seen(NamedTuple):
    """What a slice holds: its labels, and which of its rows and columns have any."""

    labels: frozenset[int]
    rows: NDArray[np.bool_]
    columns: NDArray[np.bool_]


class Ink:
    """A sparse label volume: uint8, 0 where nothing was drawn."""

    def __init__(self, planes: Mapping[Plane, PlaneInfo]) -> None:
        self._planes = dict(planes)
        _, self._rows, self._columns = next(iter(self._planes.values())).voxel_shape
        self._slices: dict[int, NDArray[np.uint8]] = {}
        self._seen: dict[int, _Seen] = {}  # of slices that were not painted since they were looked through

    def patch(self, plane: Plane, index: int, columns: NDArray[np.int64], rows: NDArray[np.int64]) -> Patch:
        """The voxels of pixels ``(n,)`` of a plane's slice."""
        s, r, c = self._planes[plane].to_voxels(columns, rows, index)
        flat = r * self._columns + c
        if not s.size:
            return {}
        if (s == s[0]).all():
            return {int(s[0]): flat}
        order = np.argsort(s, kind="stable")
        touched, starts = np.unique(s[order], return_index=True)
        return {int(k): part for k, part in zip(touched, np.split(flat[order], starts[1:]))}

    def paint(self, patch: Patch, label: int) -> Callable[[], None]:
        """Give voxels a label; 0 erases. Returns: gives back what lay under it, when all later ink was taken back."""
        under: _Under = {}
        for index, flat in patch.items():
            held = self._slices.get(index)
            if held is None:
                if label == 0:
                    continue
                held = self._slices[index] = np.zeros((self._rows, self._columns), dtype=np.uint8)
            under[index] = held.reshape(-1)[flat]
            held.reshape(-1)[flat] = label
            self._seen.pop(index, None)
        return lambda: self._put_back(patch, under)

    def _put_back(self, patch: Patch, under: _Under) -> None:
        for index, labels in under.items():
            self._slices[index].reshape(-1)[patch[index]] = labels
            self._seen.pop(index, None)

    def clear(self) -> Callable[[], None]:
        """Remove all labels. Returns: gives them back, when all later ink was taken back."""
        before, self._slices, self._seen = self._slices, {}, {}

        def put_back() -> None:
            self._slices, self._seen = before, {}

        return put_back

    def image(self, plane: Plane, index: int) -> NDArray[np.uint8]:
        """Labels of a plane's slice: a new array ``(rows, columns)`` uint8."""
        info = self._planes[plane]
        image = np.zeros(info.shape, dtype=np.uint8)
        axis = info.slice_axis
        position = int(info.pixel_to_voxel[axis, 2]) * index + int(info.pixel_to_voxel[axis, 3])
        if axis == 0:
            held = self._slices.get(position)
            if held is not None:
                image[...] = _turned(held, info)
            return image
        # One of the image's two axes runs through the acquisition slices: each touched slice gives one line of it.
        along_columns = info.pixel_to_voxel[0, 0] != 0
        step = int(info.pixel_to_voxel[0, 0] if along_columns else info.pixel_to_voxel[0, 1])
        across = 1 if along_columns else 0
        for slice_, held in self._slices.items():
            line = held[position, :] if axis == 1 else held[:, position]
            if info.pixel_to_voxel[:, across].sum() < 0:
                line = line[::-1]
            at = (slice_ - int(info.pixel_to_voxel[0, 3])) * step
            if along_columns:
                image[:, at] = line
            else:
                image[at, :] = line
        return image

    def marks(self, plane: Plane) -> NDArray[np.bool_]:
        """Which slices of a plane hold a label: ``(slices,)``."""
        info = self._planes[plane]
        axis = info.slice_axis
        found = np.zeros(info.slices, dtype=bool)
        for slice_ in self._slices:
            seen = self._look(slice_)
            if axis == 0:
                found[slice_] = bool(seen.labels)
            else:
                found |= seen.rows if axis == 1 else seen.columns
        return found[::-1] if info.pixel_to_voxel[axis, 2] < 0 else found

    def labels(self) -> frozenset[int]:
        """The labels that some voxel has."""
        return frozenset().union(*(self._look(slice_).labels for slice_ in self._slices))

    def _look(self, slice_: int) -> _Seen:
        """What a slice holds; only one that was painted is looked through anew."""
        seen = self._seen.get(slice_)
        if seen is None:
            held = self._slices[slice_]
            labels = frozenset(np.flatnonzero(np.bincount(held.reshape(-1), minlength=1)).tolist()) - {0}
            seen = self._seen[slice_] = _Seen(labels, np.asarray(held.any(axis=1)), np.asarray(held.any(axis=0)))
        return seen


def _turned(held: NDArray[np.uint8], info: PlaneInfo) -> NDArray[np.uint8]:
    """An acquisition slice as the image of the acquisition plane: a view ``(rows, columns)``."""
    row_step, column_step = int(info.pixel_to_voxel[:, 1].sum()), int(info.pixel_to_voxel[:, 0].sum())
    upright = held if info.pixel_to_voxel[1, 1] != 0 else held.T
    return upright[::row_step, ::column_step]
