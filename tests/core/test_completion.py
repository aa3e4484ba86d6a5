"""Annotated slices completed, on objects whose outline is known."""

import numpy as np
import pytest
from numpy.typing import NDArray

from services.core import completion
from services.core.features import PAPER, compute
from services.core.mask import dice

SIZE = (64, 64)


def disc(radius: float, centre: tuple[float, float] = (32.0, 32.0)) -> NDArray[np.bool_]:
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    return np.hypot(rows - centre[0], columns - centre[1]) <= radius


def drawn(radius: float) -> NDArray[np.uint8]:
    """A short stroke in the middle, and a ring some pixels outside."""
    labels = np.zeros(SIZE, np.uint8)
    labels[32, 28:37] = 1
    labels[disc(radius + 6.5) & ~disc(radius + 5.5)] = 2
    return labels


def picture(inside: NDArray[np.bool_], seed: int = 0) -> NDArray[np.uint8]:
    noise = np.random.RandomState(seed).normal(0, 8, SIZE)
    return np.clip(np.where(inside, 150, 90) + noise, 0, 255).astype(np.uint8)


def test_slices_to_complete() -> None:
    labels = np.zeros((6, *SIZE), np.uint8)
    labels[1] = drawn(12)
    labels[2, 5, :30] = 1  # one label, many pixels
    labels[3, 5, :20], labels[3, 9, :2] = 1, 2  # both, fewer than in slice 1
    labels[4, 5, :3] = 1  # a line of another plane crosses it
    assert completion.annotated(labels) == [1, 3, 2]
    labels[1], labels[3] = 0, 0
    assert completion.annotated(labels) == []


@pytest.mark.parametrize("radius", [10.0, 16.0, 22.0])
def test_a_slice_is_completed_to_its_edges(radius: float) -> None:
    labels = drawn(radius)
    found = completion.completed(picture(disc(radius)), labels, (1.0, 1.0))
    assert dice(found, disc(radius)) > 0.95
    # Without an edge nothing but the strokes can be told: the outline is somewhere between them.
    even = completion.completed(np.full(SIZE, 99, np.uint8), labels, (1.0, 1.0))
    assert even[labels == 1].all()
    assert not even[labels == 2].any()


def test_strokes_are_kept_also_where_the_image_says_otherwise() -> None:
    labels = drawn(16)
    labels[32, 50] = 1  # outside of the disc
    labels[24, 30:34] = 2  # inside of it
    for found in (
        completion.completed(picture(disc(16)), labels, (1.0, 1.0)),
        completion.completed_with(picture(disc(16)), labels, (1.0, 1.0), np.zeros(SIZE, np.float32)),
    ):
        assert found[labels == 1].all()
        assert not found[labels == 2].any()


def looking_different() -> NDArray[np.uint8]:
    """A disc that is rougher than what is around it, without an edge between them."""
    noise = np.random.RandomState(3)
    rough, even = noise.normal(0, 40, SIZE), noise.normal(0, 4, SIZE)
    return np.clip(120 + np.where(disc(16), rough, even), 0, 255).astype(np.uint8)


def test_an_outline_settles_where_looks_change() -> None:
    image, labels = looking_different(), drawn(16)
    features = compute(image.astype(np.float32), PAPER)
    first = disc(21)  # what edges would have it
    found = completion.settled(first, image, features, labels, (1.0, 1.0), seed=0)
    assert dice(found, disc(16)) > dice(first, disc(16)) + 0.1
    assert found[labels == 1].all()
    assert not found[labels == 2].any()
    again = completion.settled(first, image, features, labels, (1.0, 1.0), seed=0, threads=2)
    assert np.array_equal(found, again)
    assert np.array_equal(completion.settled(labels == 1, image, features, labels * 0, (1.0, 1.0), seed=0), labels == 1)


def test_a_background_stroke_through_the_middle_takes_a_part_away() -> None:
    """Two discs are expected; a stroke along the middle of one says that it is not the object."""
    wanted, other = disc(8, (20, 32)), disc(8, (44, 32))
    odds = np.where(wanted | other, 4.0, -4.0).astype(np.float32)
    image = picture(wanted | other)
    labels = np.zeros(SIZE, np.uint8)
    labels[44, 30:35] = 2
    found = completion.completed_with(image, labels, (1.0, 1.0), odds)
    assert dice(found, wanted) > 0.95
    assert (odds[other] == 4.0).all()  # what was given stays
    labels[:] = 0
    assert dice(completion.completed_with(image, labels, (1.0, 1.0), odds), wanted | other) > 0.95
