"""What is computed for one annotation: classifier, probability, and what the switches make of it; no scheduling.

Methods block and are called from threads. `predict`, `ask` and `load_features` may run at once for different slices, and
`advise` beside anything: what it finds while something changes is void (`services.segmentation.advising`). Everything else
is called by one thread at a time. Which slice is computed first changes no byte of the result.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from services.core import advice, classifiers, mask, model, reconstruct, spatial
from services.core.advice import Advice
from services.core.geometry import PlaneGeometry
from services.core.labels import Labels
from services.core.latent import Latent, beside
from services.core.samples import slice_samples
from services.segmentation.features import VolumeFeatures
from services.segmentation.settings import OFF, Learning, Switches
from services.segmentation.strokes import Samples, Strokes
from services.segmentation.times import Times
from services.segmentation.walking import Walking

Levels = NDArray[np.uint8]
Fitted = classifiers.Classifier | Walking | None

PREPARING = 2
"""Threads that share a slice's features where nobody waits for them: so one ends, and a stroke's turn comes, sooner."""


@dataclass(frozen=True)
class Cut:
    """Probability of one slice of a plane across the acquisition: image ``(rows, columns)`` and its generation."""

    image: Levels
    generation: int


@dataclass(frozen=True)
class Finished:
    """A whole probability as the switches have it: ``(slices, rows, columns)`` uint8, with its counts ``(slices, 256)``."""

    levels: Levels
    counts: NDArray[np.int64]
    switches: Switches


class Computation:
    """Caches of one annotation.

    Attributes:
        features: the volume's, shared with its other annotations.
        strokes: what is drawn.
        generation: counts the answers, from 1; 0 before the first one.
        levels: ``(slices, rows, columns)`` uint8, probability × 255 of the shown label, as it is shown.
        current: ``(slices,)`` int64, the generation that each slice of ``levels`` belongs to.
        counts: ``(slices, 256)`` int64, voxels at each level.
        switches: what is wanted of a whole probability.
        finished_as: what was done to ``levels``.
        times: of the newest generation's steps.
    """

    def __init__(self, features: VolumeFeatures, threads: int = 1) -> None:
        shape = features.volume.shape
        self._threads = threads  # that fit a classifier
        self.features = features
        self.strokes = Strokes(shape)
        self.generation = 0
        self._raw: Levels = np.zeros(shape, dtype=np.uint8)  # as the classifier, or the walker, has it
        self.levels: Levels = self._raw
        self.current = np.zeros(shape[0], dtype=np.int64)
        self.counts = np.zeros((shape[0], 256), dtype=np.int64)
        self.switches = OFF
        self.finished_as = OFF
        self.times = Times()
        self._classifier: classifiers.Classifier | None = None
        self._walking: Walking | None = None  # of the preset calque
        self._memory = model.Memory()  # of its completed slices
        self._learning = Learning()  # that the newest generation depends on
        self._gathered: Latent | None = None  # with which samples and completed slices were gathered last
        self._cut_features: tuple[tuple[int, int], Latent | None, Levels] | None = None  # of the cut asked for last
        self._cuts: dict[tuple[int, int], Cut] = {}

    @property
    def labels(self) -> Labels:
        """Replay of the log so far."""
        return self.strokes.labels

    @property
    def answers(self) -> bool:
        """There is a probability; not while fewer than two labels are drawn."""
        return self._classifier is not None or self._walking is not None

    @property
    def out_of_bag(self) -> float:
        """Out-of-bag score of the newest forest, 0 to 1; 0 where there is none."""
        if self._walking is not None:
            return self._walking.out_of_bag
        score = 0.0 if self._classifier is None else self._classifier.out_of_bag
        return score if np.isfinite(score) else 0.0

    def load_features(self, index: int, threads: int = 1) -> Levels:
        """Features of an acquisition slice: ``(n_features, rows, columns)`` uint8."""
        if index in self.features:
            return self.features[index]
        with self.times.of("features"):
            return self.features.get(index, threads)

    def prepare(self, index: int) -> None:
        """Have the features of an acquisition slice before they are needed, by `PREPARING` threads."""
        self.load_features(index, PREPARING)

    def gather(self, learning: Learning) -> Samples:
        """Features ``(n, n_features)`` and labels ``(n,)`` of the labelled voxels, in the order of the voxels."""
        if learning.latent != self._gathered:
            self._gathered, self._memory = learning.latent, model.Memory()
            self.strokes.forget_samples()
        self.strokes.learn(learning.shown_label)
        return self.strokes.gather(partial(self._samples, learning.latent))

    def fit(self, samples: Samples, learning: Learning) -> Fitted:
        """What says what the object looks like, for `answer_with`; None while fewer than two labels are there.

        Args:
            samples: of the same ``learning``, see `gather`.
            learning: what it depends on.
        """
        if learning.preset == "calque":
            labels, image, spacing = self.strokes.learned, self.features.image, self.features.volume.spacing_mm
            seed, threads = learning.seed, self._threads
            see = partial(self._seen, learning.latent)
            see_now = partial(see, threads=threads)  # one slice after the other, and somebody waits
            found = model.learn(image, see_now, labels, spacing, seed=seed, threads=threads, memory=self._memory)
            if found is not None:
                fit = partial(model.fitted, seed=seed, threads=threads)
                return Walking(found, fit, labels, image, see, self.times)
        else:
            self._memory = model.Memory()
        if len(np.unique(samples[1])) < 2:
            return None
        return classifiers.fit(learning.classifier, *samples, seed=learning.seed, threads=self._threads)

    def answer_with(self, fitted: Fitted, learning: Learning) -> None:
        """Begin a generation. To be called in the loop that reads: what it sees is of one generation."""
        self._walking = fitted if isinstance(fitted, Walking) else None
        self._classifier = None if isinstance(fitted, Walking) else fitted
        self._learning = learning
        self.levels, self.finished_as = self._raw, OFF
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
        walking = self._walking
        levels = self._classified(self._seen(self._learning.latent, index)) if walking is None else walking.levels(index)
        self._raw[index] = levels
        self.counts[index] = mask.histogram(levels)
        self.current[index] = self.generation

    def predict_cut(self, plane: PlaneGeometry, index: int) -> None:
        """Bring one slice of a plane across the acquisition up to date: one row or column of every acquisition slice."""
        key, latent = (int(plane.plane), index), self._learning.latent
        rows, columns = _line(plane, plane.voxel_index(index))
        if self._cut_features is None or self._cut_features[:2] != (key, latent):
            with self.times.of("features"):
                lines = [self._part(latent, index, rows, columns) for index in range(len(self.current))]
            self._cut_features = key, latent, np.ascontiguousarray(np.stack(lines, axis=1).squeeze(plane.slice_axis + 1))
        features = self._cut_features[2]
        levels = self._classified(features) if self._walking is None else self._walking.cut(features, rows, columns)
        self._cuts[key] = Cut(plane.image_of_cut(levels), self.generation)

    def finish(self, switches: Switches) -> Finished:
        """What the switches make of the whole probability, for `show`."""
        levels = self._raw
        with self.times.of("reconstruct"):
            if switches.connected:
                levels = reconstruct.connected(levels, self.strokes.marked)
            if switches.fill_holes:
                levels = reconstruct.filled(levels, self.strokes.barred)
        return Finished(levels, np.stack([mask.histogram(image) for image in levels]), switches)

    def show(self, finished: Finished) -> None:
        """Begin the generation that shows what `finish` made. To be called as `answer_with`."""
        self.levels, self.counts, self.finished_as = finished.levels, finished.counts, finished.switches
        self._begin()
        self.current[:] = self.generation

    def image(self, plane: PlaneGeometry, index: int) -> Levels | None:
        """Probability of a slice of a plane, ``(rows, columns)``, when it is up to date."""
        if not self.answers:
            return None
        if plane.slice_axis == 0:
            fresh = self.current[plane.voxel_index(index)] == self.generation
        else:
            cut = self._cuts.get((int(plane.plane), index))
            if cut is not None:
                return cut.image
            fresh = self.whole
        return plane.slice_of(self.levels, index).copy() if fresh else None

    @property
    def default_threshold(self) -> int:
        """Where the best mask is expected, 1 to 255."""
        if self._walking is None:
            return mask.DEFAULT_THRESHOLD
        return mask.expected_threshold(self.counts.sum(axis=0)) if self.whole else spatial.DEFAULT_THRESHOLD

    def advise(self) -> Advice:
        """Where to draw next, of a whole probability. How good it is, is known of calibrated levels alone."""
        spacing, threshold = self.features.volume.spacing_mm, self.default_threshold
        with self.times.of("advise"):
            found = advice.advise(self.levels, self.counts, self.strokes.learned, spacing, threshold)
        return found if self._walking is not None else replace(found, expected_dice=0.0, enough=False)

    @property
    def whole(self) -> bool:
        """All slices are of the newest generation, which is no draft; the switches may not be as wanted yet."""
        return self.answers and not self.drafting and bool((self.current == self.generation).all())

    @property
    def complete(self) -> bool:
        """The whole probability is as it is wanted."""
        return self.finished_as == self.switches and self.whole

    @property
    def cuts_wait(self) -> bool:
        """Slices across the acquisition are there with the whole volume, not before."""
        return self._walking is not None and self._walking.walked

    @property
    def done(self) -> int:
        """Acquisition slices that are up to date."""
        return int((self.current == self.generation).sum()) if self.answers else 0

    @property
    def latent_model(self) -> str:
        """SHA-256 of the encoder whose features the newest generation goes by; empty where it goes by none."""
        return self._learning.latent_model

    def histogram(self) -> NDArray[np.int64]:
        """Voxels at each level, ``(256,)``, of the slices that are up to date; ``(0,)`` while there is no probability."""
        if not self.answers:
            return np.zeros(0, dtype=np.int64)
        counts: NDArray[np.int64] = self.counts[self.current == self.generation].sum(axis=0)
        return counts

    @property
    def size_bytes(self) -> int:
        """Memory of the arrays held, those shared with other annotations of the volume too."""
        cut = self._cut_features[2].nbytes if self._cut_features else 0
        walking = self._walking.size_bytes if self._walking else 0
        shown = 0 if self.levels is self._raw else self.levels.nbytes
        own = self._memory.size_bytes + self._raw.nbytes + shown + self.counts.nbytes + cut + walking
        return self.features.size_bytes + self.strokes.size_bytes + own

    def _classified(self, features: Levels) -> Levels:
        assert self._classifier is not None
        with self.times.of("predict"):
            return self._classifier.levels(features, self._learning.shown_label)

    def _seen(self, latent: Latent | None, index: int, threads: int = 1) -> Levels:
        """What a classifier sees of an acquisition slice: its features, and behind them the encoder's, if any."""
        features = self.load_features(index, threads=threads)
        with self.times.of("features"):
            return beside(features, latent, index, features.shape[1:])

    def _part(self, latent: Latent | None, index: int, rows: slice, columns: slice) -> Levels:
        """What a classifier sees of a rectangle of a slice, which is not loaded for that."""
        features, size = self.features.part(index, rows, columns), self.features.volume.shape[1:]
        return beside(features, latent, index, size, rows, columns)

    def _samples(self, latent: Latent | None, index: int, drawn: Levels) -> Samples:
        """Features and labels of a slice's labelled voxels, from as small a rectangle of it as is worth while.

        Of a slice that somebody looks at all of it is worth while: it is asked about next.
        """
        used = drawn > 0
        rows, columns = _bounds(used, 1), _bounds(used, 0)
        small = (rows.stop - rows.start) * (columns.stop - columns.start) * 4 < drawn.size
        if small and index not in self.features and not self.features.is_looked_at(index):
            with self.times.of("features"):
                part = self._part(latent, index, rows, columns)
        else:
            part = self._seen(latent, index)[:, rows, columns]
        return slice_samples(part, drawn[rows, columns])


def _line(plane: PlaneGeometry, at: int) -> tuple[slice, slice]:
    """Rows and columns of the acquisition slices that a slice of a plane across them crosses."""
    line, everything = slice(at, at + 1), slice(None)
    return (line, everything) if plane.slice_axis == 1 else (everything, line)


def _bounds(used: NDArray[np.bool_], across: int) -> slice:
    """From the first to the last row (across axis 1) or column (across axis 0) with a true value."""
    places = np.flatnonzero(used.any(axis=across))
    return slice(int(places[0]), int(places[-1]) + 1)
