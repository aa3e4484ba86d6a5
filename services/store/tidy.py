"""Keeping a store tidy: old events go into segments, and what nothing points to goes for good.

Nothing points to: objects of a volume that has no record, or that its record does not name; all of an annotation that has
no head; the annotations of a volume without a record; and what the start-up probe of an S3 store left. Such things stay
when an import breaks off or a deletion stops half way.

Others work meanwhile, and a volume's record is away for a moment while it is mended. So nothing goes that was not found
twice, with a time between: a note under ``condemned/`` says since when the objects of a folder have been found, and only
what was written before the note goes, once the note is old enough. Whoever makes a record or a head names in it only what
was named already or what they just wrote themselves; that is younger than any note. And a server that read a record before
it went has the same time to be done with what it names.

Uploads have a time of their own (``CALQUE_UPLOAD_HOURS``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import structlog

from services.core.errors import Corrupt, NotFound
from services.store.catalogue import Catalogue
from services.store.port import Store
from services.store.segments import compact

log = structlog.get_logger()

_NOTES = "condemned"


@dataclass
class Tidied:
    """What came of it: events moved into segments, objects removed, and those that will be when their time has come."""

    moved: int = 0
    removed: int = 0
    condemned: int = 0
    damaged: list[str] = field(default_factory=list)
    """Annotations whose logs are damaged and stay as they are."""


def tidy(store: Store, *, now_ms: int, keep_ms: int) -> Tidied:
    """Tidy a store once. Blocks, while others use it; two at once do no harm.

    Args:
        store: which.
        now_ms: milliseconds since 1970, UTC.
        keep_ms: how long what nothing points to is kept after it was found.
    """
    done = Tidied()
    _compact(store, done)
    found = {folder: objects for folder, objects in _unnamed(store) if objects}
    for note, since_ms in list(store.written(_NOTES)):
        folder = note.removeprefix(f"{_NOTES}/").replace(".", "/")
        old = [key for key, written_ms in found.pop(folder, ()) if written_ms < since_ms]
        if old and now_ms - since_ms < keep_ms:
            done.condemned += len(old)
            continue
        for key in old:
            store.delete(key)
        done.removed += len(old)
        store.delete(note)
    for folder, objects in found.items():
        store.create(f"{_NOTES}/{folder.replace('/', '.')}", b"")
        done.condemned += len(objects)
    return done


def _compact(store: Store, done: Tidied) -> None:
    """Move the old events of all annotations into segments."""
    for volume in store.folders("annotations"):
        for name in store.folders(f"annotations/{volume}"):
            try:
                done.moved += compact(store, f"annotations/{volume}/{name}/log")
            except NotFound:  # being deleted
                continue
            except Corrupt:
                log.error("the log of an annotation is damaged", annotation=f"{volume}-{name}")
                done.damaged.append(f"{volume}-{name}")


def _unnamed(store: Store) -> Iterator[tuple[str, list[tuple[str, int]]]]:
    """Folders, and the objects below them that nothing points to, with when they were written."""
    recorded = set()
    for volume in store.folders("volumes"):
        objects = list(store.written(f"volumes/{volume}"))  # before the record: what is new in it is not among them
        try:
            named = {"volume.json", Catalogue(store).get(volume).content}
            recorded.add(volume)
        except NotFound:
            named = set()
        except Corrupt:  # it may name any of them
            recorded.add(volume)
            continue
        yield f"volumes/{volume}", [one for one in objects if one[0].rpartition("/")[2] not in named]
    for volume in store.folders("annotations"):
        for name in store.folders(f"annotations/{volume}"):
            folder = f"annotations/{volume}/{name}"
            objects = list(store.written(folder))
            if volume not in recorded or not any(key.startswith(f"{folder}/heads/") for key, _ in objects):
                yield folder, objects
    yield "probe", list(store.written("probe"))
