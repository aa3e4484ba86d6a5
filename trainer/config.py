"""What a training run is: one frozen object, written to and read from TOML or JSON.

The defaults are those of the paper (Lévy, Godard, Masson, "Towards robust fetus segmentation from MRI imaging") where it
states them; the others say so.
"""

from __future__ import annotations

import json
import tomllib
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, get_args, get_type_hints

from services.core.errors import InvalidInput
from trainer.corrupt import KINDS

MODELS = ("naive", "final", "deeper")
PRECISIONS = ("", "float32", "bfloat16")
SCHEDULES = ("constant", "cosine")


@dataclass(frozen=True)
class Config:
    """One training run.

    Attributes:
        model: which network, one of `MODELS`.
        patch: side of a patch, in pixels.
        corruption: how pixels are hidden, one of ``trainer.corrupt.KINDS``.
        fraction: part of the pixels that is hidden.
        batch: patches in a step, over all replicas together.
        epochs: passes over the training patches.
        learning_rate: of RMSprop (not in the paper; the optimiser's own default).
        schedule: of the learning rate, one of `SCHEDULES`: the same all the time, or falling to nothing over all epochs as
            half a cosine does (Loshchilov and Hutter, "SGDR", 2017; not in the paper), for runs that must be short.
        split: parts of the volumes for training, validation and test.
        step: distance of neighbouring patches of a slice, in pixels (not in the paper).
        most_patches: of the training volumes, at most so many are used, drawn by the seed; 0: all.
        content: least part of a patch's pixels that must lie above the window's lower end; emptier ones are left out (not
            in the paper).
        max_steps: most steps in an epoch; 0: all (for trials on a small machine).
        hidden_weight: how much the error of a hidden pixel weighs beside one that is seen; 1: the paper's plain mean.
        adversarial: weight of what a critic of filled patches adds to the loss (context encoders: 0.001; not in the paper).
        contrastive: weight of what telling a place from the others of its step adds to the loss (`trainer.views`; not in
            the paper). Above 0, a patch is trained on as two views of its place: one is corrupted and filled in, and the
            latents of both have to be nearer to each other than to those of other patches.
        patience: epochs without a better validation error after which training ends; 0: all epochs.
        save_steps: steps between checkpoints; one is also made after each epoch.
        precision: of the computation, one of `PRECISIONS`; empty: bfloat16 on a graphics card, else float32.
        seed: of the split, the order, the corruption and the initial weights.

    Raises:
        InvalidInput: a value is out of its range.
    """

    model: str = "naive"
    patch: int = 50
    corruption: str = "shapes"
    fraction: float = 0.2
    batch: int = 128
    epochs: int = 100
    learning_rate: float = 0.001
    schedule: str = "constant"
    split: tuple[float, float, float] = (0.7, 0.2, 0.1)
    step: int = 25
    most_patches: int = 0
    content: float = 0.25
    max_steps: int = 0
    hidden_weight: float = 1.0
    adversarial: float = 0.0
    contrastive: float = 0.0
    patience: int = 0
    save_steps: int = 500
    precision: str = ""
    seed: int = 0

    def __post_init__(self) -> None:
        checks = {
            f"model is one of {', '.join(MODELS)}": self.model in MODELS,
            f"corruption is one of {', '.join(KINDS)}": self.corruption in KINDS,
            "patch is from 8 to 512": 8 <= self.patch <= 512,
            "fraction is above 0 and at most 0.9": 0 < self.fraction <= 0.9,
            "batch, epochs, step and save_steps are at least 1": min(self.batch, self.epochs, self.step, self.save_steps)
            >= 1,
            "learning_rate is above 0 and at most 1": 0 < self.learning_rate <= 1,
            f"schedule is one of {', '.join(SCHEDULES)}": self.schedule in SCHEDULES,
            "split is three parts that add to 1": min(self.split) >= 0
            and self.split[0] > 0
            and abs(sum(self.split) - 1) < 1e-6,
            "content is from 0 to 1": 0 <= self.content <= 1,
            "hidden_weight is from 1 to 1000": 1 <= self.hidden_weight <= 1000,
            "adversarial and contrastive are from 0 to 1": 0 <= self.adversarial <= 1 and 0 <= self.contrastive <= 1,
            "precision is float32, bfloat16 or empty": self.precision in PRECISIONS,
            "most_patches, max_steps, patience and seed are not negative": min(
                self.most_patches, self.max_steps, self.patience, self.seed
            )
            >= 0,
        }
        broken = [rule for rule, holds in checks.items() if not holds]
        if broken:
            raise InvalidInput(f"The training configuration is wrong: {'; '.join(broken)}.")


def load_config(path: Path) -> Config:
    """Read a configuration; what the file leaves out keeps its default.

    Args:
        path: a ``.toml`` or ``.json`` file.

    Raises:
        InvalidInput: the file cannot be read, names something unknown, or holds a value of a wrong type or range.
    """
    readers = {".toml": tomllib.loads, ".json": json.loads}
    if path.suffix not in readers:
        raise InvalidInput(f"A training configuration is a .toml or .json file, not “{path.name}”.")
    try:
        values = readers[path.suffix](path.read_text("utf-8"))
    except OSError as error:
        raise InvalidInput(f"The training configuration “{path.name}” cannot be opened ({error.strerror}).") from error
    except ValueError as error:  # as both decoders' errors are
        raise InvalidInput(f"The training configuration “{path.name}” cannot be read: {error}.") from error
    if not isinstance(values, dict):
        raise InvalidInput(f"The training configuration “{path.name}” is not a table of names and values.")
    return _from_values(values)


def save_config(config: Config, path: Path) -> None:
    """Write a configuration as JSON, which `load_config` reads back to an equal one."""
    path.write_text(json.dumps(asdict(config), indent=2) + "\n", "utf-8")


def _from_values(values: dict[str, Any]) -> Config:
    unknown = sorted(set(values) - {field.name for field in fields(Config)})
    if unknown:
        raise InvalidInput(f"The training configuration does not know {', '.join(unknown)}.")
    types = get_type_hints(Config)
    return Config(**{name: _as_type(name, types[name], value) for name, value in values.items()})


def _as_type(name: str, wanted: Any, value: Any) -> Any:
    parts = get_args(wanted)
    if parts and isinstance(value, list) and len(value) == len(parts):
        return tuple(_as_type(name, part, item) for part, item in zip(parts, value))
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if parts or type(value) is not wanted:
        raise InvalidInput(f"The training configuration's {name} has the wrong type.")
    return value
