"""Where the entries of a log lie: each in an object of its own, and the old ones together in segments.

::

    log/<position>              an entry (see services.store.entry)
    log-segments/<number>       entries ``number * 256 + 1`` to ``(number + 1) * 256``, from segment 0 on, without gaps

A segment is a line of JSON with the sizes of its entries, the entries as they were stored, and a SHA-256 of all; its
content follows from its number, so that whoever makes it makes the same. It is made, and read again, before the objects of
its entries go. From then on an object of their positions counts no more.

A place that became free must let no writer in that was taken over. So the object of an entry by which a session began to
write stays for ever: it is the first that such a writer comes upon. Who begins looks afterwards whether its place was one
that had become free (`is_entry`). And the last 256 entries stay where they are.
"""

from __future__ import annotations

import hashlib
import json
from itertools import accumulate, pairwise

from services.core.errors import Corrupt, NotFound
from services.store.entry import Entry, decode, missing
from services.store.port import Store

ENTRIES = 256
"""Entries of a segment."""
KEPT = 256
"""Entries at the end of a log that stay objects of their own."""


def entry_key(prefix: str, position: int) -> str:
    """Where an entry lies that is an object of its own; ``prefix`` ends in ``log``."""
    return f"{prefix}/{position:012d}"


def in_segments(store: Store, prefix: str) -> int:
    """How many entries lie in segments: all up to this position. Raises: Corrupt."""
    numbers = [int(key.rpartition("/")[2]) for key in store.list(f"{prefix}-segments")]
    if numbers != list(range(len(numbers))):
        raise missing()
    return len(numbers) * ENTRIES


def log_length(store: Store, prefix: str) -> int:
    """Entries of a log, also of a damaged one."""
    alone = _alone(store, prefix)  # first: what is moved meanwhile is in a segment then
    return max(alone[-1] if alone else 0, sum(ENTRIES for _ in store.list(f"{prefix}-segments")))


def is_entry(store: Store, prefix: str, position: int, data: bytes) -> bool:
    """Whether an object that was just created is an entry, and did not only take a place that had become free."""
    if position > in_segments(store, prefix):
        return True
    return _read_segment(store, prefix, (position - 1) // ENTRIES)[(position - 1) % ENTRIES] == data


def read_after(store: Store, prefix: str, length: int) -> list[Entry]:
    """The entries after the first ``length``. Raises: Corrupt, NotFound (the log is being deleted)."""
    entries: list[Entry] = []
    while True:
        moved = in_segments(store, prefix)
        try:
            _read_on(store, prefix, length, entries)
            return entries
        except NotFound:  # moved into a segment in this moment, or deleted
            if in_segments(store, prefix) == moved:
                raise


def read_entry(store: Store, prefix: str, position: int) -> Entry:
    """One entry. Raises: Corrupt, NotFound (the log is being deleted)."""
    try:
        return decode(store.read(entry_key(prefix, position)), position)
    except NotFound:
        if position > in_segments(store, prefix):
            raise
        return decode(_read_segment(store, prefix, (position - 1) // ENTRIES)[(position - 1) % ENTRIES], position)


def compact(store: Store, prefix: str) -> int:
    """Move old entries into segments; also what another call left half done. Blocks, while others write and read.

    Returns:
        Objects that were removed.

    Raises:
        Corrupt: an entry is missing or damaged; nothing is removed of its segment.
    """
    done = in_segments(store, prefix)
    length = log_length(store, prefix)
    while done + ENTRIES <= length - KEPT:
        try:
            _make_segment(store, prefix, done // ENTRIES)
        except NotFound:  # another call does the same
            if in_segments(store, prefix) <= done:
                raise
        done += ENTRIES
    removed = 0
    segment: tuple[int, list[bytes]] = (-1, [])
    for position in _alone(store, prefix):
        if position > done:
            break
        number, place = divmod(position - 1, ENTRIES)
        if segment[0] != number:
            segment = number, _read_segment(store, prefix, number)
        if decode(segment[1][place], position).sequence:
            store.delete(entry_key(prefix, position))
            removed += 1
    return removed


def _read_on(store: Store, prefix: str, length: int, entries: list[Entry]) -> None:
    """Add to the entries after the first ``length`` those that follow, while they are found. Raises: Corrupt, NotFound."""
    alone = set(_alone(store, prefix))  # first: what is moved meanwhile is in a segment then
    done = in_segments(store, prefix)
    while (at := length + len(entries)) < done:
        segment = _read_segment(store, prefix, at // ENTRIES)[at % ENTRIES :]
        entries += [decode(data, position) for position, data in enumerate(segment, at + 1)]
    for position in range(length + len(entries) + 1, max(alone, default=0) + 1):
        if position not in alone:
            raise missing()
        entries.append(decode(store.read(entry_key(prefix, position)), position))


def _alone(store: Store, prefix: str) -> list[int]:
    """Positions that have an object of their own, in order."""
    return [int(key.rpartition("/")[2]) for key in store.list(prefix)]


def _make_segment(store: Store, prefix: str, number: int) -> None:
    """Make a segment of the objects of its entries, unless it is there. Raises: Corrupt, NotFound."""
    positions = range(number * ENTRIES + 1, (number + 1) * ENTRIES + 1)
    entries = [store.read(entry_key(prefix, position)) for position in positions]
    for position, data in zip(positions, entries):
        decode(data, position)
    content = json.dumps({"layout": 1, "sizes": [len(data) for data in entries]}).encode() + b"\n" + b"".join(entries)
    store.create(_segment_key(prefix, number), content + hashlib.sha256(content).digest())
    if _read_segment(store, prefix, number) != entries:
        raise _damaged()


def _read_segment(store: Store, prefix: str, number: int) -> list[bytes]:
    """The entries of a segment, as they were stored. Raises: Corrupt, NotFound."""
    data = store.read(_segment_key(prefix, number))
    content, digest = data[:-32], data[-32:]
    if hashlib.sha256(content).digest() != digest:
        raise _damaged()
    head, _, body = content.partition(b"\n")
    ends = accumulate(json.loads(head)["sizes"], initial=0)
    return [body[start:end] for start, end in pairwise(ends)]


def _segment_key(prefix: str, number: int) -> str:
    return f"{prefix}-segments/{number:09d}"


def _damaged() -> Corrupt:
    return Corrupt("Stored events of this annotation are damaged.")
