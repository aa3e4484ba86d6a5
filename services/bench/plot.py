"""The robot's figures as a picture: Dice against corrections, and against what was drawn."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from services.bench.figures import Result, habits, over_volumes

_BEST, _DEFAULT, _OTHERS = "#0b6e4f", "#c8553d", "#7a7a7a"


def draw(results: Sequence[Result], path: Path, title: str) -> None:
    """Write the picture as PNG.

    Thin lines are volumes at the best threshold, thick ones the mean over volumes with its standard deviation as a band;
    dashed is the mean at the service's own threshold, dotted the mean over other habits of the hand.
    """
    figure = Figure(figsize=(11, 4.5), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    best, spread = over_volumes(results, lambda a: a.dice)
    default, _ = over_volumes(results, lambda a: a.default_dice)
    pixels, _ = over_volumes(results, lambda a: a.stroke_pixels)
    others = [over_volumes(results, lambda a: a.dice, name)[0] for name in habits(results)]
    count = range(len(best))
    for result in results:
        own = result.mean(lambda a: a.dice)
        left.plot(count, own, color=_BEST, alpha=0.35, linewidth=0.9)
        right.plot(result.mean(lambda a: a.stroke_pixels), own, color=_BEST, alpha=0.35, linewidth=0.9)
    if len(results) > 1:
        left.fill_between(count, best - spread, best + spread, color=_BEST, alpha=0.12, linewidth=0)
    for axes, across in ((left, list(count)), (right, pixels.tolist())):
        axes.plot(across, best, color=_BEST, linewidth=2.5, marker="o", label="best threshold, mean")
        axes.plot(across, default, color=_DEFAULT, linewidth=1.8, linestyle="--", marker="s", label="default threshold")
    if others:
        mean = [sum(column) / len(others) for column in zip(*others)]
        left.plot(count, mean, color=_OTHERS, linewidth=1.8, linestyle=":", label="best threshold, other habits")
    left.set_xticks(list(count))
    _dress(left, "corrections")
    _dress(right, "stroke pixels")
    left.set_ylabel("Dice")
    left.legend(loc="lower right", frameon=False)
    figure.suptitle(title)
    figure.savefig(path, format="png", dpi=120)


def _dress(axes: Axes, across: str) -> None:
    axes.set_xlabel(across)
    axes.set_ylim(0.0, 1.0)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
