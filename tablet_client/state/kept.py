"""Small settings that this tablet keeps: each a dataclass of plain values, as a JSON file of its own."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

T = TypeVar("T")


def kept_path(folder: Path, identifier: str, ending: str) -> Path:
    """Where the settings of a volume or an annotation lie."""
    return folder / (quote(identifier, safe="") + ending)


def read_kept(path: Path, default: T, possible: Callable[[str, Any], bool]) -> T | None:
    """The settings of a file, or None where there are none, or none that can be understood.

    Args:
        path: the file.
        default: a dataclass with the values of fields that the file does not have.
        possible: says of a field's name whether a value can be its own.
    """
    values = _values(path, default)
    if values is None or not all(possible(name, value) for name, value in values.items()):
        return None
    return type(default)(**values)


def mend_kept(path: Path, default: T, possible: Callable[[str, Any], bool]) -> T:
    """The same, with the default's value wherever there is none, or none that can be."""
    values = _values(path, default) or {}
    return type(default)(**{name: value for name, value in values.items() if possible(name, value)})


def _values(path: Path, default: Any) -> dict[str, Any] | None:
    """What a file has of a dataclass's fields; None where it cannot be read."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return {name: found[name] for name in asdict(default) if name in found} if isinstance(found, dict) else None


def write_kept(path: Path, settings: Any) -> bool:
    """Keep settings. Returns: False when the disk did not take them; those that were there still are."""
    beside = path.with_name(path.name + ".new")
    try:
        beside.write_text(json.dumps(asdict(settings)), encoding="utf-8")
        os.replace(beside, path)
    except OSError:
        return False
    return True
