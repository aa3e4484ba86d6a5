"""Fitting and asking the forest beside scikit-learn's, on the same samples of the sample MRI and the same cores.

The samples are those of a simulated clinician's first strokes and of a few rounds of corrections on a slab of the volume,
because first strokes alone are easy to tell apart and make small trees. Both forests are measured in turn.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import numpy as np
from numpy.typing import NDArray

from services.bench.clinician import corrections, first_strokes, voxels_of
from services.bench.plain import from_scikit_learn, table_one_forest
from services.core.forest import Forest, balanced, fit, predict_levels
from services.core.mask import best_threshold
from services.core.pipeline import slice_features
from services.core.samples import gather
from services.core.volume import Volume, intensity_window
from services.formats.read import read_volume
from services.formats.sample import Tissue, reference_mask, sample_volume
from services.formats.source import source_files

_SLICES = 8  # on each side of the slice that is drawn on first
_CORRECTIONS = 3

Level = NDArray[np.uint8]


@dataclass(frozen=True)
class Drawn:
    """Strokes on a slab, as samples.

    Attributes:
        samples, labels: ``(n, features)`` and ``(n,)``.
        features: ``(slices, features, rows, columns)`` of the slab.
        truth: ``(slices, rows, columns)`` bool.
        label: of what was searched.
    """

    samples: Level
    labels: Level
    features: Level
    truth: NDArray[np.bool_]
    label: int


def measure_forests(tissue: Tissue, rounds: int) -> dict[str, float]:
    """Medians in milliseconds, ratios (above 1 ours is faster), and how good both are. Raises: CalqueError."""
    drawn = draw(tissue)
    jobs = os.cpu_count() or 1
    chosen = balanced(drawn.labels, 0)
    wide, labels = drawn.samples[chosen].astype(np.float32), drawn.labels[chosen]
    plain = table_one_forest(jobs=jobs, out_of_bag=True).fit(wide, labels)
    forest = fit(drawn.samples, drawn.labels, seed=0)
    image = drawn.features[_SLICES]
    pixels = np.ascontiguousarray(image.reshape(len(image), -1).T).astype(np.float32)
    ours, theirs = _in_turn(
        (
            lambda: fit(drawn.samples, drawn.labels, seed=0, threads=jobs),
            lambda: table_one_forest(jobs=jobs, out_of_bag=True).fit(wide, labels),
        ),
        rounds,
    )
    asked, theirs_asked = _in_turn(
        (lambda: predict_levels(forest, image, drawn.label), lambda: plain.predict_proba(pixels)), rounds
    )
    return {
        "samples": len(drawn.labels),
        "fit_ms": ours,
        "plain_fit_ms": theirs,
        "fit_ratio": theirs / ours,
        "predict_ms": asked,
        "plain_predict_ms": theirs_asked,
        "predict_ratio_to_all_cores": theirs_asked / asked,
        "nodes": len(forest.left),
        "plain_nodes": sum(tree.tree_.node_count for tree in plain.estimators_),
        "out_of_bag": forest.out_of_bag,
        "plain_out_of_bag": float(plain.oob_score_),
        "dice": _dice(forest, drawn),
        "plain_dice": _dice(from_scikit_learn(plain), drawn),
    }


def draw(tissue: Tissue, rounds: int = _CORRECTIONS) -> Drawn:
    """Draw on a slab of the sample MRI, and correct so many times. Raises: CalqueError."""
    volume = read_volume(source_files(sample_volume()))
    truth = reference_mask(tissue)
    middle = int(np.argmax(np.count_nonzero(truth, axis=(1, 2))))
    return draw_on(volume, truth, slice(middle - _SLICES, middle + _SLICES + 1), rounds)


def draw_on(volume: Volume, truth: NDArray[np.bool_], slab: slice, rounds: int) -> Drawn:
    """Draw on some slices of a volume, and correct so many times."""
    truth = truth[slab]
    window = intensity_window(volume)
    features = np.stack([slice_features(volume, window, index) for index in range(*slab.indices(volume.shape[0]))])
    labels = np.zeros(truth.shape, dtype=np.uint8)
    strokes = first_strokes(truth, volume.affine)
    label = strokes[0].label
    for again in range(rounds + 1):
        for stroke in strokes:
            labels.ravel()[voxels_of(stroke, truth.shape, volume.affine)] = stroke.label
        samples, targets = gather(lambda index: features[index], labels)
        if again < rounds:
            levels = levels_of(fit(samples, targets, seed=0), features, label)
            strokes = corrections(truth, levels >= best_threshold(levels, truth).threshold, volume.affine)
    return Drawn(samples, targets, features, truth, label)


def levels_of(forest: Forest, features: Level, label: int) -> Level:
    """Probability × 255 of all slices: ``(slices, rows, columns)``."""
    return np.stack([predict_levels(forest, image, label) for image in features])


def _dice(forest: Forest, drawn: Drawn) -> float:
    return best_threshold(levels_of(forest, drawn.features, drawn.label), drawn.truth).dice


def _in_turn(works: tuple[Callable[[], object], ...], rounds: int) -> list[float]:
    """Median milliseconds of each work, done one after the other in each round, after one that does not count."""
    spent: list[list[float]] = [[] for _ in works]
    for _ in range(rounds + 1):
        for times, work in zip(spent, works, strict=True):
            started = time.perf_counter()
            work()
            times.append((time.perf_counter() - started) * 1e3)
    return [median(times[1:]) for times in spent]
