"""A model's card, and the gate that a model must pass to count."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from services.core.errors import InvalidInput, NotFound
from services.store.models import Card, Head, Models
from trainer.config import load_config

ENCODERS = {"float32": "encoder.onnx", "float16": "encoder-float16.onnx", "live": "encoder-live.onnx"}
"""Files of a run's encoder: its whole latent, with weights in either precision, and few features of it for the live
segmentation (`trainer.project`), with weights in float16."""


def make_card(run: Path, form: str = "float32") -> Card:
    """What a finished run tells of its encoder.

    Args:
        run: its folder.
        form: of the encoder, one of `ENCODERS`.

    Returns:
        ``name``, ``form``, ``sha256`` of the file, ``config``, ``data`` (volumes by name, patient's number, part, digest
        and, where the manifest says it, licence), ``versions``, ``scores`` of the validation and test volumes, and
        ``measured_on``, a digest of what the test scores depend on beside the model.

    Raises:
        NotFound: the folder holds no finished run with an exported encoder.
    """
    names = ("config.json", "data.json", "scores.json", ENCODERS[form])
    if missing := [name for name in names if not (run / name).exists()]:
        raise NotFound(f"The folder holds no finished training run: there is no {missing[0]}.")
    config = load_config(run / "config.json")
    data = json.loads((run / "data.json").read_text("utf-8"))
    scores = json.loads((run / "scores.json").read_text("utf-8"))
    test = sorted(one["sha256"] for one in data["volumes"] if one["part"] == "test")
    task = [test, config.patch, config.step, config.content, config.corruption, config.fraction, config.seed]
    if config.max_steps:  # which cuts the test short as well
        task.append(config.max_steps * config.batch)
    return {
        "name": config.model,
        "form": form,
        "sha256": hashlib.sha256((run / ENCODERS[form]).read_bytes()).hexdigest(),
        "config": asdict(config),
        "data": data["volumes"],
        "versions": data["versions"],
        "scores": scores,
        "measured_on": hashlib.sha256(json.dumps(task).encode()).hexdigest(),
    }


def register(models: Models, run: Path, now_ms: int, form: str = "float32") -> tuple[str, Head | None, str]:
    """Keep a run's encoder in a store, and have it count if nothing speaks against it.

    Args:
        models: of the store.
        run: folder of a finished run.
        now_ms: milliseconds since 1970, UTC.
        form: which of the run's encoders, one of `ENCODERS`.

    Returns:
        The encoder's digest, the new head or None, and a sentence that says why.

    Raises:
        NotFound: the folder holds no finished run.
    """
    card = make_card(run, form)
    digest = models.add((run / ENCODERS[form]).read_bytes(), card)
    head = models.head()
    refusal = _refusal(card, models.card(head.digest) if head else None)
    if refusal:
        return digest, None, refusal
    why = f"test PSNR {card['scores']['test']['psnr_db']:.2f} dB"
    return digest, models.promote(digest, why=why, set_ms=now_ms), f"It counts from now on: {why}."


def _refusal(card: Card, before: Card | None) -> str:
    """Why a model is not to count; empty where it is."""
    test: dict[str, Any] | None = card["scores"].get("test")
    if test is None:
        return "It is kept, and does not count: it was not measured on patients of its own."
    if not test["psnr_db"] > test["psnr_corrupted_db"]:
        return (
            f"It is kept, and does not count: its patches ({test['psnr_db']:.2f} dB) are no nearer to the true ones than "
            f"those with holes ({test['psnr_corrupted_db']:.2f} dB)."
        )
    if before is None:
        return ""
    if before.get("measured_on") != card["measured_on"]:
        return (
            "It is kept, and does not count: the model that counts was measured on other patches, so that they cannot be "
            "compared. Promote it yourself if you know that it is better."
        )
    was = before["scores"]["test"]["psnr_db"]
    if test["psnr_db"] < was:
        return f"It is kept, and does not count: test PSNR {test['psnr_db']:.2f} dB, and {was:.2f} dB before."
    return ""


def find(models: Models, beginning: str) -> str:
    """The digest of the model whose digest begins so. Raises: NotFound, InvalidInput when there are several."""
    found = [digest for digest in models.digests() if digest.startswith(beginning.lower())]
    if not found:
        raise NotFound("There is no such model in the store.")
    if len(found) > 1:
        raise InvalidInput(f"{len(found)} models begin with {beginning}; give more of the digest.")
    return found[0]
