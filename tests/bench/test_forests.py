"""The benchmark of forests: both are fitted to the same strokes, and one is as good as the other."""

from __future__ import annotations

import pytest

from services.bench.forests import measure_forests


def test_our_forest_is_as_good_as_that_of_scikit_learn_on_the_sample() -> None:
    figures = measure_forests("grey", rounds=1)
    assert figures["samples"] > 3000
    assert figures["dice"] == pytest.approx(figures["plain_dice"], abs=0.01)
    assert figures["dice"] > 0.9
    assert figures["out_of_bag"] == pytest.approx(figures["plain_out_of_bag"], abs=0.002)
    assert figures["nodes"] == pytest.approx(figures["plain_nodes"], rel=0.1)
    assert figures["fit_ratio"] == pytest.approx(figures["plain_fit_ms"] / figures["fit_ms"])
