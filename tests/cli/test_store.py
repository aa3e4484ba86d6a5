"""Where the store is that a command is told: a folder, or a bucket."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from services.cli.models import list_models
from services.cli.serve import load_settings
from services.cli.store import kept_tidy, open_store, store_at, tidy_store
from services.core.errors import InvalidInput, Unavailable
from services.serving.settings import BucketName
from services.store.directory import DirectoryStore
from services.store.s3 import Bucket
from tests.processes import Serving
from tests.store.bad_s3 import BadS3, Habit, served


def environment(bucket: Bucket) -> dict[str, str]:
    return {
        "CALQUE_STORE": f"s3://{bucket.name}",
        "CALQUE_S3_ENDPOINT": bucket.endpoint,
        "CALQUE_S3_CREDENTIALS": str(bucket.credentials),
    }


def test_a_folder_is_named_by_its_path_and_a_bucket_by_its_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALQUE_STORE", "s3://of-the-environment/")
    assert load_settings().store == BucketName("of-the-environment")
    assert load_settings(store="s3://calque").store == BucketName("calque")
    assert load_settings(store=str(tmp_path)).store == tmp_path
    found = open_store(load_settings(store=str(tmp_path / "made")))
    assert isinstance(found, DirectoryStore)
    assert (tmp_path / "made").is_dir()


@pytest.mark.parametrize(
    "name", ["s3://", "s3:calque", "s3://Calque", "s3://calque/folder", "s3://ca", "s3://key:secret@host"]
)
def test_a_bucket_that_cannot_be_is_told(name: str) -> None:
    with pytest.raises(InvalidInput, match="CALQUE_STORE") as told:
        load_settings(store=name)
    assert "secret" not in str(told.value)


def test_a_bucket_needs_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CALQUE_S3_ENDPOINT", raising=False)
    with pytest.raises(InvalidInput, match="CALQUE_S3_ENDPOINT"):
        open_store(load_settings(store="s3://calque"))


def test_commands_make_no_store(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="no store at"):
        store_at(str(tmp_path / "typo"))
    assert list(tmp_path.iterdir()) == []


def test_a_store_is_tidied(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    DirectoryStore(tmp_path).create("volumes/a/voxels", b"x")
    tidy_store(str(tmp_path), 7)
    assert "Removed 0 objects" in capsys.readouterr().out
    assert list(DirectoryStore(tmp_path).list("condemned")) == ["condemned/volumes.a"]


class Failing(DirectoryStore):
    """A store that is away at first; it tells when something in it is condemned."""

    away, told = True, threading.Event()

    def written(self, prefix: str) -> Iterator[tuple[str, int]]:
        if self.away:
            self.away = False
            raise Unavailable("The store has gone.")
        yield from super().written(prefix)

    def create(self, key: str, data: bytes | Iterable[bytes]) -> bool:
        won = super().create(key, data)
        if key == "condemned/volumes.a":
            self.told.set()
        return won


def test_the_services_keep_their_store_tidy(tmp_path: Path) -> None:
    store = Failing(tmp_path)
    store.create("volumes/a/voxels", b"x")
    with kept_tidy(store, 7, first_s=0, every_s=0.01):
        assert store.told.wait(30)
    assert not store.away


def test_commands_refuse_a_store_of_a_newer_layout(tmp_path: Path) -> None:
    DirectoryStore(tmp_path).create("layout/000099", b"")
    with pytest.raises(Unavailable, match="layout 99"):
        store_at(str(tmp_path))


def test_models_are_those_of_the_bucket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = BadS3()
    bad.objects["models/cards/" + "a" * 64] = b'{"name": "of the bucket"}'
    with served(bad, tmp_path) as bucket:
        for name, value in environment(bucket).items():
            monkeypatch.setenv(name, value)
        list_models(None)
        assert "of the bucket" in capsys.readouterr().out


def test_the_services_refuse_a_server_that_would_lose_data(tmp_path: Path) -> None:
    with served(BadS3(Habit.OVERWRITES), tmp_path) as bucket:
        key = {"CALQUE_PSEUDONYM_KEY": str(tmp_path / "pseudonym.key"), "CALQUE_AUDIT_SPOOL": str(tmp_path / "audit")}
        with Serving(tmp_path, "volumes", "--listen", "127.0.0.1:0", **environment(bucket), **key) as serving:
            assert serving.ended() == 2
        *warnings, last = serving.errors().splitlines()
        assert len(warnings) == 1  # that nothing is encrypted
        assert "would lose data" in last
        assert "If-None-Match" in last


def test_what_is_not_installed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "services.store.s3", None)
    with pytest.raises(Unavailable, match="extra s3"):
        open_store(load_settings(store="s3://calque", s3_endpoint="https://localhost"))
