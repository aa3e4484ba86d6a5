"""Masks that are saved and taken, and files for other programs."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import io
import threading
from pathlib import Path
from typing import Any
from uuid import uuid4

import nibabel
import numpy as np
import pytest
import tifffile
from calque.v1 import segmentation_pb2, volumes_pb2

from services.core.labels import mask_labels
from services.core.volume import Volume
from services.formats.write import nifti_bytes, tiff_bytes
from services.segmentation.computation import Computation
from tests.phantoms import write_nifti
from tests.served import SECONDS, Served, Tablet, begin, chunks, eventually, refused, serve, stroke

pb = segmentation_pb2
OBJECT = stroke(1, 3, [28, 33], [13, 13], label=1)
BACKGROUND = stroke(1, 3, [5, 30], [36, 36], label=2)
MISMATCH = ("INVALID_ARGUMENT", "MASK_MISMATCH", 0)
ANNOTATION, MASK, PROBABILITY = 1, 2, 3
TIFF, NIFTI = 1, 2


async def save(served: Served, annotation_id: str, threshold: int) -> tuple[list[pb.Progress], pb.Mask]:
    call = served.segmentation.SaveMask(pb.SaveMaskRequest(annotation_id=annotation_id, threshold=threshold))
    responses = [response async for response in call]
    assert [r.WhichOneof("what") for r in responses] == ["progress"] * (len(responses) - 1) + ["mask"]
    return [r.progress for r in responses[:-1]], responses[-1].mask


async def export(served: Served, annotation_id: str, kind: int, form: int, number: int = 0) -> tuple[str, bytes]:
    request = pb.ExportRequest(
        annotation_id=annotation_id,
        kind=pb.ExportKind.Name(kind),
        format=pb.ExportFormat.Name(form),
        mask_number=number,
    )
    parts = [part async for part in served.segmentation.Export(request)]
    assert all(part.name == "" for part in parts[1:])
    assert all(part.sha256 == "" for part in parts[:-1])
    assert max(len(part.data) for part in parts) <= 256 << 10
    data = b"".join(part.data for part in parts)
    assert hashlib.sha256(data).hexdigest() == parts[-1].sha256
    return parts[0].name, data


async def voxels(served: Served, annotation_id: str, kind: int, form: int, number: int = 0) -> np.ndarray:
    """An exported file as another program reads it, in the order slices, rows, columns."""
    name, data = await export(served, annotation_id, kind, form, number)
    if form == TIFF:
        assert name.endswith(".tif")
        return tifffile.imread(io.BytesIO(data))
    assert name.endswith(".nii.gz")
    return np.asarray(nibabel.Nifti1Image.from_bytes(gzip.decompress(data)).dataobj).transpose(2, 1, 0)


async def upload(served: Served, annotation_id: str, data: bytes, name: str = "mask") -> pb.UploadMaskResponse:
    pieces = [data[at : at + 10_000] for at in range(0, len(data), 10_000)] or [b""]
    requests = [pb.UploadMaskRequest(data=piece) for piece in pieces]
    requests[0].annotation_id, requests[0].name = annotation_id, name
    return await served.segmentation.UploadMask(iter(requests))


async def test_a_saved_mask_is_the_probability_at_its_threshold(served: Served, phantom: Volume) -> None:
    annotation_id = await begin(served, phantom)
    async with Tablet(served.segmentation, annotation_id) as tablet:
        await tablet.settings(live=True, seed=3)
        await tablet.draw(OBJECT, BACKGROUND)
        _, first = await save(served, annotation_id, 128)
        levels = served.workspace(annotation_id).computation.levels.copy()
        await tablet.draw(stroke(1, 8, [20], [20]))
        _, second = await save(served, annotation_id, 255)
        newer = served.workspace(annotation_id).computation.levels.copy()

    assert (first.number, first.threshold, first.log_length, first.seed) == (1, 128, 3, 3)
    assert (second.number, second.threshold, second.log_length) == (2, 255, 4)
    assert first.preset == pb.PRESET_PAPER
    assert first.engine
    assert first.object_ml == pytest.approx((levels >= 128).sum() * 5.0 * 1.1 * 0.8 / 1000)
    listed = await served.segmentation.ListMasks(pb.ListMasksRequest(annotation_id=annotation_id))
    assert list(listed.masks) == [second, first]
    for form in (TIFF, NIFTI):
        for number, mask in ((1, levels >= 128), (2, newer >= 255), (0, newer >= 255)):
            np.testing.assert_array_equal(await voxels(served, annotation_id, MASK, form, number), mask * 255)
        np.testing.assert_array_equal(await voxels(served, annotation_id, PROBABILITY, form), newer)
    assert await refused(_export(served, annotation_id, MASK, TIFF, 3)) == ("NOT_FOUND", "MASK_NOT_FOUND", 0)


def _export(served: Served, annotation_id: str, kind: int, form: int, number: int = 0) -> Any:
    request = pb.ExportRequest(annotation_id=annotation_id, mask_number=number)
    request.kind, request.format = kind, form  # type: ignore[assignment]
    return served.segmentation.Export(request)


async def test_saving_waits_for_the_whole_volume_and_tells_how_far_it_is(
    served: Served, phantom: Volume, monkeypatch
) -> None:
    held, release, work = threading.Event(), threading.Event(), Computation.predict

    def predict(computation: Computation, index: int) -> None:
        if computation.done >= 4:
            held.set()
            assert release.wait(SECONDS)
        work(computation, index)

    monkeypatch.setattr(Computation, "predict", predict)
    annotation_id = await begin(served, phantom)
    async with Tablet(served.segmentation, annotation_id) as tablet:
        await tablet.draw(OBJECT, BACKGROUND)
        assert await asyncio.to_thread(held.wait, SECONDS)
        saving = asyncio.create_task(save(served, annotation_id, 100))
        await eventually(lambda: served.workspace(annotation_id).schedule.waited_for)
        assert not list(served.store.list("annotations/" + annotation_id.replace("-", "/") + "/masks"))
        release.set()
        steps, mask = await saving
    assert mask.number == 1
    assert {one.total for one in steps} == {12}
    assert [one.done for one in steps] == sorted(one.done for one in steps)


async def test_without_two_labels_there_is_nothing_to_save(served: Served, phantom: Volume) -> None:
    annotation_id = await begin(served, phantom)
    unsegmented = ("FAILED_PRECONDITION", "NOT_SEGMENTED", 0)
    request = pb.SaveMaskRequest(annotation_id=annotation_id, threshold=128)
    assert await refused(served.segmentation.SaveMask(request)) == unsegmented
    async with Tablet(served.segmentation, annotation_id) as tablet:
        await tablet.draw(OBJECT)
        assert await refused(served.segmentation.SaveMask(request)) == unsegmented
        assert await refused(_export(served, annotation_id, PROBABILITY, TIFF)) == unsegmented
    assert not (await served.segmentation.ListMasks(pb.ListMasksRequest(annotation_id=annotation_id))).masks
    assert await refused(_export(served, annotation_id, MASK, TIFF)) == ("NOT_FOUND", "MASK_NOT_FOUND", 0)
    for threshold in (0, 256):
        wrong = pb.SaveMaskRequest(annotation_id=annotation_id, threshold=threshold)
        assert (await refused(served.segmentation.SaveMask(wrong)))[:2] == ("INVALID_ARGUMENT", "REQUEST_INVALID")
    for kind, form in ((0, TIFF), (MASK, 0), (9, 9)):
        call = _export(served, annotation_id, kind, form)
        assert (await refused(call))[:2] == ("INVALID_ARGUMENT", "REQUEST_INVALID")


async def test_who_waits_for_a_mask_of_a_deleted_annotation_is_told(served: Served, phantom: Volume, monkeypatch) -> None:
    held, release, work = threading.Event(), threading.Event(), Computation.predict

    def predict(computation: Computation, index: int) -> None:
        held.set()
        assert release.wait(SECONDS)
        work(computation, index)

    monkeypatch.setattr(Computation, "predict", predict)
    annotation_id = await begin(served, phantom)
    async with Tablet(served.segmentation, annotation_id) as tablet:
        await tablet.draw(OBJECT, BACKGROUND)
        assert await asyncio.to_thread(held.wait, SECONDS)
        request = pb.SaveMaskRequest(annotation_id=annotation_id, threshold=1)
        saving = asyncio.create_task(refused(served.segmentation.SaveMask(request)))
        await eventually(lambda: served.workspace(annotation_id).schedule.waited_for)
        await served.segmentation.DeleteAnnotation(pb.DeleteAnnotationRequest(annotation_id=annotation_id))
        assert await saving == ("NOT_FOUND", "ANNOTATION_NOT_FOUND", 0)
        release.set()


async def test_exports_of_an_imported_file_have_its_axes_and_affine(
    served: Served, phantom: Volume, tmp_path: Path
) -> None:
    source = write_nifti(phantom, tmp_path / "head.nii")
    upload_id = str(uuid4())
    await served.volumes.Upload(iter(chunks(upload_id, "head.nii", source.read_bytes())))
    call = served.volumes.Import(volumes_pb2.ImportRequest(upload_id=upload_id, name="Ö: 1/2"))
    volume = [response async for response in call][-1].volume
    create = pb.CreateAnnotationRequest(volume_id=volume.volume_id, name="../x")
    annotation_id = (await served.segmentation.CreateAnnotation(create)).annotation.annotation_id
    async with Tablet(served.segmentation, annotation_id) as tablet:
        await tablet.draw(OBJECT, BACKGROUND)
        await save(served, annotation_id, 128)
    original = nibabel.load(source)
    for kind in (ANNOTATION, MASK, PROBABILITY):
        name, data = await export(served, annotation_id, kind, NIFTI)
        assert "/" not in name
        assert not name.startswith(".")
        image = nibabel.Nifti1Image.from_bytes(gzip.decompress(data))
        np.testing.assert_allclose(image.affine, original.affine, atol=1e-4)
        assert image.shape == original.shape
        stack = await voxels(served, annotation_id, kind, TIFF)
        np.testing.assert_array_equal(np.asarray(image.dataobj).transpose(2, 1, 0), stack)
    with tifffile.TiffFile(io.BytesIO((await export(served, annotation_id, ANNOTATION, TIFF))[1])) as file:
        assert file.imagej_metadata is not None
        assert file.imagej_metadata["spacing"] == pytest.approx(5.0, abs=1e-4)
        assert file.imagej_metadata["unit"] == "mm"


@pytest.mark.parametrize("form", ["nifti", "tiff"])
async def test_a_mask_from_a_file_becomes_the_start(served: Served, phantom: Volume, form: str) -> None:
    annotation_id = await begin(served, phantom)
    mask = np.zeros(phantom.shape, dtype=bool)
    mask[2:9, 10:30, 12:40] = True
    mask[4, 2, 3] = True
    written = (
        nifti_bytes(mask, affine=phantom.affine, source_axes=phantom.source_axes)
        if form == "nifti"
        else tiff_bytes(mask, affine=phantom.affine)
    )
    answer = await upload(served, annotation_id, written, f"mask.{form}")
    assert answer.voxels == mask.sum()
    async with Tablet(served.segmentation, annotation_id) as tablet:
        await tablet.draw(pb.EventBody(mask_import=pb.MaskImport(mask_digest=answer.mask_digest)))
        drawn = await voxels(served, annotation_id, ANNOTATION, TIFF)
        np.testing.assert_array_equal(drawn, mask_labels(mask))
        assert set(np.unique(drawn)) == {0, 1, 2}
        _, saved = await save(served, annotation_id, 128)
        assert saved.log_length == 2
        await tablet.draw(pb.EventBody(undo=pb.Undo()))
        assert not (await voxels(served, annotation_id, ANNOTATION, TIFF)).any()


async def test_a_mask_that_does_not_fit_is_refused(served: Served, phantom: Volume) -> None:
    annotation_id = await begin(served, phantom)
    mask = np.ones(phantom.shape, dtype=bool)
    moved = phantom.affine.copy()
    moved[0, 3] += 3
    table = [
        (tiff_bytes(mask[1:], affine=phantom.affine), MISMATCH),
        (nifti_bytes(mask, affine=moved, source_axes=(2, 1, 0)), MISMATCH),
        (tiff_bytes(~mask, affine=phantom.affine), MISMATCH),
        (b"nothing of the kind", MISMATCH),
        (b"", MISMATCH),
        (nifti_bytes(mask, affine=phantom.affine, source_axes=(2, 1, 0))[:-20], ("INVALID_ARGUMENT", "FILE_TRUNCATED", 0)),
    ]
    for data, expected in table:
        assert await refused(upload(served, annotation_id, data)) == expected
    call = upload(served, annotation_id, tiff_bytes(mask, affine=phantom.affine), "../mask.tif")
    assert (await refused(call))[:2] == ("INVALID_ARGUMENT", "REQUEST_INVALID")


async def test_a_mask_file_that_inflates_without_end_is_stopped_outside_the_server(tmp_path, phantom: Volume) -> None:
    header = nibabel.Nifti1Header()
    header.set_data_shape((1200, 1200, 1200))
    header.set_data_dtype(np.uint8)
    header.set_sform(np.eye(4), code=1)
    header["vox_offset"] = 352
    zeros = gzip.compress(bytes(64 << 20), 1)  # members of a gzip file follow one another
    bomb = gzip.compress(header.binaryblock + bytes(4)) + zeros * 26
    async with serve(tmp_path / "store", compute_threads=1, parser_memory_bytes=1 << 30) as served:
        annotation_id = await begin(served, phantom)
        call = upload(served, annotation_id, bomb, "mask.nii.gz")
        assert await refused(call) == ("RESOURCE_EXHAUSTED", "FILE_TOO_LARGE", 0)


async def test_a_damaged_stored_mask_is_told_and_saving_again_repairs_it(served: Served, phantom: Volume) -> None:
    annotation_id = await begin(served, phantom)
    async with Tablet(served.segmentation, annotation_id) as tablet:
        await tablet.draw(OBJECT, BACKGROUND)
        _, mask = await save(served, annotation_id, 128)
        async with Tablet(served.segmentation, annotation_id, read_only=True) as other:
            assert other.all("opened")[0].annotation.masks == 1
        folder = served.store.root / "annotations" / Path(*annotation_id.split("-"))
        blob = folder / "blobs" / mask.digest
        data = bytearray(blob.read_bytes())
        data[len(data) // 2] ^= 1
        blob.write_bytes(data)
        assert await refused(_export(served, annotation_id, MASK, TIFF)) == ("DATA_LOSS", "STORE_CORRUPT", 0)
        await save(served, annotation_id, 128)
        levels = served.workspace(annotation_id).computation.levels
        np.testing.assert_array_equal(await voxels(served, annotation_id, MASK, TIFF), (levels >= 128) * 255)
