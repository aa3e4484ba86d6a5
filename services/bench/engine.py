"""The engine without wire and store, numpy in and numpy out, beside the plain way of the same definition on the same cores.

Both get a volume and its labelled voxels, and give the probability of every voxel: features, then fit, then predict.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.bench.plain import table_one, table_one_forest
from services.core.features import PAPER, compute
from services.core.forest import balanced, fit, predict_levels
from services.core.labels import OBJECT
from services.core.samples import gather
from services.core.volume import Volume, intensity_window, to_window

Level = NDArray[np.uint8]
Image = NDArray[np.float32]
Way = Callable[[Sequence[Image]], list[Image]]

ONE_BY_ONE, FILTERS = "one filter after the other", "filters in threads"


@dataclass(frozen=True)
class Steps:
    """Milliseconds of each step for a whole volume."""

    features_ms: float
    fit_ms: float
    predict_ms: float

    @property
    def total_ms(self) -> float:
        """From nothing."""
        return self.features_ms + self.fit_ms + self.predict_ms

    @property
    def repeated_ms(self) -> float:
        """With features that are there."""
        return self.fit_ms + self.predict_ms


def images_of(volume: Volume) -> list[Image]:
    """The slices as features see them: float32 in 0–255."""
    window = intensity_window(volume)
    return [to_window(volume.intensity(index), window) for index in range(volume.shape[0])]


def our_features(images: Sequence[Image], jobs: int) -> list[Level]:
    """Features of slices, ``(features, rows, columns)`` each."""
    with ThreadPoolExecutor(jobs) as pool:
        return list(pool.map(lambda image: compute(image, PAPER), images))


def our_steps(images: Sequence[Image], labels: Level, jobs: int) -> Steps:
    """The engine's own time."""
    started = time.perf_counter()
    features = our_features(images, jobs)
    ready = time.perf_counter()
    forest = fit(*gather(features.__getitem__, labels), seed=0, threads=jobs)
    fitted = time.perf_counter()
    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(lambda one: predict_levels(forest, one, OBJECT), features))
    return _steps(started, ready, fitted)


def plain_ways(jobs: int) -> dict[str, Way]:
    """How the features of several slices can be computed with scipy and scikit-image.

    Processes are not among them: 19 MB of features a slice take longer on their way back than threads lose.
    """
    return {
        ONE_BY_ONE: lambda images: [table_one(image) for image in images],
        FILTERS: lambda images: [table_one(image, jobs=jobs) for image in images],
        "slices in threads": lambda images: list(_threads(jobs, table_one, images)),
    }


def fastest(images: Sequence[Image], jobs: int) -> list[str]:
    """`plain_ways` on these slices, the fastest first; each is tried twice and its better time counts."""
    ways = plain_ways(jobs)
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(2):
        for name, way in ways.items():
            started = time.perf_counter()
            way(images)
            best[name] = min(best[name], time.perf_counter() - started)
    return sorted(best, key=best.__getitem__)


def plain_steps(images: Sequence[Image], labels: Level, way: str, jobs: int) -> tuple[Steps, list[Image]]:
    """The plain way's time, its features by one of `plain_ways`, and these: ``(rows, columns, 18)`` float32 each."""
    started = time.perf_counter()
    features = plain_ways(jobs)[way](images)
    ready = time.perf_counter()
    repeated = plain_update(features, labels, jobs)
    return Steps((ready - started) * 1e3, repeated.fit_ms, repeated.predict_ms), features


def plain_update(features: Sequence[Image], labels: Level, jobs: int) -> Steps:
    """The plain way's time with features that are there: scikit-learn's forest on the same resampled samples."""
    started = time.perf_counter()
    drawn = [index for index in range(len(labels)) if labels[index].any()]
    samples = np.concatenate([features[index][labels[index] > 0] for index in drawn])
    targets = np.concatenate([labels[index][labels[index] > 0] for index in drawn])
    chosen = balanced(targets, 0)
    forest = table_one_forest(jobs=jobs, out_of_bag=True).fit(samples[chosen], targets[chosen])
    fitted = time.perf_counter()
    for image in features:
        forest.predict_proba(image.reshape(-1, image.shape[-1]))
    return _steps(started, started, fitted)


def _steps(started: float, ready: float, fitted: float) -> Steps:
    return Steps((ready - started) * 1e3, (fitted - ready) * 1e3, (time.perf_counter() - fitted) * 1e3)


def _threads(jobs: int, work: Callable[[Image], Image], images: Iterable[Image]) -> Iterable[Any]:
    with ThreadPoolExecutor(jobs) as pool:
        yield from pool.map(work, images)
