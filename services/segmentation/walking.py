"""The preset ``calque`` of one generation: what `services.core.spatial` needs is kept here slice by slice.

The forest is fitted when it is first needed: a slice with strokes needs none. What it says is gathered for all slices; who
looks at a slice meanwhile gets a draft of it. Then the whole volume is solved on a coarse grid, and slices are refined from
that. Methods block and are called from threads: those that take an ``index`` may run at once for different slices, `walk`
runs alone.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from services.core import spatial
from services.core.forest import Forest, predict_levels
from services.core.labels import OBJECT
from services.core.model import Model
from services.core.walk import Problem
from services.segmentation.times import Times

Levels = NDArray[np.uint8]


class Walking:
    """Caches of a generation.

    Args:
        model: what the strokes say.
        fit: the forest of its samples; called once, when a slice without strokes is looked at first.
        labels: ``(slices, rows, columns)``, as the model was learned from (`services.core.model.two_labels`).
        image: slice → ``(rows, columns)`` uint8 over the volume's window.
        features: slice → ``(features, rows, columns)`` uint8.
        times: where steps are added up.
    """

    def __init__(
        self,
        model: Model,
        fit: Callable[[Model], Forest],
        labels: Levels,
        image: Callable[[int], Levels],
        features: Callable[[int], Levels],
        times: Times,
    ) -> None:
        self.model = model
        self._fit = fit
        self._forest: Forest | None = None
        self._fitting = threading.Lock()
        self._labels = labels
        self._image = image
        self._features = features
        self._times = times
        self._halvings = spatial.halvings((labels.shape[1], labels.shape[2]))
        self._looks: list[Levels | None] = [None] * len(labels)
        self._coarse: list[Problem | None] = [None] * len(labels)
        self._solution: NDArray[np.float32] | None = None

    @property
    def missing(self) -> list[int]:
        """Slices of which the forest was not asked yet."""
        return [index for index, one in enumerate(self._coarse) if one is None] if self._solution is None else []

    @property
    def walked(self) -> bool:
        """Levels are final."""
        return self._solution is not None

    @property
    def out_of_bag(self) -> float:
        """Out-of-bag score of the forest, 0 to 1; 0 before it is there."""
        return 0.0 if self._forest is None else self._forest.out_of_bag

    def ask(self, index: int) -> None:
        """Ask the forest about a slice."""
        problem = self._problem(index)
        with self._times.of("walk"):
            self._coarse[index] = spatial.coarsened(problem, self._halvings)

    def walk(self) -> None:
        """Solve the whole volume on the coarse grid; all slices were asked about."""
        with self._times.of("walk"):
            self._solution = spatial.walked([one for one in self._coarse if one is not None])
        self._coarse = []

    def levels(self, index: int) -> Levels:
        """Levels of a slice, ``(rows, columns)``: refined, or a draft before `walk`."""
        one = self._problem(index)
        with self._times.of("walk"):
            if self._solution is None:
                return spatial.draft(self.model, one)
            last = len(self._labels) - 1
            around = [max(index - 1, 0), index, min(index + 1, last)]
            neighbours = self._image(around[0]), self._image(around[2])
            return spatial.refined(one, neighbours, self._solution[around], self._halvings)

    def cut(self, features: Levels, rows: slice, columns: slice) -> Levels:
        """A draft across the slices: ``features`` ``(features, slices, rows or columns)`` of a line of each slice."""
        forest = self._fitted()
        with self._times.of("predict"):
            looks = predict_levels(forest, features, OBJECT)
        return spatial.unary(self.model, looks, rows, columns)

    @property
    def size_bytes(self) -> int:
        """Memory of the arrays held."""
        parts = [one for one in self._coarse if one is not None]
        coarse = sum(one.image.nbytes + one.prior.nbytes + one.weight.nbytes + one.seeds.nbytes for one in parts)
        asked = sum(one.nbytes for one in self._looks if one is not None)
        forest = 0 if self._forest is None else self._forest.size_bytes
        return self.model.size_bytes + forest + asked + coarse + (0 if self._solution is None else self._solution.nbytes)

    def _fitted(self) -> Forest:
        with self._fitting:
            if self._forest is None:
                with self._times.of("fit"):
                    self._forest = self._fit(self.model)
            return self._forest

    def _problem(self, index: int) -> Problem:
        looks = self._looks[index]
        if looks is None and index not in self.model.masks:
            features, forest = self._features(index), self._fitted()
            with self._times.of("predict"):
                looks = self._looks[index] = spatial.asked(self.model, forest, features)
        with self._times.of("walk"):
            return spatial.problem(self.model, index, self._image(index), self._labels[index], looks)
