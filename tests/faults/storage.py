"""Storage that fails on demand, at any step of writing an object of a kind."""

from __future__ import annotations

import errno
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from services.store.failpoints import hooked
from tests.crash.points import STEPS as STEPS_OF_STORES
from tests.crash.points import kind_of
from tests.served import SECONDS

STEPS = STEPS_OF_STORES["directory"]
"""Of writing an object in a directory, in order."""
VISIBLE_FROM = "named"
"""From this step on an object is there, whatever its writer is told."""

UNAVAILABLE = ("UNAVAILABLE", "STORE_UNAVAILABLE", 0)
FULL = ("RESOURCE_EXHAUSTED", "STORE_FULL", 0)
FAULTS = [
    (OSError(errno.EIO, "Input/output error"), UNAVAILABLE),
    (OSError(errno.ENOSPC, "No space left on device"), FULL),
]
"""What the system says, and what a client hears of it."""


def visible(step: str) -> bool:
    """Whether an object whose writer got as far as this is there."""
    return STEPS.index(step) >= STEPS.index(VISIBLE_FROM)


@contextmanager
def failing(kind: str, step: str, error: OSError) -> Iterator[list[str]]:
    """Have every object of a kind fail at a step. Gives the objects that did; there must be one in the end."""
    failed: list[str] = []

    def fail(at: str, key: str) -> None:
        if at == step and kind_of(key) == kind:
            failed.append(key)
            raise error

    with hooked(fail):
        yield failed
    assert failed, f"No object of kind {kind} came to {step}."


class Slow:
    """Storage on which objects of a kind stay at a step until they `may` go on."""

    def __init__(self, kind: str, step: str) -> None:
        self.there, self.may = threading.Event(), threading.Event()
        self._kind, self._step = kind, step

    def __call__(self, at: str, key: str) -> None:
        if at == self._step and kind_of(key) == self._kind:
            self.there.set()
            assert self.may.wait(SECONDS)


@contextmanager
def slow(kind: str, step: str) -> Iterator[Slow]:
    """Have every object of a kind take its time at a step; all go on in the end."""
    found = Slow(kind, step)
    with hooked(found):
        try:
            yield found
        finally:
            found.may.set()
