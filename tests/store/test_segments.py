"""Old entries move into segments while others read and write: nothing is lost, and who was taken over writes nothing."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.core.errors import CalqueError, Conflict, Corrupt, Unavailable
from services.store import segments
from services.store.directory import DirectoryStore
from services.store.log import Log, summary
from services.store.segments import compact

A, B = "session-a", "session-b"


class Failing(DirectoryStore):
    """A store whose next replies to `create` are lost, and whose deletes stop after a while."""

    lost = 0
    deletes = 1_000_000

    def create(self, key: str, data: bytes | Iterable[bytes]) -> bool:
        won = super().create(key, data)
        if self.lost:
            self.lost -= 1
            raise Unavailable("The reply is lost.")
        return won

    def delete(self, key: str) -> None:
        if not self.deletes:
            raise Unavailable("The store has gone.")
        self.deletes -= 1
        super().delete(key)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Failing:
    monkeypatch.setattr(segments, "ENTRIES", 4)
    monkeypatch.setattr(segments, "KEPT", 4)
    return Failing(tmp_path)


def put(log: Log, session: str, sequence: int, body: bytes = b"x") -> int:
    return log.append(session, sequence, body, hashlib.sha256(body).digest(), sequence)


def drawn(store: DirectoryStore, count: int) -> Log:
    """A log of two sessions: A wrote ``count`` events, then B as many."""
    log = Log(store, "log")
    for session in (A, B):
        log.begin(session)
        for sequence in range(1, count + 1):
            put(log, session, sequence, f"{session} {sequence}".encode())
    return log


def positions(store: DirectoryStore) -> list[int]:
    return [int(key.rpartition("/")[2]) for key in store.list("log")]


def test_a_log_reads_as_before(store: Failing) -> None:
    log = drawn(store, 9)
    before, told = Log(store, "log").entries, summary(store, "log")
    assert compact(store, "log") == 14
    assert positions(store) == [1, 11, *range(17, 21)]  # begun twice, and the end
    assert len(list(store.list("log-segments"))) == 4
    assert Log(store, "log").entries == before == log.entries
    assert summary(store, "log") == told
    assert compact(store, "log") == 0
    assert put(log, B, 10) == 21
    late = Log(store, "log")
    late.entries[:] = []
    late.refresh()
    assert [entry.position for entry in late.entries] == list(range(1, 22))


def test_a_short_log_stays_as_it_is(store: Failing) -> None:
    drawn(store, 3)
    assert len(positions(store)) == 8
    assert compact(store, "log") == 3
    assert positions(store) == [1, 5, 6, 7, 8]


def test_the_last_event_is_found_in_a_segment(store: Failing) -> None:
    log = drawn(store, 3)
    for _ in range(9):
        log.begin(A)
    told = summary(store, "log")
    assert compact(store, "log") == 6
    assert summary(store, "log") == told
    assert (told.length, told.events, told.changed_ms) == (17, 6, 3)


def test_what_stopped_half_way_goes_on(store: Failing) -> None:
    before = drawn(store, 9).entries
    store.deletes = 5
    with pytest.raises(Unavailable):
        compact(store, "log")
    assert Log(store, "log").entries == before
    store.deletes = 1_000_000
    assert compact(store, "log") == 9
    assert Log(store, "log").entries == before


def test_who_knows_little_of_a_log_begins_at_its_end(store: Failing) -> None:
    log = Log(store, "log")
    log.begin(A)
    put(log, A, 1)
    early = Log(store, "log")
    for sequence in range(2, 20):
        put(log, A, sequence)
    compact(store, "log")
    early.begin(B)
    assert put(early, B, 1) == 22
    with pytest.raises(Conflict):
        put(log, A, 20)
    assert [entry.epoch for entry in Log(store, "log").entries] == [1] * 20 + [2, 2]
    assert 3 not in positions(store)


def test_who_was_taken_over_writes_nothing(store: Failing) -> None:
    early = Log(store, "log")
    early.begin(A)
    late = Log(store, "log")
    late.begin(B)
    for sequence in range(1, 20):
        put(late, B, sequence)
    compact(store, "log")
    with pytest.raises(Conflict):
        put(early, A, 1)
    assert Log(store, "log").entries == late.entries == early.entries


def test_an_event_in_doubt_is_looked_for(store: Failing) -> None:
    early = Log(store, "log")
    early.begin(A)
    store.lost = 1
    with pytest.raises(Unavailable):
        put(early, A, 1, b"x")
    late = Log(store, "log")
    late.begin(B)
    for sequence in range(1, 20):
        put(late, B, sequence)
    compact(store, "log")
    with pytest.raises(Conflict):  # other content under the same number must not take the place that became free
        put(early, A, 1, b"y")
    assert put(early, A, 1, b"x") == 2
    assert Log(store, "log").entries == late.entries


@pytest.mark.parametrize("damage", ["flip", "remove"])
def test_damage_is_found(store: Failing, tmp_path: Path, damage: str) -> None:
    drawn(store, 9)
    compact(store, "log")
    file = tmp_path / "log-segments" / "000000001"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data) if damage == "flip" else file.unlink()
    with pytest.raises(Corrupt):
        Log(store, "log")


def test_a_damaged_entry_is_not_moved(store: Failing, tmp_path: Path) -> None:
    drawn(store, 9)
    file = tmp_path / "log" / "000000000006"
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    with pytest.raises(Corrupt):
        compact(store, "log")
    assert positions(store) == list(range(1, 21))


@pytest.mark.parametrize("moment", [1, 2])
def test_a_reader_is_overtaken(store: Failing, monkeypatch: pytest.MonkeyPatch, moment: int) -> None:
    """Everything moves between what a reader lists first and second, or after that."""
    before, listed = drawn(store, 9).entries, 0
    real = store.list

    def then_move(prefix: str) -> list[str]:
        nonlocal listed
        found, listed = list(real(prefix)), listed + 1
        if listed == moment:
            compact(store, "log")
        return found

    monkeypatch.setattr(store, "list", then_move)
    assert Log(store, "log").entries == before


def test_one_reads_and_one_writes_while_two_move(store: Failing) -> None:
    log, ended = Log(store, "log"), threading.Event()
    log.begin(A)

    def move() -> int:
        removed = 0
        while not ended.is_set():
            removed += compact(store, "log")
        return removed + compact(store, "log")

    def read() -> int:
        times, length = 0, 0
        while not ended.is_set():
            entries = Log(store, "log").entries
            assert [entry.position for entry in entries] == list(range(1, len(entries) + 1))
            assert len(entries) >= length
            assert summary(store, "log").length >= len(entries)
            times, length = times + 1, len(entries)
        return times

    with ThreadPoolExecutor(3) as pool:
        movers, reader = [pool.submit(move) for _ in range(2)], pool.submit(read)
        try:
            for sequence in range(1, 200):
                put(log, A, sequence)
        finally:
            ended.set()
        assert sum(mover.result() for mover in movers) >= 195
        assert reader.result() > 3
    assert Log(store, "log").entries == log.entries


ACTIONS = ["a writes", "b writes", "a again", "b again", "a begins", "b begins", "a looks", "b looks", "a lost", "b lost"]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(actions=st.lists(st.sampled_from([*ACTIONS, "all compact"]), min_size=5, max_size=40))
def test_whatever_happens_each_acknowledged_event_is_there_once(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, actions: list[str]
) -> None:
    monkeypatch.setattr(segments, "ENTRIES", 2)
    monkeypatch.setattr(segments, "KEPT", 1)
    store = Failing(tmp_path_factory.mktemp("store"))
    logs = {A: Log(store, "log"), B: Log(store, "log")}
    acknowledged: dict[tuple[str, int], int] = {}
    for action in actions:
        who, what = action.split(" ")
        session = A if who == "a" else B
        log = logs[session]
        if what == "compact":
            compact(store, "log")
        elif what == "looks":
            log.refresh()
        else:
            store.lost = what == "lost"
            sequence = log.next_sequence(session) - (what == "again")
            try:
                if what == "begins":
                    log.begin(session)
                elif sequence:
                    position = put(log, session, sequence, f"{session} {sequence}".encode())
                    assert acknowledged.setdefault((session, sequence), position) == position
            except CalqueError:
                store.lost = 0
    entries = Log(store, "log").entries
    kept = {(entry.session_id, entry.sequence): entry.position for entry in entries if entry.sequence}
    assert len(kept) == sum(1 for entry in entries if entry.sequence)
    assert acknowledged.items() <= kept.items()
    assert [entry.epoch for entry in entries] == sorted(entry.epoch for entry in entries)
