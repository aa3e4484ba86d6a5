"""Where to draw next, on probabilities whose doubt is known."""

import numpy as np
import pytest

from services.core import advice as room
from services.core.advice import ENOUGH, PLACES, Advice, Place
from services.core.mask import histogram

SHAPE = (20, 40, 50)
SPACING = (3.0, 1.0, 1.0)


def advise(levels: np.ndarray, labels: np.ndarray, threshold: int) -> Advice:
    return room.advise(levels, np.stack([histogram(one) for one in levels]), labels, SPACING, threshold)


def sure() -> tuple[np.ndarray, np.ndarray]:
    """A block, drawn on in slice 10, of which nothing is in doubt."""
    levels, labels = np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.uint8)
    levels[5:15, 10:30, 10:30] = 255
    labels[10, 20, 12:28] = 1
    return levels, labels


def test_nothing_is_in_doubt() -> None:
    advice = advise(*sure(), 128)
    assert advice.places == ()
    assert advice.expected_dice == 1.0
    assert advice.enough


def test_the_doubtful_part_of_a_slice_is_told() -> None:
    levels, labels = sure()
    levels[13, 14:20, 22:30] = 140
    advice = advise(levels, labels, 128)
    assert advice.places == (Place(13, 14, 22, 6, 8),)
    assert advice.enough
    assert ENOUGH < advice.expected_dice < 1


@pytest.mark.parametrize("level", [100, 150])
def test_the_most_wrong_comes_first_and_farther_slices_before_nearer_ones(level: int) -> None:
    levels, labels = sure()
    levels[2, 10:30, 10:30] = levels[18, 10:30, 10:24] = levels[8, 10:30, 10:30] = level
    places = advise(levels, labels, 128).places
    assert [place.slice for place in places] == [2, 18, 8]
    labels[3, 20, 12:28] = 1  # now slice 2 is near one that was drawn on
    assert [place.slice for place in advise(levels, labels, 128).places] == [18, 8, 2]


def test_places_are_few_and_apart() -> None:
    levels, labels = sure()
    levels[5:15, 10:30, 10:30] = 120
    advice = advise(levels, labels, 100)
    slices = [place.slice for place in advice.places]
    assert len(slices) == PLACES
    assert min(abs(a - b) for a in slices for b in slices if a != b) >= 2
    assert not advice.enough
    assert not advise(np.zeros(SHAPE, np.uint8), labels * 0, 128).places
