"""The paper's comparison of classifiers: each is fitted to the same first strokes and asked for the same volume.

The forest is the engine's; the others are scikit-learn's with its own settings (the MLP may take longer), on the same
features and the same resampled classes, scaled to unit variance. All compute on one core, so that seconds can be compared.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from threadpoolctl import threadpool_limits

from services.bench.forests import Drawn, levels_of
from services.core.forest import balanced, fit
from services.core.mask import best_threshold

_CLASSIFIERS: dict[str, Callable[[], object]] = {
    "MLP": lambda: MLPClassifier(max_iter=1000, random_state=0),
    "gradient boosting": lambda: HistGradientBoostingClassifier(random_state=0),
    "SVM": SVC,
    "naive Bayes": GaussianNB,
}


@dataclass(frozen=True)
class Compared:
    """A classifier on one volume: best Dice over all thresholds, and seconds to fit and to ask for the whole volume."""

    classifier: str
    dice: float
    fit_s: float
    predict_s: float


def compare(drawn: Drawn) -> list[Compared]:
    """Compare the classifiers on what was drawn, the forest first."""
    started = time.perf_counter()
    forest = fit(drawn.samples, drawn.labels, seed=0)
    fitted = time.perf_counter()
    levels = levels_of(forest, drawn.features, drawn.label)
    found = [_compared("forest", levels, drawn, started, fitted)]
    chosen = balanced(drawn.labels, 0)
    wide, wanted = drawn.samples[chosen].astype(np.float32), drawn.labels[chosen] == drawn.label
    with threadpool_limits(1):
        for name, make in _CLASSIFIERS.items():
            started = time.perf_counter()
            model = make_pipeline(StandardScaler(), make()).fit(wide, wanted)
            fitted = time.perf_counter()
            levels = np.stack([_levels(model, image) for image in drawn.features])
            found.append(_compared(name, levels, drawn, started, fitted))
    return found


def draw_comparison(results: dict[str, list[Compared]], path: Path) -> None:
    """Write the comparison as a PNG: Dice of each classifier, a dot for each volume, and its seconds."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    names = [one.classifier for one in next(iter(results.values()))]
    for place, name in enumerate(names):
        own = [one for found in results.values() for one in found if one.classifier == name]
        left.bar(place, np.mean([one.dice for one in own]), color="#0b6e4f", alpha=0.6)
        left.plot([place] * len(own), [one.dice for one in own], "o", color="#333333", markersize=4)
        right.bar(
            place, np.mean([one.fit_s for one in own]), color="#c8553d", label="fit" if place == 0 else None, width=0.4
        )
        asked = float(np.mean([one.predict_s for one in own]))
        right.bar(place + 0.4, asked, color="#7a7a7a", label="the whole volume" if place == 0 else None, width=0.4)
    for axes, what in ((left, "Dice at the best threshold"), (right, "seconds")):
        axes.set_xticks(range(len(names)), names, rotation=20, ha="right")
        axes.set_ylabel(what)
        axes.spines[["top", "right"]].set_visible(False)
    left.set_ylim(0, 1)
    right.set_yscale("log")
    right.legend(frameon=False)
    figure.savefig(path, format="png", dpi=120)


def _levels(model: object, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Probability × 255 of a slice; of the SVM, which has none, its decision through a logistic curve."""
    pixels = image.reshape(len(image), -1).T.astype(np.float32)
    if hasattr(model, "predict_proba"):
        probability = model.predict_proba(pixels)[:, 1]
    else:
        probability = 1.0 / (1.0 + np.exp(-model.decision_function(pixels)))  # type: ignore[attr-defined]
    levels: NDArray[np.uint8] = np.rint(probability * 255.0).astype(np.uint8)
    return levels.reshape(image.shape[1:])


def _compared(name: str, levels: NDArray[np.uint8], drawn: Drawn, started: float, fitted: float) -> Compared:
    done = time.perf_counter()
    return Compared(name, best_threshold(levels, drawn.truth).dice, fitted - started, done - fitted)
