from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from services.core.errors import Corrupt, NotFound
from services.core.volume import GreyMap, Volume
from services.store.annotations import PAPER_LABELS, Annotations, LabelRecord, MaskRecord
from services.store.catalogue import Catalogue, VolumeRecord
from services.store.directory import DirectoryStore


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(tmp_path)


def volume(seed: int = 0) -> Volume:
    generator = np.random.default_rng(seed)
    affine = np.diag([-2.0, 1.0, 3.5, 1.0])
    affine[:3, 3] = generator.normal(size=3)
    return Volume(
        voxels=generator.integers(-100, 1000, (4, 5, 6), dtype=np.int16),
        affine=affine,
        slope=np.array([1.0, 2.0, 3.0, 4.0]),
        intercept=np.array([0.0, -1.0, 0.5, 1e-9]),
        source_axes=(2, 1, 0),
        modality="MR",
        description="T2",
        warnings=("odd",),
    )


def add(store: DirectoryStore, one: Volume, name: str = "Case 1", imported_ms: int = 5) -> VolumeRecord:
    return Catalogue(store).add(
        one,
        name=name,
        imported_ms=imported_ms,
        window=(0.0, 9.0),
        grey=GreyMap(0.1, -5.0, False),
        thumbnail=b"\xff\xd8jpeg",
    )


def test_a_volume_comes_back_as_it_was(store: DirectoryStore) -> None:
    one = volume()
    record = add(store, one)
    back = Catalogue(store).load(Catalogue(store).get(record.volume_id))
    assert np.array_equal(back.voxels, one.voxels)
    assert back.voxels.dtype == one.voxels.dtype
    assert np.array_equal(back.affine, one.affine)
    assert np.array_equal(back.slope, one.slope)
    assert np.array_equal(back.intercept, one.intercept)
    assert (back.source_axes, back.modality, back.description, back.warnings) == ((2, 1, 0), "MR", "T2", ("odd",))
    assert np.array_equal(Catalogue(store).slice(record, 2), one.voxels[2])
    assert record.thumbnail == b"\xff\xd8jpeg"


def test_the_same_volume_is_stored_once_and_keeps_its_name(store: DirectoryStore) -> None:
    first = add(store, volume())
    second = add(store, volume(), name="Other", imported_ms=9)
    other = add(store, volume(1), imported_ms=7)
    assert first == second
    assert [record.volume_id for record in Catalogue(store).list()] == [other.volume_id, first.volume_id]


def test_a_flipped_bit_in_a_slice_is_found_in_that_slice_alone(store: DirectoryStore, tmp_path: Path) -> None:
    record = add(store, volume())
    file = tmp_path / "volumes" / record.volume_id / "voxels"
    data = bytearray(file.read_bytes())
    data[5 * 6 * 2 * 1 + 3] ^= 4
    file.write_bytes(data)
    Catalogue(store).slice(record, 0)
    with pytest.raises(Corrupt):
        Catalogue(store).slice(record, 1)


def test_importing_again_mends_what_was_damaged(store: DirectoryStore, tmp_path: Path) -> None:
    one = volume()
    record = add(store, one)
    folder = tmp_path / "volumes" / record.volume_id
    for name in ("voxels", "volume.json"):
        whole = (folder / name).read_bytes()
        for damaged in (whole[:40], whole.replace(whole[30:31], b"\x00")):
            (folder / name).write_bytes(damaged)
            assert add(store, one) == record
            assert np.array_equal(Catalogue(store).load(record).voxels, one.voxels)


def test_a_damaged_record_hides_no_other(store: DirectoryStore, tmp_path: Path) -> None:
    first, second = add(store, volume()), add(store, volume(1))
    annotations = Annotations(store)
    begun = [annotations.create(first.volume_id, name=n, labels=PAPER_LABELS, created_ms=1) for n in "ab"]
    (tmp_path / "volumes" / second.volume_id / "volume.json").write_bytes(b"{")
    volume_id, _, name = begun[0].annotation_id.partition("-")
    (tmp_path / "annotations" / volume_id / name / "heads" / "000001").write_bytes(b"{")
    assert Catalogue(store).list() == [first]
    assert annotations.of_volume(first.volume_id) == [begun[1]]
    with pytest.raises(Corrupt):
        Catalogue(store).get(second.volume_id)


def test_a_deleted_volume_takes_its_annotations_along(store: DirectoryStore, tmp_path: Path) -> None:
    record = add(store, volume())
    Annotations(store).create(record.volume_id, name="Brain", labels=PAPER_LABELS, created_ms=1)
    Catalogue(store).delete(record.volume_id)
    assert Catalogue(store).list() == []
    with pytest.raises(NotFound):
        Catalogue(store).get(record.volume_id)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("name", ["", "..", "../x", "none"])
def test_what_is_not_there_is_not_found(store: DirectoryStore, name: str) -> None:
    with pytest.raises(NotFound):
        Catalogue(store).get(name)
    with pytest.raises(NotFound):
        Annotations(store).get(name)


def test_annotations_are_listed_named_and_deleted(store: DirectoryStore) -> None:
    annotations = Annotations(store)
    first = annotations.create("v1", name="Brain", labels=PAPER_LABELS, created_ms=1)
    second = annotations.create("v1", name="Placenta", labels=PAPER_LABELS, created_ms=2)
    assert annotations.of_volume("v1") == [second, first]
    labels = (LabelRecord(1, "Brain", 0x112233), PAPER_LABELS[1])
    assert annotations.rename(first.annotation_id, name="Fetal brain", labels=labels).labels == labels
    assert annotations.get(first.annotation_id).name == "Fetal brain"
    annotations.delete(second.annotation_id)
    assert [record.name for record in annotations.of_volume("v1")] == ["Fetal brain"]
    assert annotations.of_volume("v2") == []


def test_masks_are_numbered_and_damage_is_found(store: DirectoryStore, tmp_path: Path) -> None:
    annotations = Annotations(store)
    annotation = annotations.create("v1", name="Brain", labels=PAPER_LABELS, created_ms=1).annotation_id
    content = np.random.default_rng(0).random((3, 5, 7)) < 0.5
    digest = annotations.put_blob(annotation, content)
    mask = MaskRecord(0, digest, 127, 5, 3, "paper", 0, "1", 2.5)
    assert annotations.publish_mask(annotation, mask).number == 1
    assert annotations.publish_mask(annotation, mask).number == 2
    assert [m.number for m in annotations.masks(annotation)] == [2, 1]
    assert np.array_equal(annotations.get_blob(annotation, digest, (3, 5, 7)), content)
    [record, _] = sorted(tmp_path.rglob("masks/*"))
    kept = record.read_bytes()
    record.write_bytes(b"{")  # a damaged record of an old mask stops no new one
    assert annotations.publish_mask(annotation, mask).number == 3
    record.write_bytes(kept)
    with pytest.raises(NotFound):
        annotations.get_blob(annotation, "0" * 64, (3, 5, 7))
    [file] = tmp_path.rglob("blobs/*")
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 16
    file.write_bytes(data)
    with pytest.raises(Corrupt):
        annotations.get_blob(annotation, digest, (3, 5, 7))
