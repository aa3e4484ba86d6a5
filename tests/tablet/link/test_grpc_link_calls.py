"""The gRPC adapter: imports, annotations, sessions, masks."""

from __future__ import annotations

import hashlib
import itertools
from pathlib import Path

import numpy as np
import pytest
from calque.v1 import common_pb2, segmentation_pb2
from grpclib.const import Status
from grpclib.exceptions import GRPCError

from tablet_client.link import grpc_link
from tablet_client.link.grpc_link import CHUNK_BYTES
from tablet_client.link.port import LinkError, LocalFile, Step
from tests.tablet.link.grpc_services import MESSAGE


def files(folder: Path, *sizes: int) -> list[LocalFile]:
    made = []
    for number, size in enumerate(sizes):
        path = folder / f"{number}.dcm"
        path.write_bytes(np.random.default_rng(number).bytes(size))
        made.append(LocalFile(f"series/{path.name}", path))
    return made


async def test_an_import_sends_everything_once_and_reports(services, tmp_path):
    chosen = files(tmp_path, CHUNK_BYTES * 2 + 5, 0, 10)
    steps: list[Step] = []
    volume = await services.link.import_files(
        chosen, "id", steps.append, name="n", series="s", frame_plus_one=2, resample=True, shear=True
    )
    assert volume == MESSAGE
    for file in chosen:
        head, data = services.volumes.uploads[file.name]
        assert bytes(data) == file.path.read_bytes()
        assert head.sha256 == hashlib.sha256(data).digest()
    total = CHUNK_BYTES * 2 + 15
    uploads = [step for step in steps if step.what == "upload"]
    assert uploads[0] == Step("upload", 0, total)
    assert uploads[-1] == Step("upload", total, total)
    assert all(a.done <= b.done for a, b in itertools.pairwise(uploads))
    assert steps[-1] == Step("import", 1, 3)
    (request,) = services.volumes.imported
    assert (request.upload_id, request.name, request.series, request.frame_plus_one) == ("id", "n", "s", 2)
    assert (request.resample, request.shear) == (True, True)


async def test_what_an_upload_holds_is_listed_or_refused(services):
    (series,) = (await services.link.list_series("id")).series
    assert series.key == "id"
    info = common_pb2.ErrorInfo(reason=common_pb2.FILE_NOT_AN_IMAGE, message="Only a report.")
    services.volumes.fail = GRPCError(Status.INVALID_ARGUMENT, "m", [info])
    with pytest.raises(LinkError) as caught:
        await services.link.list_series("id")
    assert caught.value.reason == "FILE_NOT_AN_IMAGE"


async def test_a_cut_upload_goes_on_where_it_was(services, tmp_path):
    chosen = files(tmp_path, CHUNK_BYTES * 3, CHUNK_BYTES)
    services.volumes.break_at = [CHUNK_BYTES, CHUNK_BYTES * 2]
    await services.link.import_files(chosen, "id")
    assert [bytes(data) for _, data in services.volumes.uploads.values()] == [f.path.read_bytes() for f in chosen]
    first = [offset for offset in services.volumes.offsets if offset]
    assert sorted(set(first)) == first  # nothing was sent twice


async def test_an_upload_that_gets_no_farther_fails(services, tmp_path):
    services.volumes.break_at, services.volumes.forgets = [0] * 50, True
    with pytest.raises(LinkError) as caught:
        await services.link.import_files(files(tmp_path, 10, 10), "id")
    assert caught.value.reason == "SERVICE_UNAVAILABLE"
    assert 50 - len(services.volumes.break_at) == grpc_link.TRIES


async def test_files_that_the_tablet_cannot_read_are_said(services, tmp_path):
    with pytest.raises(LinkError) as caught:
        await services.link.import_files([LocalFile("a", tmp_path / "missing")], "id")
    assert caught.value.reason == "FILE_NOT_READABLE"


async def test_a_refused_import_says_why(services, tmp_path):
    info = common_pb2.ErrorInfo(reason=common_pb2.FILE_TRUNCATED, message="This file ends too early.")
    services.volumes.fail = GRPCError(Status.INVALID_ARGUMENT, "m", [info])
    with pytest.raises(LinkError) as caught:
        await services.link.import_files(files(tmp_path, 3), "id")
    assert (caught.value.reason, str(caught.value)) == ("FILE_TRUNCATED", "This file ends too early.")


