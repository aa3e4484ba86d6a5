"""Contrasts to choose from: what suits the modality, what suits the slice, and greys spread evenly."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tablet_client.state.geometry import VolumeInfo
from tablet_client.state.tools import Window
from tablet_client.state.words import N_

FIRST, AUTO, FULL = "first", "auto", "full"
OF_A_SLICE = (AUTO, FULL)
"""Contrasts that are another one on each slice."""
BY_HAND = ""

_AUTO_PERCENTILES = (1.0, 99.0)
_GREYS = 1 << 16


class Preset(NamedTuple):
    """A contrast with a name; ``word`` is what the user reads, in English."""

    name: str
    word: str


# Centre and width in Hounsfield units, as reading rooms have them.
_CT = {
    Preset("brain", N_("Brain")): (40.0, 80.0),
    Preset("soft", N_("Soft tissue")): (50.0, 400.0),
    Preset("lung", N_("Lung")): (-600.0, 1500.0),
    Preset("bone", N_("Bone")): (400.0, 1800.0),
}
_ANY = (Preset(FIRST, N_("As opened")), Preset(AUTO, N_("Auto")), Preset(FULL, N_("Full")))

NAMES = (BY_HAND, *(preset.name for preset in (*_ANY, *_CT)))
"""All contrasts that there can be."""


def presets(volume: VolumeInfo) -> tuple[Preset, ...]:
    """The contrasts that suit a volume."""
    return (*_ANY, *_CT) if volume.modality == "CT" else _ANY


def preset_window(name: str, volume: VolumeInfo, greys: NDArray[np.uint16] | None) -> Window | None:
    """The window of a preset.

    Args:
        name: of one of `presets`.
        volume: what is shown.
        greys: of the slice that is shown, or None while it is not here.

    Returns:
        None where it takes a slice and there is none.
    """
    if name == FIRST:
        return Window.of(volume.window_low, volume.window_high)
    if name in OF_A_SLICE:
        if greys is None or greys.size == 0:
            return None
        ends = np.percentile(greys, _AUTO_PERCENTILES) if name == AUTO else (greys.min(), greys.max())
        return Window.of(*(float(end) * volume.grey_slope + volume.grey_intercept for end in ends))
    centre, width = next(window for preset, window in _CT.items() if preset.name == name)
    return Window.of(centre - width / 2, centre + width / 2)


def equalised(greys: NDArray[np.uint16], black: float, white: float) -> NDArray[np.uint16]:
    """The greys of a slice, spread so that each range of brightness holds as many pixels: histogram equalisation.

    Args:
        greys: of the slice.
        black, white: greys at and beyond which all is black and white, and of which the histogram is taken; black is the
            larger one where intensity falls with grey.

    Returns:
        Brightness from 0 (black) to 65535 (white), of the same shape.
    """
    low, high = (round(min(_GREYS - 1.0, max(0.0, end))) for end in sorted((black, white)))
    counts = np.bincount(np.clip(greys, low, high).reshape(-1), minlength=_GREYS)
    below = np.cumsum(counts)
    least, most = int(below[low]), int(below[-1])
    table = np.clip((below - least) / max(1, most - least), 0.0, 1.0)
    if black > white:
        table = 1.0 - table
    return np.rint(table * (_GREYS - 1)).astype(np.uint16)[greys]
