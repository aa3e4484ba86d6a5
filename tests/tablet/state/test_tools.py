"""Tools, brush sizes, contrast."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tablet_client.state.tools import BACKGROUND_LABEL, BRUSHES_MM, OBJECT_LABEL, Tool, Toolbox, Window

FINITE = st.floats(-1e5, 1e5)


def test_the_lasso_fills_with_the_last_pen():
    box = Toolbox().chosen(Tool.BACKGROUND).chosen(Tool.LASSO)
    assert box.label == BACKGROUND_LABEL
    assert box.chosen(Tool.OBJECT).chosen(Tool.ERASER).chosen(Tool.LASSO).label == OBJECT_LABEL


def test_the_eraser_has_its_own_size():
    box = Toolbox(brush_mm=2.0, eraser_mm=5.0).chosen(Tool.ERASER).sized(8.0)
    assert (box.width_mm, box.chosen(Tool.OBJECT).width_mm) == (8.0, 2.0)


@pytest.mark.parametrize(
    ("start", "steps", "end"), [(2.0, 1, 3.0), (2.0, -1, 1.0), (2.2, 1, 3.0), (20.0, 1, 20.0), (0.5, -9, 0.5)]
)
def test_brushes_step_through_round_sizes(start, steps, end):
    assert Toolbox(brush_mm=start).stepped(steps).width_mm == end


def test_sizes_stay_within_the_brushes():
    assert Toolbox().sized(500).width_mm == BRUSHES_MM[-1]
    assert Toolbox().sized(0).width_mm == BRUSHES_MM[0]


def test_only_the_window_draws_nothing():
    assert [tool for tool in Tool if not tool.draws] == [Tool.WINDOW]


@given(FINITE, FINITE)
def test_a_window_is_never_empty(low, high):
    window = Window.of(low, high)
    assert window.low < window.high
    assert window.brightness(window.low) == 0
    assert window.brightness(window.high) == pytest.approx(1)


@given(st.lists(st.tuples(st.floats(-3, 3), st.floats(-3, 3)), max_size=20))
def test_drags_never_break_the_window(drags):
    start = window = Window.of(100, 900)
    for across, up in drags:
        window = window.dragged(across, up, start)
        assert start.width / 1001 <= window.width <= start.width * 101


def test_a_drag_changes_contrast_across_and_brightness_upwards():
    start = Window.of(100, 900)
    assert start.dragged(0.5, 0, start) == Window(-300, 1300)
    assert start.dragged(0, 0.25, start) == Window(300, 1100)
    assert start.dragged(0, 0, start) == start


@pytest.mark.parametrize(("slope", "intercept"), [(2.0, -1000.0), (-0.5, 40.0)])
def test_the_shader_gets_the_same_brightness_from_greys(slope, intercept):
    window = Window.of(100, 900)
    black, white = window.greys(slope, intercept)
    for grey in (0, 100, 700, 1000, 65535):
        shaded = min(1, max(0, (grey - black) / (white - black)))
        assert shaded == pytest.approx(window.brightness(grey * slope + intercept))


def test_a_volume_of_one_grey_is_white_not_an_error():
    assert Window.of(5, 5).greys(0.0, 5.0) == (-1.0, 0.0)
