"""The forest against scikit-learn's own answers, its resampling, and bytes that are not a forest."""

from __future__ import annotations

import dataclasses
import io
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier

from services.bench.plain import from_scikit_learn, table_one_forest
from services.core.errors import ChoiceNeeded, Corrupt, Reason
from services.core.forest import (
    MOST_PER_CLASS,
    Forest,
    balanced,
    fit,
    forest_bytes,
    forest_from_bytes,
    predict,
    predict_levels,
)
from services.core.growing import Grown, grow

Level = NDArray[np.uint8]


def cloud(count: int, labels: int, seed: int = 5) -> tuple[Level, Level]:
    """Overlapping clouds of 18 levels: ``(count, 18)`` samples and their labels 1 … ``labels``, of unequal numbers."""
    rng = np.random.default_rng(seed)
    label = rng.choice(np.arange(1, labels + 1), size=count, p=np.arange(1, labels + 1) / sum(range(1, labels + 1)))
    centres = rng.integers(60, 190, size=(labels + 1, 18))
    samples = np.clip(centres[label] + rng.normal(0, 45, (count, 18)), 0, 255)
    return samples.astype(np.uint8), label.astype(np.uint8)


@pytest.fixture(scope="module")
def fitted() -> Forest:
    return fit(*cloud(900, 3), seed=11)


@pytest.mark.parametrize("labels", [2, 3, 4])
def test_probabilities_equal_scikit_learn(labels: int) -> None:
    samples, label = cloud(700, labels)
    theirs = RandomForestClassifier(50, max_depth=50, random_state=2).fit(samples.astype(np.float32), label)
    ours = from_scikit_learn(theirs)
    asked, _ = cloud(5003, labels, seed=6)
    expected = theirs.predict_proba(asked.astype(np.float32))
    for place, value in enumerate(theirs.classes_):
        found = predict(ours, asked.T, int(value))
        np.testing.assert_allclose(found, expected[:, place], atol=1e-6, rtol=0)
        np.testing.assert_array_equal(
            predict_levels(ours, asked.T, int(value)), np.floor(found * np.float32(255) + np.float32(0.5))
        )


def test_shallow_trees_with_mixed_leaves_equal_scikit_learn() -> None:
    samples, label = cloud(700, 3)
    theirs = RandomForestClassifier(7, max_depth=3, random_state=2).fit(samples.astype(np.float32), label)
    expected = theirs.predict_proba(samples.astype(np.float32))[:, 1]
    np.testing.assert_allclose(predict(from_scikit_learn(theirs), samples.T, 2), expected, atol=1e-6, rtol=0)


def test_the_parameters_are_those_of_table_one(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, object] = {}

    def spy(*args: Any, **named: Any) -> Grown:
        seen.update(named)
        return grow(*args, **named)

    monkeypatch.setattr("services.core.forest.grow", spy)
    forest = fit(*cloud(200, 2), seed=1)
    assert {name: seen[name] for name in ("trees", "depth", "tries")} == {"trees": 50, "depth": 50, "tries": 4}
    reference = table_one_forest(jobs=1).get_params()
    wanted = {"n_estimators": 50, "max_depth": 50, "criterion": "gini", "max_features": "sqrt", "bootstrap": True}
    assert {name: reference[name] for name in wanted} == wanted
    assert len(forest.roots) == 50
    assert 0.5 < forest.out_of_bag <= 1.0


def test_the_same_samples_and_seed_give_the_same_bytes_on_any_number_of_threads(fitted: Forest) -> None:
    assert forest_bytes(fit(*cloud(900, 3), seed=11, threads=2)) == forest_bytes(fitted)
    assert forest_bytes(fit(*cloud(900, 3), seed=12)) != forest_bytes(fitted)


def test_shapes_are_kept_and_unknown_labels_have_no_probability(fitted: Forest) -> None:
    features = cloud(600, 3)[0].T.reshape(18, 20, 30)
    whole = predict(fitted, features, 2)
    assert whole.shape == (20, 30)
    np.testing.assert_array_equal(predict(fitted, features[:, 3:4, ::2], 2), whole[3:4, ::2])
    assert not predict_levels(fitted, features, 9).any()
    assert predict(fitted, features[:, :0], 1).shape == (0, 30)
    with pytest.raises(ValueError, match="18 features"):
        predict(fitted, features[:5], 1)


