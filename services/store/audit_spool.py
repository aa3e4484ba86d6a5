"""An audit trail that goes on while its store is away: events wait in a folder of this machine, and follow in order.

Each is a file of its own, durable like an object of a store. One that was appended in the very moment of a crash, and not
yet removed, is appended once more: records of one ``event_id`` are of one event.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from uuid import uuid4

import structlog

from services.core.audit import Event
from services.core.errors import CalqueError, Reason, Unavailable
from services.store.audit import Trail, event_of
from services.store.directory import DirectoryStore

log = structlog.get_logger()

RETRY_S = 10.0


class SpooledTrail:
    """A trail with a folder for what has to wait. Calls block, and may come from several threads, as may processes."""

    def __init__(self, trail: Trail, folder: Path) -> None:
        """Append what an earlier process left. Raises: Unavailable, the folder cannot be used."""
        self._trail = trail
        self._folder = folder
        self._spool = DirectoryStore(folder)
        self._state = threading.Lock()
        self._draining = threading.Lock()
        self._timer: threading.Timer | None = None
        self._closed = False
        self._waiting = True  # until the folder was looked at
        self.drain()

    def append(self, event: Event) -> None:
        """Put an event into the trail, or behind those that wait for it; durably. Raises: Unavailable, neither can be."""
        with self._state:
            if self._waiting:
                self._keep(event)
                return
        try:
            self._trail.append(event)
        except CalqueError as error:
            log.warning("the audit trail is away; records wait on this machine", error=type(error).__name__)
            with self._state:
                self._keep(event)
                self._waiting = True
                self._later()

    def drain(self) -> None:
        """Append what waits, in order, as far as the store lets; what it does not take is tried again later."""
        try:
            with self._draining, _locked(self._folder):
                while self._waiting:
                    for key in list(self._spool.list("waiting")):
                        self._append_kept(key)
                    with self._state:  # nobody adds to them now
                        self._waiting = any(self._spool.list("waiting"))
        except (CalqueError, OSError) as error:
            log.warning("the audit trail is still away", error=type(error).__name__)
            with self._state:
                self._later()

    def close(self) -> None:
        """Try a last time. What still waits does so for the next process."""
        with self._state:
            self._closed = True
            if self._timer:
                self._timer.cancel()
        self.drain()

    def _keep(self, event: Event) -> None:
        data = json.dumps(asdict(event)).encode()
        try:
            number = max(map(_number, self._spool.list("waiting")), default=0) + 1
            while not self._spool.create(f"waiting/{number:012d}", data):  # another process has this number
                number += 1
        except CalqueError as error:
            message = "What is done here cannot be recorded now, so it is not done; tell the administrator, and try later."
            raise Unavailable(message, Reason.STORE_UNAVAILABLE) from error

    def _append_kept(self, key: str) -> None:
        data = self._spool.read(key)
        try:
            event = event_of(json.loads(data))
        except (ValueError, KeyError, TypeError):  # holds up no other, and is not lost
            log.error("a waiting record of the audit trail is damaged; it is set aside", folder="damaged")
            self._spool.create(f"damaged/{uuid4().hex}", data)
        else:
            self._trail.append(event)
        self._spool.delete(key)

    def _later(self) -> None:
        if self._closed:
            return
        if self._timer:
            self._timer.cancel()
        self._timer = threading.Timer(RETRY_S, self.drain)
        self._timer.daemon = True
        self._timer.start()


def _number(key: str) -> int:
    return int(key.rpartition("/")[2])


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Only one process drains a folder at a time."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
