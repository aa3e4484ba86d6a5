"""Imports that are cancelled, have no room or are forgotten, and what they leave."""

from __future__ import annotations

import asyncio
import errno
import io
import json
import os
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from calque.v1 import segmentation_pb2, volumes_pb2
from PIL import Image

from services.store.directory import DirectoryStore
from services.volumes import intake, servicer
from services.volumes.intake import Intake
from services.volumes.uploads import UploadFolder, collect
from tests.phantoms import oblique_phantom, write_nifti
from tests.served import SECONDS, Served, chunks, eventually, keep, refused, serve
from tests.volumes.importing import dicom_files, greys


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with serve(tmp_path / "store", parser_memory_bytes=4 << 30) as served:
        yield served


async def test_an_upload_is_imported_whole_or_not_at_all(served: Served) -> None:
    request = volumes_pb2.ImportRequest(upload_id=str(uuid4()))
    assert await refused(served.volumes.Import(request)) == ("NOT_FOUND", "OBJECT_NOT_FOUND", 0)
    half = chunks(request.upload_id, "a.nii", bytes(2_000), size=1_000)[:1]
    await served.volumes.Upload(iter(half))
    assert await refused(served.volumes.Import(request)) == ("FAILED_PRECONDITION", "UPLOAD_OUT_OF_STEP", 0)


