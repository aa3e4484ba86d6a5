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
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(found, dict):
        return None
    values = {name: found[name] for name in asdict(default) if name in found}  # type: ignore[call-overload]
    return type(default)(**values) if all(possible(name, value) for name, value in values.items()) else None


def write_kept(path: Path, settings: Any) -> bool:
    """Keep settings. Returns: False when the disk did not take them; those that were there still are."""
    beside = path.with_name(path.name + ".new")
    try:
        beside.write_text(json.dumps(asdict(settings)), encoding="utf-8")
        os.replace(beside, path)
    except OSError:
        return False
    return True
