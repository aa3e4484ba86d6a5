"""Every sentence of the tablet goes through gettext, has a translation, and keeps its places for values."""

from __future__ import annotations

import ast
import re
import string
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from babel.messages.pofile import read_po

from tablet_client.state import words

ROOT = Path(__file__).resolve().parents[3]
CODE = ROOT / "tablet_client"
TRANSLATED = {"_", "N_", "ngettext"}
# What only developers, the hand or the server read.
NOT_SHOWN = (
    "android/bridge.py",
    "android/documents.py",
    "android/motion.py",
    "android/provider.py",
    "hand/",
    "link/",
    "main.py",
    "state/gestures.py",
    "view/gallery.py",
)
ERRORS = {"RuntimeError", "ValueError", "GeometryError", "JournalError", "JournalFull", "SystemExit", "TypeError"}


@pytest.fixture(autouse=True)
def english() -> Iterator[None]:
    yield
    words.use("en")


def test_the_catalogues_are_up_to_date_and_complete() -> None:
    done = subprocess.run(
        [sys.executable, "deploy/setup/words.py", "--check"], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("language", [name for name in words.LANGUAGES if name != "en"])
def test_a_translation_keeps_the_places_for_values(language: str) -> None:
    def places(text: str) -> set[str | None]:
        return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}

    with open(CODE / "words" / f"{language}.po", "rb") as file:
        messages = [one for one in read_po(file, locale=language) if one.id]
    assert len(messages) > 100
    for one in messages:
        ids, texts = (list(part) if isinstance(part, tuple) else [part] for part in (one.id, one.string))
        for text in texts:
            assert places(text) == places(ids[0]), text
            assert text[-1] in ".…" or ids[0][-1] not in ".…", text


def test_another_language_is_spoken_and_english_again() -> None:
    assert words.use("fr") == "fr"
    assert words._("Save") == "Enregistrer"
    assert [words.ngettext("{n} stroke waits", "{n} strokes wait", n) for n in (0, 1, 2)] == [
        "0 trait en attente",
        "1 trait en attente",
        "2 traits en attente",
    ]
    assert words.use("en") == "en"
    assert words._("Save") == "Save"
    assert words.ngettext("{n} stroke waits", "{n} strokes wait", 0) == "0 strokes wait"


@pytest.mark.parametrize(
    ("said", "language"),
    [("fr_FR.UTF-8", "fr"), ("fr", "fr"), ("fr_CA:en", "fr"), ("de_DE", "en"), ("C", "en"), ("en_GB.UTF-8", "en")],
)
def test_the_system_says_the_language(monkeypatch: pytest.MonkeyPatch, said: str, language: str) -> None:
    monkeypatch.setenv("LANGUAGE", said)
    assert words.use("") == language
    assert words.use("tlh") == language


def shown(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Texts of a module that are not translated, and are not documentation, errors, names or keys."""
    wrapped: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in TRANSLATED | ERRORS:
                wrapped |= {id(part) for part in ast.walk(node)}
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            wrapped.add(id(node.value))
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in wrapped:
            yield node.lineno, node.value


@pytest.mark.parametrize("path", sorted(CODE.rglob("*.py")), ids=lambda path: path.relative_to(CODE).as_posix())
def test_no_sentence_of_the_code_goes_untranslated(path: Path) -> None:
    name = path.relative_to(CODE).as_posix()
    if name.startswith(NOT_SHOWN) or name == "state/words.py":
        return
    sentence = re.compile(r"[A-Za-z]{2,} [a-z]{2,}|^[A-Z][a-z]{2,}$")
    allowed = re.compile(
        r"^(Calque|CalqueIcons|Roboto|mask\b|outline\b)|uniform|gl_|^on_|GLSL|\n {4}|^(Box|Document|Event|in work)$"
    )
    found = [f"{line}: {text}" for line, text in shown(ast.parse(path.read_text())) if sentence.search(text)]
    assert [one for one in found if not allowed.search(one.split(": ", 1)[1])] == []


@pytest.mark.parametrize("path", sorted(CODE.rglob("*.kv")), ids=lambda path: path.relative_to(CODE).as_posix())
def test_no_word_of_the_screens_goes_untranslated(path: Path) -> None:
    loose = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        key, _, value = line.strip().partition(":")
        if key in ("text", "hint_text"):
            bare = re.sub(r"\b_\('(?:[^'\\]|\\.)+'\)|\['[a-z_]+'\]|[=!]= '[a-z]*'|'[a-z]+':", "", value)
            loose += [f"{number}: {text}" for text in re.findall(r"'([^']*[A-Za-z]{2,}[^']*)'", bare) if "mm" not in text]
    assert loose == []