@pytest.mark.parametrize("shape", [(), (1,), (693,), (1, 65), (5, 64), (9, 77), (21, 33), (8, 8), (3, 7, 11), (600, 1)])
def test_a_pixel_has_its_probability_in_whatever_image(fitted: Forest, shape: tuple[int, ...]) -> None:
    """Pixels are asked in tiles; this is the walk of each one down each tree."""
    pixels = cloud(int(np.prod(shape)), 3, seed=2)[0]
    for value in (1, 3):
        total = np.zeros(len(pixels))
        for root in fitted.roots:
            node = np.full(len(pixels), root)
            while (fitted.left[node] != node).any():
                right = pixels[np.arange(len(pixels)), fitted.feature[node]] > fitted.threshold[node]
                node = np.where(fitted.left[node] == node, node, fitted.left[node] + right)
            total += fitted.fractions[node, value - 1]
        found = predict(fitted, pixels.T.reshape(18, *shape), value)
        np.testing.assert_allclose(found, (total / 50).reshape(shape), rtol=1e-6)
        np.testing.assert_array_equal(predict(fitted, pixels.T.reshape(18, *shape), value, threads=3), found)


def test_labels_share_the_probability(fitted: Forest) -> None:
    features = cloud(500, 3)[0].T
    np.testing.assert_allclose(sum(predict(fitted, features, label) for label in (1, 2, 3)), 1.0, atol=1e-6)


def test_classes_are_resampled_to_the_largest() -> None:
    labels = np.repeat(np.array([1, 2, 4], np.uint8), [7, 100, 30])
    chosen = balanced(labels, seed=0)
    assert np.bincount(labels[chosen]).tolist() == [0, 100, 100, 0, 100]
    times = np.bincount(chosen, minlength=len(labels))
    assert set(times[:7]) == {14, 15}
    assert set(times[7:107]) == {1}
    assert set(times[107:]) == {3, 4}
    np.testing.assert_array_equal(balanced(labels, seed=0), chosen)


def test_large_classes_are_thinned_out() -> None:
    labels = np.repeat(np.array([1, 2], np.uint8), [MOST_PER_CLASS + 500, 3 * MOST_PER_CLASS])
    chosen = balanced(labels, seed=3)
    assert np.bincount(labels[chosen]).tolist() == [0, MOST_PER_CLASS, MOST_PER_CLASS]
    assert len(np.unique(chosen)) == len(chosen)


def test_one_label_is_not_enough() -> None:
    with pytest.raises(ChoiceNeeded) as caught:
        fit(np.zeros((5, 18), np.uint8), np.ones(5, np.uint8), seed=0)
    assert caught.value.reason is Reason.NOT_SEGMENTED


def test_two_pixels_are_enough() -> None:
    forest = fit(np.array([[10] * 18, [200] * 18], np.uint8), np.array([1, 2], np.uint8), seed=0)
    levels = predict_levels(forest, np.array([[10] * 18, [200] * 18], np.uint8).T, 1)
    assert levels[0] > levels[1]


def test_bytes_give_the_forest_back(fitted: Forest) -> None:
    again = forest_from_bytes(forest_bytes(fitted))
    for item in dataclasses.fields(Forest):
        np.testing.assert_array_equal(getattr(again, item.name), getattr(fitted, item.name))
    assert forest_bytes(again) == forest_bytes(fitted)


@pytest.mark.parametrize("cut", [0, 10, 500, -3])
def test_damaged_bytes_are_refused(fitted: Forest, cut: int) -> None:
    with pytest.raises(Corrupt):
        forest_from_bytes(forest_bytes(fitted)[:cut])


@pytest.mark.item(51)
def test_another_format_is_refused(fitted: Forest) -> None:
    file = io.BytesIO()
    with np.load(io.BytesIO(forest_bytes(fitted))) as archive:
        np.savez(file, **{**archive, "format": np.uint16(99)})
    with pytest.raises(Corrupt, match="format 99"):
        forest_from_bytes(file.getvalue())


@pytest.mark.parametrize(
    ("name", "value"),
    [("left", 0), ("left", 10**6), ("feature", 18), ("roots", 10**6), ("threshold", -1)],
)
def test_arrays_that_are_no_trees_are_refused(fitted: Forest, name: str, value: int) -> None:
    """A child before its parent would be an endless walk, an index too large a read beside the memory."""
    array = getattr(fitted, name).copy()
    if name == "left":
        array[np.flatnonzero(fitted.left > np.arange(len(array)))[-1]] = value
    elif name == "threshold":
        array[fitted.left == np.arange(len(array))] = 7
    else:
        array[3] = value
    with pytest.raises(Corrupt):
        dataclasses.replace(fitted, **{name: array})
