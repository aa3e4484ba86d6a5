"""What many runs of the robot amount to: means over volumes with their spread, for tables, plots and JSON."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.bench.person import PAPER_BY_HAND_SECONDS, PAPER_SECONDS
from services.bench.robot import GOALS, USUAL, Answer, Run


@dataclass(frozen=True)
class Result:
    """All runs of one volume.

    Attributes:
        name: of the volume.
        digest: SHA-256 of its voxels, hexadecimal, as the service says.
        label: that was searched; 0: all.
        shape: slices, rows, columns.
        spacing_mm: along them.
        object_voxels: of the truth.
        runs: every habit with every seed.
    """

    name: str
    digest: str
    label: int
    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    object_voxels: int
    runs: tuple[Run, ...]

    def mean(self, figure: Callable[[Answer], float], habit: str = USUAL) -> NDArray[np.float64]:
        """A figure of each answer, ``(answers,)``, as the mean over the seeds."""
        rows = [[figure(answer) for answer in run.answers] for run in self.runs if run.habit == habit]
        return np.asarray(np.mean(rows, axis=0), dtype=np.float64)

    def seconds_to(self, goal: float) -> list[float | None]:
        """A person's time to a Dice in each run with the usual habit."""
        return [run.seconds_to(goal) for run in self.runs if run.habit == USUAL]


def over_volumes(
    results: Sequence[Result], figure: Callable[[Answer], float], habit: str = USUAL
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation over volumes of a figure of each answer: two arrays ``(answers,)``."""
    rows = np.stack([result.mean(figure, habit) for result in results])
    return rows.mean(axis=0), rows.std(axis=0, ddof=1 if len(rows) > 1 else 0)


def habits(results: Sequence[Result]) -> list[str]:
    """Names of the habits that were tried beside the usual one, in order."""
    return list(dict.fromkeys(run.habit for result in results for run in result.runs if run.habit != USUAL))


def reached(results: Sequence[Result], goal: float) -> tuple[float | None, int, int]:
    """A person's mean time to a Dice in the runs that reached it, how many did, and how many there are."""
    times = [seconds for result in results for seconds in result.seconds_to(goal)]
    there = [seconds for seconds in times if seconds is not None]
    return (float(np.mean(there)) if there else None), len(there), len(times)


@dataclass(frozen=True)
class Foresight:
    """How well the service knew how good its masks were, at its own threshold.

    Attributes:
        masks: that it had an expectation of.
        off: mean of the absolute difference between the Dice coefficient that it expected and the real one.
        enough: how many of them it called good enough.
        dice_enough, dice_else: mean of the real coefficients of these, and of the others; None where there were none.
    """

    masks: int
    off: float
    enough: int
    dice_enough: float | None
    dice_else: float | None


def foresight(results: Sequence[Result]) -> Foresight | None:
    """Over all answers of all runs; None where the service expected nothing, as with looks alone."""
    answers = [one for result in results for run in result.runs for one in run.answers if one.expected_dice]
    if not answers:
        return None
    good = [one.default_dice for one in answers if one.enough]
    others = [one.default_dice for one in answers if not one.enough]
    off = float(np.mean([abs(one.expected_dice - one.default_dice) for one in answers]))
    mean = [float(np.mean(some)) if some else None for some in (good, others)]
    return Foresight(len(answers), off, len(good), *mean)


def report(results: Sequence[Result]) -> dict[str, Any]:
    """Everything as JSON has it: each answer of each run, and what they amount to."""
    best, best_spread = over_volumes(results, lambda a: a.dice)
    default, default_spread = over_volumes(results, lambda a: a.default_dice)
    others = {name: over_volumes(results, lambda a: a.dice, name)[0] for name in habits(results)}
    summary: dict[str, Any] = {
        "volumes": len(results),
        "dice": best.tolist(),
        "dice_spread": best_spread.tolist(),
        "default_dice": default.tolist(),
        "default_dice_spread": default_spread.tolist(),
        "stroke_pixels": over_volumes(results, lambda a: a.stroke_pixels)[0].tolist(),
    }
    if known := foresight(results):
        summary["foresight"] = asdict(known)
    for goal in GOALS:
        seconds, number, of = reached(results, goal)
        summary[f"person_s_to_{goal}"] = {"mean": seconds, "reached": number, "runs": of}
    if others:
        summary["variants_dice"] = {name: row.tolist() for name, row in others.items()}
        summary["variants_mean_dice"] = np.mean(list(others.values()), axis=0).tolist()
    return {
        "summary": summary,
        "paper": {"with_its_application_s": PAPER_SECONDS, "by_hand_s": PAPER_BY_HAND_SECONDS},
        "volumes": [asdict(result) | {"runs": [_run(run) for run in result.runs]} for result in results],
    }


def _run(run: Run) -> dict[str, Any]:
    answers = [asdict(one) | {"person_seconds": one.effort.person_seconds} for one in run.answers]
    times = {f"person_s_to_{goal}": run.seconds_to(goal) for goal in GOALS}
    return asdict(run) | times | {"answers": answers}
