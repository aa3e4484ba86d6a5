"""Records that wait for their store: in order, once, and tried again without being asked."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from services.store.audit import Trail
from services.store.audit_spool import SpooledTrail
from services.store.directory import DirectoryStore
from tests.store.test_audit import event


class Away:
    """A store's folder whose audit trail can be away: no object can be made below a file."""

    def __init__(self, root: Path) -> None:
        self.store = DirectoryStore(root)
        self._blocked = root / "audit"

    def go(self) -> None:
        self._blocked.touch()

    def come(self) -> None:
        self._blocked.unlink()

    def masks(self) -> list[int]:
        return [record.event.subject.mask for record in Trail(self.store).records()]


@pytest.fixture
def away(tmp_path: Path) -> Away:
    return Away(tmp_path / "store")


def test_processes_that_share_a_folder_lose_and_double_nothing(tmp_path: Path, away: Away) -> None:
    one, two = (SpooledTrail(Trail(away.store), tmp_path / "spool") for _ in range(2))
    away.go()
    for number in range(8):
        (one, two)[number % 2].append(event(number))
    away.come()
    threads = [threading.Thread(target=trail.drain) for trail in (one, two)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    one.append(event(8))
    two.append(event(9))
    assert away.masks() == list(range(10))
    one.close()
    two.close()


@pytest.mark.item(64)
def test_what_waits_is_tried_again(tmp_path: Path, away: Away, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.store.audit_spool.RETRY_S", 0.01)
    tried = threading.Event()

    class Watched(Trail):
        def append(self, one: object) -> None:
            try:
                super().append(one)  # type: ignore[arg-type]
            finally:
                tried.set()

    trail = SpooledTrail(Watched(away.store), tmp_path / "spool")
    away.go()
    trail.append(event(1))
    tried.clear()
    assert tried.wait(30)  # and in vain
    away.come()
    while True:
        tried.clear()
        if away.masks():
            break
        assert tried.wait(30)
    trail.close()
    assert away.masks() == [1]


def test_a_damaged_record_is_set_aside_and_holds_up_no_other(tmp_path: Path, away: Away) -> None:
    trail = SpooledTrail(Trail(away.store), tmp_path / "spool")
    away.go()
    for number in range(3):
        trail.append(event(number))
    trail.close()
    first, *_ = sorted((tmp_path / "spool" / "waiting").iterdir())
    first.write_bytes(b"{}")
    away.come()
    SpooledTrail(Trail(away.store), tmp_path / "spool").close()
    assert away.masks() == [1, 2]
    (aside,) = (tmp_path / "spool" / "damaged").iterdir()
    assert aside.read_bytes() == b"{}"
