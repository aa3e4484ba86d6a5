"""The forest of the paper's Table I: fitted to bytes, kept as plain arrays, asked by a loop over bytes.

Trees are binary: a pixel goes left when its feature's level is at most the node's threshold. All trees' nodes stand in one
list, parents before children, the right child behind the left one; a leaf's children are itself. The probability of a label
is the mean over the trees of the label's fraction among the training samples in the pixel's leaf, as scikit-learn's
``RandomForestClassifier.predict_proba`` has it. `services.core.growing` grows the trees.
"""

from __future__ import annotations

import io
import math
import zipfile
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.core.compiled import compiled
from services.core.errors import ChoiceNeeded, Corrupt, Reason
from services.core.growing import LEAF, grow

ENGINE = "2"
"""Version of features and forest together: the same engine, volume, log, preset and seed give the same bytes."""
TREES = 50
DEPTH = 50
MOST_PER_CLASS = 10_000
"""No class is resampled to more samples than this, so that an imported mask does not make the forest slow."""

_FORMAT = 1
_BLOCK = 2048
# A packed node: left child, feature and threshold in one word.
_LEFT = np.uint64(24)
_FEATURE = np.uint64(8)
_FEATURE_BITS = np.uint64(65535)
_THRESHOLD_BITS = np.uint64(255)

Level = NDArray[np.uint8]


@dataclass(frozen=True)
class Forest:
    """A fitted forest.

    Attributes:
        features: how many levels a pixel has.
        classes: ``(k,)`` uint8, the labels that it knows, ascending.
        roots: ``(trees,)`` uint32, node of each tree's root.
        feature: ``(nodes,)`` uint16, index of the feature that a node asks for; 0 at a leaf.
        threshold: ``(nodes,)`` uint8; 255 at a leaf.
        left: ``(nodes,)`` uint32, the left child; a leaf's own number.
        fractions: ``(nodes, k)`` float32, fraction of each class among a leaf's samples; 0 elsewhere.
        out_of_bag: share of the resampled training samples that the trees which did not draw them label rightly, 0 to 1.
            It flatters: neighbouring voxels resemble each other, and a small class repeats its samples.

    Raises:
        Corrupt: the arrays are not a forest.
    """

    features: int
    classes: Level
    roots: NDArray[np.uint32]
    feature: NDArray[np.uint16]
    threshold: Level
    left: NDArray[np.uint32]
    fractions: NDArray[np.float32]
    out_of_bag: float
    _packed: NDArray[np.uint64] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _check(self)
        packed = self.left.astype(np.uint64) << _LEFT
        packed |= self.feature.astype(np.uint64) << _FEATURE
        packed |= self.threshold.astype(np.uint64)
        object.__setattr__(self, "_packed", packed)


def fit(
    samples: Level, labels: Level, *, seed: int, threads: int = 1, weights: NDArray[np.floating[Any]] | None = None
) -> Forest:
    """Fit the forest of Table I: 50 trees, 50 deep, Gini, √features tried at a node, bootstrap, out-of-bag score.

    The same samples in the same order with the same seed give the same forest, whatever the number of threads. The classes
    are resampled to equal size first (see `balanced`).

    Args:
        samples: ``(n, features)`` uint8.
        labels: ``(n,)`` uint8, none of them 0.
        seed: 0 to 2³² − 1.
        threads: that fit trees.
        weights: ``(n,)``, how often a sample is taken in proportion to the others of its class; 0: it is left out. None:
            all alike. Trees grow until they are pure, so a weight in the impurity alone would hardly count.

    Raises:
        ChoiceNeeded: there are not two labels to tell apart.
    """
    if weights is not None:
        kept = ~(weights <= 0)  # what is not a number stays, to be refused
        samples, labels, weights = samples[kept], labels[kept], weights[kept]
    chosen = balanced(labels, seed, weights)
    classes, kinds = np.unique(labels, return_inverse=True)
    grown = grow(
        samples,
        kinds.astype(np.uint8),
        chosen,
        trees=TREES,
        depth=DEPTH,
        tries=math.isqrt(samples.shape[1]),
        seed=seed,
        threads=threads,
    )
    return Forest(
        features=samples.shape[1],
        classes=classes,
        roots=grown.roots,
        feature=grown.feature,
        threshold=grown.threshold,
        left=grown.left,
        fractions=grown.fractions,
        out_of_bag=grown.out_of_bag,
    )


