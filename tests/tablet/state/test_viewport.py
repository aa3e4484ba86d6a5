"""Fit, zoom and pan in true proportions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tablet_client.state.geometry import Plane, VolumeInfo
from tablet_client.state.viewport import MOST_ZOOM, Viewport, round_length
from tests.tablet.state.phantom import SHAPE, oblique, volume_message

PLANES = VolumeInfo.from_message(volume_message(SHAPE, oblique())).planes
CORONAL = PLANES[Plane.CORONAL]  # 9 columns of 1.1 mm, 5 rows of 4.5 mm: thick slices

RECTANGLES = st.tuples(*[st.floats(-500, 500)] * 2, *[st.floats(50, 2000)] * 2)
GESTURES = st.lists(
    st.one_of(
        st.tuples(st.just("zoom"), st.floats(0.2, 5), st.floats(-500, 2500), st.floats(-500, 2500)),
        st.tuples(st.just("pan"), st.floats(-3000, 3000), st.floats(-3000, 3000)),
        st.tuples(st.just("resize"), RECTANGLES),
    ),
    max_size=6,
)


def moved(viewport: Viewport, gestures) -> Viewport:
    for kind, *values in gestures:
        viewport = {"zoom": viewport.zoomed, "pan": viewport.panned, "resize": viewport.resized}[kind](*values)
    return viewport


def test_the_whole_image_fits_and_touches_two_edges():
    viewport = Viewport.fit(CORONAL, (100, 50, 900, 300))
    x, y, width, height = viewport.image_rectangle
    assert height == pytest.approx(300)
    assert y == pytest.approx(50)
    assert width == pytest.approx(300 * (9 * 1.1) / (5 * 4.5))
    assert x + width / 2 == pytest.approx(100 + 450)


def test_rows_go_down_and_the_first_pixel_is_at_the_upper_left():
    viewport = Viewport.fit(CORONAL, (0, 0, 900, 300))
    x, y, _, height = viewport.image_rectangle
    scale = viewport.pixels_per_mm
    assert viewport.to_screen(0, 0) == pytest.approx((x + 0.55 * scale, y + height - 2.25 * scale))
    assert viewport.to_screen(0, 1)[1] < viewport.to_screen(0, 0)[1]


@given(RECTANGLES, GESTURES, st.floats(-5, 30), st.floats(-5, 30))
def test_screen_and_image_are_inverse_and_proportions_true(rectangle, gestures, column, row):
    viewport = moved(Viewport.fit(CORONAL, rectangle), gestures)
    assert viewport.to_image(*viewport.to_screen(column, row)) == pytest.approx((column, row), abs=1e-6)
    x0, y0 = viewport.to_screen(column, row)
    x1, y1 = viewport.to_screen(column + 1, row + 1)
    assert (x1 - x0) / 1.1 == pytest.approx((y0 - y1) / 4.5, rel=1e-6)
    assert (x1 - x0) / 1.1 == pytest.approx(viewport.pixels_per_mm, rel=1e-6)


@given(RECTANGLES, GESTURES)
def test_the_image_is_never_lost(rectangle, gestures):
    viewport = moved(Viewport.fit(CORONAL, rectangle), gestures)
    assert 1 <= viewport.zoom <= MOST_ZOOM
    column, row = viewport.centre
    assert -0.5 <= column <= CORONAL.columns - 0.5
    assert -0.5 <= row <= CORONAL.rows - 0.5
    back = viewport.fitted()
    assert back.centre == (4, 2)
    assert back.zoom == 1


def test_zoom_holds_the_point_under_the_finger():
    viewport = Viewport.fit(CORONAL, (0, 0, 400, 900)).zoomed(4, 200, 450)
    finger = (230.0, 400.0)
    assert viewport.zoomed(1.5, *finger).to_image(*finger) == pytest.approx(viewport.to_image(*finger))


def test_pan_moves_the_image_with_the_finger():
    viewport = Viewport.fit(CORONAL, (0, 0, 400, 900)).zoomed(6, 200, 450)
    before, after = viewport.to_screen(4, 2), viewport.panned(10, -7).to_screen(4, 2)
    assert np.subtract(after, before) == pytest.approx((10, -7))


def test_an_empty_rectangle_does_no_harm():
    viewport = Viewport.fit(CORONAL, (0, 0, 0, 0))
    assert np.isfinite(viewport.to_image(3, 4)).all()


@given(st.floats(1e-5, 1e5))
def test_bar_lengths_are_round_and_the_longest_that_fit(most):
    length = round_length(most)
    assert f"{length:.0e}"[0] in "125"
    assert length <= most * (1 + 1e-9)
    assert length * 2.5 > most * (1 - 1e-9)


def test_the_bar_has_the_image_scale():
    viewport = Viewport.fit(CORONAL, (0, 0, 900, 225))  # 22.5 mm in 225 pixels
    assert viewport.scale_bar(120) == pytest.approx((10, 100))


def test_a_point_out_of_sight_is_brought_to_the_middle_and_one_in_sight_moves_nothing():
    viewport = Viewport.fit(CORONAL, (0, 0, 400, 300)).zoomed(4.0, 200, 150)
    assert viewport.showing(*viewport.to_image(390, 10)) is viewport
    moved = viewport.showing(8.0, 2.0)
    assert moved.zoom == viewport.zoom
    assert moved.to_screen(8.0, 2.0) == pytest.approx((200, 150))
