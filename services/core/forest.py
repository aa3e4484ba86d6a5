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

from services.core.bands import in_bands
from services.core.bits import bytes_above, eight_bytes, lowest_bit
from services.core.compiled import compiled
from services.core.errors import ChoiceNeeded, Corrupt, Reason
from services.core.growing import LEAF, grow

ENGINE = "5"
"""Version of features and forest together: the same engine, volume, log, preset and seed give the same bytes."""
TREES = 50
DEPTH = 50
MOST_PER_CLASS = 10_000
"""No class is resampled to more samples than this, so that an imported mask does not make the forest slow."""

_FORMAT = 1
# A packed node: left child, feature and threshold in one word.
_LEFT = np.uint64(24)
_FEATURE = np.uint64(8)
_FEATURE_BITS = np.uint64(65535)
_THRESHOLD_BITS = np.uint64(255)
_ONE = np.uint64(1)
_TILE = np.uint64(6)  # 64 pixels
_NOBODY, _EVERYONE = np.uint64(0), np.uint64((1 << 64) - 1)

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

    @property
    def size_bytes(self) -> int:
        """Memory of the arrays held."""
        arrays = (self.classes, self.roots, self.feature, self.threshold, self.left, self.fractions, self._packed)
        return sum(one.nbytes for one in arrays)

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


def predict(forest: Forest, features: Level, label: int, threads: int = 1) -> NDArray[np.float32]:
    """Probability of a label.

    Args:
        forest: of as many features.
        features: ``(features, ...)`` uint8.
        label: a label; one that the forest does not know has probability 0.
        threads: that are asked about a band of an image's rows each.

    Returns:
        ``(...)`` float32, 0 to 1.
    """
    rest = features.shape[1:]
    known = np.flatnonzero(forest.classes == label)
    if len(features) != forest.features:
        raise ValueError(f"The forest asks for {forest.features} features, not {len(features)}.")
    if not known.size:
        return np.zeros(rest, dtype=np.float32)
    # As an image where it is one: what lies close together is asked together.
    columns = rest[-1] if rest else 1
    pixels = np.ascontiguousarray(features).reshape(len(features), math.prod(rest[:-1]), columns)
    leaves = np.ascontiguousarray(forest.fractions[:, known[0]])
    tall = 8 if pixels.shape[1] > 4 else 1
    found = np.empty(pixels.shape[1:], dtype=np.float32)

    def ask(first: int, last: int) -> None:
        found[first:last] = _mean_of_leaves(forest._packed, forest.roots, leaves, pixels, tall, first, last)

    in_bands(ask, len(found), threads, tall)
    return found.reshape(rest)


def predict_levels(forest: Forest, features: Level, label: int, threads: int = 1) -> Level:
    """Probability of a label × 255, rounded: as `predict`, ``(...)`` uint8."""
    levels: Level = np.floor(predict(forest, features, label, threads) * np.float32(255.0) + np.float32(0.5)).astype(
        np.uint8
    )
    return levels


@compiled
def _mean_of_leaves(
    packed: NDArray[np.uint64],
    roots: NDArray[np.uint32],
    leaves: NDArray[np.float32],
    pixels: Level,
    tall: int,
    first: int,
    last: int,
) -> NDArray[np.float32]:
    """Mean over the trees of the value of each pixel's leaf, ``(last - first, columns)``.

    Neighbours mostly go the same way, so 64 of them walk down a tree together, as a bit each of a word: where they part,
    one half waits. Leaves of a single class, as most are, add to counters that hold a binary digit of all pixels in a word.

    Args:
        packed, roots: the trees.
        leaves: ``(nodes,)``, value of each leaf, 0 to 1.
        pixels: ``(features, rows, columns)``.
        tall: rows of a tile of 64 pixels.
        first, last: rows that are asked about, the first one of a tile's.
    """
    features, _, columns = pixels.shape
    wide = 64 // tall
    out = np.empty((last - first, columns), dtype=np.float32)
    tile = np.empty(64 * features, dtype=np.uint8)
    nodes, waiting = np.empty(64, dtype=np.uint64), np.empty(64, dtype=np.uint64)
    digits, sums = np.empty(32, dtype=np.uint64), np.empty(64, dtype=np.float64)
    for top in range(first, last, tall):
        for left in range(0, columns, wide):
            _fill(tile, pixels, top, left, tall)
            digits[:] = 0
            sums[:] = 0.0
            for root in roots:
                nodes[0], waiting[0] = root, _EVERYONE
                height = 1  # what waits has pixels that nothing else has, so 64 places are enough
                while height > 0:
                    height -= 1
                    node, here = nodes[height], waiting[height]
                    below = packed[node] >> _LEFT
                    while below != node:
                        word = packed[node]
                        place = ((word >> _FEATURE) & _FEATURE_BITS) << _TILE
                        right = here & bytes_above(tile, place, np.uint8(word & _THRESHOLD_BITS))
                        if right == _NOBODY:
                            node = below
                        elif right == here:
                            node = below + _ONE
                        else:
                            nodes[height], waiting[height] = below + _ONE, right
                            height += 1
                            here &= ~right
                            node = below
                        below = packed[node] >> _LEFT
                    _add(digits, sums, here, leaves[node])
            _read(digits, len(roots), sums)
            for row in range(top, min(top + tall, last)):
                for column in range(left, min(left + wide, columns)):
                    out[row - first, column] = sums[(row - top) * wide + column - left] / len(roots)
    return out


@compiled
def _fill(tile: Level, pixels: Level, top: int, left: int, tall: int) -> None:
    """Copy 64 pixels, feature after feature; beyond the image its last row and column are repeated."""
    features, rows, columns = pixels.shape
    wide = 64 // tall
    flat, words = pixels.reshape(-1), tile.view(np.uint64)
    if left + wide <= columns:
        for feature in range(features):
            for eight in range(8):
                row = min(top + 8 * eight // wide, rows - 1)
                first = (feature * rows + row) * columns + left + 8 * eight % wide
                words[8 * feature + eight] = eight_bytes(flat, np.uint64(first))
    else:
        for feature in range(features):
            for row in range(tall):
                line = pixels[feature, min(top + row, rows - 1)]
                for column in range(wide):
                    tile[64 * feature + wide * row + column] = line[min(left + column, columns - 1)]


@compiled
def _add(digits: NDArray[np.uint64], sums: NDArray[np.float64], pixels: np.uint64, value: float) -> None:
    """Add a leaf's value for each pixel whose bit is set."""
    if value == 1.0:
        digit = 0
        while pixels:
            carried = digits[digit] & pixels
            digits[digit] ^= pixels
            pixels = carried
            digit += 1
    elif value > 0.0:
        while pixels:
            sums[lowest_bit(pixels)] += value
            pixels &= pixels - _ONE


@compiled
def _read(digits: NDArray[np.uint64], most: int, sums: NDArray[np.float64]) -> None:
    """Add to each pixel's sum its count, at most ``most``."""
    digit = 0
    while most >> digit:
        for pixel in range(64):
            sums[pixel] += np.float64(((digits[digit] >> np.uint64(pixel)) & _ONE) << np.uint64(digit))
        digit += 1


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
