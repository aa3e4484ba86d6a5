"""The whole report on small volumes, with the networks of one table; made again it trains nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from services.core.errors import InvalidInput, NotFound
from services.core.volume import Volume
from trainer.config import Config
from trainer.report import make, pictures
from trainer.report.cells import PATCHES, SCALES, Cell, Scale, tables
from trainer.report.make import Maker
from trainer.scans import Scan

BASE = Config(patch=16, step=12, content=0.0, batch=8, split=(0.5, 0.25, 0.25))


def scans() -> tuple[list[Scan], dict[str, dict[int, np.ndarray]]]:
    rows, columns = np.mgrid[:48, :48]
    made, masks = [], {}
    for number in range(4):
        rng = np.random.default_rng(number)
        disk = np.broadcast_to((rows - 24) ** 2 + (columns - 20 - number) ** 2 < 100, (3, 48, 48)).copy()
        voxels = (rng.integers(100, 200, disk.shape) + 150 * disk).astype(np.int16)
        made.append(Scan(Volume(voxels, np.eye(4), np.ones(3), np.zeros(3)), f"volume {number}", f"patient {number}"))
        masks[number] = disk
    return made, {"a disk": masks}


def test_every_cell_is_trained_on_as_many_patches() -> None:
    for name, scale in SCALES.items():
        base = replace(BASE, batch=8) if name == "tiny" else Config()
        for cells in tables(scale, base).values():
            for cell in cells:
                visits = cell.config.epochs * cell.config.max_steps * cell.config.batch
                assert abs(visits - scale.visits) < cell.config.batch * cell.config.epochs
    named = [cell for cells in tables(SCALES["paper"], Config()).values() for cell in cells]
    assert {cell.config.patch for cell in named} == set(PATCHES)
    assert {cell.config.model for cell in named} == {"naive", "final", "deeper"}
    assert {cell.config.corruption for cell in named} == {"shapes", "hole", "toss"}
    for cell in named:
        assert all(other.config == cell.config for other in named if other.name == cell.name)


@pytest.mark.parametrize("name", SCALES)
def test_the_network_of_few_patches_says_how_many(name: str) -> None:
    (few,) = [cell for cell in tables(SCALES[name], Config())["IV"] if cell.name == "less"]
    assert few.label == f"final, {few.config.most_patches:,} patches alone"


def test_a_row_is_called_what_its_table_compares() -> None:
    made = tables(SCALES["tiny"], Config())
    assert [cell.label for cell in made["II"]] == ["shapes", "hole", "toss"]
    assert [cell.label for cell in made["III"]] == [str(side) for side in PATCHES]
    assert [cell.name for cell in made["II"] + made["III"]].count("final") == 2


class _Seen(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.images: list[str] = []
        self.heads: list[str] = []
        self._in = ""

    def handle_starttag(self, tag, attrs) -> None:
        self._in = tag
        if tag == "img":
            self.images.append(dict(attrs)["src"])

    def handle_data(self, data) -> None:
        if self._in == "h2" and data.strip():
            self.heads.append(data.strip())


def few(scale: Scale, base: Config) -> dict[str, list[Cell]]:
    """The cells of Table V alone, as options too, the networks as small as may be."""
    every = tables(scale, base)["V"]
    small = [replace(cell, config=replace(cell.config, model="naive")) for cell in every]
    return {"IV": small, "V": small, "options": small}


def test_a_report_has_its_tables_and_figures_and_trains_nothing_twice(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(make, "tables", few)
    made, masks = scans()
    said: list[str] = []
    page = Maker(tmp_path / "report", made, masks, "tiny", BASE, said.append).make()

    seen = _Seen()
    seen.feed(page.read_text("utf-8"))
    assert len(seen.images) == 5
    for image in seen.images:
        assert (page.parent / image).read_bytes().startswith(b"\x89PNG")
    assert sum("Table VI" in head for head in seen.heads) == 2
    numbers = json.loads((page.parent / "report.json").read_text("utf-8"))
    assert set(numbers["V"]) == {"naive", "final", "deeper"}
    assert numbers["V"]["final"]["biharmonic"]["patches"] == 2
    assert len(numbers["VI"]["a disk"]["that the encoder never saw"]) == 2 * (6 + 2)
    assert any("epoch 1 of 1" in text for text in said)

    said.clear()
    measured = numbers.pop("speed")
    assert measured["patches"] == 25  # 48 × 48 pixels, patches of 16 every 8
    assert min(measured["dense_s"], measured["patches_s"], measured["keras_s"]) > 0
    assert -1.0 <= measured["correlation"] <= 1.0

    run = tmp_path / "report" / "cells" / "final"  # studied as a run, it is what it was as a cell
    for picture in ("corruptions", "curves", "rebuilt", "spread", "in_space"):  # seen already
        monkeypatch.setattr(pictures, picture, lambda *seen: None)
    again = Maker(tmp_path / "report", made, masks, "tiny", BASE, said.append, run).make()
    assert not any("epoch" in text for text in said)
    found = json.loads((again.parent / "report.json").read_text("utf-8"))
    assert found.pop("speed")["correlation"] == pytest.approx(measured["correlation"], abs=1e-4)
    assert found.pop("run") == {"naive, 32 patches seen": numbers["V"]["final"]["final"]}
    for rows in found["VI"]["a disk"].values():  # and it stands beside the cell
        rows[:] = [row for row in rows if row["representation"] != "latent, final, pooled"]
    assert found == numbers
    alone = Maker(tmp_path / "alone", made, masks, "tiny", BASE, said.append, run, alone=True).make()
    assert not (alone.parent / "cells").exists()
    measured_alone = json.loads((alone.parent / "report.json").read_text("utf-8"))
    assert measured_alone["run"] == {"naive, 32 patches seen": numbers["V"]["final"]["final"]}
    for whose, rows in measured_alone["VI"]["a disk"].items():
        assert len(rows) == 2 * 6
        assert all(row in found["VI"]["a disk"][whose] for row in rows)
    with pytest.raises(InvalidInput, match="which run"):
        Maker(tmp_path / "alone", made, masks, "tiny", BASE, said.append, alone=True)
    (run / "scores.json").rename(run / "scores")
    with pytest.raises(NotFound, match="not ended"):
        Maker(tmp_path / "other", made, masks, "tiny", BASE, said.append, run)
    (run / "scores").rename(run / "scores.json")
    with pytest.raises(InvalidInput, match="pixels"):
        Maker(tmp_path / "other", made, masks, "tiny", replace(BASE, patch=8), said.append, run)
    with pytest.raises(InvalidInput, match="another configuration"):
        Maker(tmp_path / "report", made, masks, "tiny", replace(BASE, fraction=0.3), said.append).make()
    others = [*made[:3], Scan(made[3].volume, "volume 3", "patient 0")]  # who may have been trained on before
    with pytest.raises(InvalidInput, match="manifest"):
        Maker(tmp_path / "report", others, masks, "tiny", BASE, said.append).make()


def test_two_patients_are_too_few(tmp_path: Path) -> None:
    made, masks = scans()
    with pytest.raises(InvalidInput, match="three patients"):
        Maker(tmp_path, made[:2], masks, "tiny", replace(BASE, split=(0.5, 0.5, 0.0)), print)
