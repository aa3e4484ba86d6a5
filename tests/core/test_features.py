"""Each feature of Table I against plain scipy and scikit-image, and the promise that rectangles change no byte."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage
from skimage.filters import rank
from skimage.morphology import disk

from services.core import entropy
from services.core.features import (
    PAPER,
    Feature,
    Kind,
    Unit,
    _disk,
    compute,
    in_pixels,
    largest_gradient,
    largest_laplacian,
)
from services.core.pipeline import slice_features
from services.core.volume import Volume

Image = NDArray[np.float32]


def brain_like(rows: int, columns: int, seed: int = 1) -> Image:
    """Smooth shapes with an air background, fine noise and a bright edge at the border."""
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.normal(size=(rows, columns)), 6)
    image = 255 * (smooth - smooth.min()) / np.ptp(smooth) + rng.normal(0, 6, smooth.shape)
    image[smooth < np.percentile(smooth, 30)] = 0
    image[:, -3:] = 255
    return np.clip(image, 0, 255).astype(np.float32)


def _deviation(image: Image, radius: int) -> NDArray[np.float64]:
    window = np.lib.stride_tricks.sliding_window_view(
        np.pad(image.astype(np.float64), radius, mode="symmetric"), (2 * radius + 1, 2 * radius + 1)
    )
    return window.std(axis=(2, 3))


def _bits(image: Image, radius: int) -> NDArray[np.float64]:
    entropy: NDArray[np.float64] = rank.entropy(np.floor(image + 0.5).astype(np.uint8), disk(radius))
    return entropy


ORACLES: dict[Kind, Callable[[Image, float], NDArray[np.float64]]] = {
    Kind.ENTROPY: lambda image, r: _bits(image, int(r)),
    Kind.DEVIATION: lambda image, r: _deviation(image, int(r)),
    Kind.BLUR: lambda image, s: ndimage.gaussian_filter(image.astype(np.float64), s),
    Kind.GRADIENT: lambda image, s: ndimage.gaussian_gradient_magnitude(image.astype(np.float64), s),
    Kind.LAPLACIAN: lambda image, s: ndimage.gaussian_laplace(image.astype(np.float64), s),
    Kind.MAXIMUM: lambda image, r: ndimage.maximum_filter(image.astype(np.float64), 2 * int(r) + 1),
    Kind.MINIMUM: lambda image, r: ndimage.minimum_filter(image.astype(np.float64), 2 * int(r) + 1),
    Kind.MEAN: lambda image, r: ndimage.uniform_filter(image.astype(np.float64), 2 * int(r) + 1),
}


def oracle_levels(image: Image, feature: Feature) -> NDArray[np.float64]:
    """The feature by other people's code, on the scale of its levels, not rounded."""
    value = ORACLES[feature.kind](image, feature.scale)
    if feature.kind is Kind.ENTROPY:
        return value / np.log2(disk(int(feature.scale)).sum()) * 255
    if feature.kind is Kind.DEVIATION:
        return np.sqrt(value / 127.5) * 255
    if feature.kind is Kind.GRADIENT:
        return np.sqrt(value / largest_gradient(feature.scale)) * 255
    if feature.kind is Kind.LAPLACIAN:
        return 127.5 + 127.5 * np.sign(value) * np.sqrt(np.abs(value) / largest_laplacian(feature.scale))
    return value


@pytest.mark.parametrize("feature", PAPER, ids=lambda f: f.name)
@pytest.mark.parametrize("shape", [(61, 83), (180, 20)], ids=["wide", "narrower than the largest kernel"])
def test_a_feature_equals_scipy_and_scikit_image(feature: Feature, shape: tuple[int, int]) -> None:
    image = brain_like(*shape)
    levels = compute(image, (feature,))[0]
    assert levels.dtype == np.uint8
    # Half a level is rounding; the rest is float32 sums, and values in units of 1 / 4096 for the deviation.
    np.testing.assert_allclose(levels, oracle_levels(image, feature), atol=0.55, rtol=0)


def test_the_set_is_table_one() -> None:
    assert [(f.kind.value, f.scale) for f in PAPER] == [
        *(("entropy", r) for r in (1, 3)),
        *(("standard deviation", r) for r in (1, 5)),
        *(("gaussian blur", s) for s in (3, 5)),
        *(("gradient", s) for s in (3, 5)),
        *(("laplacian", s) for s in (2, 32)),
        *(("maximum", r) for r in (1, 5, 9)),
        *(("minimum", r) for r in (1, 5, 9)),
        *(("mean", r) for r in (1, 5)),
    ]


WHOLE = brain_like(70, 90)
WHOLE_LEVELS = compute(WHOLE, PAPER)


@settings(max_examples=60, deadline=None)
@given(
    rows=st.tuples(st.integers(0, 70), st.integers(0, 70)).map(sorted),
    columns=st.tuples(st.integers(0, 90), st.integers(0, 90)).map(sorted),
)
def test_a_rectangle_has_the_bytes_of_the_whole_slice(rows: list[int], columns: list[int]) -> None:
    row, column = slice(*rows), slice(*columns)
    np.testing.assert_array_equal(compute(WHOLE, PAPER, row, column), WHOLE_LEVELS[:, row, column])


