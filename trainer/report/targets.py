"""Patches with and without a target, such as a tumour: what a representation must tell apart to be worth something.

A patch is one with the target when its central pixel is in the mask, and one without when no pixel of it is; what lies
between is left out. Each volume gives as many of both, drawn by a seed, so that guessing is right half the time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from trainer.config import Config
from trainer.data import Patches, find_patches
from trainer.scans import Mask, Scan


@dataclass(frozen=True)
class Targets:
    """Patches and whether the target is in them.

    Attributes:
        patches: of the scans, with one number a scan.
        target: ``(n,)`` bool.
        patients: ``(n,)``, whose a patch is; which volume's, where all are of one patient.
    """

    patches: Patches
    target: Mask
    patients: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.target)

    def pixels(self) -> NDArray[np.float32]:
        """``(n, side, side)`` float32, 0–1."""
        return np.stack([self.patches[number] for number in range(len(self))])


def find_targets(scans: Sequence[Scan], masks: Sequence[Mask], config: Config, most: int, seed: int) -> Targets:
    """Draw patches with and without the target.

    Args:
        scans: the volumes.
        masks: of each, ``(slices, rows, columns)``.
        config: its patch and content; patches are looked for every quarter of a patch.
        most: of each kind, of a volume.
        seed: of the draw.
    """
    near = replace(config, step=max(1, config.patch // 4))
    patches = find_patches([scan.volume for scan in scans], near)
    kinds = np.array(
        [_kind(masks[which][index], row, column, patches.side) for which, index, row, column in patches.places]
    )
    chosen = []
    for which in range(len(scans)):
        of_both = [np.flatnonzero((patches.places[:, 0] == which) & (kinds == kind)) for kind in (1, 0)]
        number = min(most, *map(len, of_both))
        for kind, some in enumerate(of_both):
            drawn = np.random.default_rng([seed, which, kind]).permutation(len(some))[:number]
            chosen.append(np.sort(some[drawn]))
    at = np.concatenate(chosen) if chosen else np.empty(0, np.int64)
    whose = [scan.patient for scan in scans]
    if len(set(whose)) == 1:
        whose = [scan.name for scan in scans]
    patients = np.array([whose[which] for which in patches.places[at, 0]])
    return Targets(replace(patches, places=patches.places[at]), kinds[at] == 1, patients)


def _kind(mask: Mask, row: int, column: int, side: int) -> int:
    """1 with the target, 0 without, -1 neither."""
    if mask[row + side // 2, column + side // 2]:
        return 1
    return -1 if mask[row : row + side, column : column + side].any() else 0
