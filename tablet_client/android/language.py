"""The tablet's own language, which on Android no variable of the environment tells."""

from __future__ import annotations


def tablet_language() -> str:
    """Its code, such as ``"fr"``; of use on Android alone."""
    from jnius import autoclass

    return str(autoclass("java.util.Locale").getDefault().getLanguage())
