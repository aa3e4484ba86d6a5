"""The locks are what pyproject.toml asks for: fresh, pinned, hashed, without hosts, in the same versions everywhere."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]


def _locks() -> ModuleType:
    spec = importlib.util.spec_from_file_location("setup_locks", ROOT / "deploy" / "setup" / "locks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


locks = _locks()


def pinned(text: str) -> dict[str, list[Requirement]]:
    """Requirements of a lock by name; one name may have several, for several Pythons."""
    found: dict[str, list[Requirement]] = {}
    for entry in re.findall(r"^([^\s#].*?)(?: \\)?$", text, flags=re.MULTILINE):
        requirement = Requirement(entry)
        found.setdefault(canonicalize_name(requirement.name), []).append(requirement)
    return found


@pytest.fixture(params=list(locks.LOCKS))
def lock(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def text(lock: str) -> str:
    return (locks.FOLDER / f"{lock}.txt").read_text()


def test_it_is_fresh(lock: str, text: str) -> None:
    assert text.splitlines()[0] == locks.first_line(lock), "Run `make locks`."


def test_it_holds_what_the_project_asks_for(lock: str, text: str) -> None:
    held = pinned(text)
    for asked in map(Requirement, locks.requirements(lock)):
        versions = [next(iter(pin.specifier)).version for pin in held[canonicalize_name(asked.name)]]
        assert versions
        assert all(asked.specifier.contains(version, prereleases=True) for version in versions), asked


def test_everything_is_pinned_and_hashed(text: str) -> None:
    for entry in re.split(r"\n(?=[^\s#])", text)[1:]:
        assert re.match(r"[a-z0-9._-]+==[^\s;]+", entry), entry
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", entry), entry


def test_it_names_no_host(text: str) -> None:
    assert not re.search(r"://|index|find-links|\.(?:com|org|net|io)\b", text)


def test_it_runs_what_the_tests_try(lock: str, text: str) -> None:
    if locks.LOCKS[lock][0]:  # else tools in an environment of their own
        tested = pinned((locks.FOLDER / "test.txt").read_text())
        untested = {"onnxruntime-gpu"}  # where there is a graphics card
        for name, pins in pinned(text).items():
            assert name in untested or {str(pin.specifier) for pin in pins} <= {str(pin.specifier) for pin in tested[name]}


def test_only_training_installs_tensorflow(lock: str, text: str) -> None:
    assert ("tensorflow-cpu" in pinned(text)) == (lock in ("test", "trainer"))
    assert not any(name.startswith(("nvidia-", "tensorflow-gpu")) or name == "tensorflow" for name in pinned(text))


def test_there_is_no_other_lock() -> None:
    assert {path.stem for path in locks.FOLDER.glob("*.txt")} == set(locks.LOCKS)
