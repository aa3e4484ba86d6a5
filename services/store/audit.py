"""The audit trail in a store: a chain of records, each of which holds the SHA-256 of the one before.

::

    audit/<thousand>/<number>      a record: a line of JSON, and that line's SHA-256 in hexadecimal as a second line

Records are only ever created: of servers that append at once one gets the number, and the others chain to its record.
What was changed, taken out or put elsewhere no longer fits its neighbours. Records cut off at the end leave no mark, nor
does a chain that was written anew as a whole: against both helps the digest of a record that was noted elsewhere.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from services.core.audit import Action, Event, Subject
from services.core.errors import Corrupt, NotFound, Reason, Unavailable
from services.store.catalogue import VolumeRecord
from services.store.port import Store

START = "0" * 64
"""What the first record holds in the place of a digest."""


@dataclass(frozen=True)
class Record:
    """A record of the trail.

    Attributes:
        number: from 1.
        previous: digest of the record before; `START` for the first one.
        event: what it tells.
        digest: SHA-256 of its line, hexadecimal.
    """

    number: int
    previous: str
    event: Event
    digest: str


class Trail:
    """The audit trail of a store, as one process sees it. Calls block, and may come from several threads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._newest: tuple[int, str] | None = None  # number and digest; None: not looked for yet

    def append(self, event: Event) -> None:
        """Put an event at the end, durably; where a reply was lost, not twice.

        Raises:
            Unavailable, TooLarge: the store's own; it may have been put, and doing it again is right.
        """
        with self._lock:
            while True:
                self._newest = self._newest or self._find_newest()
                number, previous = self._newest
                line = _line(number + 1, previous, event)
                ours = self._store.create(_key(number + 1), line + b"\n" + _sha256(line).encode() + b"\n")
                if not ours:
                    line = self._line_at(number + 1)
                self._newest = (number + 1, _sha256(line))
                if ours or event.event_id.encode() in line:
                    return

    def records(self) -> Iterator[Record]:
        """All records in order, each held against the one before. Raises: Corrupt, at the first that is not as it was."""
        before = START
        for number, key in enumerate(self._store.list("audit"), 1):
            if key != _key(number):
                raise _broken(f"record {number} is missing")
            try:
                record = _record(number, self._store.read(key))
            except NotFound as error:
                raise _broken(f"record {number} is missing") from error
            if record.previous != before:
                raise _broken(f"record {number} does not follow what is before it now")
            before = record.digest
            yield record

    def _find_newest(self) -> tuple[int, str]:
        folders = list(self._store.folders("audit"))
        if not folders:
            return 0, START
        number = int(list(self._store.list(f"audit/{folders[-1]}"))[-1].rpartition("/")[2])
        return number, _sha256(self._line_at(number))

    def _line_at(self, number: int) -> bytes:
        """The line of a record that was just seen: as it is, since also after a damaged one the trail goes on."""
        try:
            return self._store.read(_key(number)).partition(b"\n")[0]
        except NotFound as error:
            message = "Somebody takes records out of the audit trail."
            raise Unavailable(message, Reason.STORE_UNAVAILABLE) from error


def _key(number: int) -> str:
    return f"audit/{number // 1000:06d}/{number:09d}"


def _sha256(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest()


def _line(number: int, previous: str, event: Event) -> bytes:
    return json.dumps({"layout": 1, "number": number, "previous": previous, "event": asdict(event)}).encode()


def _record(number: int, data: bytes) -> Record:
    """A record from its bytes. Raises: Corrupt."""
    line, _, rest = data.partition(b"\n")
    digest = _sha256(line)
    if rest != digest.encode() + b"\n":
        raise _broken(f"record {number} is damaged")
    try:
        told = json.loads(line)
        record = Record(told["number"], told["previous"], event_of(told["event"]), digest)
    except (ValueError, KeyError, TypeError) as error:
        raise _broken(f"record {number} cannot be read") from error
    if record.number != number:
        raise _broken(f"record {number} is not there, but another one in its place")
    return record


def event_of(fields: dict[str, Any]) -> Event:
    """What `dataclasses.asdict` made of an event, after a way through JSON. Raises: ValueError, KeyError, TypeError."""
    return Event(**fields | {"action": Action(fields["action"]), "subject": Subject(**fields["subject"])})


def subject(volume: VolumeRecord, annotation_id: str = "", *, mask: int = 0, form: str = "") -> Subject:
    """A volume, or an annotation or mask of it, as records name it: of the patient what is not as the files say it."""
    source = volume.source if volume.deidentified else None
    return Subject(
        volume.volume_id,
        annotation_id,
        mask,
        pseudonym=source.patient_id if source else "",
        study_uid=source.study_uid if source else "",
        form=form,
    )


def _broken(how: str) -> Corrupt:
    return Corrupt(f"The audit trail is broken: {how}.")
