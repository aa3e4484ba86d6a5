"""The tablet's journal: every event is on its disk before it counts as saved, and stays until the server has it.

One file an annotation. It begins with a head, and each record is framed so that a write cut at any byte is found out::

    head    magic "calque-journal-1" · frame(session UUID, 16 bytes · sequence before the first event, u64)
    record  frame(sequence, u64 · body)
    frame   length, u32 · CRC-32 of the payload, u32 · payload                                    all little-endian

A later record with a number that is there already takes the earlier one's place. A torn tail is not read, and the next
record cuts it; what was torn was never sent, since an event is sent only after it was written. Forgetting what was
acknowledged rewrites the file beside itself and renames it, so at any moment one whole file stands.
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
COMPACT_BYTES = 256 * 1024
"""A file with nothing that waits is emptied when it is larger than this."""

_FRAME = struct.Struct("<II")
_HEAD = struct.Struct("<16sQ")
_SEQUENCE = struct.Struct("<Q")
_EMPTY_BYTES = len(MAGIC) + _FRAME.size + _HEAD.size


class JournalError(Exception):
    """The tablet's disk did not take an event: it is full or failing, and the event is not saved."""


class Journal:
    """The journal of this tablet's session on one annotation. Every writing call waits for the disk.

    Args:
        folder: where journals lie; made when missing.
        annotation_id: of the annotation.
        new_session: makes a session's UUID.

    Attributes:
        session_id: UUID of the session, the same after closing and opening again.
        next_sequence: number of the next event.

    Raises:
        JournalError: the folder cannot be written.
    """

    def __init__(self, folder: Path, annotation_id: str, new_session: Callable[[], uuid.UUID] = uuid.uuid4) -> None:
        self.path = folder / (quote(annotation_id, safe="") + ENDING)
        self._new_session = new_session
        self._bodies: dict[int, bytes] = {}
        self._base = 0  # number of the last event that was forgotten, or that the file has forgotten
        self._size = 0
        self._lock = threading.Lock()  # a thread appends; the loop flushes when the application is stopped
        try:
            folder.mkdir(parents=True, exist_ok=True)
            found = _read(self.path)
            if found is None:
                self._session = new_session()
                self._rewrite()
            else:
                self._session, self._base, self._bodies, self._size = found
        except OSError as error:
            raise JournalError(f"The journal cannot be opened: {error.strerror}.") from error
        self._next = max([self._base, *self._bodies]) + 1

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
            ValueError: the number is neither the next one nor of one that waits.
        """
        with self._lock:
            self._append(event)

    def _append(self, event: Event) -> None:
        if event.sequence != self._next and event.sequence not in self._bodies:
            raise ValueError(f"Event {event.sequence} is not the next one, {self._next}.")
        record = _framed(_SEQUENCE.pack(event.sequence) + event.body)
        try:
            with open(self.path, "r+b") as file:
                file.truncate(self._size)  # whatever was torn, or a failed write left
                file.seek(self._size)
                file.write(record)
                file.flush()
                sync(file.fileno())
        except OSError as error:
            raise JournalError(f"The tablet's disk did not take the stroke: {error.strerror}.") from error
        self._size += len(record)
        self._bodies[event.sequence] = event.body
        self._next = max(self._next, event.sequence + 1)

    def forget(self, sequence: int) -> None:
        """The server has this event; the file shrinks later. Should it come back after a crash, the server knows it."""
        self._bodies.pop(sequence, None)

    def compact(self, least_bytes: int = COMPACT_BYTES) -> bool:
        """Rewrite the file without what was forgotten, if nothing waits and it is larger. Returns: it was.

        Raises:
            JournalError: the disk did not take it; the old file stands.
        """
        with self._lock:
            if self._bodies or self._size <= least_bytes:
                return False
            self._base = self._next - 1
            self._replace()
            return True

    def restart(self) -> str:
        """Go on as a new session: what waits is numbered anew from 1. Returns: the new session's UUID.

        Raises:
            JournalError: the disk did not take it; the old session stands.
        """
        with self._lock:
            old = self._session, self._base, self._bodies, self._next
            self._session, self._base = self._new_session(), 0
            self._bodies = {number: event.body for number, event in enumerate(self.waiting, start=1)}
            self._next = len(self._bodies) + 1
            try:
                self._replace()
            except JournalError:
                self._session, self._base, self._bodies, self._next = old
                raise
            return self.session_id

    def close(self) -> None:
        """Leave the file without what was forgotten."""
        with suppress(JournalError):  # then the old file stands, and is as good
            self.compact(least_bytes=_EMPTY_BYTES)

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
        content = MAGIC + _framed(_HEAD.pack(self._session.bytes, self._base))
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
    """Session, base, bodies by number, and the size up to the last whole record; None without a whole head."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    if not data.startswith(MAGIC):
        return None
    head, end = _unframed(data, len(MAGIC))
    if head is None or len(head) != _HEAD.size:
        return None
    session, base = _HEAD.unpack(head)
    bodies: dict[int, bytes] = {}
    expected = base + 1
    while True:
        record, after = _unframed(data, end)
        if record is None or len(record) < _SEQUENCE.size:
            break
        sequence = _SEQUENCE.unpack_from(record)[0]
        if sequence != expected and sequence not in bodies:
            break
        bodies[sequence] = record[_SEQUENCE.size :]
        expected = max(expected, sequence + 1)
        end = after
    return uuid.UUID(bytes=session), base, bodies, end


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
