"""The language of an Android tablet, with Java's side replaced, and whose language is spoken."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from tablet_client.android.language import tablet_language
from tablet_client.state import words


class Locale:
    """What Java has under the name that is asked for."""

    def __init__(self, name: str, code: str) -> None:
        assert name == "java.util.Locale"
        self._code = code

    def getDefault(self) -> Locale:  # noqa: N802 (Java's name)
        return self

    def getLanguage(self) -> str:  # noqa: N802
        return self._code


@pytest.fixture(autouse=True)
def english() -> Iterator[None]:
    yield
    words.use("en")


@pytest.mark.parametrize(("code", "spoken"), [("fr", "fr"), ("en", "en"), ("de", "en"), ("", "en")])
def test_it_is_followed_where_nothing_else_was_chosen(monkeypatch: Any, code: str, spoken: str) -> None:
    java = ModuleType("jnius")
    java.autoclass = lambda name: Locale(name, code)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "jnius", java)
    for variable in ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(words.locale, "getlocale", lambda: (None, None))
    assert tablet_language() == code
    assert words.use("", tablet_language()) == spoken
    assert words.use("en", tablet_language()) == "en"


def test_what_was_chosen_goes_before_the_tablet_and_the_tablet_before_the_environment(monkeypatch: Any) -> None:
    monkeypatch.setenv("LANGUAGE", "en")
    assert words.use("fr", "en") == "fr"
    assert words.use("", "fr") == "fr"
    assert words.use("", "") == "en"
