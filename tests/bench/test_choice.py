"""Where a clinician looks next."""

import numpy as np
import pytest

from services.bench.choice import ADVISED, EVEN, RANDOM, WORST, order

SHOWN = np.zeros((9, 2, 2), bool)
SHOWN[1:8, 0, 0] = True
DRAWN = np.zeros((9, 2, 2), bool)
DRAWN[2, 1, 1] = True


@pytest.mark.parametrize(("way", "slices"), [(WORST, None), (ADVISED, [4, 8]), (EVEN, [7, 6, 5, 4, 1, 3, 2])])
def test_the_order_of_slices(way: str, slices: list[int] | None) -> None:
    assert order(way, SHOWN, DRAWN, (4, 8), np.random.RandomState(0)) == slices


def test_chance_takes_each_slice_of_the_mask_once() -> None:
    orders = [order(RANDOM, SHOWN, DRAWN, (), np.random.RandomState(seed)) for seed in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]
    assert sorted(orders[0] or []) == list(range(1, 8))
