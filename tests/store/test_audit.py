"""The audit trail: a chain that several servers append to, and in which nothing can be changed unseen."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner

from services.cli.main import app
from services.core.audit import Action, Event, Subject
from services.core.errors import Corrupt, InvalidInput, Unavailable
from services.store.audit import START, Trail
from services.store.directory import DirectoryStore
from services.store.port import Store
from services.store.s3 import S3Store
from tests.s3 import bucket_of


def event(number: int = 1) -> Event:
    subject = Subject("v" * 32, f"{'v' * 32}-{'a' * 32}", mask=number)
    return Event(uuid4().hex, 1_700_000_000_000 + number, Action.MASK_SAVE, True, "local", "192.0.2.7", "ward-3", subject)


@pytest.fixture(params=["directory", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "directory":
        yield DirectoryStore(tmp_path)
    else:
        with bucket_of(request.getfixturevalue("s3"), tmp_path) as bucket:
            yield S3Store(bucket)


def test_servers_that_append_at_once_make_one_chain(store: Store) -> None:
    servers = [Trail(store) for _ in range(3)]
    events = [event(number) for number in range(24)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda n: servers[n % 3].append(events[n]), range(len(events))))
    servers[0].append(last := event(99))
    records = list(Trail(store).records())
    assert [record.number for record in records] == list(range(1, 26))
    assert [record.previous for record in records] == [START, *(record.digest for record in records[:-1])]
    assert {record.event for record in records[:-1]} == set(events)
    assert records[-1].event == last


class Forgetful(DirectoryStore):
    """Makes an object, and its reply is lost."""

    lost = 0

    def create(self, key: str, data: object) -> bool:
        made = super().create(key, data)  # type: ignore[arg-type]
        if self.lost:
            self.lost -= 1
            raise Unavailable("The store does not answer.")
        return made


def test_an_event_whose_reply_was_lost_is_there_once(tmp_path: Path) -> None:
    store = Forgetful(tmp_path)
    trail, first = Trail(store), event()
    store.lost = 1
    with pytest.raises(Unavailable):
        trail.append(first)
    trail.append(first)
    trail.append(event(2))
    assert [record.event.subject.mask for record in trail.records()] == [1, 2]


def _path(root: Path, number: int) -> Path:
    return root / "audit" / "000000" / f"{number:09d}"


def flip(root: Path) -> None:
    data = bytearray(_path(root, 3).read_bytes())
    data[40] ^= 1
    _path(root, 3).write_bytes(data)


def rewrite(root: Path) -> None:
    """A forger who knows the form."""
    line = _path(root, 3).read_bytes().partition(b"\n")[0].replace(b"192.0.2.7", b"192.0.2.8")
    _path(root, 3).write_bytes(line + b"\n" + hashlib.sha256(line).hexdigest().encode() + b"\n")


def swap(root: Path) -> None:
    third, fourth = _path(root, 3).read_bytes(), _path(root, 4).read_bytes()
    _path(root, 3).write_bytes(fourth)
    _path(root, 4).write_bytes(third)


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (flip, "record 3 is damaged"),
        (rewrite, "record 4 does not follow"),
        (lambda root: _path(root, 3).unlink(), "record 3 is missing"),
        (lambda root: _path(root, 1).unlink(), "record 1 is missing"),
        (swap, "record 3 is not there, but another one"),
        (lambda root: _path(root, 5).write_bytes(b""), "record 5 is damaged"),
    ],
)
def test_the_first_broken_record_is_named(tmp_path: Path, spoil: Callable[[Path], None], told: str) -> None:
    trail = Trail(DirectoryStore(tmp_path))
    for number in range(5):
        trail.append(event(number))
    assert said(tmp_path, "verify").startswith("The audit trail is whole: 5 records")
    spoil(tmp_path)
    with pytest.raises(Corrupt, match=told):
        said(tmp_path, "verify")
    trail.append(event(6))  # the services go on
    Trail(DirectoryStore(tmp_path)).append(event(7))
    with pytest.raises(Corrupt, match=told):
        said(tmp_path, "verify")


def said(store: Path, *arguments: str) -> str:
    done = CliRunner().invoke(app, ["audit", *arguments, "--store", str(store)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_records_that_were_cut_off_are_missed_by_a_noted_digest(tmp_path: Path) -> None:
    assert "empty" in said(tmp_path, "verify")
    trail = Trail(DirectoryStore(tmp_path))
    for number in range(3):
        trail.append(event(number))
    noted = said(tmp_path, "verify").split()[-1]
    trail.append(event(4))
    assert "4 records" in said(tmp_path, "verify", "--noted", noted)
    for number in (3, 4):
        _path(tmp_path, number).unlink()
    assert "2 records" in said(tmp_path, "verify")
    with pytest.raises(Corrupt, match="cut off"):
        said(tmp_path, "verify", "--noted", noted)


def test_the_list_tells_who_did_what_when_and_from_where(tmp_path: Path) -> None:
    trail = Trail(DirectoryStore(tmp_path))
    trail.append(event(7))
    (line,) = said(tmp_path, "list").splitlines()
    for told in ("2023-11-14 22:13:20 UTC", "mask.save", f"{'v' * 32}-{'a' * 32}", "mask 7", "local", "192.0.2.7"):
        assert told in line
    assert "FAILED" not in line


def test_the_trail_is_exported_whole_or_not_at_all(tmp_path: Path) -> None:
    store, out = tmp_path / "store", tmp_path / "audit.xml"
    trail = Trail(DirectoryStore(store))
    for number in range(3):
        trail.append(event(number + 1))
    assert "3 DICOM audit messages" in said(store, "export", "--dicom", str(out))
    messages = [ElementTree.fromstring(line) for line in out.read_bytes().splitlines()]
    assert [(one.tag, one[0][0].get("csd-code")) for one in messages] == [("AuditMessage", "110103")] * 3
    with pytest.raises(InvalidInput):
        said(store, "export", "--dicom", str(out))
    out.unlink()
    flip(store)
    with pytest.raises(Corrupt, match="record 3"):
        said(store, "export", "--dicom", str(out))
    assert list(tmp_path.iterdir()) == [store]


def test_a_server_that_starts_finds_the_newest_of_many(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    trail = Trail(store)
    trail._newest = (998, START)  # as if so many were there
    for number in range(3):
        trail.append(event(number))
    Trail(store).append(event(4))
    assert list(store.list("audit")) == [
        "audit/000000/000000999",
        "audit/000001/000001000",
        "audit/000001/000001001",
        "audit/000001/000001002",
    ]
    before, newest = (tmp_path / "audit" / "000001" / f"{number:09d}" for number in (1001, 1002))
    assert hashlib.sha256(before.read_bytes().partition(b"\n")[0]).hexdigest() in newest.read_text()
