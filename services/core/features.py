"""Features of a slice: what the forest sees of a pixel, as bytes.

A feature is a filter of the 2-D slice (float32, 0 to 255 over the volume's window) at one scale. Its value is stored as a
level from 0 to 255 between bounds that no image can leave, so the levels of a slice depend on nothing but that slice:

===========  ====================================================  ==========================  =====
kind         value                                                 bounds                      scale
===========  ====================================================  ==========================  =====
ENTROPY      bits, of the levels in a disk of radius r             0 … log2(pixels of disk)    even
DEVIATION    population standard deviation, window 2r + 1          0 … 127.5                   root
BLUR         Gaussian σ                                            0 … 255                     even
GRADIENT     length of the Gaussian derivatives σ                  0 … its largest response    root
LAPLACIAN    Laplacian of the Gaussian σ                           ± its largest response      root
MAXIMUM      largest in the window 2r + 1                          0 … 255                     even
MINIMUM      smallest in the window 2r + 1                         0 … 255                     even
MEAN         mean of the window 2r + 1                             0 … 255                     even
===========  ====================================================  ==========================  =====

An even scale is proportional. A root scale is proportional to the square root, with the sign of the value (the Laplacian's
zero is level 128): most gradients and deviations of a real image are far below what an image could have, and a
forest asks only which of two values is larger. The largest response is that of the kernel to the worst image within 0 to
255, computed from the kernel. Gaussians end at 4 σ. Beyond the border the image is mirrored, the edge doubled; for the
entropy, only pixels inside the image count.

Levels are within 0.55 of the exact value on their scale, 0.5 of that for rounding; of a Laplacian of σ ≥ 16 within one, and
nearly all within 0.55 as well.

Levels are the same to the last bit whichever rectangle of the slice is asked for: see `services.core.filters`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from services.core import entropy, filters
from services.core.bands import in_bands
from services.core.filters import Float, Level, reflected
from services.core.vectors import CENTRES

TRUNCATE = 4.0


class Kind(StrEnum):
    """Filters; see the table above."""

    ENTROPY = "entropy"
    DEVIATION = "standard deviation"
    BLUR = "gaussian blur"
    GRADIENT = "gradient"
    LAPLACIAN = "laplacian"
    MAXIMUM = "maximum"
    MINIMUM = "minimum"
    MEAN = "mean"


class Unit(StrEnum):
    """What a scale is counted in."""

    PIXELS = "px"
    MILLIMETRES = "mm"


@dataclass(frozen=True)
class Feature:
    """One filter at one scale.

    Attributes:
        name: for people.
        kind: the filter.
        scale: radius of the window or σ of the Gaussian; a radius in pixels is a whole number.
        unit: of the scale; `in_pixels` makes pixels of millimetres.
    """

    name: str
    kind: Kind
    scale: float
    unit: Unit = Unit.PIXELS


def _table(*rows: tuple[Kind, tuple[int, ...]]) -> tuple[Feature, ...]:
    return tuple(Feature(f"{kind} {scale}", kind, float(scale)) for kind, scales in rows for scale in scales)


PAPER: tuple[Feature, ...] = _table(
    (Kind.ENTROPY, (1, 3)),
    (Kind.DEVIATION, (1, 5)),
    (Kind.BLUR, (3, 5)),
    (Kind.GRADIENT, (3, 5)),
    (Kind.LAPLACIAN, (2, 32)),
    (Kind.MAXIMUM, (1, 5, 9)),
    (Kind.MINIMUM, (1, 5, 9)),
    (Kind.MEAN, (1, 5)),
)
"""The 18 features of the paper's Table I."""

_GAUSSIAN = (Kind.BLUR, Kind.GRADIENT, Kind.LAPLACIAN)
_WINDOW = (Kind.DEVIATION, Kind.MEAN)
_WIDE = 16.0  # least σ of which not every pixel's Laplacian is summed up
_APART = 2  # pixels between those that are
_SMALL = 4  # largest radius of a disk whose pixels are compared each with each


