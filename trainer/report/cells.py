"""The networks that the report's tables compare: each is a cell, trained in a folder of its own.

Every cell is trained on as many patch visits as the others of its scale, so that a table compares what it names and nothing
else. A cell that stands in several tables is trained once, and a report that was stopped goes on where it was.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from services.core.errors import InvalidInput
from trainer.config import Config
from trainer.corrupt import KINDS
from trainer.loop import Pace
from trainer.models import Networks
from trainer.runfolder import config_of, networks_of, volumes_of
from trainer.scans import Scan, split
from trainer.train import train_and_evaluate

PATCHES = (8, 11, 32, 50, 64)
"""Sides that the paper compares."""


@dataclass(frozen=True)
class Scale:
    """How much is spent.

    Attributes:
        visits: patches that a cell is trained on, all epochs together.
        epochs: that they are divided into.
        patches: different ones at most; 0: all.
        measured: test patches that fillings are measured on.
        slow: of these, as many as a method that needs a second a patch gets.
        targets: patches of each kind, of a volume, for Table VI.
    """

    visits: int
    epochs: int
    patches: int
    measured: int
    slow: int
    targets: int


SCALES = {
    "tiny": Scale(visits=32, epochs=1, patches=0, measured=8, slow=2, targets=4),
    "small": Scale(visits=4_000, epochs=4, patches=10_000, measured=500, slow=100, targets=100),
    "paper": Scale(visits=30_000_000, epochs=100, patches=300_000, measured=10_000, slow=200, targets=400),
}
"""``tiny`` is for trying whether it runs at all, ``small`` for an hour of a processor, ``paper`` for a graphics card."""


@dataclass(frozen=True)
class Cell:
    """A network: the name of its folder, what a table calls it, and how it is trained."""

    name: str
    label: str
    config: Config


def tables(scale: Scale, base: Config) -> dict[str, list[Cell]]:
    """The cells of each table, by the table's number in the paper; ``options`` are not in the paper.

    Args:
        scale: how much is spent.
        base: what the cells have in common.
    """
    common = replace(
        base,
        epochs=scale.epochs,
        max_steps=max(1, scale.visits // (scale.epochs * base.batch)),
        most_patches=scale.patches,
    )

    def cell(name: str, label: str, **what: Any) -> Cell:
        return Cell(name, label, replace(common, **({"model": "final"} | what)))

    final = cell("final", "final")
    few = max(base.batch, scale.patches // 10)
    models = [cell("naive", "naive", model="naive"), final, cell("deeper", "deeper", model="deeper")]
    return {
        "II": [
            replace(final, label=kind) if kind == base.corruption else cell(kind, kind, corruption=kind) for kind in KINDS
        ],
        "III": [
            replace(final, label=str(side))
            if side == base.patch
            else cell(f"patch-{side}", str(side), patch=side, step=max(4, side // 2))
            for side in PATCHES
        ],
        "IV": [*models, cell("less", f"final, {few:,} patches alone", most_patches=few)],
        "V": models,
        "options": [
            final,
            cell("hidden", "hidden pixels weigh 10 times", hidden_weight=10.0),
            cell("critic", "with a critic (0.001)", adversarial=0.001),
            cell("half", "half of the pixels hidden", fraction=0.5),
            cell("contrast", "with a contrastive loss (0.1)", contrastive=0.1),
        ],
    }


def trained(cell: Cell, scans: Sequence[Scan], folder: Path, told: Callable[[int, Pace], None]) -> Networks:
    """A cell's networks with their best weights: those in its folder, or trained now. Raises: CalqueError."""
    place = folder / cell.name
    if not (place / "scores.json").exists():
        return train_and_evaluate(cell.config, scans, place, resume=True, told=told).networks
    parts = split(scans, cell.config.split, cell.config.seed)
    if config_of(place) != cell.config or volumes_of(place) != parts.described():
        raise InvalidInput(
            "The report's folder holds cells of another configuration, scale or manifest; give this one its own."
        )
    return networks_of(place)
