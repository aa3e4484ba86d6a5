"""What strokes say about where an object is, on objects whose place is known."""

import numpy as np
from numpy.typing import NDArray

from services.core import shape
from services.core.distance import signed_distance
from services.core.mask import dice

SIZE = (64, 64)


def disc(radius: float, centre: tuple[float, float] = (32.0, 32.0)) -> NDArray[np.bool_]:
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    return np.hypot(rows - centre[0], columns - centre[1]) <= radius


def distances(masks: dict[int, NDArray[np.bool_]]) -> dict[int, NDArray[np.float32]]:
    return {number: signed_distance(mask) for number, mask in masks.items()}


def test_a_ball_from_its_middle_slice() -> None:
    radius, slice_mm = 18.0, 3.0
    found = shape.Shape(distances({10: disc(radius)}), slice_mm)
    for index in range(21):
        away = abs(index - 10) * slice_mm
        inside = found.log_odds(index) > 0
        within = np.sqrt(max(0.0, (shape.DEEP * radius) ** 2 - away**2)) / shape.DEEP  # the ball, stretched along its axis
        if away < radius:
            assert dice(inside, disc(within)) > 0.85
        if away > 1.5 * radius:
            assert not inside.any()
    assert np.array_equal(found.log_odds(8), found.log_odds(12))


def test_between_two_slices() -> None:
    found = shape.Shape(distances({2: disc(10), 8: disc(20)}), 3.0)
    assert dice(found.log_odds(5) > 0, disc(15)) > 0.95
    assert np.array_equal(found.log_odds(2) > 0, disc(10))
    part = found.log_odds(5, slice(10, 11), slice(3, 40))
    assert np.array_equal(part, found.log_odds(5)[10:11, 3:40])
    assert np.array_equal(found.log_odds(11, slice(None), slice(7, 8)), found.log_odds(11)[:, 7:8])


def test_a_slice_without_the_object_ends_it() -> None:
    found = shape.Shape(distances({2: disc(16), 5: np.zeros(SIZE, bool)}), 3.0)
    assert not (found.log_odds(5) > 0).any()
    assert not (found.log_odds(7) > 0).any()
    assert 0 < np.count_nonzero(found.log_odds(3) > 0) < disc(16).sum()
    assert not (shape.Shape(distances({5: np.zeros(SIZE, bool)}), 3.0).log_odds(1) > 0).any()


def test_log_odds_and_probability() -> None:
    levels = np.arange(256, dtype=np.uint8)
    back = shape.probability(shape.log_odds(levels))
    assert np.all(np.diff(back) >= 0)
    assert abs(back[128] - 128 / 255) < 0.01
    assert abs(shape.log_odds(levels)).max() <= shape.MOST
