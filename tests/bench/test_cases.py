"""Manifests: what they may say, and one sentence for what they may not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from services.bench.cases import Case, load, read_manifest
from services.core.errors import InvalidInput
from tests.phantoms import oblique_phantom, phantom_object, write_nifti

VOLUME = oblique_phantom((5, 16, 18))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_nifti(VOLUME, tmp_path / "image.nii.gz")
    labels = phantom_object(VOLUME).astype(np.uint8)
    labels[:2] *= 7
    write_nifti(replace(VOLUME, voxels=labels), tmp_path / "mask.nii.gz")
    return tmp_path


def manifest(folder: Path, text: str) -> Path:
    path = folder / "some.toml"
    path.write_text(text)
    return path


GOOD = '[[volume]]\nname = "One"\nimage = "image.nii.gz"\nmask = "mask.nii.gz"\n'


def test_paths_start_at_the_manifest_and_a_label_may_be_left_out(folder: Path) -> None:
    cases = read_manifest(manifest(folder, GOOD + GOOD.replace("One", "Two") + "label = 7\n"))
    assert cases == [
        Case(name="One", image=folder / "image.nii.gz", mask=folder / "mask.nii.gz"),
        Case(name="Two", image=folder / "image.nii.gz", mask=folder / "mask.nii.gz", label=7),
    ]
    whole, part = (load(case).truth for case in cases)
    assert np.array_equal(whole, phantom_object(VOLUME))
    assert np.array_equal(part[:2], whole[:2])
    assert whole[2:].any()
    assert not part[2:].any()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "volume"),
        ("volume = 3", "volume"),
        ("[[volume]", "not TOML"),
        (GOOD.replace("mask =", "masks ="), "volume 1 mask"),
        (GOOD + "label = -1\n", "volume 1 label"),
        (GOOD + "colour = 1\n", "volume 1 colour"),
        (GOOD + GOOD, "one name"),
        (GOOD.replace("mask.nii", "other.nii"), "other.nii.gz, is not there"),
    ],
)
def test_what_a_manifest_may_not_say(folder: Path, text: str, said: str) -> None:
    with pytest.raises(InvalidInput, match=said) as caught:
        read_manifest(manifest(folder, text))
    assert "\n" not in str(caught.value)
    assert str(folder) not in str(caught.value)


def test_a_manifest_that_is_not_there_and_a_label_that_nothing_has(folder: Path) -> None:
    with pytest.raises(InvalidInput, match=r"none\.toml cannot be opened"):
        read_manifest(folder / "none.toml")
    with pytest.raises(InvalidInput, match="no voxel with the label 3"):
        load(Case(name="One", image=folder / "image.nii.gz", mask=folder / "mask.nii.gz", label=3))
