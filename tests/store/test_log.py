from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.core.errors import Conflict, Corrupt, OutOfSequence, Reason
from services.store.directory import DirectoryStore
from services.store.log import Log, Summary, summary

A, B = "session-a", "session-b"


def sha(body: bytes) -> bytes:
    return hashlib.sha256(body).digest()


def put(log: Log, session: str, sequence: int, body: bytes) -> int:
    return log.append(session, sequence, body, sha(body))


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(tmp_path)


def test_events_are_kept_in_order_and_read_again(store: DirectoryStore) -> None:
    log = Log(store, "log")
    log.begin(A)
    assert [put(log, A, n, b"event %d" % n) for n in (1, 2, 3)] == [2, 3, 4]
    again = Log(store, "log")
    assert [entry.body for entry in again.entries] == [b"", b"event 1", b"event 2", b"event 3"]
    assert (again.writer, again.epoch, again.next_sequence(A)) == (A, 1, 4)


def test_the_same_event_again_gets_the_same_position(store: DirectoryStore) -> None:
    log = Log(store, "log")
    log.begin(A)
    assert put(log, A, 1, b"x") == put(log, A, 1, b"x") == 2
    assert log.length == 2


def test_wrong_numbers_and_damage_are_refused(store: DirectoryStore) -> None:
    log = Log(store, "log")
    log.begin(A)
    put(log, A, 1, b"x")
    with pytest.raises(Conflict) as conflict:
        put(log, A, 1, b"y")
    assert conflict.value.reason is Reason.SEQUENCE_CONFLICT
    with pytest.raises(OutOfSequence) as gap:
        put(log, A, 3, b"z")
    assert gap.value.expected == 2
    with pytest.raises(Corrupt) as damage:
        log.append(A, 2, b"z", sha(b"other"))
    assert damage.value.reason is Reason.DIGEST_MISMATCH
    assert Log(store, "log").length == 2


def test_a_writer_that_was_taken_over_writes_nothing(store: DirectoryStore) -> None:
    first, second = Log(store, "log"), Log(store, "log")
    first.begin(A)
    put(first, A, 1, b"mine")
    second.begin(B)
    with pytest.raises(Conflict) as fenced:
        put(first, A, 2, b"late")
    assert fenced.value.reason is Reason.OTHER_WRITER
    put(second, B, 1, b"theirs")
    assert [entry.body for entry in Log(store, "log").entries if entry.sequence] == [b"mine", b"theirs"]


def test_the_same_session_in_another_process_fences_the_first(store: DirectoryStore) -> None:
    first, second = Log(store, "log"), Log(store, "log")
    first.begin(A)
    second.begin(A)
    with pytest.raises(Conflict):
        put(first, A, 1, b"x")
    assert put(second, A, 1, b"x") == 3


def test_an_event_whose_reply_was_lost_is_found_again(store: DirectoryStore) -> None:
    log = Log(store, "log")
    log.begin(A)
    put(log, A, 1, b"x")
    restarted = Log(store, "log")
    assert put(restarted, A, 1, b"x") == 2
    restarted.begin(A)
    assert put(restarted, A, 2, b"y") == 4


@pytest.mark.parametrize("where", [0, 5, -40, -1])
def test_a_flipped_bit_is_found(store: DirectoryStore, tmp_path: Path, where: int) -> None:
    log = Log(store, "log")
    log.begin(A)
    put(log, A, 1, b"something that was drawn")
    file = tmp_path / "log" / "000000000002"
    data = bytearray(file.read_bytes())
    data[where] ^= 1
    file.write_bytes(data)
    with pytest.raises(Corrupt):
        Log(store, "log")


def test_a_missing_entry_is_found(store: DirectoryStore) -> None:
    log = Log(store, "log")
    log.begin(A)
    for n in (1, 2, 3):
        put(log, A, n, b"x")
    store.delete("log/000000000003")
    with pytest.raises(Corrupt, match="missing"):
        Log(store, "log")


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(actions=st.lists(st.sampled_from(["a writes", "b writes", "a begins", "b begins", "a again"]), max_size=12))
def test_whatever_happens_each_acknowledged_event_is_there_once(
    tmp_path_factory: pytest.TempPathFactory, actions: list[str]
) -> None:
    store = DirectoryStore(tmp_path_factory.mktemp("store"))
    logs = {A: Log(store, "log"), B: Log(store, "log")}
    acknowledged: list[tuple[str, int]] = []
    for action in actions:
        who, what = action.split(" ")
        session = A if who == "a" else B
        if what == "begins":
            logs[session].refresh()
            logs[session].begin(session)
            continue
        sequence = logs[session].next_sequence(session) - (what == "again")
        if sequence < 1:
            continue
        try:
            put(logs[session], session, sequence, f"{session} {sequence}".encode())
        except Conflict:
            continue
        acknowledged.append((session, sequence))
    kept = [(entry.session_id, entry.sequence) for entry in Log(store, "log").entries if entry.sequence]
    assert len(kept) == len(set(kept))
    assert set(kept) == set(acknowledged)


def test_the_last_entries_tell_what_a_log_holds(store: DirectoryStore) -> None:
    def told() -> Summary:
        found = summary(store, "log")
        assert found == Log(store, "log").summary == log.summary
        return found

    log = Log(store, "log")
    assert told() == Summary(0, 0, 0, "")
    log.begin(A, "Anna", 5)
    assert told() == Summary(1, 0, 0, "")  # somebody came, and did nothing
    log.append(A, 1, b"a", sha(b"a"), 10)
    log.append(A, 2, b"b", sha(b"b"), 11)
    assert told() == Summary(3, 2, 11, "Anna")
    log.begin(B, "Ben", 20)
    log.begin(B, "Ben", 21)
    assert told() == Summary(5, 2, 11, "Anna")
    log.append(B, 1, b"c", sha(b"c"), 22)
    assert told() == Summary(6, 3, 22, "Ben")


def test_a_log_of_before_tells_what_it_can(store: DirectoryStore) -> None:
    heads = [("a", 0, 1), ("a", 1, 1), ("b", 0, 2), ("b", 0, 3)]
    for position, (session, sequence, epoch) in enumerate(heads, start=1):
        head = {"layout": 1, "position": position, "session": session, "sequence": sequence, "epoch": epoch}
        content = json.dumps(head).encode() + b"\n"
        store.create(f"log/{position:012d}", content + hashlib.sha256(content).digest())
    assert summary(store, "log") == Log(store, "log").summary == Summary(4, 1, 0, "")


def test_few_entries_are_read_for_it(store: DirectoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log(store, "log")
    log.begin(A)
    put(log, A, 1, b"event")
    for _ in range(50):
        log.begin(A)
    read: list[str] = []
    real = store.read
    monkeypatch.setattr(store, "read", lambda key: read.append(key) or real(key))
    assert summary(store, "log").events == 1
    assert len(read) == 2