@pytest.mark.parametrize(
    "cut", [(slice(33, 34), slice(None)), (slice(None), slice(0, 1)), (slice(-1, None), slice(-7, None))]
)
def test_single_rows_and_columns_have_the_bytes_of_a_large_slice(cut: tuple[slice, slice]) -> None:
    image = brain_like(300, 340)
    np.testing.assert_array_equal(compute(image, PAPER, *cut), compute(image, PAPER)[:, cut[0], cut[1]])


@pytest.mark.parametrize("threads", [2, 3, 80])
def test_threads_change_no_byte(threads: int) -> None:
    np.testing.assert_array_equal(compute(WHOLE, PAPER, threads=threads), WHOLE_LEVELS)
    part = slice(33, 41), slice(5, 60)
    np.testing.assert_array_equal(compute(WHOLE, PAPER, *part, threads=threads), WHOLE_LEVELS[:, part[0], part[1]])


def test_a_set_in_millimetres_is_one_in_pixels_of_the_image_at_hand() -> None:
    in_mm = tuple(Feature(one.name, one.kind, one.scale, Unit.MILLIMETRES) for one in PAPER)
    assert in_pixels(in_mm, (1.0, 1.0)) == in_pixels(PAPER, (0.3, 0.4)) == PAPER
    halved = {one.name: one.scale for one in in_pixels(in_mm, (1.0, 4.0))}  # 2 mm on average
    assert (halved["gaussian blur 3"], halved["mean 5"], halved["maximum 1"]) == (1.5, 2.0, 1.0)
    voxels = np.rint(brain_like(60, 70) * 100).astype(np.uint16)[None]
    coarse, fine = (Volume(voxels, np.diag([3.0, mm, mm, 1.0]), np.ones(1), np.zeros(1)) for mm in (1.0, 0.5))
    doubled = tuple(Feature(one.name, one.kind, 2 * one.scale) for one in PAPER)
    window = (0.0, 25500.0)
    np.testing.assert_array_equal(slice_features(fine, window, 0, in_mm), slice_features(fine, window, 0, doubled))
    np.testing.assert_array_equal(slice_features(coarse, window, 0, in_mm), slice_features(coarse, window, 0))


@pytest.mark.parametrize("seed", [0, 1])
def test_the_wide_laplacian_of_the_roughest_image_is_within_a_level(seed: int) -> None:
    """It is not summed up at every pixel. Where it is next to nothing a hair's breadth is half a level more."""
    image = (np.random.default_rng(seed).integers(0, 2, (220, 250)) * 255).astype(np.float32)
    laplacian = PAPER[9]
    assert (laplacian.kind, laplacian.scale) == (Kind.LAPLACIAN, 32)
    away = np.abs(compute(image, (laplacian,))[0] - oracle_levels(image, laplacian))
    assert away.max() < 1.0
    assert (away > 0.55).mean() < 0.003


@pytest.mark.parametrize("levels", [1, 2, 7, 40, 256])
@pytest.mark.parametrize("radius", [1, 3, 4])
def test_entropy_is_the_same_number_whether_pixels_are_compared_or_counted(radius: int, levels: int) -> None:
    """Few levels: many pixels of one; the loop goes by 64 columns."""
    image = np.random.default_rng(levels).integers(0, levels, (24, 300)).astype(np.uint8)
    image[:, :90] = 0
    reach, weights, _ = _disk(radius)
    inside = (radius, 24 - radius, radius, 300 - radius)
    np.testing.assert_array_equal(
        entropy.of_disks_inside(image, reach, weights, *inside), entropy.of_disks(image, reach, weights, *inside)
    )


@pytest.mark.parametrize("value", [0.0, 100.4, 255.0])
def test_a_flat_image_has_no_texture(value: float) -> None:
    levels = dict(zip((f.name for f in PAPER), compute(np.full((24, 30), value, np.float32), PAPER)))
    for name, level in levels.items():
        assert (level == level[0, 0]).all(), name
        if "entropy" in name or "deviation" in name:
            assert not level.any()
        if "maximum" in name or "mean" in name or "blur" in name:
            assert level[0, 0] == int(value + 0.5)


def test_no_image_leaves_the_bounds() -> None:
    """The worst images that the bounds are made of reach the ends of the scale, and no further than rounding."""
    size = 129
    middle = size // 2
    impulse = np.zeros((size, size))
    impulse[middle, middle] = 1.0
    for scale in (2.0, 5.0):
        response = ndimage.gaussian_laplace(impulse, scale)
        worst = np.where(response > 0, 255, 0).astype(np.float32)
        value = ndimage.gaussian_laplace(worst.astype(np.float64), scale)[middle, middle]
        assert abs(value) <= largest_laplacian(scale) * (1 + 1e-6)
        other = ndimage.gaussian_laplace(255.0 - worst, scale)[middle, middle]
        assert max(abs(value), abs(other)) == pytest.approx(largest_laplacian(scale), rel=1e-5)
        step = np.zeros((size, size))
        step[:, middle:] = 255
        edge = ndimage.gaussian_gradient_magnitude(step, scale)[middle].max()
        assert 0.93 * largest_gradient(scale) < edge <= largest_gradient(scale)
        assert compute(worst, (Feature("l", Kind.LAPLACIAN, scale),))[0].max() <= 255


def test_nothing_asked_gives_nothing() -> None:
    assert compute(WHOLE, PAPER, slice(5, 5)).shape == (18, 0, 90)
    assert compute(WHOLE, PAPER, slice(60, 20), slice(3, 4)).shape == (18, 0, 1)
