"""What is done over the wire is in the audit trail: who, what, from where; while the store is away, afterwards."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from uuid import uuid4

import grpc
import pytest
from calque.v1 import common_pb2, segmentation_pb2, volumes_pb2

from services.core.audit import Action, Event, Subject
from services.core.errors import Unavailable
from services.serving.audit import OPENING_S, Recorder, address
from services.serving.caller import Caller, set_caller
from services.store.audit import Trail
from services.store.directory import DirectoryStore
from tests.phantoms import oblique_phantom, write_nifti
from tests.served import Served, Tablet, chunks, keep, refused, serve, stroke

pb = segmentation_pb2
PHANTOM = oblique_phantom((4, 40, 48))


def recorded(folder: Path) -> list[Event]:
    return [record.event for record in Trail(DirectoryStore(folder)).records()]


async def read_slice(served: Served, volume_id: str) -> None:
    request = volumes_pb2.ReadSlicesRequest(volume_id=volume_id, plane=common_pb2.PLANE_AXIAL, slices=[0])
    assert [response.slice async for response in served.volumes.ReadSlices(request)] == [0]


async def import_volume(served: Served, folder: Path) -> str:
    data, upload_id = write_nifti(PHANTOM, folder / "a.nii.gz").read_bytes(), str(uuid4())
    await served.volumes.Upload(chunks(upload_id, "a.nii.gz", data))
    responses = [one async for one in served.volumes.Import(volumes_pb2.ImportRequest(upload_id=upload_id))]
    return responses[-1].volume.volume_id


async def test_each_deed_is_recorded_once(tmp_path: Path) -> None:
    store = tmp_path / "store"
    async with serve(store) as served:
        volume_id = await import_volume(served, tmp_path)
        for _ in range(3):
            await read_slice(served, volume_id)
        request = pb.CreateAnnotationRequest(volume_id=volume_id)
        annotation_id = (await served.segmentation.CreateAnnotation(request)).annotation.annotation_id
        async with Tablet(served.segmentation, annotation_id) as tablet:
            await tablet.draw(stroke(1, 2, [28, 33], [13, 13], label=1), stroke(1, 2, [5, 30], [36, 36], label=2))
            async with Tablet(served.segmentation, annotation_id, read_only=True):
                pass
            async with Tablet(served.segmentation, annotation_id):  # another draws
                pass
            async with Tablet(served.segmentation, annotation_id, take_over=True):
                pass
        saving = served.segmentation.SaveMask(pb.SaveMaskRequest(annotation_id=annotation_id, threshold=100))
        assert [one async for one in saving][-1].mask.number == 1
        export = pb.ExportRequest(annotation_id=annotation_id, kind=pb.EXPORT_KIND_MASK, format=pb.EXPORT_FORMAT_NIFTI)
        assert [one async for one in served.segmentation.Export(export)]
        await served.segmentation.RenameAnnotation(pb.RenameAnnotationRequest(annotation_id=annotation_id, name="Jane Doe"))
        await served.segmentation.DeleteAnnotation(pb.DeleteAnnotationRequest(annotation_id=annotation_id))
        await served.volumes.DeleteVolume(volumes_pb2.DeleteVolumeRequest(volume_id=volume_id))
        assert (await refused(served.volumes.DeleteVolume(volumes_pb2.DeleteVolumeRequest(volume_id=volume_id))))[1] == (
            "VOLUME_NOT_FOUND"
        )
    events = recorded(store)
    assert [(event.action, event.subject.annotation_id, event.subject.mask, event.subject.form) for event in events] == [
        (Action.VOLUME_IMPORT, "", 0, ""),
        (Action.VOLUME_OPEN, "", 0, ""),
        (Action.ANNOTATION_CREATE, annotation_id, 0, ""),
        (Action.ANNOTATION_WRITE, annotation_id, 0, ""),
        (Action.ANNOTATION_OPEN, annotation_id, 0, ""),
        (Action.ANNOTATION_OPEN, annotation_id, 0, ""),
        (Action.ANNOTATION_TAKE_OVER, annotation_id, 0, ""),
        (Action.MASK_SAVE, annotation_id, 1, ""),
        (Action.ANNOTATION_EXPORT, annotation_id, 1, "mask.nifti"),
        (Action.ANNOTATION_RENAME, annotation_id, 0, ""),
        (Action.ANNOTATION_DELETE, annotation_id, 0, ""),
        (Action.VOLUME_DELETE, "", 0, ""),
    ]
    assert {(event.user, event.peer, event.done, event.subject.volume_id) for event in events} == {
        ("local", "127.0.0.1", True, volume_id)
    }
    assert not any(b"Jane" in path.read_bytes() for path in (store / "audit").rglob("*") if path.is_file())


async def test_what_is_done_while_the_trail_is_away_follows_in_order(tmp_path: Path) -> None:
    store, away = tmp_path / "store", tmp_path / "store" / "audit"
    async with serve(store) as served:
        volumes = [keep(served.store, oblique_phantom((4, 40, 40 + n))).volume_id for n in range(5)]
        await read_slice(served, volumes[0])
        shutil.move(away, tmp_path / "aside")
        away.touch()  # no object can be made below a file
        for volume_id in volumes[1:3]:
            await read_slice(served, volume_id)
        away.unlink()
        shutil.move(tmp_path / "aside", away)
        await read_slice(served, volumes[3])  # waits behind the others
        assert [event.subject.volume_id for event in recorded(store)] == volumes[:1]
        await asyncio.to_thread(served.trail.drain)
        assert [event.subject.volume_id for event in recorded(store)] == volumes[:4]
        await read_slice(served, volumes[4])
        assert [event.subject.volume_id for event in recorded(store)] == volumes


async def test_what_waited_when_a_server_ended_is_recorded_by_the_next(tmp_path: Path) -> None:
    store, away = tmp_path / "store", tmp_path / "store" / "audit"
    async with serve(store) as served:
        volumes = [keep(served.store, oblique_phantom((4, 40, 40 + n))).volume_id for n in range(3)]
        away.touch()
        for volume_id in volumes:
            await read_slice(served, volume_id)
    away.unlink()
    async with serve(store):
        assert [event.subject.volume_id for event in recorded(store)] == volumes


async def test_what_cannot_be_recorded_anywhere_is_not_done(tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    async with serve(tmp_path / "store", audit_spool=spool) as served:
        volume_id = keep(served.store, PHANTOM).volume_id
        for blocked in (tmp_path / "store" / "audit", spool / "waiting"):
            blocked.touch()
        with pytest.raises(grpc.aio.AioRpcError) as reading:
            await read_slice(served, volume_id)
        assert reading.value.code() is grpc.StatusCode.UNAVAILABLE
        deleting = served.volumes.DeleteVolume(volumes_pb2.DeleteVolumeRequest(volume_id=volume_id))
        assert (await refused(deleting))[:2] == ("UNAVAILABLE", "STORE_UNAVAILABLE")
        for blocked in (tmp_path / "store" / "audit", spool / "waiting"):
            blocked.unlink()
        await read_slice(served, volume_id)
    assert [event.action for event in recorded(tmp_path / "store")] == [Action.VOLUME_OPEN]


async def test_an_import_that_could_not_be_recorded_is_done_again(tmp_path: Path) -> None:
    blocked = tmp_path / "store" / "audit", tmp_path / "spool" / "waiting"
    async with serve(tmp_path / "store", audit_spool=tmp_path / "spool") as served:
        data, upload_id = write_nifti(PHANTOM, tmp_path / "a.nii.gz").read_bytes(), str(uuid4())
        await served.volumes.Upload(chunks(upload_id, "a.nii.gz", data))
        for path in blocked:
            path.touch()
        asked = volumes_pb2.ImportRequest(upload_id=upload_id)
        assert (await refused(served.volumes.Import(asked)))[:2] == ("UNAVAILABLE", "STORE_UNAVAILABLE")
        for path in blocked:
            path.unlink()
        volume = [one async for one in served.volumes.Import(asked)][-1].volume
    (event,) = recorded(tmp_path / "store")
    assert (event.action, event.subject.volume_id) == (Action.VOLUME_IMPORT, volume.volume_id)


class _List:
    def __init__(self) -> None:
        self.events: list[Event] = []

    def append(self, event: Event) -> None:
        self.events.append(event)


async def test_an_opening_is_one_for_each_user_and_place_in_a_time() -> None:
    sink, now = _List(), [0.0]
    recorder = Recorder(sink, clock=lambda: now[0])
    for user, peer, later_s in (
        ("ann", "ipv4:192.0.2.7:50001", 0.0),
        ("ann", "ipv4:192.0.2.7:50002", 1.0),  # another connection
        ("ben", "ipv4:192.0.2.7:50002", 0.0),
        ("ben", "ipv4:192.0.2.8:50001", 0.0),
        ("ann", "ipv4:192.0.2.7:50003", OPENING_S - 2),
        ("ann", "ipv4:192.0.2.7:50003", 1.0),
    ):
        now[0] += later_s
        set_caller(Caller(user, peer, frozenset()))
        await asyncio.gather(*(recorder.opened(Subject("v")) for _ in range(3)))
    assert [(event.user, event.peer) for event in sink.events] == [
        ("ann", "192.0.2.7"),
        ("ben", "192.0.2.7"),
        ("ben", "192.0.2.8"),
        ("ann", "192.0.2.7"),
    ]


async def test_what_fails_is_recorded_as_begun_and_failed() -> None:
    sink = _List()

    async def delete() -> None:
        async with Recorder(sink).recording(Action.VOLUME_DELETE, Subject("v")):
            assert [event.done for event in sink.events] == [True]
            raise Unavailable("The store does not answer.")

    with pytest.raises(Unavailable):
        await delete()
    assert [(event.action, event.done) for event in sink.events] == [
        (Action.VOLUME_DELETE, True),
        (Action.VOLUME_DELETE, False),
    ]


def test_the_address_is_what_is_kept_of_a_peer() -> None:
    assert address("ipv4:192.0.2.7:50123") == "192.0.2.7"
    assert address("ipv6:%5B2001:db8::7%5D:50123") == "2001:db8::7"
    assert address("unix:") == ""
