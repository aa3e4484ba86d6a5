"""A bit of a stored object is flipped, or its end is cut off: that is told, and what is sound goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from calque.v1 import segmentation_pb2

from services.core.errors import Corrupt
from services.core.volume import Volume
from services.store import segments
from services.store.annotations import Annotations
from services.store.catalogue import Catalogue
from services.store.directory import DirectoryStore
from services.store.models import Models
from tests.served import Served, Tablet, begin, refused, stroke

DAMAGED = ("DATA_LOSS", "STORE_CORRUPT", 0)
OBJECT, BACKGROUND = stroke(1, 3, [28, 33], [13, 13]), stroke(1, 3, [5, 30], [36, 36], label=2)


def damages(data: bytes) -> Iterator[bytes]:
    """An object with each bit of some of its bytes flipped, and cut off at some places."""
    rng = np.random.default_rng(len(data))
    for place in sorted({0, len(data) - 1, *rng.integers(0, len(data), 24).tolist()}):
        for bit in range(8):
            yield data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :]
    for size in sorted({0, 1, len(data) // 2, len(data) - 1, *rng.integers(0, len(data), 10).tolist()}):
        yield data[:size]


def replaced(store: DirectoryStore, key: str, data: bytes) -> None:
    """What the store never does."""
    (store.root / key).write_bytes(data)


@pytest.fixture
async def annotation(served: Served, phantom: Volume, monkeypatch: pytest.MonkeyPatch) -> str:
    """An annotation with everything that one can have in a store."""
    monkeypatch.setattr(segments, "ENTRIES", 4)
    monkeypatch.setattr(segments, "KEPT", 2)
    annotation_id = await begin(served, phantom)
    async with Tablet(served.segmentation, annotation_id) as tablet:
        await tablet.draw(OBJECT, BACKGROUND, *[stroke(1, 2, [k], [4]) for k in range(6)])
        await save(served, annotation_id)
    segments.compact(served.store, f"annotations/{annotation_id.replace('-', '/')}/log")
    models = Models(served.store)
    models.promote(models.add(b"network", {"name": "one"}), why="", set_ms=1)
    return annotation_id


async def save(served: Served, annotation_id: str) -> segmentation_pb2.Mask:
    asked = segmentation_pb2.SaveMaskRequest(annotation_id=annotation_id, threshold=128)
    (mask,) = [one.mask async for one in served.segmentation.SaveMask(asked) if one.HasField("mask")]
    return mask


def all_of(store: DirectoryStore, annotation_id: str, shape: tuple[int, int, int]) -> dict[str, Callable[[], Any]]:
    """How each kind of object is read: what comes of it, as something that can be compared."""
    volume_id = annotation_id.partition("-")[0]
    annotations, catalogue, models = Annotations(store), Catalogue(store), Models(store)
    return {
        "heads": lambda: annotations.get(annotation_id),
        "log": lambda: annotations.log(annotation_id).entries,
        "log-segments": lambda: annotations.log(annotation_id).entries,
        "masks": lambda: annotations.mask(annotation_id, 0),
        "blobs": lambda: annotations.get_blob(annotation_id, annotations.mask(annotation_id, 0).digest, shape).tobytes(),
        "volume.json": lambda: catalogue.get(volume_id),
        "voxels": lambda: catalogue.load(catalogue.get(volume_id)).voxels.tobytes(),
        "models/files": lambda: models.read(models.digests()[0]),
        "models/cards": lambda: models.card(models.digests()[0]),
        "models/heads": models.head,
    }


@pytest.mark.item(63)
async def test_no_flipped_bit_and_no_cut_goes_unnoticed(served: Served, annotation: str, phantom: Volume) -> None:
    store, folder = served.store, f"annotations/{annotation.replace('-', '/')}"
    for kind, read in all_of(store, annotation, phantom.shape).items():
        place = f"volumes/{annotation.partition('-')[0]}" if kind in ("volume.json", "voxels") else f"{folder}/{kind}"
        keys = store.list(kind if "/" in kind else place)
        key = next(key for key in keys if place.startswith(folder) or "/" in kind or key.endswith(kind))
        whole, before = store.read(key), read()
        for damaged in damages(whole):
            replaced(store, key, damaged)
            try:
                assert read() == before, f"{kind}: {damaged!r} is read as something else"
            except Corrupt:
                continue
        replaced(store, key, whole)
        assert read() == before


@pytest.mark.item(63)
async def test_a_damaged_record_of_a_mask_hides_no_other_and_saving_again_makes_it_good(
    served: Served, annotation: str, phantom: Volume
) -> None:
    good = await save(served, annotation)
    key = f"annotations/{annotation.replace('-', '/')}/masks/{good.number:06d}"
    replaced(served.store, key, served.store.read(key).replace(b'"threshold": 128', b'"threshold": 129'))
    asked = segmentation_pb2.ExportRequest(annotation_id=annotation, kind="EXPORT_KIND_MASK", format=1)
    assert await refused(served.segmentation.Export(asked)) == DAMAGED  # and not the mask before it
    listing = segmentation_pb2.ListMasksRequest(annotation_id=annotation)
    assert [mask.number for mask in (await served.segmentation.ListMasks(listing)).masks] == [1]
    again = await save(served, annotation)
    assert (again.number, again.digest) == (good.number + 1, good.digest)
    assert [part async for part in served.segmentation.Export(asked)]


@pytest.mark.item(63)
async def test_a_damaged_event_is_told_and_nothing_is_written_after_it(served: Served, annotation: str) -> None:
    folder = f"annotations/{annotation.replace('-', '/')}/log"
    await served.servicer._workspaces.drop(annotation)
    key = list(served.store.list(folder))[-1]
    before = list(served.store.list(folder))
    whole = served.store.read(key)
    replaced(served.store, key, whole[:9] + bytes([whole[9] ^ 1]) + whole[10:])
    opening = segmentation_pb2.AnnotateOpen(annotation_id=annotation, session_id="12345678-1234-5678-1234-567812345678")
    call = served.segmentation.Annotate(iter([segmentation_pb2.AnnotateRequest(open=opening)]))
    assert await refused(call) == DAMAGED
    assert list(served.store.list(folder)) == before
    asked = segmentation_pb2.ExportRequest(annotation_id=annotation, kind="EXPORT_KIND_MASK", format=1)
    assert [part async for part in served.segmentation.Export(asked)]  # what was saved can be had all the same
