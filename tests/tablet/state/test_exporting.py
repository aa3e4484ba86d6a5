"""Exported files: their names, and that they lie on the disk whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from calque.v1 import segmentation_pb2

from tablet_client.state import exporting
from tablet_client.state.exporting import (
    FORMATS,
    Habits,
    contents,
    format_of,
    keep_file,
    plain_name,
    read_habits,
    suggested_name,
    write_habits,
)

NOW_MS = 1_795_000_000_000


def test_every_format_and_kind_of_the_contract_can_be_chosen() -> None:
    assert {form.number for form in FORMATS} == {n for n in segmentation_pb2.ExportFormat.values() if n}
    found = contents([segmentation_pb2.Mask(number=2), segmentation_pb2.Mask(number=1)])
    assert {content.kind for content in found} == {n for n in segmentation_pb2.ExportKind.values() if n}
    assert [content.name for content in found] == ["mask-2", "mask-1", "annotation", "probability"]
    assert [content.computed for content in found] == [False, False, True, True]


def test_a_name_tells_volume_annotation_kind_and_time() -> None:
    mask, strokes, _ = contents([segmentation_pb2.Mask(number=3, saved_ms=NOW_MS - 60_000)])
    assert suggested_name("P-7K · MR", "Lésion 2", mask, NOW_MS) == "P-7K_MR-Lésion_2-mask-3-20261118T110540Z"
    assert suggested_name("../..", "", strokes, NOW_MS) == "unnamed-unnamed-annotation-20261118T110640Z"
    assert len(suggested_name("é" * 300, "x" * 300, mask, NOW_MS).encode()) < 240


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("  mine ", "mine"),
        ("../../etc/passwd", "etc_passwd"),
        ("a/b\\c:d", "a_b_c_d"),
        (" .. ", ""),
        ("x" * 400, "x" * 180),
    ],
)
def test_a_typed_name_stays_in_its_folder(typed: str, name: str) -> None:
    assert plain_name(typed) == name


def test_a_file_never_replaces_another(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    paths = [keep_file(folder, "mask", ".nii.gz", data) for data in (b"one", b"two", b"three")]
    assert [path.name for path in paths] == ["mask.nii.gz", "mask (2).nii.gz", "mask (3).nii.gz"]
    assert [path.read_bytes() for path in paths] == [b"one", b"two", b"three"]
    assert len(list(folder.iterdir())) == 3


def test_of_a_file_that_could_not_be_written_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        assert [path.suffix for path in tmp_path.iterdir()] == [".part"]  # never under its own name
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(exporting.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        keep_file(tmp_path, "mask", ".tif", b"data")
    assert os.listdir(tmp_path) == []


def test_a_file_is_on_the_disk_under_its_name_when_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[list[str]] = []
    monkeypatch.setattr(exporting, "sync_folder", lambda folder: synced.append(os.listdir(folder)))
    keep_file(tmp_path, "mask", ".tif", b"data")
    assert synced == [["mask.tif"]]


def test_habits_are_kept_and_nonsense_is_not_believed(tmp_path: Path) -> None:
    assert read_habits(tmp_path) == Habits()
    assert format_of(Habits().format).ending == ".nii.gz"
    assert write_habits(tmp_path, Habits("/somewhere", "zip"))
    assert read_habits(tmp_path) == Habits("/somewhere", "zip")
    (tmp_path / "export.json").write_text('{"folder": "/somewhere", "format": "exe"}')
    assert read_habits(tmp_path) == Habits()
