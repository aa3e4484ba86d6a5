"""The network whose latent a report studies: its own cell, or that of a finished run, trained for longer."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from services.core.errors import InvalidInput, NotFound
from trainer.models import Networks
from trainer.runfolder import config_of, networks_of, volumes_of


@dataclass(frozen=True)
class Studied:
    """One network.

    Attributes:
        networks: with their best weights.
        label: what tables call it.
        seen: SHA-256 of the volumes that it was trained on.
    """

    networks: Networks
    label: str
    seen: frozenset[str]


def of_run(run: Path, patch: int) -> Studied:
    """The network of a finished run.

    Args:
        run: its folder.
        patch: side of the patches that it has to be for.

    Raises:
        NotFound: the folder holds no finished run.
        InvalidInput: the run's patches have another size.
    """
    config = config_of(run)
    if not (run / "scores.json").exists():
        raise NotFound("The training run has not ended; resume it first.")
    if config.patch != patch:
        raise InvalidInput(f"The run's patches are of {config.patch} pixels, and the report's of {patch}.")
    rows = csv.DictReader((run / "curve.csv").read_text("utf-8").splitlines())
    visits = sum(int(row["steps"]) for row in rows) * config.batch
    seen = frozenset(one["sha256"] for one in volumes_of(run) if one["part"] == "training")
    return Studied(networks_of(run), f"{config.model}, {visits:,} patches seen", seen)