def balanced(labels: Level, seed: int, weights: NDArray[np.floating[Any]] | None = None) -> NDArray[np.int64]:
    """Which samples to fit on, so that every class has the same size.

    The size is that of the largest class, but at most `MOST_PER_CLASS`. Each sample is taken as often as its share of that
    size says, rounded down or up at random so that the size is met (systematic resampling). Without weights a larger class
    is thus thinned out, and of a smaller one all samples are taken equally often but for one.

    Args:
        labels: ``(n,)`` uint8.
        seed: 0 to 2³² − 1.
        weights: ``(n,)``, finite and above 0; None: all alike.

    Returns:
        Indices into ``labels``, ascending.

    Raises:
        ChoiceNeeded: there are not two labels.
    """
    sizes = np.bincount(labels)
    classes = np.flatnonzero(sizes)
    if len(classes) < 2:
        raise ChoiceNeeded("Draw on the object and on the background first.", Reason.NOT_SEGMENTED)
    if weights is None:
        weights = np.ones(len(labels))
    elif not (np.isfinite(weights) & (weights > 0)).all():
        raise ValueError("A weight is a finite number.")
    size = min(int(sizes.max()), MOST_PER_CLASS)
    # The legacy generator's stream is frozen, that of newer generators may change with numpy.
    random = np.random.RandomState(seed)
    times = np.zeros(len(labels), dtype=np.int64)
    for label in classes:
        own = random.permutation(np.flatnonzero(labels == label))
        total = np.cumsum(weights[own], dtype=np.float64)[-1]  # in this order on every machine
        share = weights[own] * (size / total)
        whole = np.floor(share)
        rest = size - whole.sum()
        taken = np.minimum(np.floor(np.cumsum(share - whole) + random.random_sample()), rest)
        taken[-1] = rest
        times[own] = whole + np.diff(taken, prepend=0.0)
    return np.repeat(np.arange(len(labels)), times)


def predict(forest: Forest, features: Level, label: int) -> NDArray[np.float32]:
    """Probability of a label.

    Args:
        forest: of as many features.
        features: ``(features, ...)`` uint8.
        label: a label; one that the forest does not know has probability 0.

    Returns:
        ``(...)`` float32, 0 to 1.
    """
    rest = features.shape[1:]
    known = np.flatnonzero(forest.classes == label)
    if len(features) != forest.features:
        raise ValueError(f"The forest asks for {forest.features} features, not {len(features)}.")
    if not known.size:
        return np.zeros(rest, dtype=np.float32)
    pixels = np.ascontiguousarray(features).reshape(len(features), -1)
    leaves = np.ascontiguousarray(forest.fractions[:, known[0]])
    return _mean_of_leaves(forest._packed, forest.roots, leaves, pixels).reshape(rest)


def predict_levels(forest: Forest, features: Level, label: int) -> Level:
    """Probability of a label × 255, rounded: as `predict`, ``(...)`` uint8."""
    levels: Level = np.floor(predict(forest, features, label) * np.float32(255.0) + np.float32(0.5)).astype(np.uint8)
    return levels


@compiled
def _step(packed: NDArray[np.uint64], block: Level, pixel: np.uint64, node: np.uint64) -> np.uint64:
    """The packed node below a packed node, for the pixel whose levels start at ``pixel``; a leaf itself below a leaf."""
    level = block[pixel + ((node >> _FEATURE) & _FEATURE_BITS)]
    below: np.uint64 = packed[(node >> _LEFT) + np.uint64(np.uint64(level) > (node & _THRESHOLD_BITS))]
    return below


@compiled
def _fill(block: Level, place: NDArray[np.int64], pixels: Level, first: int, size: int) -> int:
    """Put each pixel's levels side by side, a run of equal pixels once; returns how many differ.

    Args:
        block: to be filled, pixel after pixel.
        place: ``(n,)``, to be filled: which of the block's pixels a pixel is.
        pixels: ``(features, n)``.
        first, size: which pixels.
    """
    width = len(pixels)
    for f in range(width):
        row = pixels[f, first : first + size]
        for p in range(size):
            block[p * width + f] = row[p]
    different = 0
    for p in range(size):
        new = p == 0
        for f in range(width):
            if new:
                break
            new = block[(different - 1) * width + f] != block[p * width + f]
        if new:
            for f in range(width):
                block[different * width + f] = block[p * width + f]
            different += 1
        place[p] = different - 1
    return different


