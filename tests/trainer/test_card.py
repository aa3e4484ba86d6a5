"""A worse model does not come to count."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from services.core.errors import InvalidInput, NotFound
from services.store.directory import DirectoryStore
from services.store.models import Models
from trainer.card import ENCODERS, find, make_card, register
from trainer.config import Config, save_config

CONFIG = Config()


@pytest.fixture
def models(tmp_path: Path) -> Models:
    return Models(DirectoryStore(tmp_path / "store"))


def run(folder: Path, psnr: float | None, *, corrupted: float = 15.0, test: str = "a", config: Config = CONFIG) -> Path:
    """A folder as a finished run leaves it, as far as a card is made of it."""
    folder.mkdir()
    save_config(config, folder / "config.json")
    volumes = [
        {"name": f"volume {k}", "patient": str(k), "part": part, "sha256": digest}
        for k, (part, digest) in enumerate((("training", "t"), ("validation", "v"), ("test", test)))
    ]
    (folder / "data.json").write_text(json.dumps({"volumes": volumes, "versions": {"keras": "3"}}))
    scores: dict[str, Any] = {"validation": None, "test": None}
    if psnr is not None:
        scores["test"] = {"psnr_db": psnr, "psnr_corrupted_db": corrupted}
    (folder / "scores.json").write_text(json.dumps(scores))
    for name in ENCODERS.values():
        (folder / name).write_bytes(f"{folder.name} {name}".encode())
    return folder


@pytest.mark.item(55)
def test_a_better_model_counts_and_a_worse_one_is_only_kept(models: Models, tmp_path: Path) -> None:
    first, head, _ = register(models, run(tmp_path / "first", 30.0), 1)
    assert head is not None
    assert models.head() == head
    worse, none, why = register(models, run(tmp_path / "worse", 29.9), 2)
    assert none is None
    assert "29.90" in why
    assert "30.00" in why
    assert models.head().digest == first
    assert models.card(worse)["scores"]["test"]["psnr_db"] == 29.9
    better, new, _ = register(models, run(tmp_path / "better", 31.0), 3)
    assert new == models.head()
    assert new.digest == better
    assert "31.00" in new.why


@pytest.mark.parametrize(
    ("fields", "says"),
    [({"psnr": None}, "patients of its own"), ({"psnr": 14.0}, "holes"), ({"psnr": float("nan")}, "holes")],
)
def test_what_was_not_measured_or_fills_nothing_does_not_count(models: Models, tmp_path: Path, fields, says) -> None:
    _, head, why = register(models, run(tmp_path / "run", **fields), 1)
    assert head is None
    assert says in why
    assert models.head() is None
    assert len(models.digests()) == 1


@pytest.mark.parametrize(
    "other",
    [{"test": "b"}, {"config": replace(Config(), fraction=0.1)}, {"config": replace(Config(), max_steps=2)}],
)
def test_models_measured_on_other_patches_are_not_compared(models: Models, tmp_path: Path, other: dict[str, Any]) -> None:
    first, _, _ = register(models, run(tmp_path / "first", 30.0), 1)
    _, head, why = register(models, run(tmp_path / "other", 40.0, **other), 2)
    assert head is None
    assert "compared" in why
    assert models.head().digest == first


def test_how_long_was_trained_does_not_change_what_is_measured(tmp_path: Path) -> None:
    cards = [
        make_card(run(tmp_path / f"{epochs}", 30.0, config=replace(Config(), epochs=epochs, model=model)))
        for epochs, model in ((1, "naive"), (9, "final"))
    ]
    assert cards[0]["measured_on"] == cards[1]["measured_on"]
    assert [card["name"] for card in cards] == ["naive", "final"]
    assert cards[0]["data"][0] == {"name": "volume 0", "patient": "0", "part": "training", "sha256": "t"}


def test_an_unfinished_run_has_no_card(tmp_path: Path) -> None:
    folder = run(tmp_path / "run", 30.0)
    (folder / "scores.json").unlink()
    with pytest.raises(NotFound, match=r"scores\.json"):
        make_card(folder)


def test_a_model_is_found_by_the_beginning_of_its_digest(models: Models) -> None:
    digests = [models.add(bytes([number]), {}) for number in range(40)]
    for digest in digests:
        assert find(models, digest[:20].upper()) == digest
    with pytest.raises(NotFound):
        find(models, "xyz")
    with pytest.raises(InvalidInput, match="models begin"):
        find(models, "")


def test_each_form_can_be_kept(models: Models, tmp_path: Path) -> None:
    folder = run(tmp_path / "run", 30.0)
    digests = [register(models, folder, 1, form)[0] for form in ENCODERS]
    assert [models.card(digest)["form"] for digest in digests] == ["float32", "float16", "live"]
    assert models.head().digest == digests[-1]  # as good
