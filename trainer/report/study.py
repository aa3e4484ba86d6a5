"""The paper's Table VI: whether a patch has the target, told by classifiers from what represents it.

Rows are raw pixels, the features of Table I, the latent of a trained encoder, and that of the same encoder with random
weights, without which nothing shows that it learned. Patients, never patches, are divided: each fold's patients are asked
about by classifiers that saw none of theirs. Accuracies are means over patients, with an interval from resampled patients.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from services.core.errors import InvalidInput
from services.core.features import PAPER, compute
from trainer.report.targets import Targets
from trainer.scans import Mask

Numbers = NDArray[np.float32]
_RESAMPLED = 2000
_BATCH = 64


@dataclass(frozen=True)
class Accuracy:
    """How often a classifier was right.

    Attributes:
        representation, classifier: of what.
        mean: over patients, of the part of a patient's patches.
        low, high: of the mean, 95 %: percentiles over patients drawn again with replacement.
        by_patient: each one's.
    """

    representation: str
    classifier: str
    mean: float
    low: float
    high: float
    by_patient: dict[str, float]


def raw(patches: Numbers) -> Numbers:
    """``(n, side, side)`` → ``(n, side²)``."""
    return patches.reshape(len(patches), -1)


def table_one(patches: Numbers) -> Numbers:
    """Mean and standard deviation over a patch of each feature of the paper's Table I: ``(n, 36)``."""
    levels = (compute(patch * np.float32(255.0), PAPER).astype(np.float32) for patch in patches)
    return np.stack([np.concatenate([one.mean(axis=(1, 2)), one.std(axis=(1, 2))]) for one in levels])


def latent(encoder: Any) -> Callable[[Numbers], Numbers]:
    """The bottleneck of a Keras encoder, all of it: ``(n, side, side)`` → ``(n, grid² × channels)``."""

    def represent(patches: Numbers) -> Numbers:
        return _grids(encoder, patches).reshape(len(patches), -1)

    return represent


def pooled(encoder: Any) -> Callable[[Numbers], Numbers]:
    """Mean and standard deviation of the bottleneck over its places, as `table_one` has them: ``(n, 2 × channels)``."""

    def represent(patches: Numbers) -> Numbers:
        grids = _grids(encoder, patches)
        return np.concatenate([grids.mean(axis=(1, 2)), grids.std(axis=(1, 2))], axis=1)

    return represent


def _grids(encoder: Any, patches: Numbers) -> Numbers:
    """``(n, side, side)`` → ``(n, grid, grid, channels)``."""
    parts = [patches[start : start + _BATCH, ..., None] for start in range(0, len(patches), _BATCH)]
    return np.concatenate([np.asarray(encoder(part, training=False)) for part in parts])


def study(
    targets: Targets,
    represent: dict[str, Callable[[Numbers], Numbers]],
    *,
    folds: int,
    seed: int,
    told: Callable[[str], None] = lambda what: None,
) -> list[Accuracy]:
    """Fill the table.

    Args:
        targets: patches of at least two patients.
        represent: ``(n, side, side)`` float32 → ``(n, numbers)``, by name.
        folds: of patients, at most one a patient.
        seed: of folds, forest and resampling.
        told: called with the name of each representation.

    Raises:
        InvalidInput: there are fewer than two patients with patches.
    """
    parts = list(_folds(targets.patients, folds, seed))
    patches, found = targets.pixels(), []
    for name, function in represent.items():
        told(name)
        numbers = function(patches)
        for classifier in CLASSIFIERS:
            right = np.zeros(len(targets), bool)
            for asked in parts:
                says = _CLASSIFY[classifier](numbers[~asked], targets.target[~asked], numbers[asked], seed)
                right[asked] = says == targets.target[asked]
            found.append(_accuracy(name, classifier, right, targets.patients, seed))
    return found


def _folds(patients: NDArray[np.str_], folds: int, seed: int) -> Iterator[NDArray[np.bool_]]:
    every = np.unique(patients)
    if len(every) < 2:
        raise InvalidInput(
            "Whether a patch has the target can be told of patients alone that were not learned from: give two."
        )
    order = np.random.default_rng(seed).permutation(every)
    for number in range(min(folds, len(every))):
        yield np.isin(patients, order[number :: min(folds, len(every))])


def _forest(known: Numbers, labels: Mask, asked: Numbers, seed: int) -> Mask:
    """The paper's forest."""
    says: Mask = RandomForestClassifier(50, max_depth=50, n_jobs=-1, random_state=seed).fit(known, labels).predict(asked)
    return says


def _svm(known: Numbers, labels: Mask, asked: Numbers, seed: int) -> Mask:
    """Scikit-learn's default, ``SVC()``, on standardised numbers, with the kernel as products of matrices: of thousands of
    numbers a patch, its own loops take minutes."""
    scaler = StandardScaler().fit(known)
    known, asked = scaler.transform(known), scaler.transform(asked)
    gamma = 1.0 / (known.shape[1] * known.var())
    fitted = SVC(kernel="precomputed").fit(rbf_kernel(known, gamma=gamma), labels)
    says: Mask = fitted.predict(rbf_kernel(asked, known, gamma=gamma))
    return says


_CLASSIFY = {"forest": _forest, "svm": _svm}
CLASSIFIERS = tuple(_CLASSIFY)


def _accuracy(
    representation: str, classifier: str, right: NDArray[np.bool_], patients: NDArray[np.str_], seed: int
) -> Accuracy:
    by_patient = {str(patient): float(right[patients == patient].mean()) for patient in np.unique(patients)}
    mean, low, high = interval(list(by_patient.values()), seed)
    return Accuracy(representation, classifier, mean, low, high, by_patient)


def interval(values: Sequence[float], seed: int) -> tuple[float, float, float]:
    """Mean of some values, and the 2.5th and 97.5th percentile of the mean of as many drawn again with replacement."""
    some = np.asarray(values, dtype=np.float64)
    drawn = np.random.default_rng(seed).integers(0, len(some), (_RESAMPLED, len(some)))
    low, high = np.percentile(some[drawn].mean(axis=1), (2.5, 97.5))
    return float(some.mean()), float(low), float(high)
