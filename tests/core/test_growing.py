"""Trees against a naive oracle that draws the same numbers, and forests against scikit-learn's."""

from __future__ import annotations

import hashlib
from collections import Counter
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from services.bench.plain import from_scikit_learn, table_one_forest
from services.core.forest import DEPTH, TREES, Forest, balanced, fit, forest_bytes, predict
from services.core.growing import Grown, grow
from tests.core.test_forest import cloud

Level = NDArray[np.uint8]
WORD = (1 << 64) - 1


def random(key: int, number: int) -> int:
    """SplitMix64."""
    z = (key + (number + 1) * 0x9E3779B97F4A7C15) & WORD
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & WORD
    z = (z ^ z >> 27) * 0x94D049BB133111EB & WORD
    return z ^ z >> 31


def below(key: int, number: int, limit: int) -> int:
    return (random(key, number) >> 32) * limit >> 32


def bag(seed: int, tree: int, copies: NDArray[np.int64]) -> list[int]:
    """Which copies a tree's bootstrap draws."""
    key = random(random(seed, tree), 0)
    return [below(key, number, len(copies)) for number in range(len(copies))]


def impurity(rows: list[int], kinds: Level) -> Fraction:
    """Size times Gini impurity."""
    sizes = Counter(int(kinds[row]) for row in rows)
    return len(rows) - Fraction(sum(size * size for size in sizes.values()), len(rows))


def oracle(samples: Level, kinds: Level, copies: NDArray[np.int64], tree: int, **asked: int) -> list[tuple[Any, ...]]:
    """One tree, node by node: ("leaf", fractions) or (feature, threshold, left child)."""
    seed, tries, depth = asked["seed"], asked["tries"], asked["depth"]
    rows = [int(copies[copy]) for copy in bag(seed, tree, copies)]
    queue = [(rows, 0)]
    done: list[tuple[Any, ...]] = []
    while len(done) < len(queue):
        rows, level = queue[len(done)]
        key = random(random(seed, tree), 1 + len(done))
        order = list(range(samples.shape[1]))
        best: tuple[Fraction, int, int] | None = None
        tried = 0
        pure = len({int(kinds[row]) for row in rows}) == 1
        while not pure and level < depth and tried < len(order) and (tried < tries or best is None):
            other = tried + below(key, tried, len(order) - tried)
            order[tried], order[other] = order[other], order[tried]
            feature = order[tried]
            tried += 1
            for low, high in pairwise(sorted({int(samples[row, feature]) for row in rows})):
                sides = [[row for row in rows if (samples[row, feature] > low) == right] for right in (False, True)]
                rest = impurity(sides[0], kinds) + impurity(sides[1], kinds)
                if best is None or rest < best[0]:
                    best = rest, feature, (low + high) // 2
        if best is None:
            sizes = np.bincount(kinds[rows], minlength=int(kinds.max()) + 1)
            done.append(("leaf", *(sizes / len(rows)).astype(np.float32)))
        else:
            done.append((best[1], best[2], len(queue)))
            for right in (False, True):
                queue.append(([row for row in rows if (samples[row, best[1]] > best[2]) == right], level + 1))
    return done


def listed(grown: Grown, tree: int) -> list[tuple[Any, ...]]:
    """A tree as `oracle` has it."""
    first = int(grown.roots[tree])
    last = int(grown.roots[tree + 1]) if tree + 1 < len(grown.roots) else len(grown.left)
    nodes: list[tuple[Any, ...]] = []
    for node in range(first, last):
        if grown.left[node] == node:
            nodes.append(("leaf", *grown.fractions[node]))
        else:
            nodes.append((int(grown.feature[node]), int(grown.threshold[node]), int(grown.left[node]) - first))
    return nodes


@pytest.mark.parametrize("levels", [2, 5, 60, 256])
@pytest.mark.parametrize("classes", [2, 3, 5])
def test_trees_are_those_of_the_oracle(classes: int, levels: int) -> None:
    """Few levels: features that do not vary, equal splits, mixed leaves. Few samples: small enough to be exact."""
    rng = np.random.default_rng(classes * 1000 + levels)
    samples = rng.integers(0, levels, (40, 7)).astype(np.uint8)
    samples[:, 3] = 9  # never varies
    kinds = np.concatenate([np.arange(classes), rng.integers(0, classes, 40 - classes)]).astype(np.uint8)
    copies = np.sort(np.concatenate([np.arange(40), rng.integers(0, 40, 25)]))
    asked = {"depth": 6, "tries": 2, "seed": 12345 + levels}
    grown = grow(samples, kinds, copies, trees=7, **asked)
    for tree in range(7):
        assert listed(grown, tree) == oracle(samples, kinds, copies, tree, **asked)


