"""``calque audit``: what was done in a store, by whom, and whether the record of it is whole."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from services.cli.store import store_at
from services.cli.words import printable, tell
from services.core.errors import Corrupt
from services.formats.dicom_audit import audit_message
from services.formats.volume_file import refuse_existing, whole_file
from services.store.audit import Record, Trail


def verify(store: str | None, noted: str) -> None:
    """Walk the whole trail. Raises: Corrupt, where it is broken or does not have the digest that was noted."""
    newest, seen = None, not noted
    for newest in Trail(store_at(store)).records():
        seen = seen or newest.digest == noted
    if not seen:
        raise Corrupt("The audit trail is whole in itself, but no record has the digest that was noted: some were cut off.")
    if newest is None:
        print("The audit trail is empty.")
    else:
        print(f"The audit trail is whole: {newest.number} records, the newest of {_when(newest)}.")
        print(f"To find out later whether records were cut off, note: {newest.digest}")


def show(store: str | None) -> None:
    """Print a line a record. Raises: Corrupt, where it is broken, after what is before."""
    for record in Trail(store_at(store)).records():
        print(printable(_line(record)))


def export(store: str | None, target: Path, *, force: bool) -> None:
    """Write the whole trail as DICOM audit messages, a line each.

    Raises:
        InvalidInput: ``target`` is there.
        Corrupt: the trail is broken; nothing is left then.
    """
    if not force:
        refuse_existing(target)
    number = 0
    with whole_file(target, force) as out:
        for record in Trail(store_at(store)).records():
            out.write(audit_message(record.event) + b"\n")
            number = record.number
    tell([f"Wrote {target.name}: {number} DICOM audit messages, one a line."])


def _line(record: Record) -> str:
    event, subject = record.event, record.event.subject
    told = [subject.annotation_id or subject.volume_id, f"mask {subject.mask}" if subject.mask else "", subject.form]
    told += [f"by {event.user} from {event.peer or '?'} on {event.server}", "" if event.done else "FAILED"]
    return "  ".join([f"{record.number:6}", _when(record), event.action.value, *filter(None, told)])


def _when(record: Record) -> str:
    return f"{datetime.fromtimestamp(record.event.time_ms / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"
