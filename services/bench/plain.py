"""The plain way to do what the engine does: scipy and scikit-image as they come. The reference of every speed figure."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.filters.rank import entropy
from skimage.future import fit_segmenter, predict_segmenter
from skimage.morphology import disk
from sklearn.ensemble import RandomForestClassifier

from services.core.forest import DEPTH, TREES, Forest
from services.core.growing import LEAF

Image = NDArray[np.float32]
Filter = Callable[[Image, Any], NDArray[np.generic]]


def table_one(
    image: Image, rows: slice | None = None, columns: slice | None = None, *, jobs: int = 1
) -> NDArray[np.float32]:
    """Table I's 18 features of a rectangle of a slice, in the order of ``services.core.features.PAPER``.

    Of a rectangle each filter gets as much around it as it sees, and no more.

    Args:
        image: ``(rows, columns)`` float32 in 0–255.
        rows, columns: the rectangle, without steps; None: all.
        jobs: threads that the filters are spread over: most of them let go of the interpreter.

    Returns:
        ``(rows, columns, 18)`` float32.
    """
    wanted = [(part or slice(None)).indices(size)[:2] for part, size in zip((rows, columns), image.shape)]

    def one(task: tuple[Filter, float, int]) -> NDArray[np.generic]:
        apply, scale, reach = task
        first = [max(0, start - reach) for start, _ in wanted]
        seen = image[first[0] : wanted[0][1] + reach, first[1] : wanted[1][1] + reach]
        inside = tuple(slice(start - f, stop - f) for (start, stop), f in zip(wanted, first))
        return apply(seen, scale)[inside]

    if jobs == 1:
        maps = [one(task) for task in _TABLE_ONE]
    else:
        with ThreadPoolExecutor(jobs) as pool:
            maps = list(pool.map(one, _TABLE_ONE))
    return np.stack(maps, axis=-1).astype(np.float32)


def trainable_segmentation(features: NDArray[np.float32], labels: NDArray[np.uint8], *, jobs: int) -> NDArray[np.uint8]:
    """scikit-image's trainable segmentation of one slice with the forest of Table I.

    Args:
        features: ``(rows, columns, 18)``.
        labels: ``(rows, columns)``, 0 where nothing is drawn.
        jobs: processor cores that it may use.

    Returns:
        ``(rows, columns)`` labels of all pixels.
    """
    fitted = fit_segmenter(labels, features, table_one_forest(jobs=jobs))  # type: ignore[no-untyped-call]
    result: NDArray[np.uint8] = predict_segmenter(features, fitted)  # type: ignore[no-untyped-call]
    return result


def table_one_forest(*, jobs: int, seed: int = 0, out_of_bag: bool = False) -> RandomForestClassifier:
    """scikit-learn's forest of Table I, not yet fitted; with the out-of-bag score it takes longer to fit."""
    return RandomForestClassifier(
        TREES,
        max_depth=DEPTH,
        criterion="gini",
        max_features="sqrt",
        bootstrap=True,
        oob_score=out_of_bag,
        n_jobs=jobs,
        random_state=seed,
    )


def from_scikit_learn(classifier: RandomForestClassifier) -> Forest:
    """A fitted ``RandomForestClassifier`` of uint8 samples, as plain arrays."""
    trees = [tree.tree_ for tree in classifier.estimators_]
    starts = np.cumsum([0] + [tree.node_count for tree in trees])
    feature, threshold, left, fractions = [], [], [], []
    for start, tree in zip(starts, trees):
        order = _breadth_first(tree.children_left, tree.children_right)
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        leaf = tree.children_left[order] < 0
        feature.append(np.where(leaf, 0, tree.feature[order]))
        threshold.append(np.where(leaf, LEAF, np.floor(np.clip(tree.threshold[order], 0, 254))))
        left.append(start + np.where(leaf, np.arange(len(order)), place[tree.children_left[order]]))
        value = tree.value[order, 0, :]
        fractions.append(np.where(leaf[:, None], value / value.sum(axis=1, keepdims=True), 0.0))
    return Forest(
        features=int(classifier.n_features_in_),
        classes=np.asarray(classifier.classes_, dtype=np.uint8),
        roots=starts[:-1].astype(np.uint32),
        feature=np.concatenate(feature).astype(np.uint16),
        threshold=np.concatenate(threshold).astype(np.uint8),
        left=np.concatenate(left).astype(np.uint32),
        fractions=np.concatenate(fractions).astype(np.float32),
        out_of_bag=float(getattr(classifier, "oob_score_", float("nan"))),
    )


def _breadth_first(left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.int64]:
    """Nodes of one tree level by level, siblings side by side."""
    levels = [np.zeros(1, dtype=np.int64)]
    while True:
        inner = levels[-1][left[levels[-1]] >= 0]
        if not inner.size:
            return np.concatenate(levels)
        levels.append(np.stack([left[inner], right[inner]], axis=1).ravel())


def _entropy(image: Image, radius: int) -> NDArray[np.generic]:
    bits: NDArray[np.generic] = entropy(np.rint(image).astype(np.uint8), disk(radius))  # type: ignore[no-untyped-call]
    return bits


def _deviation(image: Image, radius: int) -> NDArray[np.float64]:
    wide = image.astype(np.float64)
    mean = ndimage.uniform_filter(wide, 2 * radius + 1)
    square = ndimage.uniform_filter(wide * wide, 2 * radius + 1)
    deviation: NDArray[np.float64] = np.sqrt(np.maximum(square - mean * mean, 0.0))
    return deviation


def _window(apply: Callable[..., NDArray[np.generic]]) -> Filter:
    return lambda image, radius: apply(image, 2 * radius + 1)


def _tasks() -> list[tuple[Filter, float, int]]:
    """Filter, scale, and how many pixels it sees on each side."""
    by_radius: list[tuple[Filter, tuple[int, ...]]] = [
        (_entropy, (1, 3)),
        (_deviation, (1, 5)),
        (_window(ndimage.maximum_filter), (1, 5, 9)),
        (_window(ndimage.minimum_filter), (1, 5, 9)),
        (_window(ndimage.uniform_filter), (1, 5)),
    ]
    by_sigma: list[tuple[Filter, tuple[int, ...]]] = [
        (ndimage.gaussian_filter, (3, 5)),
        (ndimage.gaussian_gradient_magnitude, (3, 5)),
        (ndimage.gaussian_laplace, (2, 32)),
    ]
    windows = [(apply, scale, scale) for apply, scales in by_radius for scale in scales]
    bells = [(apply, scale, int(4.0 * scale + 0.5)) for apply, scales in by_sigma for scale in scales]
    return [*windows[:4], *bells, *windows[4:]]


_TABLE_ONE = _tasks()
