from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.core.errors import Conflict, Corrupt, OutOfSequence, Reason
from services.store.directory import DirectoryStore
from services.store.log import Log

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
