"""An entry of an annotation's log, and its bytes: a line of JSON, the event's bytes, and a SHA-256 of both."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from uuid import uuid4

from services.core.errors import Corrupt, Reason


@dataclass(frozen=True)
class Entry:
    """An entry of a log.

    Attributes:
        position: from 1.
        session_id: UUID of the session.
        sequence: number in the session from 1, or 0 where it says that the session began to write.
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


def check_digest(body: bytes, sha256: bytes) -> None:
    """Raises: Corrupt, an event's bytes are not those that were sent."""
    if hashlib.sha256(body).digest() != sha256:
        raise Corrupt("The event was damaged on its way; it was not kept.", Reason.DIGEST_MISMATCH)


def encode(entry: Entry) -> bytes:
    """The bytes that are stored."""
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


def decode(data: bytes, position: int) -> Entry:
    """The entry that stored bytes are. Raises: Corrupt: they are damaged, or those of another position."""
    content, digest = data[:-32], data[-32:]
    if hashlib.sha256(content).digest() != digest:
        raise Corrupt("A stored event of this annotation is damaged.")
    head, _, body = content.partition(b"\n")
    fields = json.loads(head)
    more = (fields.get("written_ms", 0), fields.get("author", ""), fields.get("last_event"))
    entry = Entry(fields["position"], fields["session"], fields["sequence"], fields["epoch"], body, *more)
    if entry.position != position:
        raise missing()
    return entry


def missing() -> Corrupt:
    """The error of a log with a gap."""
    return Corrupt("An event of this annotation is missing in the store.")
