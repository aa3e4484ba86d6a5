"""What nothing points to goes after a time, and nothing else does, whoever works meanwhile."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest

from services.core.errors import NotFound, Unavailable
from services.core.volume import Volume, grey_map, intensity_window
from services.store import records, segments
from services.store.annotations import PAPER_LABELS, Annotations
from services.store.catalogue import Catalogue, VolumeRecord
from services.store.directory import DirectoryStore
from services.store.layout import LAYOUT, check_layout, settle_layout
from services.store.tidy import Tidied, tidy
from tests.phantoms import oblique_phantom

DAY_MS = 86_400_000
PHANTOM = oblique_phantom((3, 8, 9))


class Watched(DirectoryStore):
    """A store in which something happens just before an object is created."""

    before: Callable[[str], None] = staticmethod(lambda key: None)

    def create(self, key: str, data: bytes | Iterable[bytes]) -> bool:
        self.before(key)
        return super().create(key, data)


@pytest.fixture
def store(tmp_path: Path) -> Watched:
    return Watched(tmp_path)


def keep(store: DirectoryStore, volume: Volume = PHANTOM) -> VolumeRecord:
    window, grey = intensity_window(volume), grey_map(volume)
    return Catalogue(store).add(volume, name="x", imported_ms=1, window=window, grey=grey, thumbnail=b"")


def days_pass(store: DirectoryStore, days: float) -> None:
    """Everything in the store is older by some days."""
    for file in store.root.rglob("*"):
        if file.is_file():
            old = file.stat().st_mtime - days * DAY_MS / 1000
            os.utime(file, (old, old))


def tidied(store: DirectoryStore) -> Tidied:
    return tidy(store, now_ms=time.time_ns() // 1_000_000, keep_ms=7 * DAY_MS)


def keys(store: DirectoryStore) -> list[str]:
    parts = ("volumes", "annotations", "uploads", "models", "probe", "condemned")
    return [key for part in parts for key in store.list(part)]


def test_nothing_that_is_named_ever_goes(store: Watched) -> None:
    record = keep(store)
    annotations = Annotations(store)
    annotation_id = annotations.create(record.volume_id, name="x", labels=PAPER_LABELS, created_ms=1).annotation_id
    annotations.log(annotation_id).begin("a")
    annotations.put_blob(annotation_id, np.ones((3, 8, 9), bool))
    for key in ("uploads/u/000000/file.json", "models/files/d"):
        store.create(key, b"x")
    before = keys(store)
    for _ in range(3):
        assert tidied(store) == Tidied()
        days_pass(store, 30)
    assert keys(store) == before


LEFTOVERS = [
    "volumes/a/voxels",
    "volumes/a/voxels-1",
    "annotations/gone/x/heads/000001",
    "annotations/gone/x/log/000000000001",
    "probe/1/object",
]


def test_what_nothing_points_to_goes_when_it_was_found_twice(store: Watched) -> None:
    record = keep(store)
    before = keys(store)
    left = [*LEFTOVERS, f"volumes/{record.volume_id}/voxels-1", f"annotations/{record.volume_id}/headless/blobs/1"]
    for key in left:
        store.create(key, b"x")
    days_pass(store, 1)
    assert tidied(store) == Tidied(condemned=len(left))
    days_pass(store, 6.9)
    assert tidied(store) == Tidied(condemned=len(left))
    assert set(left) < set(keys(store))
    days_pass(store, 0.2)
    assert tidied(store) == Tidied(removed=len(left))
    assert keys(store) == before
    assert tidied(store) == Tidied()


def test_what_a_reader_may_hold_and_an_upload_in_progress_stay(store: Watched) -> None:
    """Somebody reads by a record that has given way to one that names other voxels; somebody sends a part now and then."""
    record = keep(store)
    reader, key = Catalogue(store), f"volumes/{record.volume_id}"
    data = records.encode(records.decode(store.read(f"{key}/volume.json")) | {"content": "voxels-1"})
    store.create(f"{key}/voxels-1", store.read(f"{key}/voxels"))
    store.delete(f"{key}/volume.json")
    store.create(f"{key}/volume.json", data)
    parts = [f"uploads/u/000000/parts/{number:015d}" for number in range(3)]
    for part, days in zip(parts, (1, 3.5, 3.4)):
        store.create(part, b"x")
        days_pass(store, days)
        tidied(store)
        assert np.array_equal(reader.slice(record, 1), PHANTOM.voxels[1])
    days_pass(store, 0.2)
    assert tidied(store).removed == 1
    with pytest.raises(NotFound):
        reader.slice(record, 1)
    assert np.array_equal(reader.load(reader.get(record.volume_id)).voxels, PHANTOM.voxels)
    assert list(store.list("uploads")) == parts


def test_what_is_newer_than_the_note_stays(store: Watched) -> None:
    store.create("volumes/a/voxels", b"x")
    days_pass(store, 1)
    tidied(store)
    days_pass(store, 8)
    store.create("volumes/a/voxels-1", b"x")
    assert tidied(store).removed == 1
    assert list(store.list("volumes")) == ["volumes/a/voxels-1"]


def test_what_is_named_again_is_forgotten(store: Watched) -> None:
    """As while the record of a volume is mended."""
    record = keep(store)
    data = store.read(f"volumes/{record.volume_id}/volume.json")
    store.delete(f"volumes/{record.volume_id}/volume.json")
    days_pass(store, 1)
    assert tidied(store).condemned == 1
    store.create(f"volumes/{record.volume_id}/volume.json", data)
    days_pass(store, 8)
    assert tidied(store) == Tidied()
    assert list(store.list("condemned")) == []
    assert np.array_equal(Catalogue(store).load(record).voxels, PHANTOM.voxels)


@pytest.mark.parametrize("moment", ["voxels", "volume.json"])
def test_an_import_over_remains_that_go_is_whole(store: Watched, moment: str) -> None:
    """The remains go just before, or just after, the import has written its own voxels."""
    record = keep(store)
    store.delete(f"volumes/{record.volume_id}/volume.json")
    days_pass(store, 1)
    tidied(store)
    days_pass(store, 8)
    gone: list[int] = []

    def before(key: str) -> None:
        if key.endswith(moment) and not gone:
            gone.append(0)
            gone[0] = tidied(store).removed

    store.before = before
    again = keep(store)
    assert gone == [1]
    assert np.array_equal(Catalogue(store).load(again).voxels, PHANTOM.voxels)
    days_pass(store, 8)
    assert tidied(store) == Tidied()


def test_old_events_are_moved_and_a_damaged_log_is_named(store: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "ENTRIES", 2)
    monkeypatch.setattr(segments, "KEPT", 1)
    record = keep(store)
    annotations = Annotations(store)
    ids = [annotations.create(record.volume_id, name=n, labels=PAPER_LABELS, created_ms=1).annotation_id for n in "ab"]
    for annotation_id in ids:
        log = annotations.log(annotation_id)
        log.begin("a")
        for sequence in range(1, 5):
            log.append(
                "a", sequence, b"", bytes.fromhex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
            )
    volume, _, name = ids[0].partition("-")
    (store.root / "annotations" / volume / name / "log" / "000000000003").write_bytes(b"?")
    assert tidied(store) == Tidied(moved=3, damaged=[ids[0]])
    assert annotations.log(ids[1]).length == 5
    annotations.delete(ids[1])
    assert [key for key in keys(store) if ids[1].partition("-")[2] in key] == []


def test_a_store_says_its_layout_and_a_newer_one_is_refused(store: Watched) -> None:
    check_layout(store)
    settle_layout(store)
    settle_layout(store)
    assert list(store.list("layout")) == [f"layout/{LAYOUT:06d}"]
    store.create(f"layout/{LAYOUT + 1:06d}", b"")
    for refusing in (check_layout, settle_layout):
        with pytest.raises(Unavailable, match=f"layout {LAYOUT + 1}"):
            refusing(store)


def test_a_record_of_before_names_its_voxels(store: Watched) -> None:
    record = keep(store)
    key = f"volumes/{record.volume_id}/volume.json"
    fields = records.decode(store.read(key))
    del fields["content"]
    store.delete(key)
    store.create(key, json.dumps(fields, indent=1).encode())
    assert Catalogue(store).get(record.volume_id) == record
    with pytest.raises(NotFound):
        Catalogue(store).get("other")
