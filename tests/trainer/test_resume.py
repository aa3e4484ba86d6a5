"""A run that was killed goes on exactly where it was; one that does not get better ends early."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from services.core.errors import Conflict, InvalidInput
from services.core.volume import Volume
from trainer.config import Config, save_config
from trainer.loop import Pace, learning_rate
from trainer.runfolder import Progress
from trainer.scans import Scan
from trainer.train import train_and_evaluate

SMALL = Config(patch=16, step=8, content=0.0, batch=8, epochs=2, max_steps=4, save_steps=2, seed=3)
# A resumed run must find its place in the schedule.
CONFIG = replace(SMALL, adversarial=0.01, contrastive=0.1, schedule="cosine")


def scans(number: int = 3) -> list[Scan]:
    rng = np.random.default_rng(4)
    volumes = [
        Volume(rng.integers(0, 900, (2, 40, 40)).astype(np.int16), np.eye(4), np.ones(2), np.zeros(2))
        for _ in range(number)
    ]
    return [Scan(volume, f"scan {k}", f"patient {k}") for k, volume in enumerate(volumes)]


class Killed(Exception):
    pass


def losses(told: list[tuple[int, int, float]], at: tuple[int, int] | None = None) -> Callable[[int, Pace], None]:
    """Notes each step's loss; with ``at`` nothing comes after that step."""

    def note(epoch: int, pace: Pace) -> None:
        told.append((epoch, pace.step, pace.loss))
        if at == (epoch, pace.step):
            raise Killed

    return note


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> tuple[Path, list[tuple[int, int, float]]]:
    """A run that nobody disturbed."""
    folder, told = tmp_path_factory.mktemp("whole") / "run", []
    train_and_evaluate(CONFIG, scans(), folder, told=losses(told))
    return folder, told


def test_a_continued_run_has_the_losses_of_one_that_was_not_stopped(whole, tmp_path):
    at = (1, 3)  # between two checkpoints
    before, after = [], []
    with pytest.raises(Killed):
        train_and_evaluate(CONFIG, scans(), tmp_path / "run", told=losses(before, at))
    train_and_evaluate(CONFIG, scans(), tmp_path / "run", resume=True, told=losses(after))

    assert before == whole[1][: len(before)]
    assert 0 < len(after) < len(whole[1])
    assert after == whole[1][-len(after) :]  # to the last bit
    assert (tmp_path / "run" / "scores.json").read_text() == (whole[0] / "scores.json").read_text()
    mine, theirs = ([(row["epoch"], row["train_loss"]) for row in curve(f)] for f in (whole[0], tmp_path / "run"))
    assert mine == theirs


def test_a_killed_process_leaves_a_run_that_goes_on(whole, tmp_path):
    script = (
        "import os, signal\n"
        "from pathlib import Path\n"
        "from tests.trainer.test_resume import CONFIG, scans\n"
        "from trainer.train import train_and_evaluate\n"
        "def told(epoch, pace):\n"
        "    if (epoch, pace.step) == (2, 3):\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        f"train_and_evaluate(CONFIG, scans(), Path({str(tmp_path / 'run')!r}), told=told)\n"
    )
    killed = subprocess.run([sys.executable, "-c", script], cwd=Path(__file__).parents[2], env=os.environ, check=False)
    assert killed.returncode == -signal.SIGKILL
    after: list[tuple[int, int, float]] = []
    train_and_evaluate(CONFIG, scans(), tmp_path / "run", resume=True, told=losses(after))
    assert after == whole[1][-2:]


def test_a_cosine_schedule_falls_from_the_whole_rate_to_nothing():
    config = replace(CONFIG, learning_rate=0.004)
    assert [learning_rate(config, part) for part in (0, 0.5, 1)] == pytest.approx([0.004, 0.002, 0.0], abs=1e-12)
    assert {learning_rate(replace(config, schedule="constant"), part) for part in (0, 0.5, 1)} == {0.004}


