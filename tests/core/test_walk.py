"""The random walker against a dense solution of the same equations."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from services.core import walk


def problem(shape: tuple[int, int, int], seed: int, *, weight: float = 0.05) -> walk.Problem:
    random = np.random.RandomState(seed)
    seeds = np.full(shape, walk.FREE, np.int8)
    seeds[0, 0, 0], seeds[-1, -1, -1] = walk.OBJECT, walk.BACKGROUND
    image = random.randint(0, 256, shape).astype(np.uint8)
    prior = random.rand(*shape).astype(np.float32)
    weights = (weight * (1 + np.arange(shape[0]))).astype(np.float32)
    return walk.Problem(image, prior, weights, seeds, (3.0, 1.0, 1.5), 20.0)


def dense(one: walk.Problem) -> NDArray[np.float64]:
    """The equations written out voxel by voxel, and solved at once."""
    shape = one.image.shape
    n = int(np.prod(shape))
    left, right = np.zeros((n, n)), np.zeros(n)
    for place in np.ndindex(*shape):
        i = int(np.ravel_multi_index(place, shape))
        if one.seeds[place] != walk.FREE:
            left[i, i], right[i] = 1.0, float(one.seeds[place] == walk.OBJECT)
            continue
        left[i, i], right[i] = one.weight[place[0]], one.weight[place[0]] * one.prior[place]
        for axis, step in ((a, s) for a in range(3) for s in (-1, 1)):
            beside = list(place)
            beside[axis] += step
            if not 0 <= beside[axis] < shape[axis]:
                continue
            apart = (float(one.image[place]) - float(one.image[tuple(beside)])) / 255
            bond = (np.exp(-one.edge * apart**2) + 1e-4) * (one.spacing_mm[1] / one.spacing_mm[axis]) ** 2
            left[i, i] += bond
            left[i, int(np.ravel_multi_index(tuple(beside), shape))] -= bond
    return np.linalg.solve(left, right).reshape(shape)


@pytest.mark.parametrize("shape", [(3, 6, 5), (1, 8, 8), (5, 1, 7)])
def test_the_solution(shape: tuple[int, int, int]) -> None:
    one = problem(shape, 1)
    np.testing.assert_allclose(walk.solve(one, 1, (300,)), dense(one), atol=2e-4)
    # Coarse grids only find a better start.
    np.testing.assert_allclose(walk.solve(one, 2, (300, 20)), dense(one), atol=2e-4)


def test_a_slice_between_its_neighbours() -> None:
    one = problem((5, 6, 6), 2)
    whole = dense(one).astype(np.float32)
    middle = walk.Problem(one.image[2:3], one.prior[2:3], one.weight[2:3], one.seeds[2:3], one.spacing_mm, one.edge)
    around = whole[1:4].copy()
    around[1] = 0.5
    found = walk.refined(middle, (one.image[1], one.image[3]), around, 0, 300)
    np.testing.assert_allclose(found, whole[2], atol=2e-4)


def test_a_slice_between_neighbours_that_are_known_coarsely() -> None:
    """Neighbours of blocks of equal values are the same whether they are given in full or halved."""
    one = problem((3, 5, 7), 4)
    middle = walk.Problem(one.image[1:2], one.prior[1:2], one.weight[1:2], one.seeds[1:2], one.spacing_mm, one.edge)
    coarse = np.random.RandomState(1).rand(3, 2, 2).astype(np.float32)
    fine = walk.doubled(walk.doubled(coarse, 3, 4), 5, 7)
    neighbours = one.image[0], one.image[2]
    found = walk.refined(middle, neighbours, coarse, 2, 50)
    assert np.array_equal(found, walk.refined(middle, neighbours, fine, 0, 50))


@settings(deadline=None, max_examples=25)
@given(st.tuples(st.integers(1, 4), st.integers(1, 9), st.integers(1, 9)), st.integers(0, 99))
def test_bounds_seeds_and_sameness(shape: tuple[int, int, int], seed: int) -> None:
    one = problem(shape, seed)
    found = walk.solve(one, 3, (5, 5, 5))
    assert found.shape == shape
    assert found.dtype == np.float32
    assert found.min() >= 0
    assert found.max() <= 1
    assert (found[one.seeds == walk.OBJECT] == 1).all()
    assert (found[one.seeds == walk.BACKGROUND] == 0).all()
    assert walk.solve(one, 3, (5, 5, 5)).tobytes() == found.tobytes()


def test_halved_and_doubled() -> None:
    one = problem((2, 5, 4), 3)
    half = walk.halved(one)
    assert half.image.shape == (2, 3, 2)
    assert half.spacing_mm == (3.0, 2.0, 3.0)
    assert half.seeds[0, 0, 0] == walk.OBJECT
    assert half.seeds[-1, -1, -1] == walk.BACKGROUND
    assert half.prior[1, 0, 1] == pytest.approx(one.prior[1, :2, 2:].mean(), abs=1e-6)
    assert half.prior[1, 2, 0] == pytest.approx(one.prior[1, 4, :2].mean(), abs=1e-6)  # the last row stands for two
    values = np.arange(12, dtype=np.float32).reshape(2, 3, 2)
    assert np.array_equal(walk.doubled(values, 5, 4), values[:, [0, 0, 1, 1, 2]][:, :, [0, 0, 1, 1]])
