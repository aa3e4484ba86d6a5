"""Assemble what becomes the tablet's application on Android or iOS: ``python deploy/tablet/assemble.py FOLDER SYSTEM``.

``FOLDER/app`` then holds ``main.py``, the client, the contract's code, and the pure Python packages that these need, in the
versions and with the hashes of ``deploy/locks/tablet.txt``; ``FOLDER`` also the icon and what buildozer reads. Everything
compiled is left to the recipes of python-for-android and kivy-ios (``RECIPES``). ``make tablet-app`` calls this.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = ROOT / "deploy" / "tablet"
LOCK = ROOT / "deploy" / "locks" / "tablet.txt"
NOT_ON_A_TABLET = {"typer"}  # the command line


@dataclass(frozen=True)
class System:
    """What an application is built for.

    Attributes:
        python: version of Python that the recipes build.
        platform: uv's name of it.
        recipes: what the recipes build, with versions.
        depends: pure Python packages that the recipe of Kivy installs itself.
        lacks: modules of the standard library that the recipe's Python does not have.
        files: what its builder reads besides.
    """

    python: str
    platform: str
    recipes: dict[str, str]
    depends: tuple[str, ...]
    lacks: tuple[str, ...]
    files: tuple[str, ...] = ()


# As python-for-android 2026.5.9 and kivy-ios 2025.5.17 have them; a test asks them.
SYSTEMS = {
    "android": System(
        python="3.14",
        platform="aarch64-linux-android",
        recipes={"kivy": "2.3.1", "numpy": "2.3.0", "pyjnius": "1.7.0"},
        depends=("certifi", "chardet", "idna", "requests", "urllib3", "filetype"),
        lacks=("_bz2", "_lzma", "_curses", "_tkinter", "_dbm", "_gdbm", "readline", "grp"),
        files=("buildozer.spec", "application.xml"),
    ),
    "ios": System(
        python="3.11",
        platform="arm64-apple-ios",
        recipes={"kivy": "2.3.1", "numpy": "1.24.4", "pyobjus": "master"},
        depends=("certifi", "charset-normalizer", "idna", "requests", "urllib3", "filetype"),
        lacks=("_lzma", "_curses", "_tkinter", "_dbm", "_gdbm", "readline", "_multiprocessing", "_posixsubprocess"),
    ),
}
# Of a package with more than the client reads, what stays: the icon font's comes with thousands of pictures.
KEPT = {"fontawesomefree": ("__init__.py", "static/fontawesomefree/webfonts/fa-solid-900.ttf")}
OURS = {ROOT / "tablet_client": "tablet_client", ROOT / "proto" / "calque": "calque"}
# The scripted hand, its gallery and grpcio's stubs have no use on a device; of the words only what is read.
LEFT_OUT = shutil.ignore_patterns("__pycache__", "hand", "gallery.py", "*_pb2_grpc.py", "*.pyi", "*.proto", "*.po")
MAIN = '''"""The tablet's application on a device."""

from tablet_client.main import main

main([])
'''


def assemble(folder: Path, system: System, uv: str) -> None:
    """Fill an empty folder.

    Raises:
        CalledProcessError: uv, which printed why.
    """
    app = folder / "app"
    app.mkdir(parents=True)
    needed = closure(system, uv)
    (folder / "requirements.txt").write_text(locked(needed))
    install(folder / "requirements.txt", app, system, uv)
    trim(app)
    for source, name in OURS.items():
        shutil.copytree(source, app / name, ignore=LEFT_OUT)
    (app / "main.py").write_text(MAIN)
    for name in ("icon.png", *system.files):
        shutil.copy(HERE / name, folder)
    shutil.copy(ROOT / "LICENSE", app)


def requirements(system: System) -> list[str]:
    """What the client asks for, without what the recipes build."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = [*project["dependencies"], *project["optional-dependencies"]["tablet"]]
    return [entry for entry in asked if name_of(entry) not in {*system.recipes, *NOT_ON_A_TABLET}]


def closure(system: System, uv: str) -> set[str]:
    """Names of all packages that these need, resolved for the system from wheels alone, in the lock's versions."""
    command = [uv, "pip", "compile", "-", *flags(system), "--no-header", "--no-annotate", "--constraints", str(LOCK)]
    asked = "\n".join(requirements(system))
    said = subprocess.run(command, input=asked, cwd=ROOT, capture_output=True, text=True, check=False, env=clean())
    if said.returncode:
        print(said.stderr)
    said.check_returncode()
    return {name_of(line) for line in said.stdout.splitlines() if re.match(r"[a-z0-9]", line)}


def locked(names: set[str]) -> str:
    """The lock's entries of some packages, with their hashes."""
    entries = re.split(r"\n(?=[^\s#])", LOCK.read_text().strip())[1:]
    kept = [entry for entry in entries if name_of(entry) in names]
    assert {name_of(entry) for entry in kept} == names, "the lock lacks a package"
    return "\n".join(kept) + "\n"


def install(wanted: Path, target: Path, system: System, uv: str) -> None:
    """Put the wheels of a hashed requirements file into a folder."""
    command = [uv, "pip", "install", "--quiet", "--requirements", str(wanted), "--require-hashes", "--no-deps"]
    subprocess.run([*command, *flags(system), "--target", str(target)], cwd=ROOT, check=True, env=clean())


def flags(system: System) -> list[str]:
    """What tells uv of the system."""
    return ["--python-version", system.python, "--python-platform", system.platform, "--only-binary", ":all:"]


def clean() -> dict[str, str]:
    """The environment without wheels that happen to lie on this machine."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PIP_FIND", "UV_FIND"))}


def trim(app: Path) -> None:
    """Remove what nobody reads on a device."""
    shutil.rmtree(app / "bin", ignore_errors=True)
    (app / ".lock").unlink(missing_ok=True)  # uv's
    for package, kept in KEPT.items():
        for path in sorted((app / package).rglob("*"), reverse=True):
            if path.is_dir() and not any(path.iterdir()):
                path.rmdir()
            elif path.is_file() and path.relative_to(app / package).as_posix() not in kept:
                path.unlink()


def name_of(requirement: str) -> str:
    """``"Kivy==2.3.1 ; …"`` → ``"kivy"``."""
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found is not None, requirement
    return re.sub(r"[-_.]+", "-", found[0]).lower()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Assemble the tablet's application.")
    parser.add_argument("folder", type=Path, help="made anew")
    parser.add_argument("system", choices=SYSTEMS)
    options = parser.parse_args()
    shutil.rmtree(options.folder, ignore_errors=True)
    assemble(options.folder, SYSTEMS[options.system], os.environ.get("UV", "uv"))
    print(
        f"{options.folder / 'app'} is the application for {options.system}; deploy/tablet/README.md says what comes next."
    )
