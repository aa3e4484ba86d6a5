"""A store copied into another one: a backup, and the way back from it, while others go on writing.

Objects never change, so what is there already need not be copied again, and an interrupted copy goes on. What names others
is written after them and copied only where it was there when the copy began: so a copy names nothing that it does not hold.
Events are copied without a gap up to the last one of the beginning. Uploads on their way, notes of tidying and probes stay.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from services.core.errors import Conflict, Corrupt, NotFound, Reason
from services.store.port import Store

FOLDERS = ("layout", "volumes", "annotations", "models", "audit")
_CONTENT = ("blobs", "files", "cards", "log-segments")
_CHUNK_BYTES = 8 << 20


@dataclass
class Copied:
    """What came of it: objects copied and their bytes, and those that were there already."""

    copied: int = 0
    size_bytes: int = 0
    there: int = 0


def copy(source: Store, target: Store) -> Copied:
    """Copy everything that has been finished. Blocks.

    Raises:
        Conflict: an object of that name with other content is there: the target is another store.
        Corrupt: the target does not give back what was written.
    """
    done, before = Copied(), [key for folder in FOLDERS for key in source.list(folder)]
    ends = _ends(before)
    chosen = set(before) | {key for folder in FOLDERS for key in source.list(folder) if _belongs(key, ends)}
    for key in sorted(chosen, key=_turn):
        _copy(source, target, key, done)
    # Events that were moved while this went on are in segments, which are whole.
    for key in source.list("annotations"):
        if "/log-segments/" in key and key not in chosen:
            _copy(source, target, key, done)
    return done


def _ends(keys: list[str]) -> dict[str, str]:
    """The last event of each log, and the last record of the audit trail, by what they are in."""
    return {_row(key): key for key in sorted(keys) if _row(key)}


def _row(key: str) -> str:
    """What an object is one of, gapless and in order; empty: nothing such."""
    return "audit" if key.startswith("audit/") else key.rpartition("/")[0] if "/log/" in key else ""


def _belongs(key: str, ends: dict[str, str]) -> bool:
    """Whether an object that is there later belongs to what was there at the beginning."""
    if _row(key):
        return key <= ends.get(_row(key), "")
    return any(f"/{kind}/" in key for kind in _CONTENT)


def _turn(key: str) -> tuple[bool, str]:
    """Content first: a copy that breaks off names nothing that it does not hold."""
    return key.endswith("volume.json") or "/heads/" in key or "/masks/" in key, key


def _copy(source: Store, target: Store, key: str, done: Copied) -> None:
    try:
        size = source.size(key)
        if target.create(key, _parts(source, key, size)):
            done.copied, done.size_bytes = done.copied + 1, done.size_bytes + size
            if _digest(target, key) != _digest(source, key):
                raise Corrupt("The store that is copied to does not give back what was written.")
            return
        if _digest(target, key) != _digest(source, key):
            message = "The store that is copied to holds something else under a name of this one; take an empty one."
            raise Conflict(message, Reason.OTHER_WRITER)
        done.there += 1
    except NotFound:  # deleted meanwhile, or moved into a segment
        return


def _parts(store: Store, key: str, size: int) -> Iterator[bytes]:
    yield from (store.read(key, start, _CHUNK_BYTES) for start in range(0, size, _CHUNK_BYTES))


def _digest(store: Store, key: str) -> bytes:
    digest = hashlib.sha256()
    for part in _parts(store, key, store.size(key)):
        digest.update(part)
    return digest.digest()