@compiled
def _mean_of_leaves(
    packed: NDArray[np.uint64], roots: NDArray[np.uint32], leaves: NDArray[np.float32], pixels: Level
) -> NDArray[np.float32]:
    """Mean over the trees of the value of each pixel's leaf, ``(n,)``.

    A block of pixels stays in a fast cache while tree after tree is asked. Eight pixels walk down a tree at once, because
    each step waits for the memory of the last; they have names, not places in an array, to stay in registers.
    """
    count = pixels.shape[1]
    w = np.uint64(len(pixels))
    out = np.empty(count, dtype=np.float32)
    block = np.zeros((_BLOCK + 8) * len(pixels), dtype=np.uint8)
    sums = np.empty(_BLOCK + 8, dtype=np.float64)
    place = np.empty(_BLOCK, dtype=np.int64)
    for first in range(0, count, _BLOCK):
        size = min(_BLOCK, count - first)
        different = _fill(block, place, pixels, first, size)
        sums[:] = 0.0
        for root in roots:
            for p in range(0, different, 8):
                p0 = np.uint64(p) * w
                p1 = p0 + w
                p2 = p1 + w
                p3 = p2 + w
                p4 = p3 + w
                p5 = p4 + w
                p6 = p5 + w
                p7 = p6 + w
                n0 = n1 = n2 = n3 = n4 = n5 = n6 = n7 = packed[root]
                moved = True
                while moved:
                    m0, m1 = _step(packed, block, p0, n0), _step(packed, block, p1, n1)
                    m2, m3 = _step(packed, block, p2, n2), _step(packed, block, p3, n3)
                    m4, m5 = _step(packed, block, p4, n4), _step(packed, block, p5, n5)
                    m6, m7 = _step(packed, block, p6, n6), _step(packed, block, p7, n7)
                    n0, n1 = _step(packed, block, p0, m0), _step(packed, block, p1, m1)
                    n2, n3 = _step(packed, block, p2, m2), _step(packed, block, p3, m3)
                    n4, n5 = _step(packed, block, p4, m4), _step(packed, block, p5, m5)
                    n6, n7 = _step(packed, block, p6, m6), _step(packed, block, p7, m7)
                    last = (m0 ^ n0) | (m1 ^ n1) | (m2 ^ n2) | (m3 ^ n3) | (m4 ^ n4) | (m5 ^ n5) | (m6 ^ n6) | (m7 ^ n7)
                    moved = last != np.uint64(0)
                sums[p] += leaves[n0 >> _LEFT]
                sums[p + 1] += leaves[n1 >> _LEFT]
                sums[p + 2] += leaves[n2 >> _LEFT]
                sums[p + 3] += leaves[n3 >> _LEFT]
                sums[p + 4] += leaves[n4 >> _LEFT]
                sums[p + 5] += leaves[n5 >> _LEFT]
                sums[p + 6] += leaves[n6 >> _LEFT]
                sums[p + 7] += leaves[n7 >> _LEFT]
        for p in range(size):
            out[first + p] = sums[place[p]] / len(roots)
    return out


def forest_bytes(forest: Forest) -> bytes:
    """The forest as an uncompressed ``.npz`` archive of plain arrays; the same forest gives the same bytes."""
    arrays: dict[str, Any] = {f.name: np.asarray(getattr(forest, f.name)) for f in fields(forest) if f.init}
    file = io.BytesIO()
    np.savez(file, format=np.uint16(_FORMAT), **arrays)
    return file.getvalue()


def forest_from_bytes(data: bytes) -> Forest:
    """Read `forest_bytes`.

    Raises:
        Corrupt: the bytes are not a forest, or one of a later format.
    """
    names = [f.name for f in fields(Forest) if f.init]
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            version = int(archive["format"])
            arrays = {name: archive[name] for name in names}
    except (KeyError, ValueError, TypeError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise Corrupt("A stored forest cannot be read; it is computed again from the strokes.") from error
    if version != _FORMAT:
        raise Corrupt(f"A stored forest has format {version}; this version reads format {_FORMAT}.")
    arrays["features"] = int(arrays["features"])
    arrays["out_of_bag"] = float(arrays["out_of_bag"])
    return Forest(**arrays)


def _check(forest: Forest) -> None:
    """Refuse arrays with which the loop would read beside its memory or walk for ever."""
    nodes = len(forest.left)
    number = np.arange(nodes, dtype=np.int64)
    left = forest.left.astype(np.int64)
    leaf = left == number
    sound = (
        forest.left.dtype == np.uint32
        and forest.roots.dtype == np.uint32
        and forest.feature.dtype == np.uint16
        and forest.threshold.dtype == np.uint8
        and forest.classes.dtype == np.uint8
        and forest.fractions.dtype == np.float32
        and forest.roots.ndim == forest.classes.ndim == forest.left.ndim == 1
        and forest.feature.shape == forest.threshold.shape == (nodes,)
        and forest.fractions.shape == (nodes, len(forest.classes))
        and len(forest.roots) > 0
        and bool((forest.roots < nodes).all())
        and bool((forest.feature < forest.features).all())
        and bool(((left > number) & (left + 1 < nodes) | leaf & (forest.threshold == LEAF)).all())
        and bool((np.diff(forest.classes.astype(np.int64)) > 0).all())
    )
    if not sound:
        raise Corrupt("A stored forest is damaged; it is computed again from the strokes.")