async def test_the_import_goes_on_when_the_files_are_there(services, tmp_path):
    chosen = files(tmp_path, 3)
    await services.link.import_files(chosen, "id")
    sent = list(services.volumes.offsets)
    await services.link.import_files(chosen, "id", series="chosen")
    assert services.volumes.offsets == sent
    assert services.volumes.imported[-1].series == "chosen"


# --- annotations -----------------------------------------------------------------------------------------------------


async def test_annotations_are_kept(services):
    link = services.link
    labels = [common_pb2.Label(value=1, name="Placenta"), common_pb2.Label(value=2, name="Rest")]
    made = await link.create_annotation("v", "n", labels)
    assert (made.volume_id, made.name, list(made.labels)) == ("v", "n", labels)
    assert [a.annotation_id for a in await link.list_annotations("v")] == ["b", "a"]
    assert (await link.rename_annotation("a", "new")).name == "new"
    assert [m.number for m in await link.list_masks("a")] == [2, 1]
    await link.delete_annotation("a")
    await link.delete_volume("v")


async def test_a_session_sends_and_receives(services):
    opening = segmentation_pb2.AnnotateOpen(annotation_id="a", session_id="s", have_entries=3)
    async with services.link.annotate(opening) as session:
        messages = aiter(session)
        assert (await anext(messages)).opened.next_sequence == 4
        await session.send(segmentation_pb2.AnnotateView(plane="PLANE_CORONAL", slice=7))
        await session.send(segmentation_pb2.AnnotateSettings(live=True))
        await session.send(segmentation_pb2.AnnotateSegment())
        await session.send(segmentation_pb2.Event(sequence=4))
        assert (await anext(messages)).ack.sequence == 4
    kinds = [request.WhichOneof("what") for request in services.segmentation.received]
    assert kinds == ["open", "view", "settings", "segment", "event"]
    assert services.segmentation.received[0].open == opening


async def test_a_session_that_is_refused_raises_why_when_it_is_left(services):
    info = common_pb2.ErrorInfo(reason=common_pb2.STROKE_INVALID, expected=4)
    services.segmentation.fail = GRPCError(Status.INVALID_ARGUMENT, "m", [info])
    with pytest.raises(LinkError) as caught:  # noqa: PT012 – where it is raised is what is tried
        async with services.link.annotate(segmentation_pb2.AnnotateOpen()) as session:
            async for _ in session:
                await session.send(segmentation_pb2.AnnotateSegment())
    assert (caught.value.reason, caught.value.expected) == ("STROKE_INVALID", 4)


async def test_a_session_whose_server_dies_raises_an_error_that_may_pass(services):
    with pytest.raises(LinkError) as caught:  # noqa: PT012 – where it is raised is what is tried
        async with services.link.annotate(segmentation_pb2.AnnotateOpen()) as session:
            async for _ in session:
                services.cut()
    assert caught.value.retry


async def test_masks_are_saved_with_progress(services):
    steps: list[Step] = []
    assert (await services.link.save_mask("a", 128, steps.append)).threshold == 128
    assert steps == [Step("compute", 2, 9)]
    with pytest.raises(LinkError) as caught:
        await services.link.save_mask("a", 7)
    assert caught.value.retry


async def test_a_mask_file_is_sent(services, tmp_path):
    (file,) = files(tmp_path, CHUNK_BYTES + 1)
    digest = hashlib.sha256(file.path.read_bytes()).hexdigest()
    assert await services.link.upload_mask("a", file) == f"a/{file.name}/{digest}"


async def test_exports_come_whole_or_not_at_all(services):
    steps = []
    nifti = segmentation_pb2.EXPORT_FORMAT_NIFTI
    got = await services.link.export("a", segmentation_pb2.EXPORT_KIND_MASK, nifti, 5, steps.append)
    assert steps == [Step("export", 1000, 3000), Step("export", 3000, 3000)]
    assert (got.name, got.data) == ("mask.nii.gz", bytes([2, 2, 5]) * 1000)
    services.segmentation.digest = "0" * 64
    with pytest.raises(LinkError) as caught:
        await services.link.export("a", segmentation_pb2.EXPORT_KIND_MASK, segmentation_pb2.EXPORT_FORMAT_NIFTI)
    assert caught.value.reason == "DIGEST_MISMATCH"
