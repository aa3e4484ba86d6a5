"""The journals of a tablet together take no more than they may, and lose nothing of what they took."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tablet_client.state.document import Event
from tablet_client.state.journal import Journal, JournalError, JournalFull


def bytes_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*.journal"))


def filled(journal: Journal, body: bytes = b"x" * 100) -> int:
    """Append until it is full. Returns: how many it took."""
    first = journal.next_sequence
    for sequence in count(first):
        try:
            journal.append(Event(sequence, body))
        except JournalFull:
            break
    return journal.next_sequence - first


def test_a_full_journal_keeps_what_it_has_and_takes_more_when_it_may(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "a", limit_bytes=2000)
    taken = filled(journal)
    assert taken > 10
    assert bytes_of(tmp_path) <= 2000
    assert [event.sequence for event in Journal(tmp_path, "a").waiting] == list(range(1, taken + 1))
    journal.limit_bytes = 4000
    assert filled(journal) > 10
    assert bytes_of(tmp_path) <= 4000


def test_the_journals_of_other_annotations_count(tmp_path: Path) -> None:
    alone = filled(Journal(tmp_path, "a", limit_bytes=3000))
    assert filled(Journal(tmp_path, "b", limit_bytes=3000)) == 0
    assert alone > 20
    assert 0 < filled(Journal(tmp_path, "b", limit_bytes=4500)) < alone


@given(taken=st.integers(0, 40))
def test_what_the_server_has_makes_room(tmp_path_factory: pytest.TempPathFactory, taken: int) -> None:
    folder = tmp_path_factory.mktemp("journal")
    journal = Journal(folder, "a", limit_bytes=2000)
    number = filled(journal)
    session, taken = journal.session_id, min(taken, number)
    journal.forget(taken)
    assert filled(journal) >= taken
    assert bytes_of(folder) <= 2000
    again = Journal(folder, "a")
    assert again.session_id == session
    assert [e.sequence for e in again.waiting] == list(range(taken + 1, journal.next_sequence))
    assert again.next_sequence == journal.next_sequence


def test_a_full_journal_is_an_error_of_the_journal() -> None:
    assert issubclass(JournalFull, JournalError)  # whoever waits for the disk to take an event waits for this too
