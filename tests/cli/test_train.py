"""What ``calque train`` is to learn from: manifests and stores that cannot be are told, and nothing is made of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.cli.train import _read, _scans, report
from services.core.errors import InvalidInput, Unavailable


def test_a_store_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="no store at"):
        _scans([], None, str(tmp_path / "typo"))
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidInput, match="holds no volumes"):
        _scans([], None, str(tmp_path / "empty"))


def test_only_one_source_can_be_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="one of them"):
        _scans([tmp_path / "a.nii"], tmp_path / "volumes.toml", None)
    for manifest, store in ((None, None), (tmp_path / "volumes.toml", "here")):
        with pytest.raises(InvalidInput, match="one of them"):
            report(tmp_path, manifest=manifest, store=store, projects=[], scale="tiny", config=None, run=None, alone=False)


def test_paths_of_a_manifest_start_at_its_folder(tmp_path: Path) -> None:
    manifest = tmp_path / "volumes.toml"
    manifest.write_text('[[volume]]\nimage = "a/t1.nii"\npatient = "a"\nmask = "/m.nii"\nlabel = 2\n')
    (volume,) = _read(manifest)
    assert (volume.image, volume.mask, volume.label) == (tmp_path / "a" / "t1.nii", Path("/m.nii"), 2)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[volume", "is not TOML"),
        ('[[volume]]\nimage = "a"\n', "at “volume 1 patient”"),
        ('[[volume]]\nimage = "a"\npatient = "b"\nwhat = 1\n', "at “volume 1 what”"),
        ("", "at “volume”"),
    ],
)
def test_a_manifest_that_cannot_be_says_where(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "volumes.toml").write_text(text)
    with pytest.raises(InvalidInput, match=said):
        _read(tmp_path / "volumes.toml")
    with pytest.raises(InvalidInput, match="cannot be opened"):
        _read(tmp_path / "other.toml")
