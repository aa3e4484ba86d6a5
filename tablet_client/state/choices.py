"""What the user chose for an annotation: how it is computed, and at which threshold its mask is shown.

An annotation opens as it was left on this tablet: its choices are a small file beside its journal.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tablet_client.state.kept import kept_path, read_kept, write_kept

START_THRESHOLD = 128
"""Shown until the user or the service says another."""

_ENDING = ".choices.json"


@dataclass(frozen=True)
class Choices:
    """How an annotation is computed and shown.

    Attributes:
        live: compute after each stroke.
        shape: the preset `calque`; else `paper`.
        connected, fill_holes: as the user set the switch; None: as the preset does, on in `calque` and off in `paper`.
        threshold: where the hand left the slider last, 1 to 255; None: it never moved it.
        by_hand: the slider stays there; else it follows the service.
    """

    live: bool = True
    shape: bool = True
    connected: bool | None = None
    fill_holes: bool | None = None
    threshold: int | None = None
    by_hand: bool = False

    @property
    def shows_connected(self) -> bool:
        """The switch "Connected" is on."""
        return self.shape if self.connected is None else self.connected

    @property
    def shows_filled(self) -> bool:
        """The switch "Fill holes" is on."""
        return self.shape if self.fill_holes is None else self.fill_holes

    @property
    def method(self) -> tuple[bool, bool, bool]:
        """What a mask depends on beside the strokes: shape, connected, filled."""
        return self.shape, self.shows_connected, self.shows_filled

    def shown_threshold(self, suggested: int) -> int:
        """Where the slider stands, when the service suggests 1 to 255, or 0 for nothing."""
        if self.by_hand and self.threshold is not None:
            return self.threshold
        return suggested or START_THRESHOLD

    def moved(self, threshold: int) -> Choices:
        """The hand moved the slider: there it stays."""
        return replace(self, threshold=threshold, by_hand=True)

    def handed_over(self, shown: int) -> Choices:
        """The slider follows the service from now on; if it does already, it goes back to where the hand had left it, or
        stays at ``shown``. So neither loses the other's value."""
        return replace(self, by_hand=False) if self.by_hand else self.moved(self.threshold or shown)

    def for_another(self) -> Choices:
        """What another annotation begins with: a threshold is one annotation's, the rest a habit."""
        return replace(self, threshold=None, by_hand=False)


def read_choices(folder: Path, annotation_id: str) -> Choices | None:
    """The choices that were kept on this tablet, or None where there are none, or none that can be understood."""
    return read_kept(kept_path(folder, annotation_id, _ENDING), Choices(), _possible)


def write_choices(folder: Path, annotation_id: str, choices: Choices) -> bool:
    """Keep the choices. Returns: False when the disk did not take them; those that were there still are."""
    return write_kept(kept_path(folder, annotation_id, _ENDING), choices)


def _possible(name: str, value: Any) -> bool:
    if name == "threshold":
        return value is None or (type(value) is int and 1 <= value <= 255)
    return isinstance(value, bool) or (value is None and name in ("connected", "fill_holes"))
