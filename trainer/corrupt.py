"""Hide part of a patch, for a network to fill in. Pure functions of their arguments; hidden pixels become 0.

Kinds, after the paper (Lévy, Godard, Masson, "Towards robust fetus segmentation from MRI imaging"):

shapes
    Circles, triangles and squares of many sizes at random places.
hole
    The classic hole: several squares.
toss
    A biased coin for each pixel.

How near the hidden part comes to the fraction asked for: shapes and hole within `TOLERANCE`, or half a pixel on patches so
small that a pixel is more; toss is binomial, so within five standard deviations, ``5 * sqrt(fraction * (1 - fraction) /
pixels)``, in all but one of a million patches (±0.04 for 20 % of 50 × 50).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

TOLERANCE = 0.005

Mask = NDArray[np.bool_]
# (rows, columns) of pixels relative to the shape's centre, half its size in pixels → where the shape is.
_Shape = Callable[[NDArray[np.int64], NDArray[np.int64], int], Mask]


def _square(rows: NDArray[np.int64], columns: NDArray[np.int64], half: int) -> Mask:
    return (np.abs(rows) <= half) & (np.abs(columns) <= half)


def _circle(rows: NDArray[np.int64], columns: NDArray[np.int64], half: int) -> Mask:
    return rows * rows + columns * columns <= half * half


def _triangle(rows: NDArray[np.int64], columns: NDArray[np.int64], half: int) -> Mask:
    """Apex up, as wide and as high as the square."""
    return (np.abs(rows) <= half) & (2 * np.abs(columns) <= rows + half)


def shapes(size: tuple[int, int], fraction: float, rng: np.random.Generator) -> Mask:
    """Circles, triangles and squares, each at most about a fifth of the patch wide. Returns ``size`` bool."""
    return _cover(size, fraction, rng, (_circle, _triangle, _square), (1, max(1, min(size) // 10)))


def hole(size: tuple[int, int], fraction: float, rng: np.random.Generator) -> Mask:
    """Several squares, each about a quarter of what is hidden. Returns ``size`` bool."""
    half = max(1, int(np.sqrt(fraction * size[0] * size[1] / 4) / 2))
    return _cover(size, fraction, rng, (_square,), (half, half))


def toss(size: tuple[int, int], fraction: float, rng: np.random.Generator) -> Mask:
    """A coin for each pixel that hides it with probability ``fraction``. Returns ``size`` bool."""
    hidden: Mask = rng.random(size) < fraction
    return hidden


_KINDS = {"shapes": shapes, "hole": hole, "toss": toss}
KINDS = tuple(_KINDS)


def corrupt(
    patch: NDArray[np.float32], kind: str, fraction: float, seed: Sequence[int]
) -> tuple[NDArray[np.float32], Mask]:
    """Hide a part of a patch.

    Args:
        patch: ``(rows, columns)`` float32.
        kind: one of `KINDS`.
        fraction: part of the pixels to hide, 0 to 0.9.
        seed: integers that fix the randomness: the same ones hide the same pixels.

    Returns:
        The patch with its hidden pixels 0, and ``(rows, columns)`` bool, which they are.
    """
    hidden = _KINDS[kind]((patch.shape[0], patch.shape[1]), fraction, np.random.default_rng(list(seed)))
    return np.where(hidden, np.float32(0.0), patch), hidden


def _cover(
    size: tuple[int, int], fraction: float, rng: np.random.Generator, kinds: tuple[_Shape, ...], halves: tuple[int, int]
) -> Mask:
    """Lay shapes with half sizes from ``halves`` until the fraction is hidden, the last ones small enough to meet it.

    Each shape is centred on a pixel that is still seen, so every one hides something and the loop ends.
    """
    pixels = size[0] * size[1]
    wanted, slack = fraction * pixels, TOLERANCE * pixels
    rows, columns = np.indices(size, dtype=np.int64)
    hidden = np.zeros(size, bool)
    while (missing := wanted - int(hidden.sum())) > max(slack, 0.5):
        largest = int((np.sqrt(missing + slack) - 1) / 2)  # a shape is within its square
        half = max(0, min(int(rng.integers(halves[0], halves[1] + 1)), largest))
        centre = int(rng.choice(np.flatnonzero(~hidden)))
        row, column = divmod(centre, size[1])
        hidden |= kinds[int(rng.integers(len(kinds)))](rows - row, columns - column, half)
    return hidden
