"""How a volume is shown on this tablet: contrast, interpolation, the result's style and colours.

It changes nothing that is computed. A volume opens as it was left: its look is a small file beside the journals.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tablet_client.state import contrast
from tablet_client.state.contrast import BY_HAND, FIRST
from tablet_client.state.kept import kept_path, read_kept, write_kept
from tablet_client.state.tools import Window

STYLES = ("mask", "outline", "wash", "hidden")
"""How the result is drawn: filled with its outline, the outline alone, the probability as strength, not at all."""

_ENDING = ".look.json"


@dataclass(frozen=True)
class Look:
    """How a volume is shown.

    Attributes:
        contrast: the preset that was chosen last, or `BY_HAND`.
        low, high: intensities shown black and white; None: those that the volume came with.
        equalised: greys are spread by the histogram of each slice.
        smooth: greys are interpolated between pixels.
        style: one of `STYLES`.
        fill: opacity of the mask's fill, 0 to 1.
        colour_blind: object and background in colours that everyone tells apart.
        three: the other two planes are shown beside the image.
    """

    contrast: str = FIRST
    low: float | None = None
    high: float | None = None
    equalised: bool = False
    smooth: bool = True
    style: str = "mask"
    fill: float = 0.35
    colour_blind: bool = False
    three: bool = False

    def window(self, first: Window) -> Window:
        """The contrast, when the volume came with ``first``."""
        return first if self.low is None or self.high is None else Window.of(self.low, self.high)

    def windowed(self, window: Window, name: str = BY_HAND) -> Look:
        """With another contrast: a preset of that name, or the hand's."""
        low, high = (None, None) if name == FIRST else (window.low, window.high)
        return replace(self, contrast=name, low=low, high=high)

    def for_another(self) -> Look:
        """What another volume begins with: a contrast is one volume's, the rest a habit."""
        return replace(self, contrast=FIRST, low=None, high=None)


def read_look(folder: Path, volume_id: str) -> Look:
    """The look that a volume was left with on this tablet; without one, the habits of the volume that was changed last.

    The colours are a person's, not a volume's: they are always as they were chosen last.
    """
    last = _last(folder)
    own = read_kept(kept_path(folder, volume_id, _ENDING), Look(), _possible)
    return last.for_another() if own is None else replace(own, colour_blind=last.colour_blind)


def write_look(folder: Path, volume_id: str, look: Look) -> bool:
    """Keep a look. Returns: False when the disk did not take it; the one that was there still is."""
    return write_kept(kept_path(folder, volume_id, _ENDING), look)


def _last(folder: Path) -> Look:
    """The look that was kept last, of whichever volume."""
    try:
        newest = max(folder.glob("*" + _ENDING), key=lambda path: path.stat().st_mtime_ns, default=None)
    except OSError:
        return Look()
    return (read_kept(newest, Look(), _possible) if newest is not None else None) or Look()


def _possible(name: str, value: Any) -> bool:
    if name in ("low", "high"):
        return value is None or (type(value) in (int, float) and math.isfinite(value))
    if name == "fill":
        return type(value) in (int, float) and 0 <= value <= 1
    if name in ("contrast", "style"):
        return value in (contrast.NAMES if name == "contrast" else STYLES)
    return isinstance(value, bool)
