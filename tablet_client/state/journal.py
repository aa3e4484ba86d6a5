"""The tablet's journal: every event is on its disk before it counts as saved, and stays until the server has it.

One file an annotation. It begins with a head, and each record is framed so that a write cut at any byte is found out::

    head    magic "calque-journal-1" · frame(session UUID, 16 bytes · sequence before the first event, u64)
    record  frame(sequence, u64 · body), or frame(sequence with its highest bit set, u64): the server has all up to it
    frame   length, u32 · CRC-32 of the payload, u32 · payload                                    all little-endian

A later record with a number that is there already takes the earlier one's place. A torn tail is not read, and the next
record cuts it; what was torn was never sent, since an event is sent only after it was written. Now and then the file is
rewritten beside itself without what the server has, and renamed, so at any moment one whole file stands.
"""

from __future__ import annotations

import os
import struct
import threading
import uuid
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from urllib.parse import quote, unquote

from tablet_client.state.disk import sync, sync_folder
from tablet_client.state.document import Event

MAGIC = b"calque-journal-1"
ENDING = ".journal"
LIMIT_BYTES = 256_000_000
"""Most that all journals of a folder may take together, unless told otherwise."""

COMPACT_BYTES = 256 * 1024
"""A file is rewritten when more bytes than this, and more than half of it, are of what the server has."""

_FORGOTTEN = 1 << 63

_FRAME = struct.Struct("<II")
_HEAD = struct.Struct("<16sQ")
_SEQUENCE = struct.Struct("<Q")
_EMPTY_BYTES = len(MAGIC) + _FRAME.size + _HEAD.size
_RECORD_BYTES = _FRAME.size + _SEQUENCE.size  # and the body


class JournalError(Exception):
    """The tablet's disk did not take an event: it is full or failing, and the event is not saved."""


class JournalFull(JournalError):
    """An event has no room within the journals' size, though the disk may have some."""


class Journal:
    """The journal of this tablet's session on one annotation. Every writing call waits for the disk.

    Args:
        folder: where journals lie; made when missing.
        annotation_id: of the annotation.
        new_session: makes a session's UUID.
        limit_bytes: most that all journals of the folder may take together.

    Attributes:
        limit_bytes: may be changed at any time.
        session_id: UUID of the session, the same after closing and opening again.
        next_sequence: number of the next event.

    Raises:
        JournalError: the folder cannot be written.
    """

    def __init__(
        self,
        folder: Path,
        annotation_id: str,
        new_session: Callable[[], uuid.UUID] = uuid.uuid4,
        limit_bytes: int = LIMIT_BYTES,
    ) -> None:
        self.path = folder / (quote(annotation_id, safe="") + ENDING)
        self.limit_bytes = limit_bytes
        self._new_session = new_session
        self._bodies: dict[int, bytes] = {}
        self._next, self._size = 1, 0
        self._others = 0  # bytes of the other journals, which only shrink while this one is open
        self._lock = threading.Lock()  # a thread appends; the loop flushes when the application is stopped
        try:
            folder.mkdir(parents=True, exist_ok=True)
            found = _read(self.path)
            if found is None:
                self._session = new_session()
                self._rewrite()
            else:
                self._session, self._next, self._bodies, self._size = found
            self._others = sum(path.stat().st_size for path in folder.glob("*" + ENDING) if path != self.path)
        except OSError as error:
            raise JournalError(f"The journal cannot be opened: {error.strerror}.") from error

    @property
    def session_id(self) -> str:
        """UUID of the session."""
        return str(self._session)

    @property
    def next_sequence(self) -> int:
        """Number of the next event."""
        return self._next

    @property
    def waiting(self) -> list[Event]:
        """Events that are not forgotten, in order."""
        return [Event(sequence, self._bodies[sequence]) for sequence in sorted(self._bodies)]

    def append(self, event: Event) -> None:
        """Write the next event, or another body for one that waits; it is on the disk when this returns.

        Raises:
            JournalError: it is not; what was there before still is.
            JournalFull: so, for it would be larger than `limit_bytes` with all journals.
            ValueError: the number is neither the next one nor of one that waits.
        """
        with self._lock:
            self._append(event)

    def _append(self, event: Event) -> None:
        if event.sequence != self._next and event.sequence not in self._bodies:
            raise ValueError(f"Event {event.sequence} is not the next one, {self._next}.")
        record = _framed(_SEQUENCE.pack(event.sequence) + event.body)
        self._make_room(len(record))
        try:
            self._write(record)
        except OSError as error:
            raise JournalError(f"The tablet's disk did not take the stroke: {error.strerror}.") from error
        self._bodies[event.sequence] = event.body
        self._next = max(self._next, event.sequence + 1)

    def _make_room(self, more_bytes: int) -> None:
        """Rewrite the file without what was forgotten, where it would grow too large. Raises: JournalError."""
        if self._others + self._size + more_bytes > self.limit_bytes and self._size > self._least_bytes:
            self._replace()
        if self._others + self._size + more_bytes > self.limit_bytes:
            raise JournalFull(f"The journals have no room: they may take {self.limit_bytes} bytes.")

    def _write(self, record: bytes, durable: bool = True) -> None:
        with open(self.path, "r+b") as file:
            file.truncate(self._size)  # whatever was torn, or a failed write left
            file.seek(self._size)
            file.write(record)
            file.flush()
            if durable:
                sync(file.fileno())
        self._size += len(record)

    def forget(self, sequence: int) -> None:
        """The server has all events up to this one; the file shrinks later.

        It is written, but the disk is not waited for: should they come back after a crash, the server knows them.
        """
        with self._lock:
            known = [number for number in self._bodies if number <= sequence]
            for number in known:
                del self._bodies[number]
            if known:
                with suppress(OSError):
                    self._write(_framed(_SEQUENCE.pack(sequence | _FORGOTTEN)), durable=False)

    def compact(self, least_bytes: int = COMPACT_BYTES) -> bool:
        """Rewrite the file without what was forgotten, if that is more than so many bytes and half of it. Returns: it was.

        Raises:
            JournalError: the disk did not take it; the old file stands.
        """
        with self._lock:
            least = self._least_bytes
            if self._size - least <= max(least_bytes, least - _EMPTY_BYTES):
                return False
            self._replace()
            return True

    @property
    def _least_bytes(self) -> int:
        """Size of a file that holds nothing but what waits."""
        return _EMPTY_BYTES + sum(_RECORD_BYTES + len(body) for body in self._bodies.values())

    def restart(self) -> str:
        """Go on as a new session: what waits is numbered anew from 1. Returns: the new session's UUID.

        Raises:
            JournalError: the disk did not take it; the old session stands.
        """
        with self._lock:
            old = self._session, self._bodies, self._next
            self._session = self._new_session()
            self._bodies = {number: event.body for number, event in enumerate(self.waiting, start=1)}
            self._next = len(self._bodies) + 1
            try:
                self._replace()
            except JournalError:
                self._session, self._bodies, self._next = old
                raise
            return self.session_id

    def close(self) -> None:
        """Leave the file without what was forgotten."""
        with suppress(JournalError):  # then the old file stands, and is as good
            self.compact(least_bytes=0)

    def delete(self) -> None:
        """The annotation is gone: so is its journal."""
        self.path.unlink(missing_ok=True)

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _replace(self) -> None:
        try:
            self._rewrite()
        except OSError as error:
            raise JournalError(f"The tablet's disk did not take the journal: {error.strerror}.") from error

    def _rewrite(self) -> None:
        """A new file beside the old one, written to the disk, then renamed over it."""
        before = min(self._bodies, default=self._next) - 1
        content = MAGIC + _framed(_HEAD.pack(self._session.bytes, before))
        content += b"".join(_framed(_SEQUENCE.pack(e.sequence) + e.body) for e in self.waiting)
        beside = self.path.with_suffix(".new")
        with open(beside, "wb") as file:
            file.write(content)
            file.flush()
            sync(file.fileno())
        os.replace(beside, self.path)
        sync_folder(self.path.parent)
        self._size = len(content)