def test_the_out_of_bag_score_is_the_share_of_right_votes_on_what_was_not_drawn() -> None:
    samples, labels = cloud(120, 3)
    kinds, copies = (labels - 1).astype(np.uint8), balanced(labels, 3)
    grown = grow(samples, kinds, copies, trees=20, depth=3, tries=2, seed=8)
    votes = np.zeros((len(copies), 3))
    for tree in range(20):
        unseen = np.setdiff1d(np.arange(len(copies)), bag(8, tree, copies))
        for copy in unseen:
            node = int(grown.roots[tree])
            while grown.left[node] != node:
                node = int(grown.left[node]) + int(samples[copies[copy], grown.feature[node]] > grown.threshold[node])
            votes[copy] += grown.fractions[node]
    right = votes.argmax(axis=1) == kinds[copies]
    assert votes.any(axis=1).all()
    assert grown.out_of_bag == pytest.approx(right.mean())
    assert 0.5 < grown.out_of_bag < 1.0


def test_a_leaf_is_pure_or_at_the_depth_limit_or_nothing_varies_in_it() -> None:
    samples, labels = cloud(1500, 4)
    samples = (samples // 60).astype(np.uint8)[:, :3]
    kinds = (labels - 1).astype(np.uint8)
    copies = np.arange(1500)
    grown = grow(samples, kinds, copies, trees=4, depth=7, tries=1, seed=2)
    why: Counter[str] = Counter()
    for tree in range(4):
        rows = copies[bag(2, tree, copies)]
        node, level = np.full(len(rows), grown.roots[tree]), np.zeros(len(rows), dtype=int)
        for _ in range(8):
            inner = grown.left[node] != node
            right = samples[rows, grown.feature[node]] > grown.threshold[node]
            node = np.where(inner, grown.left[node] + right, node)
            level += inner
        assert (grown.left[node] == node).all()
        for leaf in np.unique(node):
            inside = rows[node == leaf]
            if len(set(kinds[inside])) == 1:
                why["pure"] += 1
            elif (samples[inside] == samples[inside[0]]).all():
                why["nothing varies"] += 1
            else:
                assert (level[node == leaf] == 7).all()
                why["depth"] += 1
            np.testing.assert_allclose(
                grown.fractions[leaf], np.bincount(kinds[inside], minlength=4) / len(inside), rtol=1e-6
            )
    assert len(why) == 3


def textured(seed: int) -> tuple[Level, Level]:
    """Neighbouring pixels' features: 16 smooth maps of one noisy image, one that is constant, one with three levels."""
    from scipy import ndimage

    rng = np.random.default_rng(seed)
    truth = ndimage.gaussian_filter(rng.normal(size=(64, 64)), 7) > 0.005
    image = 60 * truth + ndimage.gaussian_filter(rng.normal(size=(64, 64)), 1) * 160 + 90
    maps = [ndimage.gaussian_filter(image, sigma) for sigma in (0, 1, 1.5, 2, 3, 4)]
    maps += [ndimage.maximum_filter(image, size) for size in (3, 5, 9, 13, 19)]
    maps += [ndimage.minimum_filter(image, size) for size in (3, 5, 9, 13, 19)]
    maps += [np.full_like(image, 7), np.digitize(image, (80, 120)).astype(float)]
    levels = np.clip(maps, 0, 255).astype(np.uint8)
    return levels.reshape(18, -1).T.copy(), (truth.ravel() + 1).astype(np.uint8)


def mean_of_seeds(forests: list[Forest], asked: Level) -> NDArray[np.float64]:
    found: NDArray[np.float64] = np.mean([predict(forest, asked.T, 2) for forest in forests], axis=0, dtype=np.float64)
    return found


@pytest.mark.parametrize("kind", ["cloud of two", "cloud of four", "texture"])
def test_forests_are_as_good_as_those_of_scikit_learn(kind: str) -> None:
    """The mean over seeds is as near to scikit-learn's as that of other seeds of scikit-learn is."""
    if kind == "texture":
        samples, labels = textured(4)
        drawn = np.sort(np.random.default_rng(0).permutation(4096)[:500])
        (samples, labels), asked = (samples[drawn], labels[drawn]), samples
    else:
        samples, labels = cloud(500, 2 if kind == "cloud of two" else 4)
        asked = cloud(2000, 2, seed=9)[0]
    ours, theirs, scores = [], [], []
    for seed in range(24):
        chosen = balanced(labels, seed % 12)
        classifier = table_one_forest(jobs=2, seed=seed, out_of_bag=True).fit(
            samples[chosen].astype(np.float32), labels[chosen]
        )
        theirs.append(from_scikit_learn(classifier))
        scores.append(classifier.oob_score_)
        if seed < 12:
            ours.append(fit(samples, labels, seed=seed))
    reference, other, own = (mean_of_seeds(some, asked) for some in (theirs[:12], theirs[12:], ours))
    between = np.abs(other - reference).mean()
    assert np.abs(own - reference).mean() < 1.1 * between + 1e-4
    assert abs((own - reference).mean()) < 2.0 * abs((other - reference).mean()) + 0.002
    nodes = [np.mean([len(forest.left) for forest in some]) for some in (theirs, ours)]
    assert nodes[1] == pytest.approx(nodes[0], rel=0.03)
    assert np.mean([forest.out_of_bag for forest in ours]) == pytest.approx(
        np.mean(scores), abs=3 * np.std(scores) / 12**0.5 + 0.002
    )


def test_weights_are_those_of_scikit_learn() -> None:
    """scikit-learn draws the bootstrap by weight; here the samples that it draws from are repeated by weight."""
    samples, labels = cloud(400, 2)
    weights = np.where(samples[:, 0] > 128, 5.0, 1.0).astype(np.float32)
    asked = cloud(1500, 2, seed=3)[0]
    by_class = weights / np.bincount(labels, weights)[labels]
    theirs = [
        from_scikit_learn(table_one_forest(jobs=2, seed=seed).fit(samples.astype(np.float32), labels, by_class))
        for seed in range(10)
    ]
    reference = mean_of_seeds(theirs, asked)
    weighted = mean_of_seeds([fit(samples, labels, seed=seed, weights=weights) for seed in range(10)], asked)
    plain = mean_of_seeds([fit(samples, labels, seed=seed) for seed in range(10)], asked)
    assert np.abs(weighted - reference).mean() < 0.6 * np.abs(plain - reference).mean()


def test_only_the_proportion_of_weights_counts_and_none_is_left_out() -> None:
    samples, labels = cloud(300, 3)
    weights = np.random.default_rng(1).integers(0, 4, 300).astype(np.float32)
    kept = weights > 0
    some = fit(samples, labels, seed=5, weights=weights)
    for same in (
        fit(samples[kept], labels[kept], seed=5, weights=weights[kept]),
        fit(samples, labels, seed=5, weights=weights * 2),
    ):
        assert forest_bytes(same) == forest_bytes(some)
    assert forest_bytes(fit(samples, labels, seed=5, weights=np.full(300, 3.0))) == forest_bytes(
        fit(samples, labels, seed=5)
    )
    for bad in (np.nan, np.inf):
        with pytest.raises(ValueError, match="finite"):
            fit(samples, labels, seed=5, weights=np.where(np.arange(300) == 7, bad, 1.0))


def test_samples_are_taken_as_often_as_their_weight_says() -> None:
    labels = np.repeat(np.array([1, 2], np.uint8), [40, 1000])
    weights = np.random.default_rng(0).uniform(0.01, 3.0, 1040)
    for seed in range(20):
        times = np.bincount(balanced(labels, seed, weights), minlength=1040)
        for own in (labels == 1, labels == 2):
            share = 1000 * weights[own] / weights[own].sum()
            assert times[own].sum() == 1000
            assert (np.abs(times[own] - share) < 1).all()


def test_one_sample_of_each_label_and_one_feature_make_a_forest() -> None:
    forest = fit(np.array([[3], [200]], np.uint8), np.array([4, 9], np.uint8), seed=0)
    assert forest.classes.tolist() == [4, 9]
    low, high = predict(forest, np.array([[3, 200]], np.uint8), 4)
    assert low > 0.6 > 0.4 > high
    same = fit(np.full((6, 2), 5, np.uint8), np.array([1, 1, 1, 2, 2, 2], np.uint8), seed=0)
    assert len(same.left) == TREES
    assert DEPTH == 50


def test_this_engine_gives_these_trees_on_every_machine() -> None:
    """Whoever changes a byte of a forest raises `services.core.forest.ENGINE` with the digest."""
    number = np.arange(900 * 18, dtype=np.uint64).reshape(900, 18)
    samples = ((number * np.uint64(2654435761) >> np.uint64(13)) % np.uint64(251)).astype(np.uint8)
    labels = (1 + (samples[:, 0] > 90) + (samples[:, 1].astype(int) + samples[:, 2] > 300)).astype(np.uint8)
    forest = fit(samples, labels, seed=3, threads=2, weights=0.25 + (np.arange(900) % 5))
    digest = hashlib.sha256()
    for name in ("roots", "feature", "threshold", "left", "fractions"):
        digest.update(getattr(forest, name).astype(f"<{getattr(forest, name).dtype.str[1:]}").tobytes())
    assert digest.hexdigest()[:16] == "72aac5827dfc0190"