@dataclass(frozen=True)
class _Rectangle:
    """Rows ``top`` to ``bottom`` and columns ``left`` to ``right`` (without the last) of an image of ``size``."""

    size: tuple[int, int]
    top: int
    bottom: int
    left: int
    right: int

    def rows(self, radius: int) -> filters.Map:
        """The map of its rows with ``radius`` more on both sides."""
        return reflected(self.top - radius, self.bottom + radius, self.size[0])

    def columns(self, radius: int) -> filters.Map:
        """The map of its columns with ``radius`` more on both sides."""
        return reflected(self.left - radius, self.right + radius, self.size[1])


def in_pixels(features: tuple[Feature, ...], pixel_mm: tuple[float, float]) -> tuple[Feature, ...]:
    """A set of features with all scales in pixels, for images whose rows and columns are ``pixel_mm`` apart.

    Filters are as wide down as along; where the two distances differ, their geometric mean counts. A radius is rounded, to
    one pixel at least.
    """
    mean_mm = float(np.sqrt(pixel_mm[0] * pixel_mm[1]))

    def scaled(feature: Feature) -> Feature:
        scale = feature.scale / mean_mm
        if feature.kind not in _GAUSSIAN:
            scale = float(max(1, round(scale)))
        return replace(feature, scale=scale, unit=Unit.PIXELS)

    return tuple(scaled(one) if one.unit is Unit.MILLIMETRES else one for one in features)


def compute(
    image: Float,
    features: tuple[Feature, ...],
    rows: slice | None = None,
    columns: slice | None = None,
    *,
    threads: int = 1,
) -> Level:
    """Features of a rectangle of a slice.

    Args:
        image: ``(R, C)`` float32, the whole slice, in 0 to 255 (`services.core.volume.to_window`).
        features: which, for instance `PAPER`; all scales in pixels, see `in_pixels`.
        rows, columns: the rectangle, without steps; None: all.
        threads: that compute a band of its rows each; the bytes do not depend on it.

    Returns:
        ``(len(features), rows, columns)`` uint8.
    """
    image = np.ascontiguousarray(image, dtype=np.float32)
    top, bottom, _ = (rows or slice(None)).indices(image.shape[0])
    left, right, _ = (columns or slice(None)).indices(image.shape[1])
    size = image.shape[0], image.shape[1]
    height, width = max(0, bottom - top), max(0, right - left)
    out = np.empty((len(features), height, width), dtype=np.uint8)
    if not out.size:
        return out

    def fill(first: int, last: int) -> None:
        _fill(out[:, first:last], image, features, _Rectangle(size, top + first, top + last, left, left + width))

    in_bands(fill, height, threads)
    return out


def _fill(out: Level, image: Float, features: tuple[Feature, ...], part: _Rectangle) -> None:
    """Compute the features of a rectangle into ``out``."""
    if not out.size:
        return
    by_scale: dict[float, list[int]] = {}
    for index, feature in enumerate(features):
        by_scale.setdefault(feature.scale, []).append(index)
    for scale, indices in by_scale.items():
        wanted = {features[index].kind for index in indices}
        found = _windows(image, part, wanted, int(scale)) | _gaussians(image, part, wanted, scale)
        for index in indices:
            out[index] = found[features[index].kind]


def _windows(image: Float, part: _Rectangle, wanted: set[Kind], radius: int) -> dict[Kind, Level]:
    """The filters with a radius, as levels."""
    found: dict[Kind, Level] = {}
    if Kind.ENTROPY in wanted:
        found[Kind.ENTROPY] = _entropy(image, part, radius)
    if wanted.intersection(_WINDOW):
        block = filters.fixed_point(image, part.rows(radius), part.columns(radius))
        mean, deviation = filters.moments(block, radius)
        found[Kind.MEAN] = filters.even_levels(mean, 255.0)
        found[Kind.DEVIATION] = filters.root_levels(deviation, 127.5)
    if wanted.intersection((Kind.MAXIMUM, Kind.MINIMUM)):
        whole = filters.rounded(image, part.rows(radius), part.columns(radius))
        for kind in wanted.intersection((Kind.MAXIMUM, Kind.MINIMUM)):
            found[kind] = filters.extremes(whole, radius, kind is Kind.MAXIMUM)
    return found


