"""The annotation log: what happened, in order, for ever.

One object an entry, created under its position, so that two writers can never both have it. An entry is a line of JSON, the
event's bytes, and a SHA-256 of both. An entry with sequence 0 says that a session began to write; it raises the epoch. A
writer whose create fails reads what is there: a higher epoch means that another took over, and it steps back.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from uuid import uuid4

from services.core.errors import Conflict, Corrupt, InvalidInput, OutOfSequence, Reason
from services.store.port import Store


@dataclass(frozen=True)
class Entry:
    """An entry of a log.

    Attributes:
        position: from 1.
        session_id: UUID of the session.
        sequence: number in the session from 1, or 0 (see the module).
        epoch: times that writing was taken up until now.
        body: the event's bytes.
        written_ms: milliseconds since 1970, UTC; 0: not known.
        author: who works with the session's tablet; empty: not known.
        last_event: position of the event before this entry, 0 where there is none; None: not known.
    """

    position: int
    session_id: str
    sequence: int
    epoch: int
    body: bytes
    written_ms: int = 0
    author: str = ""
    last_event: int | None = None


@dataclass(frozen=True)
class Summary:
    """What a log holds: its length, how many of its entries are events, when and by whom the last of them was written."""

    length: int = 0
    events: int = 0
    changed_ms: int = 0
    changed_by: str = ""

    @classmethod
    def of(cls, last: Entry, event: Entry | None) -> Summary:
        """Of a log with these as its last entry and its last event."""
        events = last.position - last.epoch  # each epoch began with an entry that is none
        return cls(last.position, events, event.written_ms, event.author) if event else cls(last.position, events)


class Log:
    """The log of one annotation as one process sees it. Calls block; the owner makes them one at a time."""

    def __init__(self, store: Store, prefix: str) -> None:
        """Read the log. Raises: Corrupt, Unavailable."""
        self._store = store
        self._prefix = prefix
        self.entries: list[Entry] = []
        self.writer = ""
        """Session that writes; empty before the first one."""
        self.epoch = 0
        """Times that writing was taken up."""
        self.last_event = 0
        """Position of the last entry that is an event; 0 when there is none."""
        self._own_epoch = 0  # 0: we do not write
        self._author = ""
        self._sequences: dict[str, dict[int, Entry]] = {}
        self.refresh()

    @property
    def length(self) -> int:
        """Entries that we know of."""
        return len(self.entries)

    @property
    def summary(self) -> Summary:
        """What it holds, as far as we know."""
        if not self.entries:
            return Summary()
        return Summary.of(self.entries[-1], self.entries[self.last_event - 1] if self.last_event else None)

    def next_sequence(self, session_id: str) -> int:
        """Number that the session's next event must have."""
        return len(self._sequences.get(session_id, ())) + 1

    def refresh(self) -> None:
        """Read entries that others wrote since. Raises: Corrupt, Unavailable."""
        for key in list(self._store.list(self._prefix))[self.length :]:
            self._add(_decode(self._store.read(key), self.length + 1))

    def begin(self, session_id: str, author: str = "", now_ms: int = 0) -> None:
        """Make a session the writer, in this process: whoever wrote before is fenced off from now on.

        Args:
            session_id: UUID of the session.
            author: who works with its tablet; goes with each of its events.
            now_ms: milliseconds since 1970, UTC.
        """
        self._author = author
        while not self._create(self._entry(session_id, 0, self.epoch + 1, b"", now_ms)):
            self.refresh()
        self._own_epoch = self.epoch

    def append(self, session_id: str, sequence: int, body: bytes, sha256: bytes, now_ms: int = 0) -> int:
        """Make an event durable at ``now_ms``. The same event again gives the same position.

        Returns:
            The event's position in the log.

        Raises:
            Corrupt: ``sha256`` is not that of ``body``: damaged on the way.
            Conflict: another session writes now, or the number was used for other content.
            OutOfSequence: a number is missing.
        """
        check_digest(body, sha256)
        if sequence < 1:
            raise InvalidInput("Events are numbered from 1.")
        while True:
            known = self._sequences.get(session_id, {}).get(sequence)
            if known is not None:
                if known.body != body:
                    raise Conflict("This event number was used with other content.", Reason.SEQUENCE_CONFLICT)
                return known.position
            if self.writer != session_id or self._own_epoch != self.epoch:
                raise Conflict("Another tablet writes this annotation now; your strokes stay on this tablet.")
            expected = self.next_sequence(session_id)
            if sequence != expected:
                raise OutOfSequence(f"Event {expected} is missing.", expected)
            if self._create(self._entry(session_id, sequence, self.epoch, body, now_ms)):
                return self.length
            self.refresh()

    def _entry(self, session_id: str, sequence: int, epoch: int, body: bytes, now_ms: int) -> Entry:
        return Entry(self.length + 1, session_id, sequence, epoch, body, now_ms, self._author, self.last_event)

    def _create(self, entry: Entry) -> bool:
        if not self._store.create(f"{self._prefix}/{entry.position:012d}", _encode(entry)):
            return False
        self._add(entry)
        return True

    def _add(self, entry: Entry) -> None:
        self.entries.append(entry)
        self.epoch = entry.epoch
        if entry.sequence == 0:
            self.writer = entry.session_id
        else:
            self.last_event = entry.position
            self._sequences.setdefault(entry.session_id, {})[entry.sequence] = entry


def summary(store: Store, prefix: str) -> Summary:
    """What a log holds, of its last entries alone. Raises: Corrupt, NotFound (being deleted), Unavailable."""
    keys = list(store.list(prefix))
    if not keys:
        return Summary()
    last = entry = _decode(store.read(keys[-1]), len(keys))
    while not entry.sequence:
        before = entry.position - 1 if entry.last_event is None else entry.last_event
        if not before:
            return Summary.of(last, None)
        entry = _decode(store.read(keys[before - 1]), before)
    return Summary.of(last, entry)


def check_digest(body: bytes, sha256: bytes) -> None:
    """Raises: Corrupt, an event's bytes are not those that were sent."""
    if hashlib.sha256(body).digest() != sha256:
        raise Corrupt("The event was damaged on its way; it was not kept.", Reason.DIGEST_MISMATCH)


def _encode(entry: Entry) -> bytes:
    head = {
        "layout": 1,
        "position": entry.position,
        "session": entry.session_id,
        "sequence": entry.sequence,
        "epoch": entry.epoch,
        "written_ms": entry.written_ms,
        "author": entry.author,
        "last_event": entry.last_event,
    }
    if not entry.sequence:  # two processes that begin in the same moment do not write the same bytes
        head["nonce"] = uuid4().hex
    content = json.dumps(head).encode() + b"\n" + entry.body
    return content + hashlib.sha256(content).digest()


def _decode(data: bytes, position: int) -> Entry:
    content, digest = data[:-32], data[-32:]
    if hashlib.sha256(content).digest() != digest:
        raise Corrupt("A stored event of this annotation is damaged.")
    head, _, body = content.partition(b"\n")
    fields = json.loads(head)
    more = (fields.get("written_ms", 0), fields.get("author", ""), fields.get("last_event"))
    entry = Entry(fields["position"], fields["session"], fields["sequence"], fields["epoch"], body, *more)
    if entry.position != position:
        raise Corrupt("An event of this annotation is missing in the store.")
    return entry
