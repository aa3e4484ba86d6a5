"""Import of a large volume through the real service, beside the plain way of the same bytes in the same run.

Time runs from the moment when all bytes have arrived and Import is called to the first slice that ReadSlices answers; all
that happens between, storing included, counts. The plain way is bare pydicom and ``numpy.stack``, or nibabel reading all
voxels into memory. Memory is that of the service's process and all processes below it, pages that several of them share
counted once, at its highest above its idle, over the size of the voxels.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from calque.v1 import volumes_pb2
from numpy.typing import NDArray

from services.bench.client import Client, refusals
from services.bench.memory import PeakMemory, tree_bytes
from services.bench.sources import SHAPE, write_small, write_sources
from services.formats.source import SourceFile, source_files


@dataclass(frozen=True)
class Import:
    """Seconds of the service's and of the plain way, in the order of measuring, and peak memory over the voxels' size.

    ``preview_s`` are seconds from the call to the first picture of a slice, of those imports that were not over before.
    """

    service_s: tuple[float, ...]
    preview_s: tuple[float, ...]
    plain_s: tuple[float, ...]
    memory_ratio: float

    def summary(self) -> dict[str, float]:
        """Best and median of both ways and their ratios: below 3 is asked for, 1.5 is aimed at; of memory 2.5 and 2."""
        return {
            "service_best_s": min(self.service_s),
            "service_median_s": median(self.service_s),
            "plain_best_s": min(self.plain_s),
            "plain_median_s": median(self.plain_s),
            "time_ratio_best": min(self.service_s) / min(self.plain_s),
            "time_ratio_median": median(self.service_s) / median(self.plain_s),
            "memory_ratio": self.memory_ratio,
            **({"preview_median_s": median(self.preview_s)} if self.preview_s else {}),
        }


def measure_imports(client: Client, pid: int, folder: Path, rounds: int) -> dict[str, Import]:
    """Measure on the services of a client, whose process is ``pid``, with files made in ``folder``. Closes the client.

    Raises: CalqueError.
    """
    try:
        sources = write_sources(folder)
        _import(client, source_files(write_small(folder)))  # worker and code are warm from here on
        idle = tree_bytes(pid)  # what a large import leaves behind counts
        return {
            name: _measure(client, pid, idle, source_files(path), _PLAIN[name], rounds) for name, path in sources.items()
        }
    finally:
        client.close()


def _measure(
    client: Client, pid: int, idle: int, files: list[SourceFile], plain: Callable[[list[SourceFile]], Any], rounds: int
) -> Import:
    _import(client, files)  # the files are warm from here on, for both ways
    service, preview, plainly = [], list[float](), []
    for _ in range(rounds):
        read, seen = _import(client, files)
        service.append(read)
        preview += seen
        started = time.perf_counter()
        plain(files)
        plainly.append(time.perf_counter() - started)
    # Looking at memory takes processor time, so times are not taken of the same import.
    with PeakMemory(pid) as memory:
        _import(client, files)
    voxels = int(np.prod(SHAPE)) * 2
    return Import(tuple(service), tuple(preview), tuple(plainly), (memory.bytes - idle) / voxels)


def _import(client: Client, files: list[SourceFile]) -> tuple[float, list[float]]:
    """One import, undone afterwards. Returns: seconds to readable slices, and to the first picture if there was one."""
    upload_id = client.upload(files)
    seen: list[float] = []
    started = time.perf_counter()
    with refusals():
        call = client.volumes.Import(volumes_pb2.ImportRequest(upload_id=upload_id))
        volume = None
        for response in call:
            what = response.WhichOneof("what")
            if what == "preview":
                seen.append(time.perf_counter() - started)
            elif what == "volume":
                volume = response.volume
                break
        assert volume is not None
        request = volumes_pb2.ReadSlicesRequest(volume_id=volume.volume_id, plane=volume.acquisition, slices=[0])
        [_] = client.volumes.ReadSlices(request)
        read = time.perf_counter() - started
        for _ in call:  # to its end: the upload is forgotten
            pass
        client.volumes.DeleteVolume(volumes_pb2.DeleteVolumeRequest(volume_id=volume.volume_id))
    return read, seen[:1]


def _plain_dicom(files: list[SourceFile]) -> NDArray[np.generic]:
    import pydicom

    return np.stack([pydicom.dcmread(file.path).pixel_array for file in files])


def _plain_nifti(files: list[SourceFile]) -> NDArray[np.generic]:
    import nibabel

    # Without its memory map, which would not read a byte.
    image: Any = nibabel.load(files[0].path, mmap=False)
    return np.asarray(image.dataobj)


_PLAIN: dict[str, Callable[[list[SourceFile]], Any]] = {
    "dicom": _plain_dicom,
    "nifti": _plain_nifti,
    "nifti_gz": _plain_nifti,
}
