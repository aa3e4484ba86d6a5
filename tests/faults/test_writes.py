"""The storage fails at every step of writing each kind of object, under the real services, over the real wire."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from calque.v1 import segmentation_pb2, volumes_pb2

from services.core.volume import Volume
from services.store.annotations import Annotations
from services.store.audit import Trail
from tests.faults.storage import FAULTS, FULL, STEPS, UNAVAILABLE, failing, slow, visible
from tests.phantoms import oblique_phantom, write_nifti
from tests.served import Served, Tablet, begin, chunks, refused, stroke

OBJECT, BACKGROUND = stroke(1, 3, [28, 33], [13, 13]), stroke(1, 3, [5, 30], [36, 36], label=2)
each_fault = pytest.mark.parametrize(("error", "told"), FAULTS, ids=["unavailable", "full"])


def labels(served: Served, annotation_id: str) -> Any:
    request = segmentation_pb2.ExportRequest(annotation_id=annotation_id, kind="EXPORT_KIND_ANNOTATION", format=1)
    return served.segmentation.Export(request)


@each_fault
@pytest.mark.item(56, 58)
async def test_an_event_is_acknowledged_only_when_it_is_durable_and_kept_once(
    served: Served, phantom: Volume, error: OSError, told: tuple[str, str, int]
) -> None:
    annotation_id = await begin(served, phantom)
    drawn = [stroke(1, 3, [k], [k]) for k in range(4, 4 + len(STEPS))]
    session_id = str(uuid4())
    for number, (step, body) in enumerate(zip(STEPS, drawn), 1):
        async with Tablet(served.segmentation, annotation_id, session_id) as tablet:
            await tablet.settings(live=False)
            with failing("log", step, error):
                await tablet.put(body)
                assert await tablet.end() == told
            assert not tablet.all("ack")
        async with Tablet(served.segmentation, annotation_id, session_id) as again:
            assert again.sequence == (number if visible(step) else number - 1)
            again.sequence = number - 1  # it has heard nothing of it, and sends it again
            await again.draw(body)
    entries = [entry for entry in Annotations(served.store).log(annotation_id).entries if entry.sequence]
    assert [entry.body for entry in entries] == [body.SerializeToString() for body in drawn]
    assert [entry.sequence for entry in entries] == [1, 2, 3, 4, 5]


@each_fault
async def test_an_annotation_is_begun_or_the_tablet_is_told(
    served: Served, phantom: Volume, error: OSError, told: tuple[str, str, int]
) -> None:
    first = await begin(served, phantom)
    asked = segmentation_pb2.CreateAnnotationRequest(volume_id=first.partition("-")[0])
    for step in STEPS:
        with failing("heads", step, error):
            assert await refused(served.segmentation.CreateAnnotation(asked)) == told
    listing = segmentation_pb2.ListAnnotationsRequest(volume_id=asked.volume_id)
    there = (await served.segmentation.ListAnnotations(listing)).annotations
    assert len(there) == 1 + sum(map(visible, STEPS))  # each of them can be used, or deleted
    assert (await served.segmentation.CreateAnnotation(asked)).annotation.annotation_id


@each_fault
async def test_a_name_is_the_old_or_the_new_one(
    served: Served, phantom: Volume, error: OSError, told: tuple[str, str, int]
) -> None:
    annotation_id, name = await begin(served, phantom), "Annotation"
    for step in STEPS:
        asked = segmentation_pb2.RenameAnnotationRequest(annotation_id=annotation_id, name=f"New {step}")
        with failing("heads", step, error):
            assert await refused(served.segmentation.RenameAnnotation(asked)) == told
        name = asked.name if visible(step) else name
        assert Annotations(served.store).get(annotation_id).name == name


@each_fault
@pytest.mark.item(56, 58)
async def test_a_mask_is_saved_whole_or_not_at_all_and_strokes_go_on(
    served: Served, phantom: Volume, error: OSError, told: tuple[str, str, int]
) -> None:
    annotation_id = await begin(served, phantom)
    annotations, saved = Annotations(served.store), 0
    async with Tablet(served.segmentation, annotation_id) as tablet:
        await tablet.settings(live=False)
        await tablet.draw(OBJECT, BACKGROUND)
        for kind in ("blobs", "masks"):
            for number, step in enumerate(STEPS):
                threshold = 100 + number + 10 * (kind == "masks")  # a content of its own, unless two happen to be one
                asked = segmentation_pb2.SaveMaskRequest(annotation_id=annotation_id, threshold=threshold)
                with failing(kind, step, error):
                    assert await refused(served.segmentation.SaveMask(asked)) == told
                saved += kind == "masks" and visible(step)
                masks = annotations.masks(annotation_id)
                assert len(masks) == saved
        for mask in masks:
            assert annotations.get_blob(annotation_id, mask.digest, phantom.shape).any()
        await tablet.draw(stroke(1, 3, [9], [9]))
        asked = segmentation_pb2.SaveMaskRequest(annotation_id=annotation_id, threshold=128)
        (kept,) = [one.mask async for one in served.segmentation.SaveMask(asked) if one.HasField("mask")]
        assert kept.number == saved + 1


@each_fault
async def test_an_import_is_whole_or_done_again_from_the_same_upload(
    served: Served, tmp_path: Path, error: OSError, told: tuple[str, str, int]
) -> None:
    steps = [("voxels", "begun"), ("voxels", "named"), ("volume.json", "synced"), ("volume.json", "durable")]
    for number, (kind, step) in enumerate(steps):
        upload_id = str(uuid4())
        data = write_nifti(oblique_phantom((4, 20, 24 + number)), tmp_path / "a.nii").read_bytes()
        await served.volumes.Upload(iter(chunks(upload_id, "a.nii", data)))
        asked = volumes_pb2.ImportRequest(upload_id=upload_id)
        with failing(kind, step, error):
            assert await refused(served.volumes.Import(asked)) == told
        volume = [one async for one in served.volumes.Import(asked)][-1].volume
        listed = (await served.volumes.ListVolumes(volumes_pb2.ListVolumesRequest())).volumes
        assert [one.volume_id for one in listed].count(volume.volume_id) == 1
        assert len(listed) == number + 1


@each_fault
async def test_parts_of_an_upload_that_were_not_taken_are_sent_again(
    served: Served, error: OSError, told: tuple[str, str, int]
) -> None:
    for step in STEPS:
        upload_id, data = str(uuid4()), bytes(range(250)) * 8
        parts = chunks(upload_id, "a.nii", data, size=1_000)
        with failing("uploads", step, error):
            assert await refused(served.volumes.Upload(iter(parts))) == told
        await served.volumes.Upload(iter(parts))
        asked = volumes_pb2.GetUploadRequest(upload_id=upload_id)
        assert [one.committed_bytes for one in (await served.volumes.GetUpload(asked)).files] == [2_000]


@each_fault
@pytest.mark.item(64)
async def test_what_the_trail_did_not_take_waits_and_is_recorded_once(
    served: Served, phantom: Volume, error: OSError, told: tuple[str, str, int]
) -> None:
    annotation_id = await begin(served, phantom)
    before = sum(1 for _ in Trail(served.store).records())
    for step in STEPS:
        asked = segmentation_pb2.RenameAnnotationRequest(annotation_id=annotation_id, name=f"New {step}")
        with failing("audit", step, error):
            await served.segmentation.RenameAnnotation(asked)
        await asyncio.to_thread(served.trail.drain)
    assert sum(1 for _ in Trail(served.store).records()) == before + len(STEPS)


@pytest.mark.item(58)
async def test_a_full_store_is_read_as_ever(served: Served, phantom: Volume) -> None:
    annotation_id = await begin(served, phantom)
    error, _ = FAULTS[1]
    async with Tablet(served.segmentation, annotation_id) as tablet:
        await tablet.draw(OBJECT)
    with failing("log", "written", error):
        async with Tablet(served.segmentation, annotation_id, read_only=True) as looker:
            await looker.look(1, 3)
            assert looker.all("opened")[0].log_length == 2
        assert [part async for part in labels(served, annotation_id)]
        writing = segmentation_pb2.AnnotateOpen(annotation_id=annotation_id, session_id=str(uuid4()))
        call = served.segmentation.Annotate(iter([segmentation_pb2.AnnotateRequest(open=writing)]))
        assert await refused(call) == FULL


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.item(56)
async def test_a_slow_store_holds_up_one_annotation_s_acknowledgements_and_nothing_else(
    served: Served, phantom: Volume, step: str
) -> None:
    slowly = await begin(served, phantom)
    swiftly = await begin(served, phantom)
    async with (
        Tablet(served.segmentation, slowly) as tablet,
        Tablet(served.segmentation, swiftly) as other,
    ):
        await other.settings(live=False)
        with slow("log", step) as storage:
            await tablet.put(OBJECT)
            assert await asyncio.to_thread(storage.there.wait, 30)
            assert [part async for part in labels(served, swiftly)]
            await served.volumes.ListVolumes(volumes_pb2.ListVolumesRequest())
            assert not tablet.all("ack")
            storage.may.set()
            await tablet.acked(1)
        await other.draw(OBJECT)


async def test_a_store_that_fails_while_it_is_read_is_told(served: Served, phantom: Volume, tmp_path: Path) -> None:
    annotation_id = await begin(served, phantom)
    folder = served.store.root
    folder.rename(tmp_path / "away")
    folder.touch()  # a folder that is none, as where a disk was lost
    assert await refused(labels(served, annotation_id)) == UNAVAILABLE
    folder.unlink()
    (tmp_path / "away").rename(folder)
    assert [part async for part in labels(served, annotation_id)]
