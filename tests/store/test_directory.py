from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.core.errors import TooLarge, Unavailable
from services.store.directory import DirectoryStore
from tests.store.contract import StoreContract


class TestDirectoryStore(StoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> DirectoryStore:
        return DirectoryStore(tmp_path / "store")


def test_the_object_is_synced_before_its_name_and_its_folder_after(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = DirectoryStore(tmp_path)
    (tmp_path / "a").mkdir()
    order: list[str] = []
    fsync, link = os.fsync, os.link

    def note_fsync(descriptor: int) -> None:
        order.append("folder" if os.path.isdir(f"/proc/self/fd/{descriptor}") else "file")
        fsync(descriptor)

    def note_link(source: Path, target: str, **where: int) -> None:
        order.append("link")
        link(source, target, **where)

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(os, "link", note_link)
    assert store.create("a/b", b"1")
    assert order == ["file", "link", "folder"]
    with store.scratch() as folder:
        (folder / "c").write_bytes(b"2")
        assert store.adopt("a/c", folder / "c")
    assert order == 2 * ["file", "link", "folder"]


class TestDirectoryStoreWithoutUnnamedFiles(StoreContract):
    """As on NFS and macOS."""

    @pytest.fixture
    def store(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DirectoryStore:
        monkeypatch.delattr(os, "O_TMPFILE", raising=False)
        return DirectoryStore(tmp_path / "store")


def test_an_object_has_no_other_name_and_a_killed_writer_leaves_nothing(tmp_path: Path) -> None:
    store, seen = DirectoryStore(tmp_path), []
    if not store._unnamed:
        pytest.skip("The file system of temporary files has no files without a name.")

    def parts() -> Iterator[bytes]:
        yield b"1"
        seen.extend(path for path in tmp_path.rglob("*") if path.is_file())

    store.create("a/b", parts())
    assert seen == []
    assert (tmp_path / "a" / "b").stat().st_nlink == 1
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o666 & ~umask()


def umask() -> int:
    now = os.umask(0)
    os.umask(now)
    return now


def test_scratch_folders_of_the_dead_are_swept_at_the_start(tmp_path: Path) -> None:
    store, dead = DirectoryStore(tmp_path), tmp_path / ".tmp" / "dead"
    dead.mkdir()
    (dead / "voxels").write_bytes(b"left behind")
    with store.scratch() as alive:
        (alive / "voxels").write_bytes(b"in work")
        DirectoryStore(tmp_path).check()
        assert list((tmp_path / ".tmp").iterdir()) == [alive]
        assert (alive / "voxels").read_bytes() == b"in work"


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = DirectoryStore(tmp_path)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(TooLarge, match="no room"):
        store.create("a/b", b"1")
    monkeypatch.undo()
    assert list(store.list("a")) == []
    assert list((tmp_path / ".tmp").iterdir()) == []


def test_a_store_that_cannot_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable):
        DirectoryStore(tmp_path / "file" / "store")
