"""A store copied is the store: a backup, and the way back."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.core.errors import Conflict
from services.store.annotations import PAPER_LABELS, Annotations
from services.store.catalogue import Catalogue
from services.store.copying import FOLDERS, copy
from services.store.directory import DirectoryStore
from services.store.port import Store
from tests.phantoms import oblique_phantom
from tests.served import keep


class Writing(DirectoryStore):
    """A store in which somebody writes an event, and a mask, whenever its keys have been listed."""

    def __init__(self, root: Path, annotation_id: str) -> None:
        super().__init__(root)
        self._annotation_id = annotation_id
        self.written = 0  # type: ignore[assignment]

    def list(self, prefix):
        yield from super().list(prefix)
        other = DirectoryStore(self.root)
        self.written += 1
        write(other, self._annotation_id, f"s{self.written}", b"later")


def write(store: Store, annotation_id: str, session_id: str, body: bytes) -> None:
    import hashlib

    log = Annotations(store).log(annotation_id)
    log.begin(session_id)
    log.append(session_id, 1, body, hashlib.sha256(body).digest())


def everything(store: Store) -> dict[str, bytes]:
    return {key: store.read(key) for folder in FOLDERS for key in store.list(folder)}


@pytest.fixture
def full(tmp_path: Path) -> tuple[DirectoryStore, str]:
    store = DirectoryStore(tmp_path / "one")
    record = keep(store, oblique_phantom((4, 20, 24)))
    made = Annotations(store).create(record.volume_id, name="x", labels=PAPER_LABELS, created_ms=1)
    write(store, made.annotation_id, "a", b"stroke")
    Annotations(store).put_blob(made.annotation_id, oblique_phantom((4, 20, 24)).voxels > 100)
    store.create("uploads/x/parts/1", b"on its way")
    return store, made.annotation_id


def test_a_copy_equals_the_original_and_so_does_what_is_restored(full, tmp_path: Path) -> None:
    store, annotation_id = full
    backup, restored = DirectoryStore(tmp_path / "backup"), DirectoryStore(tmp_path / "restored")
    done = copy(store, backup)
    assert done.copied == len(everything(store))
    assert everything(backup) == everything(store)
    copy(backup, restored)
    assert everything(restored) == everything(store)
    assert [entry.body for entry in Annotations(restored).log(annotation_id).entries if entry.sequence] == [b"stroke"]
    (record,) = Catalogue(restored).list()
    assert (Catalogue(restored).load(record).voxels == oblique_phantom((4, 20, 24)).voxels).all()


def test_a_second_copy_adds_what_is_new(full, tmp_path: Path) -> None:
    store, annotation_id = full
    backup = DirectoryStore(tmp_path / "backup")
    first = copy(store, backup)
    write(store, annotation_id, "b", b"another")
    again = copy(store, backup)
    assert (again.copied, again.there) == (2, first.copied)
    assert everything(backup) == everything(store)


def test_a_copy_of_a_store_at_work_has_no_gap(full, tmp_path: Path) -> None:
    store, annotation_id = full
    backup = DirectoryStore(tmp_path / "backup")
    copy(Writing(store.root, annotation_id), backup)
    bodies = [entry.body for entry in Annotations(backup).log(annotation_id).entries if entry.sequence]
    assert bodies[0] == b"stroke"
    every = [entry.body for entry in Annotations(store).log(annotation_id).entries if entry.sequence]
    assert bodies == every[: len(bodies)]
    assert len(every) > len(bodies)


def test_another_store_is_no_place_for_a_copy(full, tmp_path: Path) -> None:
    store, _ = full
    other = DirectoryStore(tmp_path / "other")
    key = next(store.list("volumes"))
    other.create(key, b"something else")
    with pytest.raises(Conflict, match="something else"):
        copy(store, other)
    assert other.read(key) == b"something else"
