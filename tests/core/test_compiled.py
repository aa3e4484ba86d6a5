"""Machine code is kept for the next process where there is room for it, and nobody fails where there is none."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOOP = """
from services.core.compiled import cache_folder, compiled
from services.core.walk import _sweep

@compiled
def twice(number):
    return 2 * number

assert twice(3) == 6
print(cache_folder(), twice.stats.cache_hits.total(), hasattr(_sweep, "py_func"))
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of the rooms whose folder has no place for machine code."""
    for room in ("services/__init__.py", "services/core"):
        copy = shutil.copytree if (ROOT / room).is_dir() else shutil.copy
        (tmp_path / room).parent.mkdir(exist_ok=True)
        copy(
            ROOT / room,
            tmp_path / room,
            **({"ignore": shutil.ignore_patterns("__pycache__")} if room[-3:] != ".py" else {}),
        )
    for folder in (tmp_path, tmp_path / "services" / "core"):
        (folder / "__pycache__").write_text("not a folder")
    (tmp_path / "loop.py").write_text(LOOP)
    return tmp_path


def run(package: Path, **environment: str) -> list[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("NUMBA_", "XDG_", "PYTHON"))}
    kept |= {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(package)}
    command = [sys.executable, str(package / "loop.py")]
    done = subprocess.run(command, env=kept | environment, cwd=package, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_a_named_folder_keeps_it_for_the_next_process(package: Path) -> None:
    cache = package / "cache"
    first, second = (run(package, NUMBA_CACHE_DIR=str(cache)) for _ in range(2))
    assert Path(first[0]).is_relative_to(cache)
    assert (first[1], second[1]) == ("0", "1")


def test_the_command_says_where(tmp_path: Path) -> None:
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-m", "services.cli", "warm-up"]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    folder = done.stdout.strip().removeprefix("Compiled, and kept in ").removesuffix(".")
    assert done.stdout.count("\n") == 1
    assert Path(folder).is_relative_to(tmp_path)
    kept = {path.name.partition(".")[0] for path in tmp_path.rglob("*.nbi")}
    assert {"walk", "forest", "growing", "filters", "reconstruct"} <= kept


def test_where_nothing_can_be_kept_it_is_compiled_anew(package: Path) -> None:
    (package / "home").write_text("not a folder")
    assert run(package, HOME=str(package / "home"), NUMBA_CACHE_DIR="") == ["None", "0", "True"]
