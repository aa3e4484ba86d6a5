"""Strokes and lassos against what one would do by hand: look at every pixel, one after the other."""

from __future__ import annotations

import hashlib
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from calque.raster import Pixels, lasso_pixels, stroke_pixels
from hypothesis import example, given
from hypothesis import strategies as st

# What lies nearer to a border than this may fall on either side of it.
EDGE = 1e-6

Point = tuple[float, float]
coordinates = st.one_of(
    st.integers(-16, 64).map(lambda n: n / 4),  # centres, corners and edges of pixels
    st.floats(-4.0, 16.0, width=32),
)
points = st.tuples(coordinates, coordinates)
paths = st.lists(points, min_size=1, max_size=7)
sizes = st.tuples(st.integers(1, 11), st.integers(1, 11))


def clipped(a: Point, b: Point, column: int, row: int, margin: float) -> tuple[Point, Point] | None:
    """The part of the segment inside the square around a pixel's centre, or None (Liang and Barsky 1984)."""
    low, high = 0.0, 1.0
    for start, end, centre in ((a[0], b[0], column), (a[1], b[1], row)):
        step = end - start
        near, far = centre - 0.5 - margin - start, centre + 0.5 + margin - start
        if step == 0:
            if not near <= 0 <= far:
                return None
            continue
        enter, leave = sorted((near / step, far / step))
        low, high = max(low, enter), min(high, leave)
    if low > high:
        return None
    ends = [(a[0] + t * (b[0] - a[0]), a[1] + t * (b[1] - a[1])) for t in (low, high)]
    return ends[0], ends[1]


def crossed(a: Point, b: Point, column: int, row: int) -> tuple[bool, bool]:
    """Whether a segment may be said to cross a pixel, and whether it does so for more than half a pixel."""
    part = clipped(a, b, column, row, -EDGE)
    long = part is not None and max(abs(part[1][k] - part[0][k]) for k in (0, 1)) > 0.5 + 2 * EDGE
    return clipped(a, b, column, row, EDGE) is not None, long


