"""Temporary folders: alone while they are used, gone afterwards, and cleaned of what a killed process left."""

from __future__ import annotations

import errno
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from services.core.errors import CalqueError, Reason, TooLarge, Unavailable
from services.core.scratch import clean_scratch, scratch_folder

HOLDER = """
import sys
from services.core.scratch import scratch_folder
with scratch_folder() as folder:
    (folder / "slice").write_bytes(b"a patient's")
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def around(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_folder_is_the_users_alone_and_goes_with_its_files(around: Path) -> None:
    with scratch_folder() as first, scratch_folder() as second:
        assert first != second
        (first / "deep").mkdir()
        (first / "deep" / "slice").write_bytes(b"x")
        assert {path.stat().st_mode & 0o777 for path in (first, first.parent)} == {0o700}
        assert clean_scratch() == 0
        assert (first / "deep" / "slice").exists()
    assert list(around.glob("*/*")) == []
    with pytest.raises(ZeroDivisionError), scratch_folder():
        raise ZeroDivisionError
    assert list(around.glob("*/*")) == []


def test_only_what_a_killed_process_left_is_cleaned(around: Path) -> None:
    command = [sys.executable, "-c", HOLDER]
    environment = {"TMPDIR": str(around), "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        folder = Path(process.stdout.readline().strip())
        assert clean_scratch() == 0
        assert (folder / "slice").exists()
        process.kill()
        process.wait()
        assert (folder / "slice").exists()
        assert clean_scratch() == 1
    assert not folder.exists()
    assert clean_scratch() == 0


def test_no_room_is_told_and_other_errors_go_through() -> None:
    with pytest.raises(TooLarge) as full, scratch_folder():
        raise OSError(errno.ENOSPC, "No space left on device")
    assert full.value.reason is Reason.STORE_FULL
    with pytest.raises(PermissionError), scratch_folder():
        raise PermissionError(errno.EACCES, "Permission denied")


def test_a_folder_that_is_a_link_is_not_used(around: Path) -> None:
    with scratch_folder() as folder:
        mine = folder.parent
    mine.rmdir()
    (around / "elsewhere").mkdir()
    mine.symlink_to(around / "elsewhere")
    with pytest.raises(Unavailable) as refused, scratch_folder():
        raise AssertionError
    assert isinstance(refused.value, CalqueError)
    assert list((around / "elsewhere").iterdir()) == []
