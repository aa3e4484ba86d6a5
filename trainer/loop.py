"""The step that trains a network: ``strategy.run`` around a ``GradientTape``.

The same on one processor, on several graphics cards and on several machines, where Keras' own ``fit`` does not work under
every strategy.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from trainer.backend import load
from trainer.config import Config
from trainer.contrast import nt_xent
from trainer.data import Patches, dataset, steps_of
from trainer.evaluate import Scores, evaluate
from trainer.models import build, build_critic, build_projector


@dataclass(frozen=True)
class Pace:
    """Where an epoch is.

    Attributes:
        step, steps: made and to be made in it.
        loss: of the last step.
        mean_loss: of its steps so far.
        patches_per_s: trained on so far.
        input_share: part of the time for which the steps waited for patches.
    """

    step: int
    steps: int
    loss: float
    mean_loss: float
    patches_per_s: float
    input_share: float


class Loop:
    """Networks, optimisers and the step that trains them.

    Args:
        config: what to build and how to train it.
        strategy: a ``tf.distribute.Strategy``; None: the one that holds already.

    Attributes:
        networks: that are trained.
        trackable: by name, what a checkpoint must hold so that training goes on exactly where it was.
    """

    def __init__(self, config: Config, strategy: Any = None) -> None:
        tf, keras = load()
        self._tf = tf
        self.config = config
        self.strategy = strategy or tf.distribute.get_strategy()
        precision = config.precision or ("bfloat16" if tf.config.list_physical_devices("GPU") else "float32")
        keras.utils.set_random_seed(config.seed)
        with self.strategy.scope():
            self.networks = build(config.model, config.patch, precision)
            self._trained = self.networks.model.trainable_variables
            self.trackable = {"model": self.networks.model}
            if config.contrastive:
                self._projector = build_projector(self.networks.encoder.output.shape[-1], precision)
                self._trained = self._trained + self._projector.trainable_variables
                self.trackable |= {"projector": self._projector}
            self._optimizer = _optimizer(keras, config, self._trained)
            self.trackable |= {"optimizer": self._optimizer}
            if config.adversarial:
                self._critic = build_critic(config.patch, precision)
                self._critic_optimizer = _optimizer(keras, config, self._critic.trainable_variables)
                self.trackable |= {"critic": self._critic, "critic_optimizer": self._critic_optimizer}
        # Without autograph: there is no Python control flow to translate, and its warnings print whole objects.
        self._compiled = tf.function(self._distributed_step, autograph=False)
        self._predict = tf.function(
            lambda patches: self.networks.model(patches, training=False), autograph=False, reduce_retracing=True
        )

    def step(self, *planes: Any) -> float:
        """Train on one batch, as `trainer.data.dataset` gives it for this configuration.

        Returns:
            Its loss before the step: with the paper's settings the mean squared error.
        """
        return float(self._compiled(*planes))

    def epoch(
        self,
        patches: Patches,
        number: int,
        done: tuple[int, float] = (0, 0.0),
        told: Callable[[Pace], None] = lambda pace: None,
    ) -> Pace:
        """Train on every patch once.

        Args:
            patches: to train on.
            number: of the epoch, from 0.
            done: steps of it that were made before, and the sum of their losses.
            told: called after each step.

        Returns:
            How it ended. Raises: InvalidInput, there are fewer patches than a batch.
        """
        steps = steps_of(patches, self.config)
        batches = iter(self.strategy.experimental_distribute_dataset(dataset(patches, self.config, number, done[0])))
        total, waited = done[1], 0.0
        started = time.perf_counter()
        pace = Pace(done[0], steps, 0.0, total / max(done[0], 1), 0.0, 0.0)
        for step in range(done[0] + 1, steps + 1):
            asked = time.perf_counter()
            batch = next(batches)
            waited += time.perf_counter() - asked
            self._optimizer.learning_rate = learning_rate(self.config, (number + (step - 1) / steps) / self.config.epochs)
            loss = self.step(*batch)
            total += loss
            seconds = time.perf_counter() - started
            pace = Pace(step, steps, loss, total / step, (step - done[0]) * self.config.batch / seconds, waited / seconds)
            told(pace)
        return pace

    def evaluate(self, patches: Patches) -> Scores | None:
        """Score the network as it is; None without patches."""
        if not len(patches):
            return None
        return evaluate(lambda batch: self._predict(batch).numpy(), dataset(patches, self.config, None))

    def _distributed_step(self, *planes: Any) -> Any:
        losses = self.strategy.run(self._replica_step, args=planes)
        return self.strategy.reduce(self._tf.distribute.ReduceOp.SUM, losses, axis=None)

    def _replica_step(self, corrupted: Any, truth: Any, hidden: Any, other: Any = None) -> Any:
        """One replica's share. Gradients are summed over replicas, so the loss is divided by the whole batch."""
        with self._tf.GradientTape() as tape:
            filled, latent = self.networks.both(corrupted, training=True)
            loss = self._error(filled, truth, hidden)
            if self.config.adversarial:
                loss += self.config.adversarial * self._judged(filled, true=True)
            if self.config.contrastive:
                loss += self.config.contrastive * self._confused(latent, self.networks.encoder(other, training=True))
        self._optimizer.apply_gradients(zip(tape.gradient(loss, self._trained), self._trained))
        if self.config.adversarial:
            self._train_critic(filled, truth)
        return loss

    def _error(self, filled: Any, truth: Any, hidden: Any) -> Any:
        """Mean squared error of the replica's patches; hidden pixels weigh more where the configuration says so."""
        tf = self._tf
        squares = tf.square(filled - truth)
        if self.config.hidden_weight == 1:
            errors = tf.reduce_mean(squares, axis=(1, 2, 3))
        else:
            weights = tf.where(hidden, tf.cast(self.config.hidden_weight, squares.dtype), tf.ones([], squares.dtype))
            errors = tf.reduce_sum(squares * weights, axis=(1, 2, 3)) / tf.reduce_sum(weights, axis=(1, 2, 3))
        return tf.reduce_sum(errors) / self.config.batch

    def _confused(self, latent: Any, other: Any) -> Any:
        """How hard it is to tell, from the latents of two views, which are of one place; among the replica's own."""
        costs = nt_xent(self._projector(latent, training=True), self._projector(other, training=True))
        return self._tf.reduce_sum(costs) / self.config.batch

    def _judged(self, patches: Any, true: bool) -> Any:
        """Cross entropy of what the critic says of patches, if they were true or not."""
        tf = self._tf
        says = self._critic(patches, training=True)
        wanted = tf.ones_like(says) if true else tf.zeros_like(says)
        return tf.reduce_sum(tf.nn.sigmoid_cross_entropy_with_logits(wanted, says)) / self.config.batch

    def _train_critic(self, filled: Any, truth: Any) -> None:
        tf = self._tf
        with tf.GradientTape() as tape:
            loss = (self._judged(truth, true=True) + self._judged(tf.stop_gradient(filled), true=False)) / 2
        gradients = tape.gradient(loss, self._critic.trainable_variables)
        self._critic_optimizer.apply_gradients(zip(gradients, self._critic.trainable_variables))


def learning_rate(config: Config, done: float) -> float:
    """What the schedule has for a step before which this part of the run was done, 0–1."""
    return config.learning_rate * ((1 + math.cos(math.pi * done)) / 2 if config.schedule == "cosine" else 1.0)


def _optimizer(keras: Any, config: Config, variables: Any) -> Any:
    optimizer = keras.optimizers.RMSprop(config.learning_rate)
    optimizer.build(variables)
    return optimizer


def default_strategy() -> Any:
    """Several machines where ``TF_CONFIG`` names them, else all graphics cards of this one, else its processor."""
    tf, _ = load()
    if "TF_CONFIG" in os.environ:
        return tf.distribute.MultiWorkerMirroredStrategy()
    if len(tf.config.list_physical_devices("GPU")) > 1:
        return tf.distribute.MirroredStrategy()
    return tf.distribute.get_strategy()


def is_chief(strategy: Any) -> bool:
    """Whether this process is the one of all workers that writes."""
    resolver = strategy.cluster_resolver
    return resolver is None or not resolver.cluster_spec().as_dict() or resolver.task_id in (None, 0)
