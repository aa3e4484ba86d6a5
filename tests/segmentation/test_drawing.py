"""Events over the wire: what is drawn, acknowledged, refused, taken back."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import math
import re
import threading
from typing import Any
from uuid import uuid4

import nibabel
import numpy as np
import pytest
from calque.v1 import common_pb2, segmentation_pb2, volumes_pb2

from services.core.volume import Volume
from tests.served import Served, Tablet, begin, event, eventually, refused, serve, stroke

Body = segmentation_pb2.EventBody
UNDO, REDO, CLEAR = Body(undo={}), Body(redo={}), Body(clear={})
REFUSED = ("INVALID_ARGUMENT", "STROKE_INVALID")


async def exported(served: Served, annotation_id: str) -> nibabel.Nifti1Image:
    request = segmentation_pb2.ExportRequest(annotation_id=annotation_id, kind=1, format=2)
    parts = [part async for part in served.segmentation.Export(request)]
    data = b"".join(part.data for part in parts)
    assert hashlib.sha256(data).hexdigest() == parts[-1].sha256
    assert re.fullmatch(r"Phantom-Annotation-annotation-\d{8}T\d{6}Z\.nii\.gz", parts[0].name)
    return nibabel.Nifti1Image.from_bytes(gzip.decompress(data))


async def labels(served: Served, annotation_id: str) -> np.ndarray:
    """The annotation in the order of the file: columns, rows, slices."""
    return np.asarray((await exported(served, annotation_id)).dataobj)


async def planes_of(served: Served, annotation_id: str) -> list[common_pb2.PlaneGeometry]:
    request = volumes_pb2.GetVolumeRequest(volume_id=annotation_id.partition("-")[0])
    return list((await served.volumes.GetVolume(request)).volume.planes)


async def test_strokes_in_every_plane_lie_at_the_right_millimetres(served: Served, phantom: Volume) -> None:
    annotation_id = await begin(served, phantom)
    planes = await planes_of(served, annotation_id)
    drawn: dict[int, set[tuple[float, ...]]] = {1: set(), 2: set()}
    async with Tablet(served.segmentation, annotation_id) as tablet:
        for number, plane in enumerate(planes):
            # An angle that no flip or transposition maps to itself, nearer to one corner.
            corner, index = (plane.columns - 4, 2), plane.slices // 3 + number
            path = [(corner[0] - 8, corner[1]), corner, (corner[0], corner[1] + 4)]
            label = 1 + number % 2
            x, y = [p[0] for p in path], [p[1] for p in path]
            await tablet.draw(stroke(plane.plane, index, x, y, label=label, width_mm=0.01))
            pixels = {(c, corner[1]) for c in range(path[0][0], corner[0] + 1)}
            pixels |= {(corner[0], r) for r in range(corner[1], path[2][1] + 1)}
            to_mm = np.array(plane.pixel_to_mm).reshape(4, 4)
            drawn[label] |= {tuple(np.round((to_mm @ (c, r, index, 1))[:3], 2)) for c, r in pixels}
    file = await exported(served, annotation_id)
    array, affine = np.asarray(file.dataobj), file.affine
    for label, places in drawn.items():
        voxels = np.argwhere(array == label)
        ras = voxels @ affine[:3, :3].T + affine[:3, 3]
        found = {tuple(place) for place in np.round(ras * (-1, -1, 1), 2)}
        assert len(found) == len(voxels) > 10
        np.testing.assert_allclose(sorted(found), sorted(places), atol=0.02)


async def test_lasso_eraser_undo_redo_and_clear(served: Served, phantom: Volume) -> None:
    annotation_id = await begin(served, phantom)
    lasso = Body(lasso=segmentation_pb2.Lasso(plane="PLANE_AXIAL", slice=4, label=2, x=[5, 14, 14, 5], y=[6, 6, 11, 11]))
    erase = Body(erase=segmentation_pb2.Erase(plane="PLANE_AXIAL", slice=4, width_mm=0.01, x=[7, 9], y=[8, 8]))
    full = np.zeros((48, 40, 12), dtype=np.uint8)
    full[5:15, 6:12, 4] = 2
    holed = full.copy()
    holed[7:10, 8, 4] = 0
    marked = holed.copy()
    marked[8, 8, 4] = 1
    none = np.zeros_like(full)
    steps: list[tuple[Body, np.ndarray]] = [
        (lasso, full),
        (erase, holed),
        (UNDO, full),
        (REDO, holed),
        (stroke(1, 4, [8], [8], width_mm=0.01), marked),
        (CLEAR, none),
        (REDO, none),
        (UNDO, marked),
        (UNDO, holed),
        (UNDO, full),
        (Body(), full),
        (UNDO, none),
        (UNDO, none),
        (REDO, full),
        (stroke(1, 0, [0], [0], width_mm=0.01), full),
        (REDO, full),
    ]
    async with Tablet(served.segmentation, annotation_id) as tablet:
        for body, expected in steps:
            await tablet.draw(body)
            array = await labels(served, annotation_id)
            array[0, 0, 0] = 0
            np.testing.assert_array_equal(array, expected)


async def test_events_are_acknowledged_in_order_with_their_positions(served: Served, phantom: Volume) -> None:
    annotation_id = await begin(served, phantom)
    async with Tablet(served.segmentation, annotation_id) as tablet:
        await tablet.draw(*(stroke(1, n, [n], [n]) for n in range(12)))
        acks = tablet.all("ack")
        assert [(ack.sequence, ack.position) for ack in acks] == [(n, n + 1) for n in range(1, 13)]
        # What is acknowledged lies in the store.
        volume_id, _, name = annotation_id.partition("-")
        assert len(list(served.store.list(f"annotations/{volume_id}/{name}/log"))) == 13


async def test_the_same_event_again_gets_its_first_acknowledgement(served: Served, phantom: Volume) -> None:
    annotation_id = await begin(served, phantom)
    body = stroke(1, 3, [4], [5])
    async with Tablet(served.segmentation, annotation_id) as tablet:
        await tablet.draw(body, UNDO)
        await tablet.send(event=event(1, body))
        await tablet.send(event=event(2, UNDO))
        await tablet.until(lambda t: len(t.all("ack")) == 4)
        assert [(ack.sequence, ack.position) for ack in tablet.all("ack")] == [(1, 2), (2, 3)] * 2
        session = tablet.session_id
    async with Tablet(served.segmentation, annotation_id, session) as tablet:
        assert tablet.sequence == 2
        await tablet.send(event=event(1, body))
        assert await tablet.acked(1) == 2
        await tablet.draw(REDO)
    assert (await labels(served, annotation_id)).any()


def damaged() -> segmentation_pb2.Event:
    """A stroke of which a bit was turned on its way, so that it seems to leave the volume."""
    sent = event(1, stroke(1, 3, [4], [5]))
    turned = stroke(1, 3, [4e9], [5]).SerializeToString()
    return segmentation_pb2.Event(sequence=1, body=turned, sha256=sent.sha256)


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (damaged(), ("DATA_LOSS", "DIGEST_MISMATCH", 0)),
        (segmentation_pb2.Event(sequence=1, body=b"\xff", sha256=b""), ("DATA_LOSS", "DIGEST_MISMATCH", 0)),
        (event(1, b"\xff\xff"), (*REFUSED, 1)),
        (event(1, stroke(1, 3, [math.nan], [5])), (*REFUSED, 1)),
        (event(1, stroke(1, 3, [4], [400])), (*REFUSED, 1)),
        (event(1, stroke(1, 12, [4], [4])), (*REFUSED, 1)),
        (event(1, stroke(1, 3, [], [])), (*REFUSED, 1)),
        (event(1, stroke(1, 3, [4], [4], label=3)), ("INVALID_ARGUMENT", "LABEL_UNKNOWN", 1)),
        (event(1, stroke(1, 3, [4] * 10_001, [4] * 10_001)), ("RESOURCE_EXHAUSTED", "STROKE_INVALID", 0)),
        (event(1, Body(mask_import={"mask_digest": "0" * 64})), ("NOT_FOUND", "MASK_NOT_FOUND", 0)),
        (event(1, Body(mask_import={"mask_digest": "../../x"})), ("NOT_FOUND", "MASK_NOT_FOUND", 0)),
        (event(0, UNDO), ("INVALID_ARGUMENT", "REQUEST_INVALID", 0)),
        (event(3, UNDO), ("FAILED_PRECONDITION", "SEQUENCE_GAP", 1)),
    ],
)
async def test_an_event_that_is_refused_is_not_kept(served: Served, phantom: Volume, sent: Any, expected: Any) -> None:
    annotation_id = await begin(served, phantom)
    async with Tablet(served.segmentation, annotation_id) as tablet:
        await tablet.send(event=sent)
        assert await tablet.end() == expected
    async with Tablet(served.segmentation, annotation_id, tablet.session_id) as tablet:
        assert tablet.sequence == 0
        await tablet.draw(Body())  # so a client replaces what was refused


async def test_a_number_used_twice_and_a_gap_end_the_stream_and_lose_nothing(served: Served, phantom: Volume) -> None:
    annotation_id = await begin(served, phantom)
    async with Tablet(served.segmentation, annotation_id) as tablet:
        await tablet.put(stroke(1, 3, [4], [5]), stroke(1, 3, [6], [5]))
        await tablet.send(event=event(2, UNDO))
        assert await tablet.end() == ("ABORTED", "SEQUENCE_CONFLICT", 0)
        assert [ack.sequence for ack in tablet.all("ack")] == [1, 2]  # none lost on the way to the end
    async with Tablet(served.segmentation, annotation_id, tablet.session_id) as tablet:
        await tablet.put(UNDO)
        await tablet.send(event=event(5, UNDO))
        assert await tablet.end() == ("FAILED_PRECONDITION", "SEQUENCE_GAP", 4)
        assert [ack.sequence for ack in tablet.all("ack")] == [3]
    assert np.count_nonzero((await labels(served, annotation_id)) == 1) > 0


async def test_a_stream_begins_by_opening_and_opens_once(served: Served, phantom: Volume) -> None:
    annotation_id, invalid = await begin(served, phantom), ("INVALID_ARGUMENT", "REQUEST_INVALID", 0)
    request = segmentation_pb2.AnnotateRequest
    nameless = request(open=segmentation_pb2.AnnotateOpen(annotation_id=annotation_id, session_id="me"))
    for requests in ([], [request(event=event(1, UNDO))], [request()], [nameless]):
        assert await refused(served.segmentation.Annotate(iter(requests))) == invalid
    for wrong in (
        {"open": nameless.open},
        {"view": segmentation_pb2.AnnotateView(plane="PLANE_AXIAL", slice=12)},
        {"view": segmentation_pb2.AnnotateView(slice=1)},
        {"settings": segmentation_pb2.AnnotateSettings(shown_label=3)},
    ):
        async with Tablet(served.segmentation, annotation_id) as tablet:
            await tablet.send(**wrong)
            assert await tablet.end() == invalid


async def test_what_was_drawn_before_is_told(served: Served, phantom: Volume) -> None:
    annotation_id = await begin(served, phantom)
    drawn = [stroke(1, n, [n], [n]) for n in range(3)]
    async with Tablet(served.segmentation, annotation_id) as first:
        await first.draw(*drawn)
    async with Tablet(served.segmentation, annotation_id, str(uuid4()), have_entries=2, read_only=True) as other:
        assert other.all("opened")[0].log_length == 4
        logged = await other.until(lambda t: len(t.all("logged")) == 2 and t.all("logged"))
        expected = [(3, first.session_id, 2, drawn[1]), (4, first.session_id, 3, drawn[2])]
        assert [(e.position, e.session_id, e.sequence, Body.FromString(e.body)) for e in logged] == expected
    async with Tablet(served.segmentation, annotation_id, have_entries=99, read_only=True) as other:
        await other.look(1, 0)
        assert other.all("logged") == []


async def test_another_server_on_the_store_has_the_same_labels(served: Served, phantom: Volume, tmp_path) -> None:
    annotation_id = await begin(served, phantom)
    async with Tablet(served.segmentation, annotation_id) as tablet:
        await tablet.draw(stroke(2, 9, [3, 30], [3, 9]), stroke(3, 9, [3, 30], [3, 9], label=2), UNDO, REDO)
    before = await labels(served, annotation_id)
    assert set(np.unique(before)) == {0, 1, 2}
    async with serve(tmp_path / "store") as restarted:
        np.testing.assert_array_equal(await labels(restarted, annotation_id), before)


async def test_an_event_in_flight_when_the_line_breaks_is_there_once(served: Served, phantom: Volume, monkeypatch) -> None:
    """The store is slow, the connection breaks, the tablet comes back and sends again while the first try still runs."""
    annotation_id = await begin(served, phantom)
    entered, release = threading.Event(), threading.Event()
    create = type(served.store).create

    def slow(store: Any, key: str, data: Any) -> bool:
        made = create(store, key, data)
        if key.endswith("/log/000000000002"):
            entered.set()
            assert release.wait(30)
        return made

    monkeypatch.setattr(type(served.store), "create", slow)
    async with Tablet(served.segmentation, annotation_id) as tablet:
        await tablet.put(stroke(1, 3, [4], [5]))
        assert await asyncio.to_thread(entered.wait, 30)
    again = Tablet(served.segmentation, annotation_id, tablet.session_id)
    opening = asyncio.create_task(again.__aenter__())
    await eventually(lambda: served.workspace(annotation_id)._log_lock._waiters)
    release.set()
    await opening
    await again.send(event=event(1, stroke(1, 3, [4], [5])))
    assert await again.acked(1) == 2
    again.sequence = 1
    await again.draw(UNDO, REDO)
    entries = served.workspace(annotation_id).log.entries
    assert [entry.position for entry in entries] == list(range(1, len(entries) + 1))
    assert [entry.sequence for entry in entries if entry.sequence] == [1, 2, 3]
    await again.__aexit__()
