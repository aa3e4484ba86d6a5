"""How an annotation is computed, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from services.segmentation.times import Times


@dataclass(frozen=True)
class Switches:
    """What is done to a whole probability; fields as in ``calque.v1.AnnotateSettings``."""

    connected: bool = False
    fill_holes: bool = False


OFF = Switches()


@dataclass(frozen=True)
class Learning:
    """What a classifier depends on beside the strokes; fields as in ``calque.v1.AnnotateSettings``."""

    preset: str = "paper"
    seed: int = 0
    shown_label: int = 1
    classifier: str = "forest"


@dataclass(frozen=True)
class Settings:
    """How to compute: ``live`` after each event."""

    learning: Learning = Learning()
    switches: Switches = OFF
    live: bool = True


@dataclass
class Measured:
    """The newest generation: milliseconds since it was asked for, and ``times`` of the steps that made it."""

    generation: int = 0
    visible_ms: float = 0.0
    volume_ms: float = 0.0
    out_of_bag: float = 0.0
    labelled: dict[int, int] = field(default_factory=dict)  # voxels of each label
    times: Times = field(default_factory=Times)


@dataclass(frozen=True)
class Snapshot:
    """A whole probability: ``levels`` ``(slices, rows, columns)`` uint8, the log's length that it is made from, and how."""

    levels: NDArray[np.uint8]
    log_length: int
    learning: Learning
    switches: Switches
