"""How an annotation is computed, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from services.core.latent import Latent
from services.segmentation.times import Times


@dataclass(frozen=True)
class Switches:
    """What is done to a whole probability; fields as in ``calque.v1.AnnotateSettings``."""

    connected: bool = False
    fill_holes: bool = False


OFF = Switches()


@dataclass(frozen=True)
class Learning:
    """What a classifier depends on beside the strokes; fields as in ``calque.v1.AnnotateSettings``.

    But for ``latent``: what an encoder says of the volume, None where only the service's own features count.
    """

    preset: str = "paper"
    seed: int = 0
    shown_label: int = 1
    classifier: str = "forest"
    latent: Latent | None = None

    @property
    def latent_model(self) -> str:
        """SHA-256 of the encoder, hexadecimal; empty where there is none."""
        return self.latent.digest if self.latent else ""


@dataclass(frozen=True)
class Settings:
    """How to compute: ``live`` after each event; with ``latent`` features as soon as they are there."""

    learning: Learning = Learning()
    switches: Switches = OFF
    live: bool = True
    latent: bool = False


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
