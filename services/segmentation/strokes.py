"""The labels of an annotation, and what is learned from them: gathered anew only where they changed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from services.core.features import PAPER
from services.core.labels import BACKGROUND, OBJECT, Action, Labels
from services.core.model import two_labels
from services.core.samples import join

Levels = NDArray[np.uint8]
Samples = tuple[Levels, Levels]
_MOST_KEPT = 8  # of a slice's pixels one in so many: samples of a whole mask would take as much as the features


class Strokes:
    """Labels that follow the log, and what the classifier was given of them last.

    Attributes:
        labels: replay of the log so far.
        learned: ``(slices, rows, columns)`` uint8, `OBJECT` on strokes of the shown label, `BACKGROUND` on others, 0
            elsewhere, as `gather` found them; what is drawn later does not show before the next `gather`.
    """

    def __init__(self, shape: tuple[int, int, int]) -> None:
        self.labels = Labels(shape)
        self.learned: Levels = np.zeros(shape, dtype=np.uint8)
        self._shown_label = OBJECT
        self._drawn: set[int] = set()  # slices with labels
        self._changed: set[int] = set()  # slices that are not learned as they are now
        self._samples: dict[int, Samples] = {}

    def apply(self, action: Action) -> None:
        """Apply the next action of the log."""
        for index in self.labels.apply(action):
            self._changed.add(index)
            self._samples.pop(index, None)
            if self.labels.array[index].any():
                self._drawn.add(index)
            else:
                self._drawn.discard(index)

    def forget_samples(self) -> None:
        """Gather all samples anew: a pixel has other features now."""
        self._samples.clear()

    def learn(self, shown_label: int) -> None:
        """Have `learned` follow the labels."""
        if shown_label != self._shown_label:
            self._shown_label = shown_label
            self._changed |= self._drawn
        for index in self._changed:
            self.learned[index] = two_labels(self.labels.array[index], shown_label)
        self._changed.clear()

    def gather(self, samples_of: Callable[[int, Levels], Samples]) -> Samples:
        """All samples in the order of the voxels.

        Args:
            samples_of: slice and its labels ``(rows, columns)`` → samples ``(n, features)`` and their labels ``(n,)``;
                asked only where labels changed.
        """
        parts = []
        for index in sorted(self._drawn):
            part = self._samples.get(index)
            if part is None:
                part = samples_of(index, self.labels.array[index])
                if len(part[1]) * _MOST_KEPT <= self.labels.array[index].size:
                    self._samples[index] = part
            parts.append(part)
        return join(parts) if parts else (np.zeros((0, len(PAPER)), dtype=np.uint8), np.zeros(0, dtype=np.uint8))

    @property
    def marked(self) -> NDArray[np.bool_]:
        """Voxels of strokes of the shown label, as learned: ``(slices, rows, columns)``."""
        marked: NDArray[np.bool_] = self.learned == OBJECT
        return marked

    @property
    def barred(self) -> NDArray[np.bool_]:
        """Voxels of strokes of other labels, as learned: ``(slices, rows, columns)``."""
        barred: NDArray[np.bool_] = self.learned == BACKGROUND
        return barred

    @property
    def size_bytes(self) -> int:
        """Memory of the arrays held."""
        kept = sum(samples.nbytes + labels.nbytes for samples, labels in list(self._samples.values()))
        return self.labels.array.nbytes + self.learned.nbytes + kept
