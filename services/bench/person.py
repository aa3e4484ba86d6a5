"""How long a person would take to draw what the simulated clinician draws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

STROKE_SECONDS = 1.0
"""For beginning a stroke."""
MM_PER_SECOND = 60.0
"""How fast the pen moves."""
SLICE_SECONDS = 1.5
"""For going to another slice."""
LOOK_SECONDS = 2.0
"""For looking at a mask."""
PAPER_SECONDS = 180.0
"""The paper's figure: above a Dice of 0.8 with its application."""
PAPER_BY_HAND_SECONDS = 420.0
"""And by hand."""


@dataclass(frozen=True)
class Effort:
    """What one round of strokes and the look at its mask cost.

    Attributes:
        strokes: drawn in this round.
        length_mm: of their paths together.
        slice_changes: before and between them.
        machine_seconds: from the end of the last stroke until the whole volume was there.
    """

    strokes: int
    length_mm: float
    slice_changes: int
    machine_seconds: float

    @property
    def person_seconds(self) -> float:
        """Time of a person for this round, waiting for the machine included."""
        pen = self.strokes * STROKE_SECONDS + self.length_mm / MM_PER_SECOND
        return pen + self.slice_changes * SLICE_SECONDS + self.machine_seconds + LOOK_SECONDS


def seconds_to(wanted: float, dice: Sequence[float], efforts: Sequence[Effort]) -> float | None:
    """Time of a person until a mask is seen that is good enough; None when none was.

    Args:
        wanted: Dice.
        dice: ``(n,)``, of the mask after each round.
        efforts: ``(n,)``, of the rounds.
    """
    spent = 0.0
    for found, effort in zip(dice, efforts):
        spent += effort.person_seconds
        if found >= wanted:
            return spent
    return None
