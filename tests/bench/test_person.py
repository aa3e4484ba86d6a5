"""A person's time, by adding it up second by second."""

from __future__ import annotations

import pytest

from services.bench.person import Effort, seconds_to

ROUNDS = [Effort(20, 1200.0, 1, 0.5), Effort(4, 90.0, 1, 1.25), Effort(3, 30.0, 0, 2.0), Effort(0, 0.0, 0, 0.0)]
DICE = [0.5, 0.85, 0.79, 0.91]


def naive(last: int) -> float:
    """A second a stroke, one for 60 mm, a second and a half for a slice, two for a look, and the machine."""
    clock = 0.0
    for one in ROUNDS[: last + 1]:
        for _ in range(one.strokes):
            clock += 1.0
        clock += one.length_mm / 60.0
        for _ in range(one.slice_changes):
            clock += 1.5
        clock += one.machine_seconds
        clock += 2.0
    return clock


def test_the_time_runs_until_the_first_mask_that_is_good_enough() -> None:
    assert naive(0) == 20 + 20 + 1.5 + 0.5 + 2
    assert seconds_to(0.5, DICE, ROUNDS) == naive(0) == 44.0
    assert seconds_to(0.8, DICE, ROUNDS) == pytest.approx(naive(1))
    assert seconds_to(0.9, DICE, ROUNDS) == pytest.approx(naive(3))
    assert seconds_to(0.92, DICE, ROUNDS) is None
    assert seconds_to(0.8, [], []) is None
