"""Places in the midst of writing at which tests let the process die or the storage fail; in production there is nobody.

A store says of each object how far it is: ``begun`` before its first byte, in a directory ``written``, ``synced`` and
``named``, and ``durable`` before `create` returns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

Hook = Callable[[str, str], None]

_hook: Hook | None = None


def reached(step: str, key: str) -> None:
    """An object is as far as this. Raises: whatever a test lets happen here, as if the storage did."""
    if _hook is not None:
        _hook(step, key)


@contextmanager
def hooked(hook: Hook) -> Iterator[None]:
    """Tell ``hook`` of every step, with the object's key. For tests alone: no setting leads here."""
    global _hook
    before, _hook = _hook, hook
    try:
        yield
    finally:
        _hook = before
