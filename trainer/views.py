"""Views of a place that differ in what does not matter for what is there, so that a network learns what does.

After Chen and others, "A simple framework for contrastive learning of visual representations" (2020), with changes that
become MRI: a scanner's intensities mean nothing of themselves, its noise and sharpness vary, and a patient may lie as she
likes. Pure functions of their arguments.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

Patch = NDArray[np.float32]

_SHIFT = 6  # a patch moves by up to the sixth part of its side
_GAMMA = 0.25  # standard deviation of the logarithm of the exponent of intensities
_GAIN, _OFFSET = (0.8, 1.2), (-0.1, 0.1)  # of intensities within 0–1
_BLURRED, _BLUR = 0.3, (0.3, 1.0)  # how many are, and by a Gaussian of what standard deviation, in pixels
_NOISE = 0.04  # largest standard deviation


def moved(side: int, rng: np.random.Generator) -> tuple[int, int]:
    """Rows and columns by which a view lies beside its place."""
    most = side // _SHIFT
    rows, columns = rng.integers(-most, most + 1, 2)
    return int(rows), int(columns)


def changed(patch: Patch, rng: np.random.Generator) -> Patch:
    """Turned and mirrored, with another contrast, brightness, sharpness and noise.

    Args:
        patch: ``(side, side)`` float32, 0–1.
        rng: decides all of it.

    Returns:
        The same kind of patch.
    """
    turned = patch[:: _sign(rng), :: _sign(rng)]
    if rng.random() < 0.5:
        turned = turned.T
    view = turned.astype(np.float64) ** np.exp(rng.normal(0.0, _GAMMA))
    view = view * rng.uniform(*_GAIN) + rng.uniform(*_OFFSET)
    if rng.random() < _BLURRED:
        view = gaussian_filter(view, rng.uniform(*_BLUR))
    view += rng.normal(0.0, rng.uniform(0.0, _NOISE), view.shape)
    levels: Patch = np.clip(view, 0.0, 1.0).astype(np.float32)
    return levels


def _sign(rng: np.random.Generator) -> int:
    return 1 if rng.random() < 0.5 else -1
