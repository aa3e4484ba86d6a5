"""The store's failpoints by the kind of object that is written, and who is killed there, counted across processes."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.sharedctypes import RawArray
from typing import Any

from services.store.failpoints import hooked

STEPS = {"directory": ("begun", "written", "synced", "named", "durable"), "s3": ("begun", "durable")}
WRITERS = {
    "server": ("heads", "log", "audit", "blobs", "masks"),
    "tidier": ("log-segments",),
    "importer": ("voxels", "volume.json"),
}
"""Kinds of objects, by who writes them."""


@dataclass(frozen=True)
class Point:
    """Where a writer is killed: when it reaches ``step`` of an object of ``kind`` for the ``time``-th time in its life."""

    writer: str
    kind: str
    step: str
    time: int = 1

    @property
    def name(self) -> str:
        """What it is counted as."""
        return f"{self.kind} {self.step}"


def points(store: str) -> list[Point]:
    """Every failpoint of a kind of store."""
    return [Point(writer, kind, step) for writer, kinds in WRITERS.items() for kind in kinds for step in STEPS[store]]


def kind_of(key: str) -> str:
    """What an object is, by its key."""
    parts = key.split("/")
    return {"annotations": parts[min(3, len(parts) - 1)], "volumes": parts[-1].partition("-")[0]}.get(parts[0], parts[0])


class Counters:
    """How often writers were killed at each point; shared with forked processes, and what a killed one counted stays."""

    def __init__(self, store: str) -> None:
        self._index = {point.name: number for number, point in enumerate(points(store))}
        self._killed: Any = RawArray("l", len(self._index))

    def killed(self) -> dict[str, int]:
        """Kills so far, by point."""
        return {name: self._killed[number] for name, number in self._index.items()}

    @contextmanager
    def dying_at(self, plan: Point | None) -> Iterator[None]:
        """Kill this process when it comes to a point."""
        times = 0

        def reached(step: str, key: str) -> None:
            nonlocal times
            if plan is not None and step == plan.step and kind_of(key) == plan.kind:
                times += 1
                if times == plan.time:
                    self._killed[self._index[plan.name]] += 1
                    os.kill(os.getpid(), signal.SIGKILL)

        with hooked(reached):
            yield
