"""``calque models`` on a store: add, list, promote, roll back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from services.cli.main import app
from services.core.errors import CalqueError
from services.store.directory import DirectoryStore
from services.store.models import Models
from trainer.config import Config, save_config


def run(folder: Path, psnr: float) -> Path:
    folder.mkdir()
    save_config(Config(), folder / "config.json")
    (folder / "data.json").write_text(json.dumps({"volumes": [], "versions": {}}))
    test = {"psnr_db": psnr, "psnr_hidden_db": psnr - 5, "psnr_corrupted_db": 12.0}
    (folder / "scores.json").write_text(json.dumps({"validation": None, "test": test}))
    (folder / "encoder-live.onnx").write_bytes(folder.name.encode())
    return folder


def said(*arguments: str) -> str:
    done = CliRunner().invoke(app, ["models", *arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_models_come_to_count_and_go_back(tmp_path: Path) -> None:
    store = tmp_path / "store"
    models = Models(DirectoryStore(store))
    kept = ["--store", str(store)]
    assert "no models" in said("list", *kept)
    assert "counts from now on" in said("add", str(run(tmp_path / "one", 30.0)), *kept)
    first = models.head().digest
    assert "does not count" in said("add", str(run(tmp_path / "two", 28.0)), *kept)
    assert models.head().digest == first
    listed = said("list", *kept).splitlines()
    assert [("30.00 dB" in line, "→" in line) for line in listed if " dB" in line and "PSNR" not in line].count(
        (True, True)
    ) == 1

    (second,) = set(models.digests()) - {first}
    assert second[:12] in said("promote", second[:8], *kept)
    assert models.head().digest == second
    assert first[:12] in said("roll-back", *kept)
    assert models.head().digest == first


def test_what_cannot_be_is_one_sentence(tmp_path: Path) -> None:
    for arguments in (["list", "--store", str(tmp_path / "none")], ["add", str(tmp_path), "--store", str(tmp_path)]):
        with pytest.raises(CalqueError):
            CliRunner().invoke(app, ["models", *arguments], catch_exceptions=False)
