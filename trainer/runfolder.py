"""The folder of a training run.

``config.json`` and ``data.json`` (versions, volumes with their digests, and which part each is in) at the start; a row of
``curve.csv`` an epoch; ``checkpoints``, from which training goes on; ``model.weights.h5``, the weights of the epoch with
the least validation error so far, or without validation the last; ``scores.json`` at the end; ``events`` for TensorBoard.
"""

from __future__ import annotations

import csv
import json
import os
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from services.core.errors import Conflict, InvalidInput, NotFound, Reason
from trainer.backend import load
from trainer.config import Config, load_config, save_config
from trainer.evaluate import Scores
from trainer.loop import Loop, Pace
from trainer.models import Networks, build

CURVE = (
    "epoch",
    "steps",
    "train_loss",
    "validation_mse",
    "validation_psnr_db",
    "validation_psnr_hidden_db",
    "seconds",
    "patches_per_s",
    "input_share",
)
WEIGHTS = "model.weights.h5"
_KEPT = 2  # checkpoints: the newest may be one that is just being written
_PACKAGES = ("calque", "tensorflow-cpu", "tensorflow", "keras", "numpy", "onnx", "tf2onnx")


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Attributes:
        epochs: finished.
        steps, total_loss: made of the next one, and the sum of their losses.
        best: least validation error so far; infinite before the first.
        waited: epochs since then.
    """

    epochs: int = 0
    steps: int = 0
    total_loss: float = 0.0
    best: float = float("inf")
    waited: int = 0

    def after_epoch(self, scores: Scores | None) -> Progress:
        """When one more epoch is finished, with these scores on the validation volumes."""
        better = scores is None or scores.mse < self.best
        best = scores.mse if scores and better else self.best
        return Progress(self.epochs + 1, 0, 0.0, best, 0 if better else self.waited + 1)


class RunFolder:
    """A run in its folder. On several machines all see it, and the chief writes.

    Args:
        path: of the folder, made if missing.
        config: of the run.
        data: what `data.json` is to hold.
        resume: go on with a run that is there, if there is one.
        chief: this process writes; the others ask nothing of the folder, as they cannot know what was there before.

    Raises:
        Conflict: the folder holds a run already, and it is not to be resumed.
        InvalidInput: it holds a run with another configuration or of other volumes.
    """

    def __init__(self, path: Path, config: Config, data: dict[str, Any], resume: bool, chief: bool) -> None:
        self._path, self._chief = path, chief
        self._tf, _ = load()
        self._events: Any = None
        self._best: list[Any] = []
        if not chief:
            return
        if (path / "config.json").exists():
            self._check(config, data, resume)
        else:
            path.mkdir(parents=True, exist_ok=True)
            self._write("data.json", data | {"versions": _versions()})
            save_config(config, path / "config.json")

    def _check(self, config: Config, data: dict[str, Any], resume: bool) -> None:
        if not resume:
            raise Conflict(
                "The folder holds a training run already; resume it, or give this one a folder of its own.",
                Reason.OTHER_WRITER,
            )
        before = load_config(self._path / "config.json")
        # A learning rate that has fallen over fewer epochs would rise again.
        epochs = before.epochs if config.schedule == "cosine" else config.epochs
        if replace(before, epochs=epochs) != config:
            raise InvalidInput(
                "The folder holds a run with another configuration; only the epochs may change, and those of a constant "
                "schedule alone."
            )
        if volumes_of(self._path) != data["volumes"]:
            raise InvalidInput("The folder holds a run on other volumes.")
        save_config(config, self._path / "config.json")  # with the epochs that are wanted now

    def bind(self, loop: Loop) -> Progress:
        """Take the loop to where the run was, and tell where that is."""
        tf = self._tf
        self._loop = loop
        self._state = _state(tf)
        checkpoint = tf.train.Checkpoint(progress=self._state, **loop.trackable)
        # Every worker takes part in saving; what others than the chief write is of no use.
        self._elsewhere = None if self._chief else tempfile.TemporaryDirectory(prefix="calque-worker-")
        folder = str(self._path / "checkpoints") if self._elsewhere is None else self._elsewhere.name
        self._manager = tf.train.CheckpointManager(checkpoint, folder, max_to_keep=_KEPT)
        latest = tf.train.latest_checkpoint(str(self._path / "checkpoints"))
        if latest:
            checkpoint.restore(latest).assert_consumed()
        progress: Progress = self._state.progress
        if self._chief:
            self._cut_curve(progress.epochs)
            self._events = _events(tf, self._path / "events")
        return progress

    def save(self, progress: Progress) -> None:
        """Make a checkpoint."""
        self._state.progress = progress
        self._manager.save()

    def tell_step(self, number: int, pace: Pace) -> None:
        """A step was made, the how manieth of all."""
        if self._events:
            self._events(number, {"loss": pace.loss, "patches_per_s": pace.patches_per_s, "input_share": pace.input_share})

    def add_epoch(self, progress: Progress, pace: Pace, scores: Scores | None, seconds: float) -> None:
        """An epoch has ended; its weights are kept if they are the best."""
        if progress.waited == 0:
            self._best = self._loop.networks.model.get_weights()
        if not self._chief:
            return
        if progress.waited == 0:
            self._save_weights()
        validation = (scores.mse, scores.psnr_db, scores.psnr_hidden_db) if scores else ("", "", "")
        row = (progress.epochs, pace.steps, pace.mean_loss, *validation, round(seconds, 3))
        self._add_row((*row, round(pace.patches_per_s, 1), round(pace.input_share, 4)))
        if self._events and scores:
            self._events(progress.epochs * pace.steps, {"validation_psnr_db": scores.psnr_db, "validation_mse": scores.mse})

    def best_weights(self) -> None:
        """Give the loop the weights that are kept: other workers' may not be on the disk yet."""
        if self._best:
            self._loop.networks.model.set_weights(self._best)
        else:  # of an epoch before this run was resumed
            self._loop.networks.model.load_weights(self._path / WEIGHTS)

    def finish(self, scores: dict[str, Scores | None]) -> None:
        """The run has ended."""
        if self._chief:
            self._write("scores.json", {part: asdict(score) if score else None for part, score in scores.items()})

    def _save_weights(self) -> None:
        partial = self._path / "partial.weights.h5"
        self._loop.networks.model.save_weights(partial)
        os.replace(partial, self._path / WEIGHTS)

    def _cut_curve(self, epochs: int) -> None:
        """The rows of finished epochs stay; what came after the checkpoint is made again."""
        rows: list[list[str]] = []
        with suppress(FileNotFoundError), (self._path / "curve.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.reader(file))[1 : epochs + 1]
        partial = self._path / "curve.csv.partial"
        with partial.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([CURVE, *rows])
        os.replace(partial, self._path / "curve.csv")

    def _add_row(self, row: Sequence[object]) -> None:
        with (self._path / "curve.csv").open("a", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerow(row)

    def _write(self, name: str, content: dict[str, Any]) -> None:
        partial = self._path / f"{name}.partial"
        partial.write_text(json.dumps(content, indent=2) + "\n", "utf-8")
        os.replace(partial, self._path / name)


def config_of(path: Path) -> Config:
    """The configuration of the run in a folder. Raises: NotFound, InvalidInput."""
    if not (path / "config.json").exists():
        raise NotFound("The folder holds no training run.")
    return load_config(path / "config.json")


def networks_of(path: Path) -> Networks:
    """The networks of the run in a folder, with their best weights, in float32. Raises: NotFound, InvalidInput."""
    config = config_of(path)
    networks = build(config.model, config.patch)
    networks.model.load_weights(path / WEIGHTS)
    return networks


def volumes_of(path: Path) -> list[dict[str, str]]:
    """The volumes of the run in a folder, as `trainer.scans.Parts.described` tells them."""
    volumes: list[dict[str, str]] = json.loads((path / "data.json").read_text("utf-8"))["volumes"]
    return volumes


def _state(tf: Any) -> Any:
    """A `Progress` as a part of a checkpoint."""

    class State(tf.train.experimental.PythonState):  # type: ignore[misc]
        progress = Progress()

        def serialize(self) -> str:
            return json.dumps(asdict(self.progress))

        def deserialize(self, text: str) -> None:
            self.progress = Progress(**json.loads(text))

    return State()


def _events(tf: Any, folder: Path) -> Callable[[int, dict[str, float]], None]:
    writer = tf.summary.create_file_writer(str(folder))

    def tell(step: int, scalars: dict[str, float]) -> None:
        with writer.as_default(step):
            for name, value in scalars.items():
                tf.summary.scalar(name, value)

    return tell


def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found
