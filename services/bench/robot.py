"""The robot: a simulated clinician segments a volume through the real contract, and every mask is compared with the truth.

It measures how few strokes a method needs. The clinician knows the truth and the method sees its strokes alone: the first
ones on one slice, then, after each mask of the whole volume, corrections on the slice that is worst at the best threshold
(`services.bench.clinician` has the rules, `services.bench.person` the time of a person). The annotation is new each time,
so the first answer contains whatever a server computes once for it; strokes follow each other without a pause.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from calque.v1 import segmentation_pb2 as messages

from services.bench import choice
from services.bench.client import Client
from services.bench.clinician import PenStroke, best_seen, corrections, first_strokes, length_mm, voxels_of
from services.bench.drawing import Drawing, Way, Whole, drawing, name_of
from services.bench.habits import EXACT, VARIANTS
from services.bench.person import Effort, seconds_to
from services.core.errors import InvalidInput
from services.core.geometry import acquisition_plane, plane_geometry
from services.core.mask import Mask, at_threshold, dice
from services.core.volume import Affine

USUAL = "usual"
"""The name of the habit that the figures are reported for; the others are `services.bench.habits.VARIANTS`."""
GOALS = (0.8, 0.9)
"""Dice coefficients to which a person's time is told."""
ANSWER_SECONDS = 600.0
"""Longest wait for the mask of a volume."""


@dataclass(frozen=True)
class Answer:
    """A mask and what was drawn for it.

    Attributes:
        dice: at the best threshold of 256, which is ``threshold``.
        threshold: 1 to 255.
        default_dice: at the service's own threshold, which is ``default_threshold``.
        default_threshold: 1 to 255.
        expected_dice: which the service expects at its threshold.
        enough: the service says that more strokes would hardly change the mask.
        advised: acquisition slices that the service would look at next, the best first; none where nothing is in doubt.
        strokes, stroke_pixels, stroke_mm: drawn so far; pixels that two strokes cover count once.
        effort: of this round alone.
    """

    dice: float
    threshold: int
    default_dice: float
    default_threshold: int
    expected_dice: float
    enough: bool
    advised: tuple[int, ...]
    strokes: int
    stroke_pixels: int
    stroke_mm: float
    effort: Effort


@dataclass(frozen=True)
class Run:
    """One volume, segmented once.

    Attributes:
        seed: of the hand and of the forest.
        habit: its name.
        preset, engine, classifier, connected, fill_holes: by which the service says that it computed.
        latent_model: SHA-256 of the encoder whose features it says that it used, hexadecimal; empty: none.
        answers: after the first strokes and after each correction.
    """

    seed: int
    habit: str
    preset: str
    engine: str
    classifier: str
    connected: bool
    fill_holes: bool
    latent_model: str
    answers: tuple[Answer, ...]

    def seconds_to(self, goal: float) -> float | None:
        """A person's time until a mask at the best threshold has this Dice; None when none had."""
        return seconds_to(goal, [one.dice for one in self.answers], [one.effort for one in self.answers])


def segment(
    client: Client,
    volume_id: str,
    truth: Mask,
    affine: Affine,
    *,
    way: Way,
    corrected: int,
    seed: int = 0,
    habit: str = USUAL,
    look: str = choice.WORST,
    told: Callable[[], None] = lambda: None,
) -> Run:
    """Segment an imported volume in an annotation of its own, which is deleted in the end.

    Args:
        client: of the services.
        volume_id: of the volume.
        truth: ``(slices, rows, columns)`` bool, as the volume; not empty.
        affine: of the volume.
        way: how the service is to compute.
        corrected: how often the clinician corrects.
        seed: of the hand and of the forest.
        habit: `USUAL`, or the name of a variant.
        look: where the clinician looks for something to correct (`services.bench.choice.WAYS`).
        told: called after each answer.

    Raises:
        CalqueError: what the services said.
    """
    annotation_id = client.begin(volume_id, "Robot")
    try:
        with drawing(client, annotation_id, seconds=ANSWER_SECONDS * (corrected + 1)) as stream:
            stream.set(way, seed)
            clinician = _Work(stream, truth, affine, seed, habit, look)
            for number in range(corrected + 1):
                client.still_here()
                clinician.go_on(number)
                told()
        mask = client.save_mask(annotation_id, clinician.answers[-1].default_threshold)
        return Run(
            seed=seed,
            habit=habit,
            preset=name_of(messages.Preset, mask.preset),
            engine=mask.engine,
            classifier=name_of(messages.Classifier, mask.classifier),
            connected=mask.connected,
            fill_holes=mask.fill_holes,
            latent_model=mask.latent_model,
            answers=tuple(clinician.answers),
        )
    finally:
        client.delete(annotation_id)


class _Work:
    """A clinician at work on a stream."""

    def __init__(self, stream: Drawing, truth: Mask, affine: Affine, seed: int, habit: str, look: str) -> None:
        self.answers: list[Answer] = []
        self._stream = stream
        self._truth = truth
        self._affine = affine
        self._seed = seed
        self._habit = EXACT if habit == USUAL else VARIANTS[habit]
        slices, rows, columns = truth.shape
        self._shape = slices, rows, columns
        self._plane = plane_geometry(self._shape, affine, acquisition_plane(self._shape, affine))
        self._shown = np.zeros(truth.shape, dtype=bool)
        self._drawn = np.zeros(truth.shape, dtype=bool)
        self._slice = -1
        self._way = look
        self._chance = np.random.RandomState(seed)

    def go_on(self, number: int) -> None:
        """The first strokes (0) or the next correction, and a look at what comes of it."""
        if number == 0:
            strokes = first_strokes(self._truth, self._affine, seed=self._seed, habit=self._habit)
            if len({stroke.label for stroke in strokes}) < 2:
                raise InvalidInput("The object leaves no room for strokes beside it on the slice where it is largest.")
        else:
            strokes = corrections(
                self._truth,
                self._shown,
                self._affine,
                seed=self._seed,
                number=number,
                habit=self._habit,
                slices=choice.order(self._way, self._shown, self._drawn, self.answers[-1].advised, self._chance),
            )
        if strokes:
            self._look_at(self._stream.whole(strokes, self._plane, self._shape), strokes)
        else:  # nothing is worth a stroke: the mask stays
            self.answers.append(replace(self.answers[-1], effort=Effort(0, 0.0, 0, 0.0)))

    def _look_at(self, came: Whole, strokes: tuple[PenStroke, ...]) -> None:
        seen = best_seen(came.levels, self._truth)
        self._shown = seen.mask
        for stroke in strokes:
            self._drawn.ravel()[voxels_of(stroke, self._shape, self._affine)] = True
        mm = sum(length_mm(stroke, self._plane) for stroke in strokes)
        changes = int(self._slice != strokes[0].slice)
        self._slice = strokes[0].slice
        before = self.answers[-1] if self.answers else None
        self.answers.append(
            Answer(
                dice=seen.dice,
                threshold=seen.threshold,
                default_dice=dice(at_threshold(came.levels, came.default_threshold), self._truth),
                default_threshold=came.default_threshold,
                expected_dice=came.expected_dice,
                enough=came.enough,
                advised=came.advised,
                strokes=len(strokes) + (before.strokes if before else 0),
                stroke_pixels=int(np.count_nonzero(self._drawn)),
                stroke_mm=mm + (before.stroke_mm if before else 0.0),
                effort=Effort(len(strokes), mm, changes, came.seconds),
            )
        )