def _entropy(image: Float, part: _Rectangle, radius: int) -> Level:
    reach, weights, most = _disk(radius)
    height, width = part.size
    top, bottom = max(0, part.top - radius), min(height, part.bottom + radius)
    left, right = max(0, part.left - radius), min(width, part.right + radius)
    near = filters.rounded(image, np.arange(top, bottom), np.arange(left, right))
    whole = (part.top - top, part.bottom - top, part.left - left, part.right - left)
    bits = np.empty((whole[1] - whole[0], whole[3] - whole[2]), dtype=np.float32)
    # The frame along the border of the image, where footprints reach out of it, and the rest.
    inside = (
        max(whole[0], radius),
        min(whole[1], len(near) - radius),
        max(whole[2], radius),
        min(whole[3], near.shape[1] - radius),
    )
    if radius > _SMALL or inside[0] >= inside[1] or inside[3] - inside[2] < CENTRES:
        return filters.even_levels(entropy.of_disks(near, reach, weights, *whole), most)
    rectangles = (
        (whole[0], inside[0], whole[2], whole[3]),
        (inside[1], whole[1], whole[2], whole[3]),
        (inside[0], inside[1], whole[2], inside[2]),
        (inside[0], inside[1], inside[3], whole[3]),
        inside,
    )
    for one in rectangles:
        compute_one = entropy.of_disks_inside if one is inside else entropy.of_disks
        rows, columns = slice(one[0] - whole[0], one[1] - whole[0]), slice(one[2] - whole[2], one[3] - whole[2])
        bits[rows, columns] = compute_one(near, reach, weights, *one)
    return filters.even_levels(bits, most)


def _gaussians(image: Float, part: _Rectangle, wanted: set[Kind], sigma: float) -> dict[Kind, Level]:
    """The filters with a σ, as levels."""
    found: dict[Kind, Level] = {}
    wanted = wanted.intersection(_GAUSSIAN)
    if not wanted:
        return found
    radius = int(TRUNCATE * sigma + 0.5)
    rows, columns = part.rows(radius), part.columns(radius)
    first, last = int(columns.min()), int(columns.max()) + 1

    def along_columns(*orders: int) -> Float:
        return filters.along_columns(image, half_kernels(sigma, *orders), 1 in orders, rows, first, last)

    def along_rows(down: Float, *orders: int) -> Float:
        return filters.along_rows(down, half_kernels(sigma, *orders), 1 in orders, columns - first)

    if Kind.GRADIENT in wanted:
        smooth, steep = along_columns(0, 1)
        blur, across = along_rows(smooth, 0, 1)
        (down,) = along_rows(steep, 0)
        found[Kind.BLUR] = filters.even_levels(blur, 255.0)
        found[Kind.GRADIENT] = filters.root_levels(filters.length(across, down), largest_gradient(sigma))
    elif Kind.BLUR in wanted:
        found[Kind.BLUR] = filters.even_levels(along_rows(along_columns(0)[0], 0)[0], 255.0)
    if Kind.LAPLACIAN in wanted and sigma >= _WIDE:
        found[Kind.LAPLACIAN] = filters.signed_root_levels(_wide_laplacian(image, part, sigma), largest_laplacian(sigma))
    elif Kind.LAPLACIAN in wanted:
        smooth, bent = along_columns(0, 2)
        (across,), (down,) = along_rows(smooth, 2), along_rows(bent, 0)
        found[Kind.LAPLACIAN] = filters.signed_root_levels(across + down, largest_laplacian(sigma))
    return found