def test_a_run_is_not_resumed_by_accident_nor_with_other_data(whole, tmp_path):
    folder = whole[0]
    with pytest.raises(Conflict, match="already"):
        train_and_evaluate(CONFIG, scans(), folder)
    with pytest.raises(InvalidInput, match="configuration"):
        train_and_evaluate(replace(CONFIG, batch=4), scans(), folder, resume=True)
    with pytest.raises(InvalidInput, match="constant schedule"):
        train_and_evaluate(replace(CONFIG, epochs=3), scans(), folder, resume=True)
    with pytest.raises(InvalidInput, match="volumes"):
        train_and_evaluate(CONFIG, scans(4), folder, resume=True)


def test_the_folder_tells_what_was_trained_on(whole):
    data = json.loads((whole[0] / "data.json").read_text())
    assert sorted(one["part"] for one in data["volumes"]) == ["test", "training", "validation"]
    assert data["versions"]["keras"]
    assert list((whole[0] / "events").glob("events.out.tfevents.*"))


def test_an_epoch_without_progress_is_counted_and_ends_the_run(tmp_path):
    def scored(mse: float) -> Any:
        return type("Scores", (), {"mse": mse})()

    progress = Progress().after_epoch(scored(0.2)).after_epoch(scored(0.3)).after_epoch(scored(0.25))
    assert (progress.epochs, progress.best, progress.waited) == (3, 0.2, 2)
    assert progress.after_epoch(scored(0.1)).waited == 0
    assert Progress().after_epoch(None).after_epoch(None).waited == 0

    stuck = replace(SMALL, learning_rate=1.0, epochs=6, max_steps=2, patience=2)
    run = train_and_evaluate(stuck, scans(), tmp_path / "run")
    rows = curve(tmp_path / "run")
    errors = [float(row["validation_mse"]) for row in rows]
    assert run.epochs == len(rows)
    assert run.epochs == min(6, errors.index(min(errors)) + 3)
    assert run.validation is not None
    assert run.validation.mse == min(errors)


def test_two_workers_make_the_same_run(tmp_path):
    """Two processes on this machine, each with half of every batch, end with equal weights; the chief alone writes."""
    config = replace(SMALL, epochs=1, max_steps=2)
    save_config(config, tmp_path / "config.json")
    script = (
        "import sys, numpy as np\n"
        "from pathlib import Path\n"
        "from trainer.loop import default_strategy\n"
        "strategy = default_strategy()\n"
        "from tests.trainer.test_resume import scans\n"
        "from trainer.config import load_config\n"
        "from trainer.train import train_and_evaluate\n"
        "folder = Path(sys.argv[1])\n"
        "run = train_and_evaluate(load_config(folder / 'config.json'), scans(), folder / 'run', strategy)\n"
        "np.savez(folder / f'{sys.argv[2]}.npz', *run.networks.model.get_weights())\n"
    )
    ports = free_ports(2)
    workers = []
    for index in range(2):
        cluster = {
            "cluster": {"worker": [f"127.0.0.1:{port}" for port in ports]},
            "task": {"type": "worker", "index": index},
        }
        environment = {**os.environ, "TF_CONFIG": json.dumps(cluster)}
        command = [sys.executable, "-c", script, str(tmp_path), str(index)]
        workers.append(subprocess.Popen(command, cwd=Path(__file__).parents[2], env=environment))
    try:
        assert [worker.wait(240) for worker in workers] == [0, 0]
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
    one, two = (np.load(tmp_path / f"{index}.npz") for index in range(2))
    for name in one.files:
        np.testing.assert_array_equal(one[name], two[name])
    told: list[tuple[int, int, float]] = []
    alone = train_and_evaluate(config, scans(), tmp_path / "alone", told=losses(told))
    (shared,) = curve(tmp_path / "run")
    assert alone.epochs == 1
    # RMSprop makes steps of one size whatever the gradient's, so what rounding leaves of one moves a weight.
    assert float(shared["train_loss"]) == pytest.approx(np.mean([loss for _, _, loss in told]), rel=1e-2)


def curve(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "curve.csv").read_text("utf-8").splitlines()))


def free_ports(number: int) -> list[int]:
    import socket

    sockets = [socket.socket() for _ in range(number)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()