def waiting_annotations(folder: Path) -> dict[str, int]:
    """Annotations with events that wait on this tablet, and how many. A file that cannot be read has none."""
    counts = {}
    for path in sorted(folder.glob("*" + ENDING)):
        try:
            found = _read(path)
        except OSError:
            continue
        if found and found[2]:
            counts[unquote(path.name.removesuffix(ENDING))] = len(found[2])
    return counts


def _read(path: Path) -> tuple[uuid.UUID, int, dict[int, bytes], int] | None:
    """Session, next number, bodies by number, and the size up to the last whole record; None without a whole head."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    if not data.startswith(MAGIC):
        return None
    head, end = _unframed(data, len(MAGIC))
    if head is None or len(head) != _HEAD.size:
        return None
    session, before = _HEAD.unpack(head)
    bodies: dict[int, bytes] = {}
    expected = before + 1
    while True:
        record, after = _unframed(data, end)
        if record is None or len(record) < _SEQUENCE.size:
            break
        sequence = _SEQUENCE.unpack_from(record)[0]
        if sequence & _FORGOTTEN:
            bodies = {number: body for number, body in bodies.items() if number > sequence ^ _FORGOTTEN}
        elif sequence == expected or sequence in bodies:
            bodies[sequence] = record[_SEQUENCE.size :]
            expected = max(expected, sequence + 1)
        else:
            break
        end = after
    return uuid.UUID(bytes=session), expected, bodies, end


def _framed(payload: bytes) -> bytes:
    return _FRAME.pack(len(payload), zlib.crc32(payload)) + payload


def _unframed(data: bytes, start: int) -> tuple[bytes | None, int]:
    """The payload that starts at ``start`` and where it ends, or None when it is torn."""
    body = start + _FRAME.size
    if body > len(data):
        return None, start
    length, checksum = _FRAME.unpack_from(data, start)
    payload = data[body : body + length]
    if len(payload) != length or zlib.crc32(payload) != checksum:
        return None, start
    return payload, body + length
