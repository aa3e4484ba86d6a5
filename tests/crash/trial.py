"""One trial: who is killed when, until everything is drawn; then the store is read."""

from __future__ import annotations

import random
import shutil
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import wait
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import Any

from services.core.errors import CalqueError
from services.store.annotations import Annotations
from services.store.catalogue import Catalogue
from services.volumes.servicer import volume_message
from tablet_client.state.geometry import VolumeInfo
from tests.crash.check import Found, check
from tests.crash.points import Counters, Point
from tests.crash.processes import Notes, Place, add, importer, server, tablet, tidier, volume
from tests.crash.script import Script

TABLETS = 2
KILLS = 3
"""Kills of a trial."""
SECONDS = 120.0
"""A trial that takes longer is stuck, which is wrong too."""
_TIDIED_AFTER = 20
_FORK = get_context("fork")


@dataclass
class Gateway:
    """The store's own server, where it has one that can be killed."""

    kill: Callable[[], None]
    start: Callable[[], None]


@dataclass
class Trial:
    """A trial in a folder of its own.

    Args:
        number: of the trial; with ``seed`` it decides what is drawn and when somebody is killed.
        victims: who is killed: at a point, or ``server``, ``tablet`` or ``store`` at a random moment.
        place: of the store.
        wrong: the server is the build that must be caught.
    """

    number: int
    seed: int
    victims: list[Point | str]
    place: Place
    folder: Path
    counters: Counters
    gateway: Gateway | None = None
    wrong: bool = False
    kills: dict[str, int] = field(default_factory=dict)

    def run(self) -> Found:
        """Run it. Returns: what was wrong, and how much was looked at."""
        self._chance = random.Random(f"{self.seed} {self.number}")
        store, found = self.place.open(), Found()
        for point in self._at("importer"):
            self._import(point, found)
        record = add(store, volume())
        self._plans = {writer: self._at(writer) for writer in ("server", "tidier")}
        self._due = sorted(self._moment(victim) for victim in self.victims if isinstance(victim, str))
        self._port, self._running = _free_port(), dict[str, ForkProcess]()
        try:
            self._live(record.volume_id, found)
        finally:
            for process in self._running.values():
                process.kill()
                process.join()
        for number in range(TABLETS):
            notes = Notes(self._tablet(number) / "notes")
            if not notes.annotation():
                continue
            if not found.wrong["stuck"]:
                planes = VolumeInfo.from_message(volume_message(record)).planes
                check(store, volume(), notes, Script(self._script(number), planes, ""), found)
            if not found.wrong:
                Annotations(store).delete(notes.annotation())
        if not found.wrong:
            shutil.rmtree(self.folder)
        return found

    def _live(self, volume_id: str, found: Found) -> None:
        started = time.monotonic()
        self._start("server")
        drawing = {f"tablet {number}" for number in range(TABLETS)}
        for name in sorted(drawing):
            self._start(name, volume_id)
        tidied = False
        while drawing or "tidier" in self._running:
            now = time.monotonic() - started
            if now > SECONDS:
                found.add("stuck", f"{', '.join(sorted(drawing)) or 'the tidier'} did not come to an end")
                return
            while self._due and self._due[0][0] <= now:
                self._kill(self._due.pop(0)[1], drawing, volume_id)
            if not tidied and len(Notes(self._tablet(0) / "notes").lines("acknowledged")) >= _TIDIED_AFTER:
                tidied = True
                self._start("tidier")
            for name in self._ended():
                process = self._running.pop(name)
                if name == "server" or process.exitcode:
                    self._start(name, volume_id)  # whoever was killed comes back
                else:
                    drawing.discard(name)

    def _start(self, name: str, volume_id: str = "") -> None:
        plans = self._plans.get(name, [])
        plan = plans.pop(0) if plans else None
        targets: dict[str, tuple[Any, tuple[Any, ...]]] = {
            "server": (server, (self.place, self._port, self.folder / "spool", self.counters, plan, self.wrong)),
            "tidier": (tidier, (self.place, self.counters, plan)),
        }
        if name.startswith("tablet"):
            number = int(name.split()[1])
            self._tablet(number).mkdir(parents=True, exist_ok=True)
            targets[name] = tablet, (self._tablet(number), self._port, volume_id, self._script(number))
        target, arguments = targets[name]
        self._running[name] = process = _FORK.Process(target=target, args=arguments, daemon=True)
        process.start()

    def _kill(self, victim: str, drawing: set[str], volume_id: str) -> None:
        """Kill somebody at a moment that is not of their choosing."""
        if victim == "store":
            assert self.gateway is not None
            self.gateway.kill()
            self.gateway.start()
        else:
            names = sorted(drawing) if victim == "tablet" else [victim]
            if not names:
                return
            process = self._running.get(self._chance.choice(names))
            if process is None:
                return
            process.kill()  # it is started again when it has ended
        self.kills[victim] = self.kills.get(victim, 0) + 1

    def _ended(self) -> list[str]:
        """Who has ended by now, waiting a little for it."""
        ready = wait([process.sentinel for process in self._running.values()], timeout=0.02)
        names = [name for name, process in self._running.items() if process.sentinel in ready]
        for name in names:
            self._running[name].join()
        return names

    def _import(self, point: Point, found: Found) -> None:
        """Import a volume, be killed, and import it again."""
        for plan in (point, None):
            process = _FORK.Process(target=importer, args=(self.place, self.counters, plan, self.number + 1), daemon=True)
            process.start()
            process.join()
        store = self.place.open()
        catalogue, wanted = Catalogue(store), volume(self.number + 1)
        try:
            there = [record for record in catalogue.list() if (catalogue.load(record).voxels == wanted.voxels).all()]
        except CalqueError as error:
            found.add("unreadable", f"a volume: {error}")
            return
        if len(there) != 1:
            found.add("lost", "an imported volume")
        for record in there:
            catalogue.delete(record.volume_id)

    def _at(self, writer: str) -> list[Point]:
        return [victim for victim in self.victims if isinstance(victim, Point) and victim.writer == writer]

    def _moment(self, victim: str) -> tuple[float, str]:
        return self._chance.uniform(0.02, 0.5), victim

    def _tablet(self, number: int) -> Path:
        return self.folder / f"tablet-{number}"

    def _script(self, number: int) -> str:
        return f"{self.seed} {self.number} {number}"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