def distance_mm(a: Point, b: Point, column: int, row: int, pixel_mm: tuple[float, float]) -> float:
    """From a pixel's centre to a segment, in millimetres."""
    ax, ay, bx, by = (v * pixel_mm[k % 2] for k, v in enumerate((*a, *b)))
    x, y = column * pixel_mm[0], row * pixel_mm[1]
    squared = (bx - ax) ** 2 + (by - ay) ** 2
    t = 0.0 if squared == 0 else min(1.0, max(0.0, ((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / squared))
    return float(np.hypot(ax + t * (bx - ax) - x, ay + t * (by - ay) - y))


def inside(path: list[Point], column: int, row: int) -> bool:
    """Even-odd rule with exact fractions: edges crossed on the way to the right."""
    odd = False
    for a, b in pairwise([*path, path[0]]):
        ax, ay, bx, by = map(Fraction, (*a, *b))
        if (ay <= row) != (by <= row) and column < ax + (row - ay) / (by - ay) * (bx - ax):
            odd = not odd
    return odd


def as_set(pixels: Pixels, size: tuple[int, int]) -> set[tuple[int, int]]:
    """Pixels as a set, having checked the promises that hold for all: inside, each once, by row and then column."""
    columns, rows = pixels
    assert columns.dtype == rows.dtype == np.int64
    found = list(zip(rows.tolist(), columns.tolist()))
    assert found == sorted(set(found))
    assert all(0 <= r < size[1] and 0 <= c < size[0] for r, c in found)
    return {(c, r) for r, c in found}


@given(paths, st.floats(0.0, 9.0), st.tuples(st.sampled_from([0.5, 1.0, 0.7]), st.sampled_from([0.5, 1.0, 5.0])), sizes)
@example([(0.0, 0.0), (0.0, 9.0)], 0.5, (0.5, 5.0), (3, 10))
def test_a_stroke_is_what_is_near_its_line_and_what_it_crosses(
    path: list[Point], width_mm: float, pixel_mm: tuple[float, float], size: tuple[int, int]
) -> None:
    x, y = zip(*path)
    inked = as_set(stroke_pixels(x, y, width_mm=width_mm, pixel_mm=pixel_mm, size=size), size)
    segments = list(pairwise(path)) or [(path[0], path[0])]
    for column in range(size[0]):
        for row in range(size[1]):
            away = min(distance_mm(a, b, column, row, pixel_mm) for a, b in segments)
            crossings = [crossed(a, b, column, row) for a, b in segments]
            if away < width_mm / 2 - EDGE or any(long for _, long in crossings):
                assert (column, row) in inked
            if (column, row) in inked:
                assert away < width_mm / 2 + EDGE or any(touched for touched, _ in crossings)


@given(paths, sizes)
def test_a_lasso_is_what_lies_inside_and_what_its_line_crosses(path: list[Point], size: tuple[int, int]) -> None:
    x, y = zip(*path)
    filled = as_set(lasso_pixels(x, y, size=size), size)
    segments = list(pairwise([*path, path[0]]))
    for column in range(size[0]):
        for row in range(size[1]):
            crossings = [crossed(a, b, column, row) for a, b in segments]
            on_the_line = min(distance_mm(a, b, column, row, (1.0, 1.0)) for a, b in segments) < EDGE
            within = inside(path, column, row)
            if (within and not on_the_line) or any(long for _, long in crossings):
                assert (column, row) in filled
            if (column, row) in filled:
                assert within or on_the_line or any(touched for touched, _ in crossings)


@given(paths, st.floats(0.0, 3.0), st.integers(0, 6))
def test_a_stroke_is_its_parts(path: list[Point], width_mm: float, cut: int) -> None:
    """So ink may be drawn piece by piece as the pen moves."""

    def ink(part: list[Point]) -> set[tuple[int, int]]:
        x, y = zip(*part)
        return as_set(stroke_pixels(x, y, width_mm=width_mm, pixel_mm=(1.0, 2.0), size=(12, 9)), (12, 9))

    middle = min(cut, len(path) - 1)
    parts = [part for part in (path[: middle + 1], path[middle:]) if len(part) > 1] or [path]
    assert ink(path) == set.union(*map(ink, parts))


varying = st.lists(st.tuples(coordinates, coordinates, st.floats(0.0, 6.0, width=32)), min_size=1, max_size=6)


@given(varying, sizes)
def test_a_width_at_each_point_changes_evenly_between_them(
    path: list[tuple[float, float, float]], size: tuple[int, int]
) -> None:
    x, y, widths = zip(*path)
    pixel_mm = (1.0, 2.0)
    inked = as_set(stroke_pixels(x, y, width_mm=widths, pixel_mm=pixel_mm, size=size), size)
    circles, thick = set(), set()
    for column in range(size[0]):
        for row in range(size[1]):
            if any(distance_mm(p, p, column, row, pixel_mm) < w / 2 - EDGE for p, w in zip(zip(x, y), widths)):
                circles.add((column, row))
    for part in pairwise(path) if len(path) > 1 else [(path[0], path[0])]:
        px, py, wide = zip(*part)
        thick |= as_set(stroke_pixels(px, py, width_mm=max(wide), pixel_mm=pixel_mm, size=size), size)
        thin = as_set(stroke_pixels(px, py, width_mm=min(wide), pixel_mm=pixel_mm, size=size), size)
        assert thin <= inked
        assert as_set(stroke_pixels(px, py, width_mm=wide, pixel_mm=pixel_mm, size=size), size) <= inked
    assert circles <= inked <= thick


@given(paths, st.floats(0.0, 9.0, width=32))
def test_the_same_width_at_each_point_is_one_width(path: list[Point], width_mm: float) -> None:
    x, y = zip(*path)
    one = stroke_pixels(x, y, width_mm=width_mm, pixel_mm=(0.7, 1.3), size=(12, 9))
    same = stroke_pixels(x, y, width_mm=[width_mm] * len(x), pixel_mm=(0.7, 1.3), size=(12, 9))
    assert np.array_equal(one, same)


def test_a_wedge() -> None:
    _, rows = stroke_pixels([0.0, 8.0], [4.0, 4.0], width_mm=[0.0, 8.0], pixel_mm=(1.0, 1.0), size=(9, 9))
    columns, _ = stroke_pixels([0.0, 8.0], [4.0, 4.0], width_mm=[0.0, 8.0], pixel_mm=(1.0, 1.0), size=(9, 9))
    assert [int((columns == column).sum()) for column in (0, 2, 4)] == [1, 3, 5]
    assert rows[columns == 8].tolist() == list(range(9))


def test_old_strokes_keep_their_pixels() -> None:
    """Logs are replayed for ever: what was inked once is inked again."""
    rng = np.random.default_rng(7)
    digest = hashlib.sha256()
    for _ in range(200):
        x, y = rng.uniform(-3, 40, (2, int(rng.integers(1, 9))))
        width, spacing = float(rng.uniform(0.1, 12)), (float(rng.uniform(0.3, 2)), float(rng.uniform(0.3, 6)))
        for part in stroke_pixels(x, y, width_mm=width, pixel_mm=spacing, size=(38, 31)):
            digest.update(part.tobytes())
    assert digest.hexdigest() == "edd31dcbc8242dc61bbaa24f78d1199f1b1997f2bd06423d908161ead4afba59"


@given(st.lists(st.tuples(*[st.floats(-2.0, 12.0)] * 2), min_size=1, max_size=6))
def test_points_are_rounded_as_they_are_on_the_wire(path: list[Point]) -> None:
    x, y = zip(*path)
    sent_x, sent_y = np.array(x, np.float32), np.array(y, np.float32)
    stroke = {"width_mm": 1.5, "pixel_mm": (0.9, 1.1), "size": (11, 11)}
    assert np.array_equal(stroke_pixels(x, y, **stroke), stroke_pixels(sent_x, sent_y, **stroke))  # type: ignore[arg-type]
    assert np.array_equal(lasso_pixels(x, y, size=(11, 11)), lasso_pixels(sent_x, sent_y, size=(11, 11)))


def test_widths_are_rounded_as_they_are_on_the_wire() -> None:
    """Half of 2.4 times a pixel of 0.1 is the distance of a row of centres; of 2.4 in float32 it is a little more."""
    for width in (0.6, float(np.float32(0.6))):
        _, rows = stroke_pixels([1.0, 9.0], [5.0, 5.0], width_mm=width, pixel_mm=(0.1, 0.1), size=(11, 11))
        assert sorted(set(rows.tolist())) == [2, 3, 4, 5, 6, 7, 8]


@pytest.mark.parametrize(
    ("x", "y", "width_mm", "pixel_mm", "expected"),
    [
        # a dot of no width is the pixel it lies in
        ([2.4], [1.6], 0.0, (1.0, 1.0), {(2, 2)}),
        # a dot two pixels wide: the centre and its four neighbours
        ([2.0], [2.0], 2.0, (1.0, 1.0), {(2, 2), (1, 2), (3, 2), (2, 1), (2, 3)}),
        # thick rows: 2 mm reach over columns, and no further than the row
        ([2.0], [2.0], 4.0, (1.0, 5.0), {(0, 2), (1, 2), (2, 2), (3, 2), (4, 2)}),
        # a thin line down thick rows, between two columns' centres, stays whole
        ([1.4, 1.4], [0.0, 4.0], 0.1, (1.0, 5.0), {(1, 0), (1, 1), (1, 2), (1, 3), (1, 4)}),
        # out of the image and back
        ([-9.0, 0.0], [2.0, 2.0], 0.5, (1.0, 1.0), {(0, 2)}),
        ([-9.0, -5.0], [2.0, 2.0], 0.5, (1.0, 1.0), set()),
    ],
)
def test_known_strokes(
    x: list[float], y: list[float], width_mm: float, pixel_mm: tuple[float, float], expected: set[tuple[int, int]]
) -> None:
    assert as_set(stroke_pixels(x, y, width_mm=width_mm, pixel_mm=pixel_mm, size=(5, 5)), (5, 5)) == expected


def test_known_lassos() -> None:
    square = {(c, r) for c in range(1, 5) for r in range(1, 5)}
    assert as_set(lasso_pixels([1, 4, 4, 1], [1, 1, 4, 4], size=(6, 6)), (6, 6)) == square
    assert as_set(lasso_pixels([1, 1, 4, 4], [1, 4, 4, 1], size=(6, 6)), (6, 6)) == square
    # around the whole image, and a line that comes back on itself
    assert len(as_set(lasso_pixels([-9, 99, 99, -9], [-9, -9, 99, 99], size=(6, 4)), (6, 4))) == 24
    assert as_set(lasso_pixels([1, 3], [2, 2], size=(6, 6)), (6, 6)) == {(1, 2), (2, 2), (3, 2)}
    # a ring drawn in one line, inwards: its hole stays empty
    ring = as_set(lasso_pixels([0, 8, 8, 0, 0, 2, 6, 6, 2, 2, 0], [0, 0, 8, 8, 0, 2, 2, 6, 6, 2, 0], size=(9, 9)), (9, 9))
    assert (4, 4) not in ring
    assert {(7, 4), (1, 4), (4, 7)} <= ring


@pytest.mark.parametrize(("x", "y"), [([], []), ([1.0, 2.0], [1.0]), ([[1.0]], [[1.0]])])
def test_a_path_without_pairs_of_coordinates_is_refused(x: list[float], y: list[float]) -> None:
    with pytest.raises(ValueError, match="at least one point"):
        stroke_pixels(x, y, width_mm=1.0, pixel_mm=(1.0, 1.0), size=(4, 4))
    with pytest.raises(ValueError, match="at least one point"):
        lasso_pixels(x, y, size=(4, 4))
