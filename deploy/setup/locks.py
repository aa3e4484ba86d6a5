"""Write the hashed requirements in ``deploy/locks`` from pyproject.toml: ``python deploy/setup/locks.py`` (``make locks``).

Every lock holds for all supported Pythons and platforms, names no index and no host, and starts with a digest of what it
was made from, so that a test without a network finds a stale one. ``test.txt`` is made first and holds the others to its
versions: what runs is what was tested. Tools that live in an environment of their own (no extras) are apart from that.
``--upgrade`` takes the newest versions instead of those that are there.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "deploy" / "locks"
# For each lock the extras and the dependency groups of pyproject.toml that it installs.
LOCKS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "test": (("dev",), ("build",)),
    "run": (("tablet", "volumes", "segmentation", "embedding", "s3", "sample"), ("build",)),
    "tablet": (("tablet",), ()),
    "volumes": (("volumes", "s3"), ()),
    "segmentation": (("segmentation", "s3"), ()),
    "embedding": (("embedding", "s3"), ()),
    "embedding-gpu": (("embedding-gpu", "s3"), ()),
    "trainer": (("trainer", "s3"), ()),
    "build": ((), ("build",)),
    "setup": ((), ("setup",)),
    "supply": ((), ("supply",)),
}


def requirements(lock: str) -> list[str]:
    """The direct requirements of a lock, sorted, with the project's own extras resolved to what they list."""
    project, groups = _tables()
    extras, group_names = LOCKS[lock]
    direct = {entry for group in group_names for entry in groups[group]}
    if extras:
        direct |= set(project["dependencies"])
    waiting = list(extras)
    while waiting:
        for entry in project["optional-dependencies"][waiting.pop()]:
            own = re.fullmatch(rf"{project['name']}\[(.+)\]", entry)
            if own:
                waiting += own[1].split(",")
            else:
                direct.add(entry)
    return sorted(direct)


def digest(lock: str) -> str:
    """SHA-256, hexadecimal, of everything in pyproject.toml that decides what the lock holds."""
    project, _ = _tables()
    made_from = [project["requires-python"], requirements(lock), requirements("test") if LOCKS[lock][0] else []]
    return hashlib.sha256(json.dumps(made_from).encode()).hexdigest()


def first_line(lock: str) -> str:
    """The comment that a fresh lock begins with."""
    return f"# Made by `make locks` from pyproject.toml, digest {digest(lock)}"


def compile_lock(uv: str, lock: str, upgrade: bool) -> None:
    """Resolve one lock and write it. Raises: CalledProcessError when uv finds no solution."""
    extras, groups = LOCKS[lock]
    target = FOLDER / f"{lock}.txt"
    project, _ = _tables()
    lowest = project["requires-python"].split(",")[0].removeprefix(">=")
    command = [uv, "pip", "compile", "--quiet", "--universal", "--python-version", lowest]
    command += ["--generate-hashes", "--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links"]
    command += ["--output-file", str(target)]
    for group in groups:
        command += ["--group", group]
    if extras:
        command += ["pyproject.toml", *(f"--extra={extra}" for extra in extras)]
    if extras and lock != "test":
        command += ["--constraints", str(FOLDER / "test.txt")]
    if upgrade:
        command += ["--upgrade"]
    # Wheels that happen to lie on this machine must not decide what is locked.
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_FIND", "UV_FIND"))}
    subprocess.run(command, cwd=ROOT, env=clean, check=True)
    target.write_text(f"{first_line(lock)}\n{target.read_text()}")


def _tables() -> tuple[dict[str, Any], dict[str, list[str]]]:
    tables = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return tables["project"], tables["dependency-groups"]


if __name__ == "__main__":
    for name in LOCKS:
        print(f"Locking {name} …", flush=True)
        compile_lock(os.environ.get("UV", "uv"), name, "--upgrade" in sys.argv[1:])
