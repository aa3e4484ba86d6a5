"""Train an inpainting network without labels: epochs, checkpoints, an early end, scores."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import structlog

from services.core.errors import InvalidInput
from trainer.config import Config
from trainer.data import Patches, find_patches, steps_of
from trainer.evaluate import Scores
from trainer.loop import Loop, Pace, default_strategy, is_chief
from trainer.models import Networks, in_float32
from trainer.runfolder import Progress, RunFolder
from trainer.scans import Scan, split

log = structlog.get_logger()


@dataclass(frozen=True)
class Run:
    """A finished training.

    Attributes:
        networks: with the weights of the epoch of the least validation error, without validation of the last; they
            compute in float32, whatever they were trained in.
        epochs: that were made.
        validation: scores on the validation volumes; None without such volumes.
        test: scores on the test volumes; None without such volumes.
    """

    networks: Networks
    epochs: int
    validation: Scores | None
    test: Scores | None


def train_and_evaluate(
    config: Config,
    scans: Sequence[Scan],
    workdir: Path,
    strategy: Any = None,
    *,
    resume: bool = False,
    told: Callable[[int, Pace], None] = lambda epoch, pace: None,
) -> Run:
    """Train a network and leave the run in its folder (`trainer.runfolder`).

    Args:
        config: what to do.
        scans: whole volumes; they are split by patient, never their patches.
        workdir: the run's folder, made if missing.
        strategy: a ``tf.distribute.Strategy``; None: `trainer.loop.default_strategy`.
        resume: go on with the run that the folder holds, exactly where its last checkpoint is.
        told: called after each step, with the number of the epoch from 1.

    Raises:
        InvalidInput: the volumes hold too few patches, training came to values that are not numbers, or the folder holds a
            run with another configuration or on other volumes.
        Conflict: the folder holds a run already, and it is not to be resumed.
    """
    parts = split(scans, config.split, config.seed)
    training, validation, test = (
        find_patches([scan.volume for scan in some], config) for some in (parts.training, parts.validation, parts.test)
    )
    training = training.some(config.most_patches, config.seed)
    log.info("patches", training=len(training), validation=len(validation), test=len(test))
    steps_of(training, config)  # too few patches are told before the folder holds a run
    strategy = strategy or default_strategy()
    folder = RunFolder(workdir, config, {"volumes": parts.described()}, resume, is_chief(strategy))
    loop = Loop(config, strategy)
    progress = folder.bind(loop)
    while progress.epochs < config.epochs and not 0 < config.patience <= progress.waited:
        progress = _epoch(loop, folder, progress, training, validation, told)
    folder.best_weights()
    run = Run(
        in_float32(loop.networks, config.model, config.patch),
        progress.epochs,
        loop.evaluate(validation),
        loop.evaluate(test),
    )
    folder.finish({"validation": run.validation, "test": run.test})
    return run


def _epoch(
    loop: Loop,
    folder: RunFolder,
    progress: Progress,
    training: Patches,
    validation: Patches,
    told: Callable[[int, Pace], None],
) -> Progress:
    """Finish an epoch. Returns: how far the run is then."""
    number, config = progress.epochs, loop.config
    started = time.perf_counter()

    def made(pace: Pace) -> None:
        if not pace.loss < float("inf"):
            raise InvalidInput(
                f"Training came to values that are not numbers in epoch {number + 1}; try a smaller learning_rate."
            )
        folder.tell_step(number * pace.steps + pace.step, pace)
        if pace.step % config.save_steps == 0 and pace.step < pace.steps:
            folder.save(replace(progress, steps=pace.step, total_loss=pace.mean_loss * pace.step))
        told(number + 1, pace)

    pace = loop.epoch(training, number, (progress.steps, progress.total_loss), made)
    scores = loop.evaluate(validation)
    seconds = time.perf_counter() - started
    after = progress.after_epoch(scores)
    folder.add_epoch(after, pace, scores, seconds)
    folder.save(after)
    log.info("epoch", number=after.epochs, of=config.epochs, train_loss=pace.mean_loss, seconds=round(seconds, 1))
    return after
