"""The annotation log: what happened, in order, for ever.

One object an entry, created under its position, so that two writers can never both have it; old ones are moved into
segments (see `services.store.segments`). An entry with sequence 0 says that a session began to write; it raises the epoch.
A writer whose create fails reads what is there: a higher epoch means that another took over, and it steps back.
"""

from __future__ import annotations

from dataclasses import dataclass

from services.core.errors import Conflict, InvalidInput, OutOfSequence, Reason
from services.store.entry import Entry, check_digest, encode
from services.store.port import Store
from services.store.segments import entry_key, is_entry, log_length, read_after, read_entry


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
        self._in_doubt = False
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
        for entry in read_after(self._store, self._prefix, self.length):
            self._add(entry)
        self._in_doubt = False

    def begin(self, session_id: str, author: str = "", now_ms: int = 0) -> None:
        """Make a session the writer, in this process: whoever wrote before is fenced off from now on.

        Args:
            session_id: UUID of the session.
            author: who works with its tablet; goes with each of its events.
            now_ms: milliseconds since 1970, UTC.
        """
        self._author = author
        while True:
            entry = self._entry(session_id, 0, self.epoch + 1, b"", now_ms)
            data = encode(entry)
            if self._create(entry.position, data):
                if is_entry(self._store, self._prefix, entry.position, data):
                    break
                self._store.delete(entry_key(self._prefix, entry.position))  # we knew too little of the log
            self.refresh()
        self._add(entry)
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
        if self._in_doubt:
            self.refresh()
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
            entry = self._entry(session_id, sequence, self.epoch, body, now_ms)
            if self._create(entry.position, encode(entry)):
                self._add(entry)
                return self.length
            self.refresh()

    def _entry(self, session_id: str, sequence: int, epoch: int, body: bytes, now_ms: int) -> Entry:
        return Entry(self.length + 1, session_id, sequence, epoch, body, now_ms, self._author, self.last_event)

    def _create(self, position: int, data: bytes) -> bool:
        """Make an entry durable, unless another one has its place."""
        self._in_doubt = True  # when this fails, it may be there all the same
        won = self._store.create(entry_key(self._prefix, position), data)
        self._in_doubt = False
        return won

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
    length = log_length(store, prefix)
    if not length:
        return Summary()
    last = entry = read_entry(store, prefix, length)
    while not entry.sequence:
        before = entry.position - 1 if entry.last_event is None else entry.last_event
        if not before:
            return Summary.of(last, None)
        entry = read_entry(store, prefix, before)
    return Summary.of(last, entry)
