"""Files on their way to the library, for the tests of imports."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from calque import wire
from calque.v1 import volumes_pb2

from services.core.volume import Volume
from tests.phantoms import write_dicom_series
from tests.served import Served, chunks, refused

PLANES = ("PLANE_AXIAL", "PLANE_CORONAL", "PLANE_SAGITTAL")


async def bring(
    served: Served, files: dict[str, bytes], **request: Any
) -> tuple[volumes_pb2.Volume, list[volumes_pb2.ImportProgress]]:
    """Upload files and import them. Returns the volume and the progress that was told."""
    upload_id = str(uuid4())
    await served.volumes.Upload(r for name, data in files.items() for r in chunks(upload_id, name, data))
    call = served.volumes.Import(volumes_pb2.ImportRequest(upload_id=upload_id, **request))
    responses = [response async for response in call]
    assert {r.WhichOneof("what") for r in responses[:-1]} <= {"progress", "preview"}
    assert await refused(served.volumes.Import(volumes_pb2.ImportRequest(upload_id=upload_id))) == (
        "NOT_FOUND",
        "OBJECT_NOT_FOUND",
        0,
    )
    return responses[-1].volume, [r.progress for r in responses if r.WhichOneof("what") == "progress"]


def dicom_files(volume: Volume, folder: Path, skip: tuple[int, ...] = ()) -> dict[str, bytes]:
    written = write_dicom_series(volume, folder, skip=skip)
    return {f"series/{p.name}": p.read_bytes() for p in sorted(written.iterdir())}


async def send(served: Served, files: dict[str, bytes]) -> str:
    upload_id = str(uuid4())
    await served.volumes.Upload(r for name, data in files.items() for r in chunks(upload_id, name, data))
    return upload_id


def keep_file(folder: Path, data: bytes) -> Path:
    path = folder / uuid4().hex
    path.write_bytes(data)
    return path


async def greys(served: Served, volume: volumes_pb2.Volume, plane: int, slices: list[int]) -> list[np.ndarray]:
    geometry = volume.planes[plane]
    request = volumes_pb2.ReadSlicesRequest(volume_id=volume.volume_id, plane=PLANES[plane], slices=slices)
    found = [(r.slice, r.grey) async for r in served.volumes.ReadSlices(request)]
    assert [index for index, _ in found] == slices
    return [wire.unpack(grey, wire.GREY, (geometry.rows, geometry.columns)) for _, grey in found]
