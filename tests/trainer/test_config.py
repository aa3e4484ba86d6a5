"""A configuration keeps the paper's values unless told otherwise, survives its files, and refuses what is wrong."""

from __future__ import annotations

import sys

import pytest

from services.core.errors import InvalidInput, Unavailable
from trainer.backend import load
from trainer.config import Config, load_config, save_config


def test_where_the_trainers_packages_are_missing_it_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "keras", None)
    with pytest.raises(Unavailable, match=r"keras.*calque\[trainer\]"):
        load()


def test_the_defaults_are_the_papers():
    config = Config()
    assert (config.patch, config.fraction, config.batch, config.epochs) == (50, 0.2, 128, 100)
    assert config.split == (0.7, 0.2, 0.1)
    assert (config.model, config.corruption) == ("naive", "shapes")


def test_a_saved_configuration_is_read_back_equal(tmp_path):
    config = Config(batch=16, corruption="hole", split=(0.5, 0.25, 0.25), seed=9)
    save_config(config, tmp_path / "config.json")
    assert load_config(tmp_path / "config.json") == config


def test_toml_changes_only_what_it_names(tmp_path):
    (tmp_path / "run.toml").write_text('corruption = "toss"\nfraction = 0.3\nsplit = [1, 0, 0]\n')
    assert load_config(tmp_path / "run.toml") == Config(corruption="toss", fraction=0.3, split=(1.0, 0.0, 0.0))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("batchsize = 3", "batchsize"),
        ('batch = "3"', "batch"),
        ("batch = true", "batch"),
        ("batch = 1.5", "batch"),
        ("batch = 0", "at least 1"),
        ("fraction = 0", "fraction"),
        ("fraction = nan", "fraction"),
        ("split = [0.7, 0.2]", "split"),
        ("split = [0.7, 0.2, 0.2]", "add to 1"),
        ('model = "huge"', "naive"),
        ('corruption = "rain"', "shapes"),
        ("not toml at all", "cannot be read"),
    ],
)
def test_wrong_values_are_refused_by_name(tmp_path, text, says):
    (tmp_path / "run.toml").write_text(text)
    with pytest.raises(InvalidInput, match=says):
        load_config(tmp_path / "run.toml")


def test_files_that_are_no_configuration_are_refused(tmp_path):
    (tmp_path / "list.json").write_text("[1]")
    (tmp_path / "run.yaml").write_text("batch: 3")
    for name in ("list.json", "run.yaml", "missing.toml"):
        with pytest.raises(InvalidInput) as raised:
            load_config(tmp_path / name)
        assert "Errno" not in str(raised.value)
