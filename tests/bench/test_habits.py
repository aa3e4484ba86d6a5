"""Other habits of the hand: each changes what it says, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from services.bench.clinician import PenStroke, corrections, first_strokes
from services.bench.habits import EXACT, OPEN, SHAKE, VARIANTS, Habit
from services.bench.pen import Path
from tests.bench.test_clinician import AFFINES, painted, truth

AFFINE = AFFINES["axial"]
WANTED = truth()
WANTED[6, 58:88, 30:44] = True  # a second medial line
USUAL = first_strokes(WANTED, AFFINE)
OBJECT = [stroke for stroke in USUAL if stroke.label == 1]
RING = [stroke for stroke in USUAL if stroke.label == 2 and len(stroke.x) > 2]
LINES = [stroke for stroke in USUAL if stroke.label == 2 and len(stroke.x) == 2]


def drawn(name: str) -> list[PenStroke]:
    return list(first_strokes(WANTED, AFFINE, habit=VARIANTS[name]))


def test_the_usual_strokes_are_of_all_kinds() -> None:
    assert len(OBJECT) > 1
    assert len(RING) == 1
    assert len(LINES) > 10


def test_kinds_that_are_not_drawn() -> None:
    assert drawn("no ring") == OBJECT + LINES
    assert drawn("no lines") == OBJECT + RING
    assert drawn("half the strokes") == OBJECT[::2] + RING + LINES[::2]


@pytest.mark.parametrize("pixels", [3, 8, 12])
def test_the_ring_at_another_distance(pixels: int) -> None:
    strokes = drawn(f"ring at {pixels} pixels")
    rings = [stroke for stroke in strokes if stroke.label == 2 and len(stroke.x) > 2]
    assert [stroke for stroke in strokes if stroke not in rings] == OBJECT + LINES
    away = ndimage.distance_transform_edt(~WANTED[6])[painted(tuple(rings), AFFINE)[6] == 2]
    assert abs(away - pixels).max() < 1.0


def test_an_open_ring_lacks_its_end() -> None:
    (ring,) = [stroke for stroke in drawn("open ring") if stroke.label == 2 and len(stroke.x) > 2]
    whole, part = Path(RING[0].x, RING[0].y), Path(ring.x, ring.y)
    assert part.length == pytest.approx((1 - OPEN) * whole.length, rel=1e-6)
    assert (part.x[0], part.y[0]) == (whole.x[0], whole.y[0])


def test_a_shaky_hand_stays_near_its_path_and_is_the_same_each_time() -> None:
    shaky = drawn("shaky hand")
    assert shaky == drawn("shaky hand")
    assert [stroke.label for stroke in shaky] == [stroke.label for stroke in USUAL]
    for line, held in zip(LINES, shaky[-len(LINES) :]):
        off = np.subtract(held.x, line.x[0]) if line.x[0] == line.x[1] else np.subtract(held.y, line.y[0])
        assert 0.1 < abs(off).max() <= SHAKE
    once, again = (first_strokes(WANTED, AFFINE, habit=VARIANTS["shaky hand"], seed=seed) for seed in (1, 2))
    assert once != again


def test_a_hand_that_stops_draws_the_longest() -> None:
    shown = WANTED.copy()
    shown[6] = False
    every = corrections(WANTED, shown, AFFINE)
    one = corrections(WANTED, shown, AFFINE, habit=Habit(most=1))
    length = {stroke: Path(stroke.x, stroke.y).length for stroke in every}
    missed = sorted((s for s in every if s.label == 1), key=lambda s: -length[s])
    assert len(missed) > 1
    assert list(one) == missed[:1]
    assert first_strokes(WANTED, AFFINE, habit=EXACT) == USUAL


def test_a_path_is_sampled_evenly_with_its_ends() -> None:
    path = Path((0.0, 3.0, 3.0), (0.0, 0.0, 4.5)).sampled(1.0)
    steps = np.hypot(np.diff(path.x), np.diff(path.y))
    assert (path.x[0], path.y[0], path.x[-1], path.y[-1]) == (0.0, 0.0, 3.0, 4.5)
    assert steps.max() <= 1.0
    assert len(path.x) == 9
    assert Path((2.0,), (1.0,)).sampled(1.0) == Path((2.0,), (1.0,))
