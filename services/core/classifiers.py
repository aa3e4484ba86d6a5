"""What learns from strokes what the object looks like: the paper's forest, and the classifiers that it is compared with.

The forest is the engine's own (`services.core.forest`). The others are scikit-learn's with its own settings (the MLP may
take longer), on the same features, scaled to unit variance, and the same resampled classes; they take seconds or minutes.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from services.core import forest
from services.core.errors import InvalidInput

NAMES = ("forest", "mlp", "gradient_boosting", "svm", "naive_bayes")
"""What there is; the first is the default."""

_CHUNK = 1 << 14  # pixels that are asked for at once, so that wide numbers of a slice do not add up

Level = NDArray[np.uint8]
Pixels = NDArray[np.float32]


class Classifier(Protocol):
    """A fitted classifier. What is asked of one at once may be asked from several threads."""

    @property
    def classes(self) -> Level:
        """``(k,)`` uint8, the labels that it knows, ascending."""

    @property
    def out_of_bag(self) -> float:
        """As of `services.core.forest.Forest`; not a number where the classifier has none."""

    def levels(self, features: Level, label: int) -> Level:
        """Probability of a label × 255, rounded.

        Args:
            features: ``(features, rows, columns)`` uint8.
            label: a label; one that the classifier does not know has probability 0.

        Returns:
            ``(rows, columns)`` uint8.
        """


def fit(name: str, samples: Level, labels: Level, *, seed: int, threads: int = 1) -> Classifier:
    """Fit a classifier. The same samples in the same order with the same seed give the same one.

    Args:
        name: one of `NAMES`.
        samples: ``(n, features)`` uint8.
        labels: ``(n,)`` uint8, none of them 0.
        seed: 0 to 2³² − 1.
        threads: that fit the forest; the others take one.

    Raises:
        InvalidInput: there is no such classifier.
        ChoiceNeeded: there are not two labels to tell apart.
    """
    if name not in NAMES:
        raise InvalidInput(f"There is no classifier “{name}”; there is {', '.join(NAMES)}.")
    if name == "forest":
        return _Forest(forest.fit(samples, labels, seed=seed, threads=threads))
    chosen = forest.balanced(labels, seed)
    return _learned(name, samples[chosen].astype(np.float32), labels[chosen], seed)


@dataclass(frozen=True)
class _Forest:
    """The engine's own."""

    forest: forest.Forest

    @property
    def classes(self) -> Level:
        return self.forest.classes

    @property
    def out_of_bag(self) -> float:
        return self.forest.out_of_bag

    def levels(self, features: Level, label: int) -> Level:
        return forest.predict_levels(self.forest, features, label)


@dataclass(frozen=True)
class _Learned:
    """One of scikit-learn's.

    Attributes:
        classes: as of `Classifier`.
        ask: probability of the label at a place in ``classes``, of pixels ``(n, features)`` float32: ``(n,)``.
    """

    classes: Level
    ask: Callable[[Pixels, int], NDArray[np.floating[Any]]]
    out_of_bag: float = float("nan")

    def levels(self, features: Level, label: int) -> Level:
        pixels = features.reshape(len(features), -1)
        levels = np.zeros(pixels.shape[1], dtype=np.uint8)
        known = np.flatnonzero(self.classes == label)
        with _one_thread():
            for start in range(0, len(levels) if known.size else 0, _CHUNK):
                part = slice(start, start + _CHUNK)
                probability = self.ask(pixels[:, part].T.astype(np.float32), int(known[0]))
                levels[part] = np.floor(probability * 255.0 + 0.5)
        return levels.reshape(features.shape[1:])


def _learned(name: str, samples: Pixels, labels: Level, seed: int) -> _Learned:
    # Loading scikit-learn takes seconds, which the forest does without.
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.naive_bayes import GaussianNB
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    classes = np.unique(labels)
    models = {
        "mlp": lambda: MLPClassifier(max_iter=1000, random_state=seed),
        "gradient_boosting": lambda: HistGradientBoostingClassifier(random_state=seed),
        "naive_bayes": GaussianNB,
    }
    with _one_thread():
        if name == "svm":
            # Each label against the rest, which it weighs as much as; between two labels one boundary is enough.
            one_each = classes[1:] if len(classes) == 2 else classes
            machines = [
                make_pipeline(StandardScaler(), SVC(class_weight="balanced")).fit(samples, labels == label)
                for label in one_each
            ]
            return _Learned(classes, lambda pixels, place: _logistic(machines, pixels, place))
        model = make_pipeline(StandardScaler(), models[name]()).fit(samples, labels)
        return _Learned(classes, lambda pixels, place: model.predict_proba(pixels)[:, place])


def _logistic(machines: list[Any], pixels: Pixels, place: int) -> NDArray[np.float64]:
    """A support vector machine has no probability: its decision, mostly −1 to 1, goes through a logistic curve."""
    if len(machines) == 1:
        decision = machines[0].decision_function(pixels) * (1 if place else -1)
    else:
        decision = machines[place].decision_function(pixels)
    return np.asarray(1.0 / (1.0 + np.exp(-decision)))


def _one_thread() -> AbstractContextManager[object]:
    """Keep scikit-learn to the thread that calls: sums of several depend on their number, and slices are asked at once."""
    from threadpoolctl import threadpool_limits

    limits: AbstractContextManager[object] = threadpool_limits(1, user_api="openmp")
    return limits
