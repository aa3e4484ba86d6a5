"""Patches for training: where they lie in the volumes, how they are corrupted, and how they reach the network.

Volumes stay as they are stored; a patch is cut out, scaled and corrupted only when the stream reaches it. A patch is
``(patch, patch)`` float32, intensities over its volume's window (``intensity_window``) scaled to 0–1.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.core.errors import InvalidInput
from services.core.volume import Volume, intensity_window, to_window
from trainer.backend import load
from trainer.config import Config
from trainer.corrupt import Mask, corrupt
from trainer.views import changed, moved

Patch = NDArray[np.float32]


@dataclass(frozen=True)
class Patches:
    """The patches of some volumes.

    Attributes:
        volumes: where they are.
        windows: intensity window of each volume.
        places: ``(n, 4)`` int32, a row a patch: number in ``volumes``, acquisition slice, first row, first column.
        side: of a patch, in pixels.
    """

    volumes: tuple[Volume, ...]
    windows: tuple[tuple[float, float], ...]
    places: NDArray[np.int32]
    side: int

    def __len__(self) -> int:
        return len(self.places)

    def some(self, most: int, seed: int) -> Patches:
        """At most so many of them, drawn by the seed and in their order; 0: all."""
        if not 0 < most < len(self):
            return self
        chosen = np.sort(np.random.default_rng([seed, most]).permutation(len(self))[:most])
        return replace(self, places=self.places[chosen])

    def __getitem__(self, number: int) -> Patch:
        """Patch ``number``: ``(side, side)`` float32, 0–1."""
        return self.near(number, 0, 0)

    def near(self, number: int, rows: int, columns: int) -> Patch:
        """Patch ``number`` moved by so many rows and columns, and no further than its slice's border."""
        which, index, row, column = (int(place) for place in self.places[number])
        volume, side = self.volumes[which], self.side
        row = min(max(row + rows, 0), volume.shape[1] - side)
        column = min(max(column + columns, 0), volume.shape[2] - side)
        stored = volume.voxels[index, row : row + side, column : column + side].astype(np.float64)
        intensity = (stored * volume.slope[index] + volume.intercept[index]).astype(np.float32)
        return to_window(intensity, self.windows[which]) / np.float32(255.0)


def find_patches(volumes: Sequence[Volume], config: Config) -> Patches:
    """All patches of volumes that hold enough of the body.

    On every acquisition slice they lie ``config.step`` pixels apart, the last ones against the far border. Slices smaller
    than a patch have none.
    """
    windows = tuple(intensity_window(volume) for volume in volumes)
    found = [np.empty((0, 4), np.int32)]
    for which, (volume, window) in enumerate(zip(volumes, windows)):
        for index in range(volume.shape[0]):
            corners = _corners(to_window(volume.intensity(index), window) > 0, config)
            where = np.broadcast_to(np.array([which, index]), corners.shape)
            found.append(np.hstack([where, corners]).astype(np.int32))
    return Patches(tuple(volumes), windows, np.concatenate(found), config.patch)


def _corners(body: Mask, config: Config) -> NDArray[np.int64]:
    """First row and column ``(n, 2)`` of the patches of a slice of which ``config.content`` or more is body."""
    side = config.patch
    rows, columns = (_starts(length, side, config.step) for length in body.shape)
    sums = np.pad(body.astype(np.int64), ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    top, left = np.meshgrid(rows, columns, indexing="ij")
    inside = sums[top + side, left + side] - sums[top, left + side] - sums[top + side, left] + sums[top, left]
    enough = inside >= config.content * side * side
    return np.column_stack([top[enough], left[enough]])


def _starts(length: int, side: int, step: int) -> NDArray[np.int64]:
    if length < side:
        return np.empty(0, np.int64)
    return np.unique(np.append(np.arange(0, length - side + 1, step, dtype=np.int64), length - side))


def stream(patches: Patches, config: Config, epoch: int | None, skip: int = 0) -> Iterator[tuple[Patch | Mask, ...]]:
    """Corrupted patch, true patch and where it was corrupted, ``(side, side)`` each.

    For training with a contrastive loss, the true patch is a view of its place, and another view of it comes last.

    Args:
        patches: where they are.
        config: its corruption, fraction and seed.
        epoch: decides order and corruption; None: in the patches' order, with the corruption of their place in it.
        skip: so many are left out at the beginning.
    """
    numbers = np.arange(len(patches))
    if epoch is not None:
        numbers = np.random.default_rng([config.seed, epoch]).permutation(numbers)
    for number in numbers[skip:]:
        seed = (config.seed, 0 if epoch is None else epoch + 1, int(number))
        contrasted = bool(config.contrastive) and epoch is not None
        truth = _view(patches, int(number), (*seed, 1)) if contrasted else patches[int(number)]
        hidden_patch, hidden = corrupt(truth, config.corruption, config.fraction, seed)
        other = (_view(patches, int(number), (*seed, 2)),) if contrasted else ()
        yield hidden_patch, truth, hidden, *other


def _view(patches: Patches, number: int, seed: Sequence[int]) -> Patch:
    """The patch as it might have been: cut out nearby, turned, and with other intensities."""
    rng = np.random.default_rng(list(seed))
    return changed(patches.near(number, *moved(patches.side, rng)), rng)


def steps_of(patches: Patches, config: Config) -> int:
    """Whole batches of an epoch of training. Raises: InvalidInput, there are fewer patches than a batch."""
    steps = len(patches) // config.batch
    if not steps:
        raise InvalidInput(
            f"There are {len(patches)} patches to train on, fewer than a batch of {config.batch}; "
            "give more volumes, a smaller batch or a smaller step."
        )
    return min(steps, config.max_steps or steps)


def dataset(patches: Patches, config: Config, epoch: int | None, done: int = 0) -> Any:
    """The stream as a ``tf.data.Dataset`` of whole batches (for training) or of all (``epoch`` None).

    Args:
        patches, config, epoch: as in `stream`.
        done: so many batches are left out at the beginning.

    Returns:
        Elements ``(corrupted, truth, hidden)``, ``(batch, side, side, 1)``, float32, float32 and bool; for training with a
        contrastive loss ``(corrupted, truth, hidden, other)``, the last float32.
    """
    tf, _ = load()
    plane = (patches.side, patches.side)
    planes = [tf.float32, tf.float32, tf.bool] + ([tf.float32] if config.contrastive and epoch is not None else [])
    signature = tuple(tf.TensorSpec(plane, dtype) for dtype in planes)
    patches_ = tf.data.Dataset.from_generator(
        lambda: stream(patches, config, epoch, done * config.batch), output_signature=signature
    )
    batches = patches_.batch(config.batch, drop_remainder=epoch is not None)
    if config.max_steps:
        batches = batches.take(config.max_steps - done)
    return batches.map(lambda *planes: tuple(plane[..., tf.newaxis] for plane in planes)).prefetch(2)