async def test_bytes_that_were_never_checked_are_checked_before_they_are_read(served: Served) -> None:
    """The server may end after the last byte is durable and before the digest is compared."""
    upload_id, data = str(uuid4()), b"damaged"
    head = chunks(upload_id, "a.nii", data, sha256=bytes(32))
    folder = f"uploads/{upload_id.replace('-', '')}/000000"
    announced = {"name": "a.nii", "size_bytes": 7, "sha256": "00" * 32, "announced_ms": time.time_ns() // 1_000_000}
    served.store.create(f"{folder}/file.json", json.dumps(announced).encode())
    served.store.create(f"{folder}/parts/000000000000000", data)
    assert head[0].file.size_bytes == 7
    call = served.volumes.Import(volumes_pb2.ImportRequest(upload_id=upload_id))
    assert await refused(call) == ("DATA_LOSS", "DIGEST_MISMATCH", 0)
    kept = await served.volumes.GetUpload(volumes_pb2.GetUploadRequest(upload_id=upload_id))
    assert list(kept.files) == []


async def test_deleting_removes_the_volume_and_all_that_was_made_of_it(served: Served) -> None:
    gone, kept = (keep(served.store, oblique_phantom((n, 20, 24))) for n in (4, 5))
    for record in (gone, kept):
        request = segmentation_pb2.CreateAnnotationRequest(volume_id=record.volume_id)
        made = (await served.segmentation.CreateAnnotation(request)).annotation
        assert made.volume_id == record.volume_id
    await served.volumes.DeleteVolume(volumes_pb2.DeleteVolumeRequest(volume_id=gone.volume_id))

    listed = (await served.volumes.ListVolumes(volumes_pb2.ListVolumesRequest())).volumes
    assert [v.volume_id for v in listed] == [kept.volume_id]
    keys = [*served.store.list("volumes"), *served.store.list("annotations")]
    assert keys
    assert not [key for key in keys if gone.volume_id in key]
    request = segmentation_pb2.ListAnnotationsRequest(volume_id=gone.volume_id)
    assert await refused(served.segmentation.ListAnnotations(request)) == ("NOT_FOUND", "VOLUME_NOT_FOUND", 0)


async def test_an_import_without_room_is_told_and_can_be_tried_again(served: Served, tmp_path: Path, monkeypatch) -> None:
    upload_id = str(uuid4())
    data = write_nifti(oblique_phantom((4, 20, 24)), tmp_path / "a.nii").read_bytes()
    await served.volumes.Upload(iter(chunks(upload_id, "a.nii", data)))

    def full(self: UploadFolder, folder: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(folder))

    with monkeypatch.context() as patched:
        patched.setattr(UploadFolder, "sources", full)
        call = served.volumes.Import(volumes_pb2.ImportRequest(upload_id=upload_id))
        assert await refused(call) == ("RESOURCE_EXHAUSTED", "STORE_FULL", 0)
    responses = [one async for one in served.volumes.Import(volumes_pb2.ImportRequest(upload_id=upload_id))]
    assert responses[-1].volume.name.startswith("NIfTI · 24 × 20 × 4 · ")


@pytest.mark.parametrize(
    ("owner", "moment"), [(UploadFolder, "sources"), (Intake, "begin"), (Intake, "ready"), (Intake, "finish")]
)
async def test_a_cancelled_import_leaves_nothing_but_the_upload(
    owner: type, moment: str, served: Served, tmp_path: Path, monkeypatch
) -> None:
    upload_id = str(uuid4())
    data = write_nifti(oblique_phantom((4, 20, 24)), tmp_path / "a.nii").read_bytes()
    await served.volumes.Upload(iter(chunks(upload_id, "a.nii", data)))
    begun, release, original = threading.Event(), threading.Event(), getattr(owner, moment)

    def held(*arguments: Any) -> Any:
        begun.set()
        assert release.wait(SECONDS)
        return original(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(owner, moment, held)
        call = served.volumes.Import(volumes_pb2.ImportRequest(upload_id=upload_id))
        assert await asyncio.to_thread(begun.wait, SECONDS)
        call.cancel()
        await eventually(lambda: all(stop.asked for stop in served.imports))
        release.set()
        await eventually(lambda: not served.imports)
    assert list(served.store.list("volumes")) == []
    assert list((tmp_path / "store" / ".tmp").iterdir()) == []
    responses = [one async for one in served.volumes.Import(volumes_pb2.ImportRequest(upload_id=upload_id))]
    assert responses[-1].volume.name.startswith("NIfTI · 24 × 20 × 4 · ")


async def test_a_cancelled_import_does_not_wait_for_its_worker(served: Served, tmp_path: Path, monkeypatch) -> None:
    upload_id = str(uuid4())
    data = write_nifti(oblique_phantom((4, 20, 24)), tmp_path / "a.nii").read_bytes()
    await served.volumes.Upload(iter(chunks(upload_id, "a.nii", data)))
    os.mkfifo(tmp_path / "hangs")
    with monkeypatch.context() as patched:
        patched.setattr(DirectoryStore, "file", lambda *_: tmp_path / "hangs")
        for _ in range(2 * servicer.IMPORTS_AT_ONCE):  # more than there is room for: each has to go
            call = served.volumes.Import(volumes_pb2.ImportRequest(upload_id=upload_id))
            # It opens when the worker has opened its end, which then reads what never comes.
            async with asyncio.timeout(SECONDS):
                writing = await asyncio.to_thread(open, tmp_path / "hangs", "wb")
            with writing:
                call.cancel()
                await eventually(lambda: not served.imports)
    assert list((tmp_path / "store" / ".tmp").iterdir()) == []
    responses = [one async for one in served.volumes.Import(volumes_pb2.ImportRequest(upload_id=upload_id))]
    assert responses[-1].volume.name.startswith("NIfTI · 24 × 20 × 4 · ")


async def test_a_forgotten_upload_leaves_nothing(served: Served) -> None:
    upload_id, other = str(uuid4()), str(uuid4())
    await served.volumes.Upload(iter(chunks(upload_id, "a.nii", bytes(600_000))[:2]))
    await served.volumes.Upload(iter(chunks(other, "b.nii", b"kept")))
    for _ in range(2):
        await served.volumes.DeleteUpload(volumes_pb2.DeleteUploadRequest(upload_id=upload_id))
        arrived = await served.volumes.GetUpload(volumes_pb2.GetUploadRequest(upload_id=upload_id))
        assert list(arrived.files) == []
    assert {key.split("/")[1] for key in served.store.list("uploads")} == {other.replace("-", "")}
    nothing = served.volumes.DeleteUpload(volumes_pb2.DeleteUploadRequest(upload_id="../volumes"))
    assert await refused(nothing) == ("INVALID_ARGUMENT", "REQUEST_INVALID", 0)


async def test_an_old_upload_is_forgotten_but_not_while_it_is_read(served: Served) -> None:
    upload_id, other = str(uuid4()), str(uuid4())
    for one in (upload_id, other):
        await served.volumes.Upload(iter(chunks(one, "a.nii", b"a patient's")))
    read = UploadFolder(served.store, upload_id, limit_bytes=0, checked=set())
    assert collect(served.store, 24.0, set(), ()) == 0
    assert collect(served.store, 0.0, set(), [read.name]) == 1
    assert [file.committed_bytes for file in read.files()] == [11]
    assert collect(served.store, 0.0, set(), ()) == 1
    assert list(served.store.list("uploads")) == []


async def test_slices_are_shown_before_the_volume_is_there(served: Served, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(intake, "_PREVIEW_S", 0.0)
    phantom = oblique_phantom((80, 40, 48), (5.0, 2.0, 0.5))  # pixels four times as high as wide
    files = dicom_files(phantom, tmp_path / "dicom")
    upload_id = str(uuid4())
    await served.volumes.Upload(r for name, data in files.items() for r in chunks(upload_id, name, data))
    responses = [one async for one in served.volumes.Import(volumes_pb2.ImportRequest(upload_id=upload_id))]
    assert [one.WhichOneof("what") for one in responses[-1:]] == ["volume"]
    volume = responses[-1].volume
    previews = [one.preview for one in responses if one.WhichOneof("what") == "preview"]
    assert len(previews) == 64  # of more slices: enough
    acquired = next(plane for plane in volume.planes if plane.plane == volume.acquisition)
    low, high = volume.window_low, volume.window_high
    for preview in previews[20::11]:
        assert preview.plane == acquired
        picture = Image.open(io.BytesIO(preview.picture))
        assert (picture.format, picture.mode, picture.size) == ("JPEG", "L", (round(256 * 24 / 80), 256))
        assert {key for key in picture.info if not key.startswith("jfif")} == set()  # pixels, and nothing about them
        [grey] = await greys(served, volume, volume.acquisition - 1, [preview.slice])
        shown = np.clip((grey * volume.grey_slope + volume.grey_intercept - low) / (high - low) * 255, 0, 255)
        small = np.asarray(picture.resize((48, 40), Image.Resampling.BOX), dtype=float)
        assert np.corrcoef(small.ravel(), shown.ravel())[0, 1] > 0.9
