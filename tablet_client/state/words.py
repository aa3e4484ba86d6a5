"""Words in the user's language: gettext, with a catalogue for each language but English, in which the code is written.

The catalogues lie in ``tablet_client/words``: ``fr.po`` is edited, ``fr.mo`` is made of it by ``make words``.
"""

from __future__ import annotations

import gettext
import locale
import os
from pathlib import Path

LANGUAGES = {"en": "English", "fr": "Français"}
"""What can be chosen, each in its own words."""

_FOLDER = Path(__file__).resolve().parent.parent / "words"


class _Words:
    """The catalogue in use."""

    def __init__(self) -> None:
        self.language = "en"
        self.catalogue: gettext.NullTranslations = gettext.NullTranslations()


_words = _Words()


def use(language: str) -> str:
    """Speak a language of `LANGUAGES` from now on; another one, or an empty one, is the system's. Returns: which it is."""
    chosen = language if language in LANGUAGES else system_language()
    if chosen == "en":
        _words.catalogue = gettext.NullTranslations()
    else:
        with open(_FOLDER / f"{chosen}.mo", "rb") as file:
            _words.catalogue = gettext.GNUTranslations(file)
    _words.language = chosen
    return chosen


def language() -> str:
    """The language that is spoken."""
    return _words.language


def system_language() -> str:
    """The system's language, English where it is none of ours."""
    said = os.environ.get("LANGUAGE") or os.environ.get("LC_ALL") or os.environ.get("LC_MESSAGES") or os.environ.get("LANG")
    name = said or locale.getlocale()[0] or ""
    first = name.split(":")[0].replace("-", "_").split("_")[0].split(".")[0].lower()
    return {"french": "fr"}.get(first, first if first in LANGUAGES else "en")


def _(text: str) -> str:
    """A sentence or word of ours in the user's language."""
    return _words.catalogue.gettext(text)


def ngettext(one: str, many: str, number: int) -> str:
    """The same, in the form that a number asks for; ``{n}`` in it is the number."""
    return _words.catalogue.ngettext(one, many, number).format(n=number)


def N_(text: str) -> str:  # noqa: N802  (the name that gettext's tools know)
    """A sentence that is translated where it is shown, by `_`: this only says so to who gathers them."""
    return text
