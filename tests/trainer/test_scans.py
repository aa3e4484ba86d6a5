"""No patient is in two parts of a split."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.errors import InvalidInput
from services.core.volume import Volume, grey_map, intensity_window
from services.store.annotations import PAPER_LABELS, Annotations, MaskRecord
from services.store.catalogue import Catalogue
from services.store.directory import DirectoryStore
from trainer.config import Config
from trainer.data import find_patches
from trainer.scans import Parts, Scan, accepted_masks, scans_of_store, split


def volume(level: int = 1) -> Volume:
    voxels = np.full((2, 32, 32), level, np.uint8) + np.arange(2, dtype=np.uint8)[:, None, None]
    return Volume(voxels, np.eye(4), np.ones(2), np.zeros(2))


def scans(patients: list[int]) -> list[Scan]:
    return [Scan(volume(number + 1), f"scan {number}", f"patient {patient}") for number, patient in enumerate(patients)]


def patients_of(parts: Parts) -> list[set[str]]:
    return [{scan.patient for scan in part} for part in (parts.training, parts.validation, parts.test)]


@given(st.lists(st.integers(0, 20), min_size=1, max_size=40), st.integers(0, 9))
def test_each_scan_is_in_one_part_and_each_patient_too(patients: list[int], seed: int) -> None:
    every = scans(patients)
    parts = split(every, (0.7, 0.2, 0.1), seed)
    assert sorted((*parts.training, *parts.validation, *parts.test), key=every.index) == every
    training, validation, test = patients_of(parts)
    assert not training & validation
    assert not training & test
    assert not validation & test
    assert training
    if len(set(patients)) >= 3:
        assert validation
        assert test


def test_the_parts_have_their_size_and_the_seed_decides() -> None:
    every = scans(list(range(100)))
    parts = split(every, (0.7, 0.2, 0.1), 1)
    assert [len(part) for part in patients_of(parts)] == [70, 20, 10]
    assert parts == split(every, (0.7, 0.2, 0.1), 1)
    assert parts != split(every, (0.7, 0.2, 0.1), 2)
    assert [len(part) for part in patients_of(split(every[:5], (1.0, 0.0, 0.0), 0))] == [5, 0, 0]


def test_patches_of_two_parts_share_no_slice() -> None:
    parts = split(scans([0, 0, 1, 1, 2, 2, 3]), (0.7, 0.2, 0.1), 3)
    config = Config(patch=16, step=16, content=0.0)
    seen = [
        {id(one) for one in find_patches([scan.volume for scan in part], config).volumes}
        for part in (parts.training, parts.validation, parts.test)
    ]
    assert sum(map(len, seen)) == len(set.union(*seen)) == 7


def test_what_is_told_of_the_data_names_no_patient() -> None:
    told = split(scans([7, 7, 8, 9]), (0.5, 0.25, 0.25), 0).described()
    assert len(told) == 4
    assert {one["patient"] for one in told} == {"1", "2", "3"}
    assert len({one["sha256"] for one in told}) == 4


@pytest.fixture
def store(tmp_path):
    return DirectoryStore(tmp_path / "store")


def test_volumes_of_a_store_are_scans(store) -> None:
    catalogue = Catalogue(store)
    for level in (3, 40):
        one = volume(level)
        catalogue.add(one, name="A name", imported_ms=0, window=intensity_window(one), grey=grey_map(one), thumbnail=b"")
    found = list(scans_of_store(store))
    assert sorted(int(scan.volume.voxels.min()) for scan in found) == [3, 40]
    assert len({scan.patient for scan in found}) == 2
    assert all("A name" not in scan.name for scan in found)


def test_only_masks_that_a_reviewer_accepted_are_learned_from(store) -> None:
    one = volume()
    for level in (0, 1):  # the second volume has no annotations
        other = replace(one, voxels=one.voxels + np.uint8(level))
        Catalogue(store).add(
            other, name="", imported_ms=0, window=intensity_window(other), grey=grey_map(other), thumbnail=b""
        )
    found = list(scans_of_store(store))
    annotations, marked = Annotations(store), {}
    for level, name in enumerate(("Liver", "Liver", "Kidney", "Kidney", "Kidney")):
        annotation = annotations.create(found[0].name, name=name, labels=PAPER_LABELS, created_ms=level)
        for row in (level, 20 + level):
            content = np.zeros(one.shape, bool)
            content[0, row] = True
            digest = annotations.put_blob(annotation.annotation_id, content)
            annotations.publish_mask(annotation.annotation_id, MaskRecord(0, digest, 128, 0, 0, "paper", 0, "1", 1.0))
        marked[level] = annotation.annotation_id
    assert accepted_masks(store, found) == {}
    annotations.accept(marked[0], 2, by="r", now_ms=5)
    annotations.accept(marked[1], 1, by="r", now_ms=4)  # before the other of its name
    annotations.accept(marked[2], 1, by="r", now_ms=6)
    annotations.send_back(marked[2], "The lower lobe is missing.", by="r", now_ms=7)
    annotations.accept(marked[3], 1, by="r", now_ms=8)

    masks = accepted_masks(store, found)
    rows = {name: {n: np.argwhere(mask)[:, 1].min() for n, mask in some.items()} for name, some in masks.items()}
    assert rows == {"Liver": {0: 20}, "Kidney": {0: 3}}


def test_a_licence_is_told_where_it_is_known() -> None:
    first, second = scans([1, 2])
    told = split([replace(first, licence="CC0"), second], (1.0, 0.0, 0.0), 0).described()
    assert [one.get("licence") for one in told] == ["CC0", None]


def test_parts_that_the_scans_say_are_taken_as_they_are() -> None:
    every = [
        replace(scan, part=part) for scan, part in zip(scans([1, 1, 2, 3]), ("training", "training", "test", "training"))
    ]
    parts = split(every, (0.1, 0.8, 0.1), 5)
    assert patients_of(parts) == [{"patient 1", "patient 3"}, set(), {"patient 2"}]


@pytest.mark.parametrize(
    ("patients", "said", "why"),
    [
        ([1, 2], ("training", ""), "others do not"),
        ([1, 2], ("test", "validation"), "No volume is for training"),
        ([1, 2, 1], ("training", "test", "validation"), "in two parts"),
    ],
)
def test_parts_that_cannot_be(patients: list[int], said: tuple[str, ...], why: str) -> None:
    every = [replace(scan, part=part) for scan, part in zip(scans(patients), said)]
    with pytest.raises(InvalidInput, match=why):
        split(every, (0.7, 0.2, 0.1), 0)
