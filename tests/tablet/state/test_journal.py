"""The journal: cut anywhere, full disks, crashes between steps."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tablet_client.state import journal as module
from tablet_client.state.document import Event
from tablet_client.state.journal import Journal, JournalError, waiting_annotations

BODIES = st.lists(st.binary(max_size=30), max_size=6)


def written(folder: Path, bodies) -> Journal:
    journal = Journal(folder, "a")
    for sequence, body in enumerate(bodies, start=1):
        journal.append(Event(sequence, body))
    return journal


def test_reopening_gives_back_session_number_and_events(tmp_path):
    with written(tmp_path, [b"one", b"", b"three"]) as journal:
        session = journal.session_id
    with Journal(tmp_path, "a") as again:
        assert again.session_id == session
        assert again.next_sequence == 4
        assert again.waiting == [(1, b"one"), (2, b""), (3, b"three")]
        again.append(Event(4, b"four"))
    assert Journal(tmp_path, "a").next_sequence == 5


@given(BODIES, st.data())
@settings(max_examples=60, deadline=None)
def test_cut_at_any_byte_a_prefix_of_the_events_comes_back(tmp_path_factory, bodies, data):
    folder = tmp_path_factory.mktemp("journal")
    journal = written(folder, bodies)
    session, content = journal.session_id, journal.path.read_bytes()
    cut = data.draw(st.integers(0, len(content)))
    journal.path.write_bytes(content[:cut])
    with Journal(folder, "a") as again:
        kept = [body for _, body in again.waiting]
        assert kept == bodies[: len(kept)]
        assert again.next_sequence == len(kept) + 1
        if cut == len(content):
            assert kept == bodies
        if kept:
            assert again.session_id == session
        again.append(Event(len(kept) + 1, b"next"))
    with Journal(folder, "a") as third:
        assert [body for _, body in third.waiting] == [*kept, b"next"]


@given(st.lists(st.binary(min_size=1, max_size=20), min_size=1, max_size=5), st.data())
@settings(max_examples=60, deadline=None)
def test_a_flipped_byte_never_comes_back_as_an_event(tmp_path_factory, bodies, data):
    folder = tmp_path_factory.mktemp("journal")
    journal = written(folder, bodies)
    content = bytearray(journal.path.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= 1 << data.draw(st.integers(0, 7))
    journal.path.write_bytes(content)
    kept = [body for _, body in Journal(folder, "a").waiting]
    assert kept == bodies[: len(kept)]
    assert len(kept) < len(bodies)


def test_a_tail_of_zeros_is_no_event_and_is_cut(tmp_path):
    journal = written(tmp_path, [b"one"])
    with open(journal.path, "ab") as file:
        file.write(bytes(4096))
    again = Journal(tmp_path, "a")
    assert again.waiting == [(1, b"one")]
    again.append(Event(2, b"two"))
    assert Journal(tmp_path, "a").waiting == [(1, b"one"), (2, b"two")]
    assert again.path.stat().st_size < 4096


def test_every_event_is_synced_before_append_returns(tmp_path, monkeypatch):
    journal, synced = Journal(tmp_path, "a"), []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda handle: (synced.append(os.fstat(handle).st_size), real(handle)))
    for sequence in (1, 2):
        journal.append(Event(sequence, b"body"))
        assert synced[-1] == journal.path.stat().st_size
    assert len(synced) == 2


def test_acknowledged_events_are_forgotten_and_the_numbers_go_on(tmp_path):
    journal = written(tmp_path, [b"one", b"two", b"three"])
    session, size = journal.session_id, journal.path.stat().st_size
    journal.forget(2)
    assert journal.waiting == [(3, b"three")]
    assert journal.compact(least_bytes=0)
    assert journal.path.stat().st_size < size
    journal.append(Event(4, b"four"))
    again = Journal(tmp_path, "a")
    assert (again.session_id, again.next_sequence, again.waiting) == (session, 5, [(3, b"three"), (4, b"four")])
    again.forget(4)
    assert again.compact(least_bytes=0)
    assert not again.compact(least_bytes=0)
    third = Journal(tmp_path, "a")
    assert (third.session_id, third.next_sequence, third.waiting) == (session, 5, [])


def test_what_the_server_has_does_not_wait_after_a_kill(tmp_path):
    journal = written(tmp_path, [b"one", b"two", b"three"])
    journal.forget(2)  # never closed
    again = Journal(tmp_path, "a")
    assert (again.waiting, again.next_sequence) == ([(3, b"three")], 4)
    assert waiting_annotations(tmp_path) == {"a": 1}


def test_forgetting_waits_for_no_disk_and_a_crash_may_undo_it(tmp_path, monkeypatch):
    journal = written(tmp_path, [b"one"])
    content = journal.path.read_bytes()
    monkeypatch.setattr(os, "fsync", lambda handle: pytest.fail("It waits for the disk."))
    journal.forget(1)
    journal.path.write_bytes(content)
    assert Journal(tmp_path, "a").waiting == [(1, b"one")]


def test_the_file_does_not_grow_for_ever_though_something_always_waits(tmp_path):
    journal, most = written(tmp_path, [bytes(1000)]), 0
    for sequence in range(2, 1001):
        journal.append(Event(sequence, bytes(1000)))
        journal.forget(sequence - 1)
        journal.compact()
        most = max(most, journal.path.stat().st_size)
    assert module.COMPACT_BYTES < most < module.COMPACT_BYTES + 5000
    assert Journal(tmp_path, "a").waiting == [(1000, bytes(1000))]


def test_a_long_journal_is_not_rewritten_at_each_acknowledgement(tmp_path):
    journal = written(tmp_path, [bytes(1000)] * 1000)
    rewritten = 0
    for sequence in range(1, 1001):
        journal.forget(sequence)
        rewritten += journal.compact()
    assert 1 <= rewritten <= 3
    assert journal.path.stat().st_size < 2 * module.COMPACT_BYTES


@given(st.lists(st.one_of(st.binary(max_size=20), st.integers(1, 8)), max_size=12), st.data())
@settings(max_examples=60, deadline=None)
def test_cut_at_any_byte_nothing_comes_back_that_was_forgotten_before_it(tmp_path_factory, steps, data):
    """Bodies are written, numbers forgotten; each step leaves the file at a length at which it is known what waits."""
    folder = tmp_path_factory.mktemp("journal")
    journal = Journal(folder, "a")
    known = {journal.path.stat().st_size: ([], 1)}
    for step in steps:
        if isinstance(step, int):
            journal.forget(min(step, journal.next_sequence - 1))
        else:
            journal.append(Event(journal.next_sequence, step))
        known[journal.path.stat().st_size] = (journal.waiting, journal.next_sequence)
    content = journal.path.read_bytes()
    cut = data.draw(st.integers(min(known), len(content)))
    journal.path.write_bytes(content[:cut])
    again = Journal(folder, "a")
    assert (again.waiting, again.next_sequence) == known[max(length for length in known if length <= cut)]


def test_another_body_takes_an_event_s_place(tmp_path):
    journal = written(tmp_path, [b"one", b"two"])
    journal.append(Event(1, b"empty"))
    for found in (journal, Journal(tmp_path, "a")):
        assert found.waiting == [(1, b"empty"), (2, b"two")]
        assert found.next_sequence == 3


@pytest.mark.parametrize("sequence", [0, 1, 4])
def test_a_number_out_of_order_is_a_mistake(tmp_path, sequence):
    journal = written(tmp_path, [b"one", b"two"])
    journal.forget(1)
    with pytest.raises(ValueError, match="is not the next one"):
        journal.append(Event(sequence, b""))


def test_a_new_session_numbers_anew_what_waits(tmp_path):
    journal = written(tmp_path, [b"one", b"two", b"three"])
    old = journal.session_id
    journal.forget(1)
    new = journal.restart()
    assert new != old
    for found in (journal, Journal(tmp_path, "a")):
        assert (found.session_id, found.waiting) == (new, [(1, b"two"), (2, b"three")])


class FullDisk:
    """A disk that takes ``room`` more bytes, then none."""

    def __init__(self, monkeypatch, room: int) -> None:
        self.room = room
        self._open = open
        monkeypatch.setattr(module, "open", self.open, raising=False)

    def open(self, path, mode):
        file = self._open(path, mode)
        disk = self

        class File:
            def __getattr__(self, name):
                return getattr(file, name)

            def write(self, data):
                file.write(data[: disk.room])
                disk.room, short = disk.room - len(data[: disk.room]), disk.room < len(data)
                file.flush()
                if short:
                    raise OSError(28, "No space left on device")

            def __enter__(self):
                return self

            def __exit__(self, *_):
                file.close()

        return File()


def test_a_full_disk_refuses_the_event_and_keeps_the_others(tmp_path, monkeypatch):
    written(tmp_path, [b"one"]).close()
    disk = FullDisk(monkeypatch, room=10)
    journal = Journal(tmp_path, "a")
    with pytest.raises(JournalError, match="No space left"):
        journal.append(Event(2, b"too much for the disk"))
    assert journal.waiting == [(1, b"one")]
    disk.room = 1000
    journal.append(Event(2, b"two"))
    assert Journal(tmp_path, "a").waiting == [(1, b"one"), (2, b"two")]


def test_a_full_disk_that_cannot_note_what_is_forgotten_loses_nothing(tmp_path, monkeypatch):
    written(tmp_path, [b"one", b"two"]).close()
    disk = FullDisk(monkeypatch, room=5)
    journal = Journal(tmp_path, "a")
    journal.forget(1)
    assert journal.waiting == [(2, b"two")]
    disk.room = 1000
    journal.append(Event(3, b"three"))
    assert Journal(tmp_path, "a").waiting == [(1, b"one"), (2, b"two"), (3, b"three")]  # the server knows the first


def test_a_full_disk_lets_the_old_session_stand(tmp_path, monkeypatch):
    written(tmp_path, [b"one"]).close()
    disk = FullDisk(monkeypatch, room=10)
    journal = Journal(tmp_path, "a")
    session = journal.session_id
    with pytest.raises(JournalError):
        journal.restart()
    assert (journal.session_id, journal.next_sequence) == (session, 2)
    disk.room = 1000
    journal.append(Event(2, b"two"))
    again = Journal(tmp_path, "a")
    assert (again.session_id, again.waiting) == (session, [(1, b"one"), (2, b"two")])


def test_a_folder_that_cannot_be(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(JournalError):
        Journal(tmp_path / "file", "a")


def test_names_stay_in_the_folder(tmp_path):
    with Journal(tmp_path / "journals", "../../etc/x") as journal:
        journal.append(Event(1, b"one"))
        assert journal.path.parent == tmp_path / "journals"
    assert waiting_annotations(tmp_path / "journals") == {"../../etc/x": 1}


def test_the_library_sees_what_waits(tmp_path):
    written(tmp_path, [b"one", b"two"])
    Journal(tmp_path, "b")
    (tmp_path / "c.journal").write_bytes(b"damaged")
    assert waiting_annotations(tmp_path) == {"a": 2}
    assert waiting_annotations(tmp_path / "none") == {}


def test_deleting_leaves_nothing(tmp_path):
    written(tmp_path, [b"one"]).delete()
    assert list(tmp_path.iterdir()) == []


def test_sessions_are_uuids(tmp_path):
    made = uuid.UUID(int=7)
    assert Journal(tmp_path, "a", new_session=lambda: made).session_id == str(made)
