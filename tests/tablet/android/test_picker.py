"""The system's picker, through a bridge without Java: what is copied, what is written, and what is left when it fails."""

from __future__ import annotations

import asyncio
import errno
import os
import sys
import threading
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import pytest

from tablet_client.android import picker as module
from tablet_client.android.picker import SystemPicker
from tablet_client.state.picker import PickerError
from tests.tablet.android.java import Tablet


@pytest.fixture
def tablet(monkeypatch: pytest.MonkeyPatch) -> Tablet:
    tablet = Tablet()
    monkeypatch.setitem(sys.modules, "jnius", tablet.module())
    return tablet


@pytest.fixture
def picker(tablet: Tablet, tmp_path: Path) -> SystemPicker:
    return SystemPicker(tmp_path / "passing")


def documents(tablet: Tablet, folder: Path, **contents: bytes) -> list[str]:
    """Documents of these names in a folder. Returns: their addresses."""
    folder.mkdir(exist_ok=True)
    addresses = []
    for number, (name, data) in enumerate(contents.items()):
        path, address = folder / str(number), f"content://drive/{number}"
        path.write_bytes(data)
        tablet.files[address], tablet.names[address] = path, name
        addresses.append(address)
    return addresses


async def answered(tablet: Tablet, work: Awaitable[Any], *addresses: str, result: int = -1) -> Any:
    """What a question comes to when the user answers it."""
    task = asyncio.ensure_future(work)
    await asyncio.sleep(0)  # it asks before it waits
    tablet.answer(*addresses, result=result)
    return await task


def nobody(done: int, total: int) -> None:
    """Nobody watches."""


