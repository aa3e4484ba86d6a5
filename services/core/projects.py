"""Projects: a volume belongs to one, with all that is made of it, and a user sees the volumes of some."""

from __future__ import annotations

import re

from services.core.errors import InvalidInput

DEFAULT_PROJECT = "default"
"""The project of what names none, and of users who are given none."""

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


def check_project(name: str) -> str:
    """The name of a project, as it is. Raises: InvalidInput: none can have it."""
    if not is_project(name):
        raise InvalidInput("A project's name has at most 64 small letters, digits, dots and dashes.")
    return name


def is_project(name: object) -> bool:
    """Whether a project can have this name."""
    return isinstance(name, str) and _NAME.fullmatch(name) is not None
