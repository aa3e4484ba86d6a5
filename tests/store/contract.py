"""What every store must do: the same tests against each of them."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from services.core.errors import InvalidInput, NotFound
from services.store.port import Store


class StoreContract:
    """Subclass it, name the class ``Test…``, and give a fixture ``store``."""

    def test_an_object_is_read_as_it_was_written(self, store: Store) -> None:
        assert store.create("volumes/a/voxels", b"0123456789")
        assert store.read("volumes/a/voxels") == b"0123456789"
        assert store.read("volumes/a/voxels", 3, 4) == b"3456"
        assert store.read("volumes/a/voxels", 8) == b"89"
        assert store.size("volumes/a/voxels") == 10

    def test_an_object_is_written_from_parts(self, store: Store) -> None:
        assert store.create("volumes/a/voxels", iter([b"01", b"", b"23"]))
        assert store.read("volumes/a/voxels") == b"0123"

    def test_a_file_becomes_an_object_and_nothing_else_stays(self, store: Store) -> None:
        with store.scratch() as folder, store.scratch() as other:
            assert folder != other
            (folder / "voxels").write_bytes(b"0123")
            (folder / "rest").write_bytes(b"x")
            assert store.adopt("volumes/a/voxels", folder / "voxels")
            (other / "voxels").write_bytes(b"9")
            assert not store.adopt("volumes/a/voxels", other / "voxels")
        assert not folder.exists()
        assert store.read("volumes/a/voxels") == b"0123"
        assert [key for part in ("volumes", "rest") for key in store.list(part)] == ["volumes/a/voxels"]
        found = store.file("volumes/a/voxels")
        assert found is None or found.read_bytes() == b"0123"
        with pytest.raises(NotFound):
            store.file("volumes/a/none")

    def test_an_object_is_never_overwritten(self, store: Store) -> None:
        assert store.create("a/log/000001", b"first")
        assert not store.create("a/log/000001", b"second")
        assert store.read("a/log/000001") == b"first"

    def test_of_racing_writers_one_wins(self, store: Store) -> None:
        with ThreadPoolExecutor(16) as pool:
            won = list(pool.map(lambda n: store.create("a/log/000001", b"%d" % n), range(16)))
        assert won.count(True) == 1
        assert store.read("a/log/000001") == b"%d" % won.index(True)

    def test_a_failing_source_leaves_nothing(self, store: Store) -> None:
        def parts() -> object:
            yield b"half"
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            store.create("a/b", parts())  # type: ignore[arg-type]
        with pytest.raises(NotFound):
            store.read("a/b")
        assert list(store.list("a")) == []

    def test_keys_are_listed_in_order(self, store: Store) -> None:
        for key in ("a/2", "a/10", "a/b/1", "ab/1"):
            store.create(key, b"")
        assert list(store.list("a")) == ["a/10", "a/2", "a/b/1"]
        assert list(store.list("nothing")) == []

    def test_it_tells_when_objects_were_written(self, store: Store) -> None:
        before = time.time() - 2
        store.create("a/1", b"")
        store.create("a/b/2", b"")
        told = dict(store.written("a"))
        assert list(told) == ["a/1", "a/b/2"]
        assert all(before < ms / 1000 < time.time() + 2 for ms in told.values())
        assert list(store.written("nothing")) == []

    def test_folders_are_listed(self, store: Store) -> None:
        for key in ("a/y/1", "a/x/1", "a/x/2", "a/file"):
            store.create(key, b"")
        assert list(store.folders("a")) == ["x", "y"]
        assert list(store.folders("nothing")) == []

    def test_a_deleted_object_is_gone_and_may_be_made_again(self, store: Store) -> None:
        store.create("a/b", b"1")
        store.delete("a/b")
        store.delete("a/b")
        with pytest.raises(NotFound):
            store.size("a/b")
        assert list(store.folders("a")) == []
        assert store.create("a/b", b"2")

    @pytest.mark.parametrize(
        "key", ["", "/a", "a/", "../a", "a/../b", "a//b", ".a", "a/.b", "a\\b", "a b", "a\n", "ä", "a\0"]
    )
    def test_no_key_leads_out_of_the_store(self, store: Store, key: str) -> None:
        with pytest.raises(InvalidInput):
            store.create(key, b"")
        with pytest.raises(InvalidInput):
            store.read(key)

    def test_it_answers_a_check(self, store: Store) -> None:
        store.check()