async def test_files_are_asked_for_and_copied(tablet: Tablet, picker: SystemPicker, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    addresses = documents(tablet, tmp_path / "drive", **{"a.nii": b"one", "b.nii": bytes(3_000_000), "empty": b""})
    copies = await answered(tablet, picker.files(lambda *how: seen.append(how)), *addresses)
    assert {path.name: path.read_bytes() for path in copies.iterdir()} == {
        "a.nii": b"one",
        "b.nii": bytes(3_000_000),
        "empty": b"",
    }
    await asyncio.sleep(0)
    assert seen == [(0, 0), (0, 3), (1, 3), (2, 3), (3, 3)]
    (intent,) = tablet.asked
    assert (intent.action, intent.mime) == ("android.intent.action.OPEN_DOCUMENT", "*/*")
    assert intent.extras == {"android.intent.extra.ALLOW_MULTIPLE": True}
    assert intent.categories == ["android.intent.category.OPENABLE"]
    assert tablet.left.is_set()
    assert all(cursor.closed for cursor in tablet.cursors)
    await picker.forget(copies)
    assert list((tmp_path / "passing").iterdir()) == []


async def test_one_file_is_itself_and_may_be_a_pipe(tablet: Tablet, picker: SystemPicker, tmp_path: Path) -> None:
    def pipe() -> int:
        reading, writing = os.pipe()
        threading.Thread(target=lambda: (os.write(writing, b"from a cloud"), os.close(writing))).start()
        return reading

    (address,) = documents(tablet, tmp_path / "drive", **{"brain.nii.gz": b""})
    tablet.files[address] = pipe
    copy = await answered(tablet, picker.files(nobody), address)
    assert (copy.name, copy.read_bytes()) == ("brain.nii.gz", b"from a cloud")
    other = await answered(tablet, picker.files(nobody), *documents(tablet, tmp_path / "drive", other=b"1"))
    await picker.forget(copy)
    assert [path.name for path in (tmp_path / "passing").rglob("*") if path.is_file()] == [other.name]


async def test_a_folder_is_copied_with_what_is_inside_at_any_depth(
    tablet: Tablet, picker: SystemPicker, tmp_path: Path
) -> None:
    drive = tmp_path / "drive"
    for name in ("1/a.dcm", "1/deep/er/b.dcm", "c.dcm", ".hidden", "1/.trash/d.dcm"):
        (drive / name).parent.mkdir(parents=True, exist_ok=True)
        (drive / name).write_text(name)
    tablet.trees["content://tree"] = drive
    copies = await answered(tablet, picker.folder(nobody), "content://tree")
    found = {path.relative_to(copies).as_posix(): path.read_text() for path in copies.rglob("*") if path.is_file()}
    assert found == {name: name for name in ("1/a.dcm", "1/deep/er/b.dcm", "c.dcm")}
    assert (tablet.asked[0].action, tablet.asked[0].mime) == ("android.intent.action.OPEN_DOCUMENT_TREE", "")
    assert all(cursor.closed for cursor in tablet.cursors)


async def test_names_stay_inside_and_apart(tablet: Tablet, picker: SystemPicker, tmp_path: Path) -> None:
    addresses = documents(
        tablet, tmp_path / "drive", **{"../../up": b"1", "a\0b": b"2", "x" * 300 + ".nii.gz": b"3", "": b"4"}
    )
    for number, name in enumerate(["IM.dcm", "im.dcm", "IM.dcm"], 7):
        (tmp_path / "drive" / f"n{number}").write_bytes(str(number).encode())
        address = f"content://more/{number}"
        tablet.files[address], tablet.names[address] = tmp_path / "drive" / f"n{number}", name
        addresses.append(address)
    copies = await answered(tablet, picker.files(nobody), *addresses)
    found = {path.relative_to(copies).as_posix(): path.read_text() for path in copies.rglob("*") if path.is_file()}
    assert found == {
        "_.._up": "1",
        "a_b": "2",
        "x" * 93 + ".nii.gz": "3",
        "_": "4",
        "IM.dcm": "7",
        "im (2).dcm": "8",
        "IM (3).dcm": "9",
    }


@pytest.mark.parametrize("result", [0, -1])
async def test_going_back_chooses_nothing(result: int, tablet: Tablet, picker: SystemPicker, tmp_path: Path) -> None:
    assert await answered(tablet, picker.files(nobody), result=result) is None
    assert await answered(tablet, picker.folder(nobody), result=result) is None
    assert not await answered(tablet, picker.save("a.zip", "application/zip", tmp_path / "a"), result=result)
    assert not (tmp_path / "passing").exists()


async def test_a_newer_question_takes_the_place_of_one_without_answer(
    tablet: Tablet, picker: SystemPicker, tmp_path: Path
) -> None:
    first = asyncio.ensure_future(picker.files(nobody))
    await asyncio.sleep(0)
    (address,) = documents(tablet, tmp_path / "drive", a=b"1")
    assert (await answered(tablet, picker.files(nobody), address)).read_bytes() == b"1"
    assert await first is None


async def test_one_unreadable_document_leaves_no_copy(tablet: Tablet, picker: SystemPicker, tmp_path: Path) -> None:
    addresses = documents(tablet, tmp_path / "drive", good=b"1", bad=b"2")
    (tmp_path / "drive" / "1").unlink()
    with pytest.raises(PickerError, match=r"^bad cannot be read\. Nothing was imported\.$"):
        await answered(tablet, picker.files(nobody), *addresses)
    assert list((tmp_path / "passing").iterdir()) == []
    assert tablet.left.is_set()


async def test_a_folder_that_cannot_be_listed_is_told(tablet: Tablet, picker: SystemPicker, tmp_path: Path) -> None:
    with pytest.raises(PickerError, match="What was chosen cannot be read"):
        await answered(tablet, picker.files(nobody), "content://gone")


async def test_a_full_tablet_is_told_and_left_as_it_was(
    tablet: Tablet, picker: SystemPicker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(source: Any, sink: Any, stop: Any) -> None:
        sink.write(source.read(1))
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module, "_pour", full)
    addresses = documents(tablet, tmp_path / "drive", a=b"1")
    with pytest.raises(PickerError, match=r"no room left on this tablet.*Nothing was imported"):
        await answered(tablet, picker.files(nobody), *addresses)
    assert list((tmp_path / "passing").iterdir()) == []


@pytest.mark.parametrize("more", [b"more", b""])
async def test_copying_can_be_stopped(more: bytes, tablet: Tablet, picker: SystemPicker, tmp_path: Path) -> None:
    reading, writing = os.pipe()
    (address,) = documents(tablet, tmp_path / "drive", a=b"")
    begun = threading.Event()

    def pipe() -> int:
        begun.set()
        return reading

    tablet.files[address] = pipe
    task = asyncio.ensure_future(picker.files(nobody))
    await asyncio.sleep(0)
    tablet.answer(address)
    await asyncio.to_thread(begun.wait, 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    os.write(writing, more)
    os.close(writing)
    await asyncio.to_thread(tablet.left.wait, 10)
    assert tablet.left.is_set()
    assert list((tmp_path / "passing").iterdir()) == []


async def test_a_tablet_without_a_picker_says_so(tablet: Tablet, picker: SystemPicker) -> None:
    tablet.there = False
    with pytest.raises(PickerError, match="no application that shows its files"):
        await picker.folder(nobody)


async def test_a_file_is_saved_where_the_user_says(tablet: Tablet, picker: SystemPicker, tmp_path: Path) -> None:
    ours, place = tmp_path / "mask.zip", tmp_path / "their place"
    ours.write_bytes(bytes(range(256)) * 9000)
    place.write_bytes(bytes(5_000_000))  # a file of that name, which is replaced
    tablet.files["content://new"] = place
    assert await answered(tablet, picker.save("mask.zip", "application/zip", ours), "content://new")
    assert place.read_bytes() == ours.read_bytes()
    (intent,) = tablet.asked
    assert (intent.action, intent.mime) == ("android.intent.action.CREATE_DOCUMENT", "application/zip")
    assert intent.extras == {"android.intent.extra.TITLE": "mask.zip"}
    assert tablet.modes == ["wt"]
    assert tablet.left.is_set()


@pytest.mark.parametrize(
    ("number", "told"), [(errno.ENOSPC, "no room left at this place"), (errno.EIO, "Nothing can be written")]
)
async def test_a_file_that_could_not_be_saved_leaves_nothing(
    number: int, told: str, tablet: Tablet, picker: SystemPicker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(source: Any, sink: Any, stop: Any) -> None:
        sink.write(b"half")
        raise OSError(number, "failed")

    ours, place = tmp_path / "mask.zip", tmp_path / "place"
    ours.write_bytes(b"all of it")
    tablet.files["content://new"] = place
    monkeypatch.setattr(module, "_pour", fail)
    with pytest.raises(PickerError, match=told):
        await answered(tablet, picker.save("mask.zip", "application/zip", ours), "content://new")
    assert not place.exists()


def test_copies_that_a_killed_application_left_are_deleted(tablet: Tablet, tmp_path: Path) -> None:
    (tmp_path / "passing" / "old").mkdir(parents=True)
    (tmp_path / "passing" / "old" / "IM1").write_bytes(b"a patient's")
    SystemPicker(tmp_path / "passing")
    assert not (tmp_path / "passing").exists()


def test_on_android_the_application_gets_picker_and_language(
    tablet: Tablet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tablet_client import main
    from tablet_client.state.words import system_language

    assert main._picker() is None
    monkeypatch.setattr(sys, "getandroidapilevel", lambda: 24, raising=False)
    monkeypatch.setattr(main, "passing_folder", lambda: tmp_path / "passing")
    assert isinstance(main._picker(), SystemPicker)
    for name in ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)

    def begin(size: object) -> None:
        raise SystemExit(system_language())

    monkeypatch.setattr(main, "settle_kivy", begin)
    with pytest.raises(SystemExit, match="fr"):
        main.main(["--journal", str(tmp_path)])
    monkeypatch.delenv("LANGUAGE", raising=False)
