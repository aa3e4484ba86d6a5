"""Train an inpainting network without labels, with a loop of our own.

The loop is ``strategy.run`` around a ``GradientTape``: the same on one processor, on several graphics cards and on several
machines, where Keras' own ``fit`` does not work under every strategy.

A run has a folder: ``config.json``; ``curve.csv``, a row an epoch; ``model.weights.h5``; ``scores.json`` at the end.
"""

from __future__ import annotations

import csv
import json
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import structlog

from services.core.errors import Conflict, InvalidInput, Reason
from services.core.volume import Volume
from trainer.backend import load
from trainer.config import Config, save_config
from trainer.data import Patches, dataset, find_patches, split_volumes
from trainer.evaluate import Scores, evaluate
from trainer.models import Networks, build

log = structlog.get_logger()

CURVE = ("epoch", "steps", "train_mse", "validation_mse", "validation_psnr_db", "validation_psnr_hidden_db", "seconds")


@dataclass(frozen=True)
class Run:
    """A finished training.

    Attributes:
        networks: with their last weights.
        validation: scores on the validation volumes after the last epoch; None without such volumes.
        test: scores on the test volumes; None without such volumes.
    """

    networks: Networks
    validation: Scores | None
    test: Scores | None


class Loop:
    """Networks, optimiser and the step that trains them.

    Args:
        config: what to build and how to train it.
        strategy: a ``tf.distribute.Strategy``; None: `default_strategy`.
    """

    def __init__(self, config: Config, strategy: Any = None) -> None:
        tf, keras = load()
        self._tf = tf
        self.config = config
        self.strategy = strategy or default_strategy()
        keras.utils.set_random_seed(config.seed)
        with self.strategy.scope():
            self.networks = build(config.model, config.patch)
            self._optimizer = keras.optimizers.RMSprop(config.learning_rate)
            self._optimizer.build(self.networks.model.trainable_variables)
        # Without autograph: there is no Python control flow to translate, and its warnings print whole objects.
        self._compiled = tf.function(self._distributed_step, autograph=False)
        self._predict = tf.function(
            lambda patches: self.networks.model(patches, training=False), autograph=False, reduce_retracing=True
        )

    def step(self, corrupted: Any, truth: Any) -> float:
        """Train on one batch. Returns its mean squared error before the step."""
        return float(self._compiled(corrupted, truth))

    def epoch(self, patches: Patches, number: int) -> tuple[int, float]:
        """Train on every patch once. Returns the steps made and their mean squared error."""
        batches = self.strategy.experimental_distribute_dataset(dataset(patches, self.config, number))
        losses = [self.step(corrupted, truth) for corrupted, truth, _ in batches]
        return len(losses), sum(losses) / len(losses)

    def evaluate(self, patches: Patches) -> Scores | None:
        """Score the network as it is; None without patches."""
        if not len(patches):
            return None
        return evaluate(lambda batch: self._predict(batch).numpy(), dataset(patches, self.config, None))

    def _distributed_step(self, corrupted: Any, truth: Any) -> Any:
        losses = self.strategy.run(self._replica_step, args=(corrupted, truth))
        return self.strategy.reduce(self._tf.distribute.ReduceOp.SUM, losses, axis=None)

    def _replica_step(self, corrupted: Any, truth: Any) -> Any:
        """One replica's share. Gradients are summed over replicas, so the loss is divided by the whole batch."""
        tf, model = self._tf, self.networks.model
        with tf.GradientTape() as tape:
            errors = tf.reduce_mean(tf.square(model(corrupted, training=True) - truth), axis=(1, 2, 3))
            loss = tf.reduce_sum(errors) / self.config.batch
        gradients = tape.gradient(loss, model.trainable_variables)
        self._optimizer.apply_gradients(zip(gradients, model.trainable_variables))
        return loss


def default_strategy() -> Any:
    """Several machines where ``TF_CONFIG`` names them, else all graphics cards of this one, else its processor."""
    tf, _ = load()
    if "TF_CONFIG" in os.environ:
        return tf.distribute.MultiWorkerMirroredStrategy()
    if len(tf.config.list_physical_devices("GPU")) > 1:
        return tf.distribute.MirroredStrategy()
    return tf.distribute.get_strategy()


def train_and_evaluate(config: Config, volumes: Sequence[Volume], workdir: Path, strategy: Any = None) -> Run:
    """Train a network and leave the run in its folder.

    Args:
        config: what to do.
        volumes: whole volumes; they are split, never their patches.
        workdir: the run's folder, made if missing. On several machines, one sees it: the chief writes.
        strategy: a ``tf.distribute.Strategy``; None: `default_strategy`.

    Raises:
        InvalidInput: the volumes hold too few patches, or training came to values that are not numbers.
        Conflict: the folder holds a run already.
    """
    parts = split_volumes(len(volumes), config.split, config.seed)
    training, validation, test = (find_patches([volumes[number] for number in part], config) for part in parts)
    log.info("patches", training=len(training), validation=len(validation), test=len(test))
    loop = Loop(config, strategy)
    folder = _RunFolder(workdir, config) if _is_chief(loop.strategy) else None

    scores = None
    for number in range(config.epochs):
        start = time.perf_counter()
        steps, train_mse = loop.epoch(training, number)
        if not train_mse < float("inf"):
            raise InvalidInput(
                f"Training came to values that are not numbers in epoch {number + 1}; try a smaller learning_rate."
            )
        scores = loop.evaluate(validation)
        seconds = time.perf_counter() - start
        log.info("epoch", number=number + 1, of=config.epochs, train_mse=train_mse, seconds=round(seconds, 1))
        if folder:
            folder.add_epoch(number + 1, steps, train_mse, scores, seconds)
    run = Run(loop.networks, scores, loop.evaluate(test))
    if folder:
        folder.finish(run)
    return run


class _RunFolder:
    """Where a run is written, a row as soon as it is known."""

    def __init__(self, path: Path, config: Config) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self._path = path
        if (path / "config.json").exists():
            raise Conflict("The folder holds a training run already; give each run its own.", Reason.OTHER_WRITER)
        save_config(config, path / "config.json")
        self._add_row(CURVE)

    def add_epoch(self, number: int, steps: int, train_mse: float, scores: Scores | None, seconds: float) -> None:
        validation = (scores.mse, scores.psnr_db, scores.psnr_hidden_db) if scores else ("", "", "")
        self._add_row((number, steps, train_mse, *validation, round(seconds, 3)))

    def finish(self, run: Run) -> None:
        run.networks.model.save_weights(self._path / "model.weights.h5")
        scores = {"validation": run.validation, "test": run.test}
        text = json.dumps({part: asdict(score) if score else None for part, score in scores.items()}, indent=2)
        (self._path / "scores.json").write_text(text + "\n", "utf-8")

    def _add_row(self, row: Sequence[object]) -> None:
        with (self._path / "curve.csv").open("a", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerow(row)


def _is_chief(strategy: Any) -> bool:
    resolver = strategy.cluster_resolver
    return resolver is None or not resolver.cluster_spec().as_dict() or resolver.task_id in (None, 0)
