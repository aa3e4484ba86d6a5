"""What a user can set, type or call is in the documents, and what the documents name is there."""

from __future__ import annotations

import importlib
import re
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]


def documents() -> str:
    """The README and what lies in ``deploy``."""
    pages = [ROOT / "README.md", *sorted((ROOT / "deploy").rglob("*.md"))]
    return "\n".join(page.read_text(encoding="utf-8") for page in pages)


def code(text: str) -> str:
    """Only what stands as code: between backticks and in fenced or indented blocks."""
    fenced = re.findall(r"^```[^\n]*\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    rest = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    return "\n".join([*fenced, *re.findall(r"`([^`\n]+)`", rest), *re.findall(r"^ {4,}(.+)$", rest, flags=re.MULTILINE)])


def missing(names: Iterable[str], text: str) -> list[str]:
    """Names that do not stand in the text as whole words."""
    return [name for name in names if not re.search(rf"(?<![\w.-]){re.escape(name)}(?![\w-])", text)]


def settings() -> list[str]:
    """Environment variables of the services."""
    fields = importlib.import_module("services.serving.settings").Settings
    prefix = fields.model_config["env_prefix"]
    return [f"{prefix}{name}".upper() for name in fields.model_fields]


def commands() -> list[str]:
    """Every command of ``calque`` as it is typed."""

    def walk(command: Any, typed: str) -> Iterator[str]:
        for name, inner in getattr(command, "commands", {}).items():
            if not inner.hidden:
                yield from walk(inner, f"{typed} {name}")
        if not getattr(command, "commands", {}):
            yield typed

    typer = importlib.import_module("typer.main")
    return list(walk(typer.get_command(importlib.import_module("services.cli.main").app), "calque"))


def rpcs() -> list[str]:
    """Every call of the contract: ``Volumes.ListVolumes``."""
    names = []
    for source in sorted((ROOT / "proto" / "calque" / "v1").glob("*.proto")):
        file = importlib.import_module(f"calque.v1.{source.stem}_pb2").DESCRIPTOR
        names += [f"{service.name}.{rpc.name}" for service in file.services_by_name.values() for rpc in service.methods]
    return names


def targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))


def test_every_setting_is_documented() -> None:
    assert len(settings()) > 5
    assert missing(settings(), code(documents())) == []


def test_every_documented_setting_is_there() -> None:
    """All variables with our prefix; CALQUE_DATA and CALQUE_TEST_S3 belong to the tests."""
    named = set(re.findall(r"\bCALQUE_[A-Z0-9_]+", documents()))
    assert named - {*settings(), "CALQUE_DATA", "CALQUE_TEST_S3"} == set()


def test_every_command_is_documented() -> None:
    assert len(commands()) > 1
    assert missing(commands(), code(documents())) == []


def test_every_rpc_is_documented() -> None:
    """By its full name, ``Volumes.Upload``, or by its own in a table under the service's."""
    assert len(rpcs()) > 10
    text = code(documents())
    assert [name for name in rpcs() if missing([name], text) and missing(name.split("."), text)] == []


def test_every_documented_target_of_make_is_there() -> None:
    named = set(re.findall(r"^(?:\$ )?(?:sudo )?make ([a-z-]+)", code(documents()), flags=re.MULTILINE))
    assert {"run", "test"} <= named
    assert named <= targets()


def test_every_target_of_make_says_what_it_does() -> None:
    makefile = (ROOT / "Makefile").read_text()
    assert [target for target in targets() if not re.search(rf"^{target}:.*## \w", makefile, flags=re.MULTILINE)] == []


def test_documents_link_to_what_is_there() -> None:
    pages = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "deploy").rglob("*.md"))]
    for page in pages:
        for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)|<img[^>]+src=\"([^\"]+)\"", page.read_text(encoding="utf-8")):
            target = link[0] or link[1]
            if "://" not in target and not target.startswith("mailto:"):
                assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_changelog_tells_of_this_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    sections = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    first = sections[0].splitlines()[0]
    assert "Unreleased" in first or version in first
    assert re.search(r"^- \S", sections[0], flags=re.MULTILINE)


@pytest.mark.parametrize(
    ("name", "text", "there"),
    [
        ("calque run", "calque run PATH", True),
        ("calque run", "calque runs", False),
        ("CALQUE_LOG", "CALQUE_LOG=json", True),
        ("CALQUE_LOG", "CALQUE_LOG_FILE", False),
        ("Volumes.Import", "Volumes.ImportAll", False),
    ],
)
def test_only_whole_names_count(name: str, text: str, there: bool) -> None:
    assert (missing([name], text) == []) == there


def test_only_code_counts() -> None:
    text = "Say calque run.\n\n    calque serve\n\n```\nmake test\n```\nand `make run`"
    assert code(text).split("\n") == ["make test", "", "make run", "calque serve"]


def test_every_test_that_a_promise_names_is_there() -> None:
    promised = set(re.findall(r"\| `(test_\w+)` \|", (ROOT / "deploy" / "security.md").read_text(encoding="utf-8")))
    sources = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "tests").rglob("test_*.py"))]
    there = set(re.findall(r"^(?:async )?def (test_\w+)\(", "\n".join(sources), flags=re.MULTILINE))
    assert len(promised) > 20
    assert promised - there == set()
