"""From the log of an annotation to its labels.

An action changes labels: an `Edit` (what a stroke, a lasso or the eraser came to), a `MaskStart`, `Clear`. `Undo` takes
back the last action that is not taken back yet, also a `Clear`; `Redo` does again what was taken back last; a new action
forgets what could be done again. An undo or redo that finds nothing changes nothing. Actions apply in the order of the log:
what came later prevails. The labels depend on the log alone.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

OBJECT = 1
BACKGROUND = 2

Level = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Edit:
    """Voxels get a label.

    Attributes:
        voxels: ``(n,)`` int64, flat indices into the volume ``(slices, rows, columns)``, each once.
        label: the label; 0 erases.
    """

    voxels: NDArray[np.int64]
    label: int


@dataclass(frozen=True, eq=False)
class MaskStart:
    """A mask becomes labels, as `mask_labels` makes them; voxels beside its border stay as they are.

    Attributes:
        mask: ``(slices, rows, columns)`` bool.
    """

    mask: NDArray[np.bool_]


@dataclass(frozen=True)
class Clear:
    """All labels vanish."""


@dataclass(frozen=True)
class Undo:
    """The last action that is not taken back yet is taken back."""


@dataclass(frozen=True)
class Redo:
    """What was taken back last is done again."""


Action = Edit | MaskStart | Clear | Undo | Redo


@dataclass(frozen=True)
class _Few:
    """What an action on a few voxels changed."""

    voxels: NDArray[np.int64]
    before: Level
    after: Level


@dataclass(frozen=True)
class _Many:
    """What an action on the whole volume changed: both states, compressed, since labels are nearly empty."""

    before: bytes
    after: bytes


class Labels:
    """The labels of a volume while its log grows.

    Attributes:
        array: ``(slices, rows, columns)`` uint8, 0 where nothing is drawn. Read it; `apply` alone writes.
    """

    def __init__(self, shape: tuple[int, int, int]) -> None:
        self.array: Level = np.zeros(shape, dtype=np.uint8)
        self._done: list[_Few | _Many] = []
        self._undone: list[_Few | _Many] = []

    def apply(self, action: Action) -> frozenset[int]:
        """Apply the next action of the log.

        Returns:
            The slices on which labels changed.

        Raises:
            IndexError: a voxel outside the volume, or a mask of another shape; the labels stay as they were.
        """
        if isinstance(action, Undo):
            if not self._done:
                return frozenset()
            change = self._done.pop()
            self._undone.append(change)
            return self._put(change, back=True)
        if isinstance(action, Redo):
            if not self._undone:
                return frozenset()
            change = self._undone.pop()
        else:
            change = self._change_of(action)
            self._undone.clear()
        self._done.append(change)
        return self._put(change, back=False)

    def _change_of(self, action: Edit | MaskStart | Clear) -> _Few | _Many:
        if isinstance(action, Edit):
            voxels = np.asarray(action.voxels, dtype=np.int64)
            if voxels.size and (voxels.min() < 0 or voxels.max() >= self.array.size):
                raise IndexError("A voxel lies outside the volume.")
            return _Few(voxels, self.array.ravel()[voxels], np.full(len(voxels), action.label, dtype=np.uint8))
        if isinstance(action, Clear):
            after = np.zeros_like(self.array)
        else:
            if action.mask.shape != self.array.shape:
                raise IndexError("A mask does not have the volume's shape.")
            start = mask_labels(action.mask)
            after = np.where(start > 0, start, self.array)
        return _Many(_folded(self.array), _folded(after))

    def _put(self, change: _Few | _Many, back: bool) -> frozenset[int]:
        if isinstance(change, _Few):
            flat = self.array.reshape(-1)
            flat[change.voxels] = change.before if back else change.after
            moved = change.voxels[change.before != change.after]
            return frozenset(np.unique(moved // self.array[0].size).tolist())
        state = zlib.decompress(change.before if back else change.after)
        new = np.frombuffer(state, dtype=np.uint8).reshape(self.array.shape)
        touched = (new != self.array).any(axis=(1, 2))
        self.array[...] = new
        return frozenset(np.flatnonzero(touched).tolist())


def replay(shape: tuple[int, int, int], log: Iterable[Action]) -> Labels:
    """The labels after a whole log."""
    labels = Labels(shape)
    for action in log:
        labels.apply(action)
    return labels


def mask_labels(mask: NDArray[np.bool_]) -> Level:
    """Labels of a mask: inside `OBJECT`, outside `BACKGROUND`, and 0 for the voxels on both sides of its border.

    A voxel is beside the border when one of its four neighbours in the acquisition slice lies on the other side. The edge
    of the slice is no border.

    Args:
        mask: ``(slices, rows, columns)`` bool.
    """
    border = np.zeros_like(mask)
    across = mask[:, :, 1:] != mask[:, :, :-1]
    border[:, :, 1:] |= across
    border[:, :, :-1] |= across
    down = mask[:, 1:] != mask[:, :-1]
    border[:, 1:] |= down
    border[:, :-1] |= down
    labels = np.where(mask, OBJECT, BACKGROUND).astype(np.uint8)
    labels[border] = 0
    return labels


def _folded(array: Level) -> bytes:
    return zlib.compress(array.tobytes(), 1)
