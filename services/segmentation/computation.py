"""What is computed for one annotation: features, forest, probability; no scheduling.

Methods block and are called from threads. `predict` and `load_features` may run at once for different slices; everything
else is called by one thread at a time. Which slice is computed first changes no byte of the result.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.core import forest, mask, pipeline, spatial
from services.core.features import PAPER
from services.core.geometry import PlaneGeometry
from services.core.labels import Labels
from services.core.samples import join, slice_samples
from services.core.volume import Volume
from services.segmentation.walking import Walking

Levels = NDArray[np.uint8]


@dataclass(frozen=True)
class Cut:
    """Probability of one slice of a plane across the acquisition: image ``(rows, columns)`` and its generation."""

    image: Levels
    generation: int


class Computation:
    """Caches of one annotation: the volume's features by slice, the forest, the probability.

    Attributes:
        labels: replay of the log so far.
        generation: counts the forests, from 1; 0 before the first one.
        levels: ``(slices, rows, columns)`` uint8, probability × 255 of the shown label.
        current: ``(slices,)`` int64, the generation that each slice of ``levels`` belongs to.
        counts: ``(slices, 256)`` int64, voxels at each level.
        forest: the newest one, or None while fewer than two labels are drawn.
    """

    def __init__(self, volume: Volume, window: tuple[float, float], threads: int = 1) -> None:
        self._threads = threads  # that fit a forest
        self.volume = volume
        self.window = window
        self.labels = Labels(volume.shape)
        self.generation = 0
        self.levels: Levels = np.zeros(volume.shape, dtype=np.uint8)
        self.current = np.zeros(volume.shape[0], dtype=np.int64)
        self.counts = np.zeros((volume.shape[0], 256), dtype=np.int64)
        self.forest: forest.Forest | None = None
        self._shown_label = 1
        self._walking: Walking | None = None  # of the preset calque
        self._features: list[Levels | None] = [None] * volume.shape[0]
        self._cut_features: tuple[tuple[int, int], Levels] | None = None  # of the cut that was asked for last
        self._cuts: dict[tuple[int, int], Cut] = {}

    def has_features(self, index: int) -> bool:
        """Whether the features of an acquisition slice are there."""
        return self._features[index] is not None

    def load_features(self, index: int) -> Levels:
        """Features of an acquisition slice, computed once: ``(n_features, rows, columns)`` uint8."""
        found = self._features[index]
        if found is None:
            found = pipeline.slice_features(self.volume, self.window, index)
            self._features[index] = found
        return found

    def image_levels(self, index: int) -> Levels:
        """An acquisition slice over the volume's window, ``(rows, columns)`` uint8."""
        return pipeline.image_levels(self.volume, self.window, index)

    def gather(self) -> tuple[Levels, NDArray[np.uint8]]:
        """Features ``(n, n_features)`` and labels ``(n,)`` of the labelled voxels, in the order of the voxels."""
        drawn = np.flatnonzero(self.labels.array.any(axis=(1, 2)))
        if not len(drawn):
            return np.zeros((0, len(PAPER)), dtype=np.uint8), np.zeros(0, dtype=np.uint8)
        return join(self._samples(int(index)) for index in drawn)

    def learn(self, labels: NDArray[np.uint8], *, seed: int, shown_label: int) -> bool:
        """Begin a generation of the preset ``calque``; False where no slice has strokes of both labels."""
        two = spatial.two_labels(labels, shown_label)
        spacing = self.volume.spacing_mm
        model = spatial.learn(self.image_levels, self.load_features, two, spacing, seed=seed, threads=self._threads)
        if model is None:
            return False
        self._walking = Walking(model, two, self.image_levels, self.load_features)
        self._shown_label = shown_label
        self.forest = model.forest
        self._begin()
        return True

    def fit(self, samples: Levels, labels: NDArray[np.uint8], *, seed: int, shown_label: int) -> None:
        """Begin a generation: fit a forest, or have none while fewer than two labels are there."""
        self._shown_label = shown_label
        drawn = len(np.unique(labels))
        # Until it is fitted the one before stays: "no forest" would tell whoever looks that nothing is drawn.
        self.forest = forest.fit(samples, labels, seed=seed, threads=self._threads) if drawn > 1 else None
        self._walking = None
        self._begin()

    def missing(self) -> list[int]:
        """Slices that `ask` is still to be called for before `walk`."""
        return [] if self._walking is None else self._walking.missing

    def ask(self, index: int) -> None:
        """Gather what the forest says of an acquisition slice."""
        assert self._walking is not None
        self._walking.ask(index)

    @property
    def drafting(self) -> bool:
        """What is there is a draft, to be replaced by another generation."""
        return self._walking is not None and not self._walking.walked

    def walk(self) -> None:
        """Begin the generation that replaces the drafts."""
        assert self._walking is not None
        self._walking.walk()
        self._begin()

    def _begin(self) -> None:
        self._cuts.clear()
        self.generation += 1

    def predict(self, index: int) -> None:
        """Bring an acquisition slice up to date."""
        assert self.forest is not None
        if self._walking is not None:
            levels = self._walking.levels(index)
        else:
            levels = forest.predict_levels(self.forest, self.load_features(index), self._shown_label)
        self.levels[index] = levels
        self.counts[index] = mask.histogram(levels)
        self.current[index] = self.generation

    def predict_cut(self, plane: PlaneGeometry, index: int) -> None:
        """Bring one slice of a plane across the acquisition up to date: one row or column of every acquisition slice."""
        assert self.forest is not None
        key = (int(plane.plane), index)
        if self._cut_features is None or self._cut_features[0] != key:
            self._cut_features = (key, self._load_cut(plane, plane.voxel_index(index)))
        if self._walking is not None:
            levels = self._walking.cut(self._cut_features[1], *_line(plane, plane.voxel_index(index)))
        else:
            levels = forest.predict_levels(self.forest, self._cut_features[1], self._shown_label)
        self._cuts[key] = Cut(plane.image_of_cut(levels), self.generation)

    def image(self, plane: PlaneGeometry, index: int) -> Levels | None:
        """Probability of a slice of a plane, ``(rows, columns)``, when it is up to date."""
        if self.forest is None:
            return None
        if plane.slice_axis == 0:
            fresh = self.current[plane.voxel_index(index)] == self.generation
        else:
            cut = self._cuts.get((int(plane.plane), index))
            if cut is not None:
                return cut.image
            fresh = self.complete
        return plane.slice_of(self.levels, index).copy() if fresh else None

    @property
    def default_threshold(self) -> int:
        """Where the best mask is expected, 1 to 255."""
        return mask.DEFAULT_THRESHOLD

    @property
    def complete(self) -> bool:
        """The whole probability is of the newest generation."""
        return self.forest is not None and not self.drafting and bool((self.current == self.generation).all())

    @property
    def cuts_wait(self) -> bool:
        """Slices across the acquisition are there with the whole volume, not before."""
        return self._walking is not None and self._walking.walked

    @property
    def done(self) -> int:
        """Acquisition slices that are up to date."""
        return int((self.current == self.generation).sum()) if self.forest is not None else 0

    def histogram(self) -> NDArray[np.int64]:
        """Voxels at each level, ``(256,)``, of the slices that are up to date; ``(0,)`` while there is no forest."""
        if self.forest is None:
            return np.zeros(0, dtype=np.int64)
        counts: NDArray[np.int64] = self.counts[self.current == self.generation].sum(axis=0)
        return counts

    @property
    def size_bytes(self) -> int:
        """Memory of the arrays held."""
        kept = sum(one.nbytes for one in self._features if one is not None)
        cut = self._cut_features[1].nbytes if self._cut_features else 0
        volume = self.volume.voxels.nbytes
        walking = self._walking.size_bytes if self._walking else 0
        return kept + cut + volume + walking + self.levels.nbytes + self.labels.array.nbytes + self.counts.nbytes

    def _samples(self, index: int) -> tuple[Levels, NDArray[np.uint8]]:
        """Features and labels of a slice's labelled voxels, from as small a rectangle of it as is worth while."""
        drawn = self.labels.array[index]
        rows, columns = _bounds(drawn.any(axis=1)), _bounds(drawn.any(axis=0))
        small = (rows.stop - rows.start) * (columns.stop - columns.start) * 4 < drawn.size
        if small and not self.has_features(index):
            part = pipeline.slice_features(self.volume, self.window, index, PAPER, rows, columns)
        else:
            part = self.load_features(index)[:, rows, columns]
        return slice_samples(part, drawn[rows, columns])

    def _load_cut(self, plane: PlaneGeometry, at: int) -> Levels:
        """Features of a cut: ``(n_features, slices, rows or columns)``."""
        rows, columns = _line(plane, at)
        lines = []
        for index in range(self.volume.shape[0]):
            whole = self._features[index]
            if whole is None:
                lines.append(pipeline.slice_features(self.volume, self.window, index, PAPER, rows, columns))
            else:
                lines.append(whole[:, rows, columns])
        return np.ascontiguousarray(np.stack(lines, axis=1).squeeze(plane.slice_axis + 1))


def _line(plane: PlaneGeometry, at: int) -> tuple[slice, slice]:
    """Rows and columns of the acquisition slices that a slice of a plane across them crosses."""
    line, everything = slice(at, at + 1), slice(None)
    return (line, everything) if plane.slice_axis == 1 else (everything, line)


def _bounds(used: NDArray[np.bool_]) -> slice:
    """From the first to the last true value."""
    places = np.flatnonzero(used)
    return slice(int(places[0]), int(places[-1]) + 1)
