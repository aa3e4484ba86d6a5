"""Crash trials, each run in a process of its own: they fork, which the process of the tests must not."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import NO_S3
from tests.crash.__main__ import TROUBLES, victims
from tests.crash.points import Point, points
from tests.rgw import installed

ROOT = Path(__file__).resolve().parents[2]


def run(out: Path, trials: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.crash", str(trials), *arguments, "--out", str(out)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)


def counted(line: str, name: str) -> int:
    found = re.search(rf"\b{re.escape(name)} (\d+)", line)
    assert found, line
    return int(found[1])


@pytest.mark.item(59)
def test_nothing_acknowledged_is_lost_in_a_directory(tmp_path: Path) -> None:
    done = run(tmp_path, 20, "directory")
    assert done.returncode == 0, done.stdout + done.stderr
    line = done.stdout.splitlines()[-1]
    assert line.startswith("20 trials on the directory store")
    assert [counted(line, name) for name in TROUBLES] == [0] * len(TROUBLES)
    assert sum(counted(line, point.name) > 0 for point in points("directory")) > 25
    assert re.search(
        r"of 1440 acknowledged events and 8\d masks", line
    )  # one of which the tablet hears nothing is made twice
    again = run(tmp_path, 20, "directory")  # there is nothing left to do
    assert again.stdout == line + "\n"


@pytest.mark.item(59)
@pytest.mark.skipif(not installed(), reason=NO_S3)
def test_nothing_acknowledged_is_lost_in_a_bucket(tmp_path: Path) -> None:
    """Few, for each kills and starts gateways; ``make crash-trials STORE=s3`` runs as many as there is time for."""
    done = run(tmp_path, 3, "s3")
    assert done.returncode == 0, done.stdout + done.stderr
    line = done.stdout.splitlines()[-1]
    assert line.startswith("3 trials on the s3 store")
    assert [counted(line, name) for name in TROUBLES] == [0] * len(TROUBLES)


def test_a_build_that_acknowledges_before_it_writes_is_caught(tmp_path: Path) -> None:
    done = run(tmp_path, 60, "directory", "--wrong")  # mostly within ten
    assert done.returncode == 1, done.stdout + done.stderr
    assert counted(done.stdout.splitlines()[-1], "lost") > 0


@pytest.mark.parametrize("store", ["directory", "s3"])
def test_all_are_killed_in_turn(store: str) -> None:
    every = len(points(store)) + (2 if store == "directory" else 3)
    names = [v.name if isinstance(v, Point) else v for number in range(every) for v in victims(store, number, 4)]
    assert {names.count(name) for name in names} == {3}
    assert len(set(names)) == every
