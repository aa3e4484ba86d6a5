"""The paper's comparison of classifiers: each is fitted to the same first strokes and asked for the same volume.

The classifiers are those of `services.core.classifiers`, which a user can choose too. All compute on one core, so that
seconds can be compared.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from services.bench.forests import Drawn
from services.core.classifiers import NAMES, fit
from services.core.mask import best_threshold


@dataclass(frozen=True)
class Compared:
    """A classifier on one volume: best Dice over all thresholds, and seconds to fit and to ask for the whole volume."""

    classifier: str
    dice: float
    fit_s: float
    predict_s: float


def compare(drawn: Drawn) -> list[Compared]:
    """Compare the classifiers on what was drawn, the forest first."""
    with threadpool_limits(1):
        for name in ("forest", "naive_bayes"):  # loads the compiled loops and scikit-learn, which is not measured
            fit(name, drawn.samples, drawn.labels, seed=0).levels(drawn.features[0], drawn.label)
        return [_compared(name, drawn) for name in NAMES]


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


def _compared(name: str, drawn: Drawn) -> Compared:
    started = time.perf_counter()
    classifier = fit(name, drawn.samples, drawn.labels, seed=0)
    fitted = time.perf_counter()
    levels = np.stack([classifier.levels(image, drawn.label) for image in drawn.features])
    done = time.perf_counter()
    return Compared(name, best_threshold(levels, drawn.truth).dice, fitted - started, done - fitted)
