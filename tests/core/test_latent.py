"""An encoder's features on the pixels: against plain interpolation, and the promise that rectangles change no byte."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from services.core.latent import Latent, quantised, spread

Level = NDArray[np.uint8]


def grid_of(size: tuple[int, int], stride: int, channels: int = 2, seed: int = 0) -> Level:
    points = [-(-length // stride) for length in size]
    return np.random.default_rng(seed).integers(0, 256, (*points, channels), dtype=np.uint8)


ALL = slice(None)


def naive(grid: Level, size: tuple[int, int], stride: int, rows: slice = ALL, columns: slice = ALL) -> Level:
    """Pixel by pixel, in fractions; of some rows and columns."""

    def weights(pixel: int, points: int) -> list[tuple[int, Fraction]]:
        place = min(max((Fraction(pixel) - Fraction(stride - 1, 2)) / stride, Fraction(0)), Fraction(points - 1))
        before = math.floor(place)
        return [(before, 1 - (place - before)), (min(before + 1, points - 1), place - before)]

    down_to, across_to = np.arange(size[0])[rows], np.arange(size[1])[columns]
    out = np.zeros((grid.shape[2], len(down_to), len(across_to)), np.uint8)
    for channel, row, column in np.ndindex(out.shape):
        exact = sum(
            down * across * int(grid[r, c, channel])
            for r, down in weights(int(down_to[row]), grid.shape[0])
            for c, across in weights(int(across_to[column]), grid.shape[1])
        )
        out[channel, row, column] = math.floor(exact + Fraction(1, 2))
    return out


@pytest.mark.parametrize(("size", "stride"), [((13, 22), 4), ((9, 7), 3), ((8, 8), 8), ((1, 11), 1), ((5, 6), 256)])
def test_pixels_are_linear_between_grid_points(size: tuple[int, int], stride: int) -> None:
    grid = grid_of(size, stride)
    np.testing.assert_array_equal(spread(grid, size, stride), naive(grid, size, stride))


def test_the_widest_stride_does_not_overflow() -> None:
    size = 600, 700
    assert (spread(np.full((3, 3, 1), 255, np.uint8), size, 256) == 255).all()
    rows, columns = slice(250, 390, 7), slice(100, 700, 13)
    grid = grid_of(size, 256)
    np.testing.assert_array_equal(spread(grid, size, 256)[:, rows, columns], naive(grid, size, 256, rows, columns))


def test_a_grid_point_stands_in_the_middle_of_its_pixels() -> None:
    grid = np.zeros((3, 3, 1), np.uint8)
    grid[1, 1] = 200
    (found,) = spread(grid, (9, 9), 3)
    assert found[4, 4] == 200
    assert found[4, 3] == found[5, 4] == 133  # two thirds
    np.testing.assert_array_equal(found, found[::-1, ::-1].T)


@settings(max_examples=60, deadline=None)
@given(
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.integers(1, 9),
    st.tuples(*[st.integers(0, 40)] * 4),
    st.integers(0, 9),
)
def test_a_rectangle_has_the_bytes_of_the_whole(
    size: tuple[int, int], stride: int, edges: tuple[int, int, int, int], seed: int
) -> None:
    grid = grid_of(size, stride, seed=seed)
    rows, columns = slice(*sorted(edges[:2])), slice(*sorted(edges[2:]))
    np.testing.assert_array_equal(spread(grid, size, stride, rows, columns), spread(grid, size, stride)[:, rows, columns])


def test_values_become_levels_and_what_rounding_put_beyond_is_cut_off() -> None:
    values = np.array([-0.001, 0.0, 0.5, 1.0, 1.001], np.float16)
    np.testing.assert_array_equal(quantised(values), [0, 0, 128, 255, 255])
    np.testing.assert_array_equal(quantised((np.arange(256) / 255).astype(np.float16)), np.arange(256))


def test_what_one_encoder_says_differs_from_what_another_says() -> None:
    grids = grid_of((8, 8), 4)[None]
    one = Latent("a" * 64, 4, grids)
    assert one == Latent("a" * 64, 4, grids.copy())
    assert one != Latent("b" * 64, 4, grids)
    np.testing.assert_array_equal(one.levels(0, (8, 8), slice(2, 5)), spread(grids[0], (8, 8), 4)[:, 2:5])
