"""How trees are grown from samples of bytes: Breiman's forest with exact splits, as scikit-learn grows it.

A tree starts from a bootstrap of the samples. At each node features are drawn without repetition: so many as are asked for,
and on while only such were found as do not vary in the node. A drawn feature's levels are counted by class, and every
threshold between two levels that occur is tried; the split with the least Gini impurity wins, the first drawn feature and
the lowest threshold where several are equal. A node is a leaf when it is pure, at the depth limit, or when nothing varies.

A sample that the bootstrap draws several times is counted once with that weight, so samples that were repeated to make a
small class larger cost nothing. All random numbers are a function of seed, tree, node and their own number, and no sum
depends on the order of the work: neither the number of threads nor the machine changes a byte.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.core.bits import lowest_bit
from services.core.compiled import compiled

LEAF = np.uint8(255)
"""Threshold of a leaf."""

_TASK = 5  # trees that a thread grows at a time
_WORD = np.uint64(63)
_ONE = np.uint64(1)
_HALF = np.uint64(32)
_SIX = np.uint64(6)
# SplitMix64: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014.
_STEP = np.uint64(0x9E3779B97F4A7C15)
_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
_SHIFTS = (np.uint64(30), np.uint64(27), np.uint64(31))
# A whole vote: sums of integers do not depend on their order, as sums of fractions would.
_VOTE = float(1 << 32)

Level = NDArray[np.uint8]
Rows = NDArray[np.int32]
Numbers = NDArray[np.float64]
Words = NDArray[np.uint64]


@dataclass(frozen=True)
class Grown:
    """Trees, laid out as `services.core.forest.Forest` says, level by level.

    Attributes:
        roots, feature, threshold, left, fractions: as there, the classes in the order of their numbers.
        out_of_bag: share of the copies that the trees which did not draw them label rightly.
    """

    roots: NDArray[np.uint32]
    feature: NDArray[np.uint16]
    threshold: Level
    left: NDArray[np.uint32]
    fractions: NDArray[np.float32]
    out_of_bag: float


def grow(
    samples: Level,
    kinds: Level,
    copies: NDArray[np.int64],
    *,
    trees: int,
    depth: int,
    tries: int,
    seed: int,
    threads: int = 1,
) -> Grown:
    """Grow trees.

    Args:
        samples: ``(n, features)``.
        kinds: ``(n,)``, number of each sample's class: 0 to classes − 1, each of them there.
        copies: ``(m,)``, which samples the bootstraps draw from, ascending; a sample may stand there several times.
        trees: how many.
        depth: splits above a leaf at most.
        tries: features that are tried at a node, if one of them varies.
        seed: 0 to 2⁶⁴ − 1.
        threads: that grow trees.
    """
    columns = np.ascontiguousarray(samples.T)
    classes = int(kinds.max()) + 1

    def some(first: int) -> tuple[NDArray[np.generic], ...]:
        last = min(first + _TASK, trees)
        return _grow_some(columns, kinds, copies, classes, depth, tries, np.uint64(seed), first, last)

    if threads > 1:
        with ThreadPoolExecutor(threads, thread_name_prefix="grow") as pool:
            parts = list(pool.map(some, range(0, trees, _TASK)))
    else:
        parts = [some(first) for first in range(0, trees, _TASK)]
    roots, feature, threshold, left, fractions, votes = zip(*parts)
    starts = np.cumsum([0] + [len(part) for part in left[:-1]], dtype=np.uint32)
    return Grown(
        roots=np.concatenate([part + start for part, start in zip(roots, starts)]),
        feature=np.concatenate(feature),
        threshold=np.concatenate(threshold),
        left=np.concatenate([part + start for part, start in zip(left, starts)]),
        fractions=np.concatenate(fractions),
        out_of_bag=_share_right(sum(votes[1:], start=votes[0]), kinds[copies]),
    )


def _share_right(votes: NDArray[np.int64], kinds: Level) -> float:
    """Share of the copies with votes whose class has most of them; not a number when none has a vote."""
    judged = votes.any(axis=1)
    return float((votes[judged].argmax(axis=1) == kinds[judged]).mean()) if judged.any() else float("nan")


@compiled
def _random(key: np.uint64, number: int) -> np.uint64:
    """Number ``number`` of the random stream ``key``."""
    word = key + np.uint64(number + 1) * _STEP
    word = (word ^ (word >> _SHIFTS[0])) * _MIX[0]
    word = (word ^ (word >> _SHIFTS[1])) * _MIX[1]
    mixed: np.uint64 = word ^ (word >> _SHIFTS[2])
    return mixed


@compiled
def _below(key: np.uint64, number: int, limit: int) -> int:
    """A random integer from 0 to ``limit`` − 1; each as probable as the others to within ``limit`` / 2³²."""
    return np.int64(((_random(key, number) >> _HALF) * np.uint64(limit)) >> _HALF)  # type: ignore[return-value]


@compiled
def _bootstrap(key: np.uint64, copies: NDArray[np.int64], mass: Numbers, drawn: NDArray[np.bool_], rows: Rows) -> int:
    """Draw as many copies as there are, with repetition; returns how many samples are among them.

    Args:
        key: of the random stream.
        copies: as in `grow`.
        mass: ``(n,)``, to be filled: how often each sample was drawn.
        drawn: ``(m,)``, to be filled: the copies that were drawn.
        rows: ``(n,)``, to be filled: the samples that were drawn, ascending.
    """
    mass[:] = 0.0
    drawn[:] = False
    for number in range(len(copies)):
        copy = _below(key, number, len(copies))
        drawn[copy] = True
        mass[copies[copy]] += 1.0
    inside = 0
    for row in range(len(mass)):
        rows[inside] = row
        inside += mass[row] > 0.0
    return inside


@compiled
def _best_threshold(
    column: Level,
    kinds: Level,
    mass: Numbers,
    rows: Rows,
    whole: Numbers,
    size: float,
    counts: Numbers,
    seen: Words,
    left: Numbers,
) -> tuple[float, int]:
    """The best threshold of one feature in a node, and how good it is; −1 when the feature does not vary.

    With N the weight in the node, n and m = N − n that left and right of a threshold, A and a the weight of a class in the
    node and on the left, the Gini impurity falls by Σ (aN − An)² / (nmN²): what is compared is Σ (aN − An)² / nm.

    Args:
        column: ``(n,)``, the feature.
        kinds, mass, rows: classes, weights, and the samples in the node.
        whole, size: ``(classes,)`` and number, weight in the node by class and altogether.
        counts: ``(256 * classes,)``, zeros; left as zeros.
        seen: ``(4,)``, scratch: a bit for each level that occurs, because most nodes are small and have few.
        left: ``(classes,)``, scratch.
    """
    classes = len(whole)
    seen[:] = 0
    for row in rows:
        level = np.uint64(column[row])
        counts[level * np.uint64(classes) + np.uint64(kinds[row])] += mass[row]
        seen[level >> _SIX] |= _ONE << (level & _WORD)
    left[:] = 0.0
    under = 0.0
    before = -1
    best, threshold = -1.0, 0
    for word in range(4):
        bits = seen[word]
        while bits:
            level_here = 64 * word + lowest_bit(bits)
            bits &= bits - _ONE
            if before >= 0:
                # The first class's term is the others' sum, turned round.
                first, squares = 0.0, 0.0
                for kind in range(1, classes):
                    term = left[kind] * size - whole[kind] * under
                    first += term
                    squares += term * term
                gain = (first * first + squares) / (under * (size - under))
                if gain > best:
                    best, threshold = gain, (before + level_here) >> 1
            before = level_here
            for kind in range(classes):
                place = level_here * classes + kind
                left[kind] += counts[place]
                under += counts[place]
                counts[place] = 0.0
    return best, threshold


@compiled
def _best_split(
    columns: Level,
    kinds: Level,
    mass: Numbers,
    rows: Rows,
    whole: Numbers,
    size: float,
    tries: int,
    key: np.uint64,
    order: NDArray[np.int64],
    swapped: NDArray[np.int64],
    counts: Numbers,
    seen: Words,
    left: Numbers,
) -> tuple[int, int]:
    """Feature and threshold that part a node best; feature −1 when nothing varies in it.

    Args:
        columns: ``(features, n)``.
        kinds, mass, rows, whole, size, counts, seen, left: as in `_best_threshold`.
        tries: as in `grow`.
        key: of the random stream.
        order: ``(features,)``, 0, 1, 2 …; left so.
        swapped: ``(features,)``, scratch.
    """
    best, feature, threshold = -1.0, -1, 0
    tried = 0
    while tried < len(order) and (tried < tries or feature < 0):
        other = tried + _below(key, tried, len(order) - tried)
        order[tried], order[other] = order[other], order[tried]
        swapped[tried] = other
        gain, middle = _best_threshold(columns[order[tried]], kinds, mass, rows, whole, size, counts, seen, left)
        if gain > best:
            best, feature, threshold = gain, order[tried], middle
        tried += 1
    for place in range(tried - 1, -1, -1):
        other = swapped[place]
        order[place], order[other] = order[other], order[place]
    return feature, threshold


@compiled
def _part(rows: Rows, column: Level, threshold: int, spare: Rows) -> int:
    """Put the samples that go left before those that go right, both in their order; returns how many go left."""
    lefts, rights = 0, 0
    for row in rows:
        right = column[row] > threshold
        rows[lefts] = row
        spare[rights] = row
        lefts += not right
        rights += right
    rows[lefts:] = spare[:rights]
    return lefts


@compiled
def _vote(
    columns: Level,
    copies: NDArray[np.int64],
    drawn: NDArray[np.bool_],
    root: int,
    feature: NDArray[np.uint16],
    threshold: Level,
    below: NDArray[np.uint32],
    fractions: NDArray[np.float32],
    rows: Rows,
    node_of: NDArray[np.uint32],
    votes: NDArray[np.int64],
) -> None:
    """Add a tree's vote on the copies that it did not draw.

    Args:
        columns, copies, drawn: as in `_bootstrap` and `_best_split`.
        root, feature, threshold, below, fractions: the tree.
        rows, node_of: ``(n,)``, scratch.
        votes: ``(m, classes)``.
    """
    active = 0
    for copy in range(len(copies)):
        if not drawn[copy]:
            node_of[copies[copy]] = root
            if active == 0 or rows[active - 1] != copies[copy]:
                rows[active] = copies[copy]
                active += 1
    # All samples take a step at a time: one sample's steps would each wait for the last.
    while active:
        still = 0
        for place in range(active):
            row = rows[place]
            node = node_of[row]
            rows[still] = row
            if below[node] != node:
                node_of[row] = below[node] + (columns[feature[node], row] > threshold[node])
                still += 1
        active = still
    for copy in range(len(copies)):
        if not drawn[copy]:
            for kind in range(votes.shape[1]):
                votes[copy, kind] += np.int64(fractions[node_of[copies[copy]], kind] * _VOTE)


@compiled
def _grow_some(
    columns: Level,
    kinds: Level,
    copies: NDArray[np.int64],
    classes: int,
    depth: int,
    tries: int,
    seed: np.uint64,
    first: int,
    last: int,
) -> tuple[NDArray[np.generic], ...]:
    """Grow trees ``first`` to ``last`` − 1; the arrays of `Grown`, numbered from 0, and ``(m, classes)`` votes."""
    features, n = columns.shape
    m = len(copies)
    most = 2 * min(n, m)  # nodes of a tree
    feature = np.empty((last - first) * most, dtype=np.uint16)
    threshold = np.empty((last - first) * most, dtype=np.uint8)
    below = np.empty((last - first) * most, dtype=np.uint32)
    fractions = np.empty(((last - first) * most, classes), dtype=np.float32)
    roots = np.empty(last - first, dtype=np.uint32)
    votes = np.zeros((m, classes), dtype=np.int64)
    mass, drawn = np.empty(n), np.empty(m, dtype=np.bool_)
    rows, spare, node_of = np.empty(n, dtype=np.int32), np.empty(n, dtype=np.int32), np.empty(n, dtype=np.uint32)
    starts = np.empty((most, 2), dtype=np.int64)  # first and behind the last of a node's samples
    order, swapped = np.arange(features), np.empty(features, dtype=np.int64)
    counts, left, whole = np.zeros(256 * classes), np.empty(classes), np.empty(classes)
    seen = np.empty(4, dtype=np.uint64)
    used = 0
    for tree in range(first, last):
        key = _random(seed, tree)
        root = used
        roots[tree - first] = root
        starts[0] = 0, _bootstrap(_random(key, 0), copies, mass, drawn, rows)
        used += 1
        level, next_level = 0, used
        node = root
        while node < used:
            if node == next_level:
                level, next_level = level + 1, used
            start, end = starts[node - root]
            inside = rows[start:end]
            whole[:] = 0.0
            for row in inside:
                whole[kinds[row]] += mass[row]
            size = whole.sum()
            best, cut = -1, 0
            if level < depth and np.count_nonzero(whole) > 1:
                stream = _random(key, 1 + node - root)
                best, cut = _best_split(
                    columns, kinds, mass, inside, whole, size, tries, stream, order, swapped, counts, seen, left
                )
            fractions[node] = 0.0
            if best < 0:
                feature[node], threshold[node], below[node] = 0, LEAF, node
                for kind in range(classes):
                    fractions[node, kind] = whole[kind] / size
            else:
                feature[node], threshold[node], below[node] = best, cut, used
                middle = start + _part(inside, columns[best], cut, spare)
                starts[used - root] = start, middle
                starts[used + 1 - root] = middle, end
                used += 2
            node += 1
        _vote(columns, copies, drawn, root, feature, threshold, below, fractions, rows, node_of, votes)
    # Copies: what comes back is to let go of the memory that the trees might have needed.
    return (
        roots,
        feature[:used].copy(),
        threshold[:used].copy(),
        below[:used].copy(),
        fractions[:used].copy(),
        votes,
    )