def _wide_laplacian(image: Float, part: _Rectangle, sigma: float) -> Float:
    """The Laplacian of a Gaussian that is far wider than a pixel: of every other row and column, and between them.

    They are the even ones of the image, whatever part of it is asked for, and what lies between two is the polynomial of
    degree 5 through the six around it. It differs from all pixels' sums by less than 3 / 100,000 of the largest response,
    which is a few hundredths of a level, and up to half a level where the Laplacian is next to nothing.
    """
    weights = between_weights()
    taps = weights.shape[1]
    radius = int(TRUNCATE * sigma + 0.5)

    def seen(start: int, stop: int, size: int) -> tuple[int, filters.Map]:
        """Position of the first sample, and the map of what the kernel sees of it and the others."""
        first, last = _APART * (start // _APART - taps // 2 + 1), _APART * ((stop - 1) // _APART + taps // 2)
        return first, reflected(first - radius, last + radius + 1, size)

    top, rows = seen(part.top, part.bottom, part.size[0])
    left, columns = seen(part.left, part.right, part.size[1])
    first, last = int(columns.min()), int(columns.max()) + 1
    found: list[Float] = []
    for order, down in zip(
        (2, 0), filters.along_columns(image, half_kernels(sigma, 0, 2), False, rows, first, last, _APART), strict=True
    ):
        turned = np.ascontiguousarray(down.T)  # along the rows as along columns: that can leave some out
        half = half_kernels(sigma, order)
        found.extend(filters.along_columns(turned, half, False, columns - first, 0, turned.shape[1], _APART))
    across = filters.between(found[0] + found[1], weights, part.left - left, part.right - left)
    return filters.between(np.ascontiguousarray(across.T), weights, part.top - top, part.bottom - top)


@lru_cache(maxsize=1)
def between_weights() -> Float:
    """Lagrange's weights of six samples around a pixel, for each place between the middle two: ``(_APART, 6)``."""
    at = np.arange(-2, 4)
    weights = [
        [np.prod([(part / _APART - other) / (one - other) for other in at if other != one]) for one in at]
        for part in range(_APART)
    ]
    return np.array(weights, dtype=np.float32)


@lru_cache(maxsize=64)
def half_kernel(sigma: float, order: int) -> Float:
    """A Gaussian (``order`` 0) or its first or second derivative, from the centre outwards: ``(radius + 1,)`` float32.

    The samples of the Gaussian are scaled to a sum of one, and the derivatives are its own times a polynomial, as
    ``scipy.ndimage.gaussian_filter1d`` does. The sign of the first derivative is that of a gradient.
    """
    radius = int(TRUNCATE * sigma + 0.5)
    x = np.arange(-radius, radius + 1, dtype=np.float64)
    bell = np.exp(-0.5 * x * x / (sigma * sigma))
    bell /= bell.sum()
    weights = bell * (np.ones_like(x), x / sigma**2, x * x / sigma**4 - 1 / sigma**2)[order]
    return weights[radius:].astype(np.float32)


def half_kernels(sigma: float, *orders: int) -> Float:
    """Several of them, ``(len(orders), radius + 1)``."""
    return np.stack([half_kernel(sigma, order) for order in orders])


def _kernel(sigma: float, order: int) -> NDArray[np.float64]:
    """The whole kernel, ``(2 * radius + 1,)``."""
    half = half_kernel(sigma, order).astype(np.float64)
    return np.concatenate([(-half if order == 1 else half)[:0:-1], half])


@lru_cache(maxsize=64)
def largest_laplacian(sigma: float) -> float:
    """Bound of the absolute Laplacian of Gaussian of images in 0 to 255: 255 where the kernel has one sign, else 0."""
    down = np.outer(_kernel(sigma, 2), _kernel(sigma, 0))
    kernel = down + down.T
    return float(255.0 * max(kernel[kernel > 0].sum(), -kernel[kernel < 0].sum()))


@lru_cache(maxsize=64)
def largest_gradient(sigma: float) -> float:
    """Bound of the Gaussian gradient's length of images in 0 to 255.

    A derivative in one direction is at most 255 times the positive part of its kernel. As a function of the direction that
    is a norm, so between directions a degree apart it exceeds the larger of the two by at most 1 / cos(½°).
    """
    across = np.outer(_kernel(sigma, 0), _kernel(sigma, 1))
    angles = np.deg2rad(np.arange(0.0, 91.0))
    most = max(np.abs(np.cos(a) * across + np.sin(a) * across.T).sum() for a in angles)
    return float(255.0 * most / 2.0 / np.cos(np.deg2rad(0.5)))


@lru_cache(maxsize=16)
def _disk(radius: int) -> tuple[filters.Map, filters.Map, float]:
    """Reach of a disk's rows, the table of ``c * log2(c)``, and the largest entropy in bits."""
    y = np.arange(-radius, radius + 1)
    reach = np.floor(np.sqrt(radius * radius - y * y)).astype(np.int64)
    pixels = int((2 * reach + 1).sum())
    count = np.arange(pixels + 1, dtype=np.float64)
    weights = np.rint(count * np.log2(np.maximum(count, 1)) * entropy.UNIT).astype(np.int64)
    return reach, weights, float(np.log2(min(pixels, 256)))
