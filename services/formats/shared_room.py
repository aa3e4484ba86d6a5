"""Room in a file that another process looks into: the worker fills it, its parent uses the slices that are there.

The file holds the slices one after the other, each row by row, little-endian: what a volume's voxels are in a store. The
parent reads it, and never maps it while the worker lives, who could cut it short under a map.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from services.core.errors import InvalidInput, Reason
from services.core.volume import VOXEL_DTYPES, Volume, check_affine
from services.formats.room import Plan, Room
from services.formats.source import MAX_SLICES, MAX_VOXELS

VOXELS = "voxels"
_TELL_S = 0.02
_TELL_BYTES = 1 << 21


def stored_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """A type as it lies in the file."""
    return dtype.newbyteorder("<")


class SharedRoom(Room):
    """The worker's side.

    Args:
        folder: where the file lies.
        say: sends a message to the parent.
    """

    def __init__(self, folder: Path, say: Callable[[dict[str, Any]], None]) -> None:
        self._path = folder / VOXELS
        self._say = say
        self._file: IO[bytes] | None = None
        self._voxels: NDArray[Any] | None = None
        self._ready: list[int] = []
        self._said = 0.0

    def take(self, plan: Plan) -> NDArray[Any]:
        return self._begin(plan, super().take(plan))

    def _begin(self, plan: Plan, voxels: NDArray[Any]) -> NDArray[Any]:
        self._ready = []
        self._path.unlink(missing_ok=True)  # who looks into a file from before sees it whole
        self._file = self._path.open("xb", buffering=0)
        self._voxels = voxels
        self._say({"plan": plan_message(plan)})
        return voxels

    def ready(self, index: int) -> None:
        assert self._file is not None
        assert self._voxels is not None
        image = np.ascontiguousarray(self._voxels[index], stored_dtype(self._voxels.dtype))
        self._file.seek(index * image.nbytes)
        rest = memoryview(image.reshape(-1).view(np.uint8))  # type: ignore[arg-type]
        while rest:
            rest = rest[self._file.write(rest) :]
        self._ready.append(index)
        if len(self._ready) * image.nbytes > _TELL_BYTES or time.monotonic() - self._said > _TELL_S:
            self.tell()

    def tell(self) -> None:
        """Tell of slices that the parent does not know of."""
        if self._ready:
            self._say({"ready": self._ready})
        self._ready, self._said = [], time.monotonic()

    def finish(self, volume: Volume) -> None:
        """See that the file holds a volume that was read: also one whose reader took other room, or none."""
        if self._voxels is None or not _is_same(volume.voxels, self._voxels):
            self._begin(plan_of(volume), volume.voxels)
            for index in range(volume.shape[0]):
                self.ready(index)
        self.tell()


def _is_same(one: NDArray[Any], other: NDArray[Any]) -> bool:
    """Whether two arrays are the same memory seen in the same way."""
    return one.__array_interface__ == other.__array_interface__


def plan_of(volume: Volume) -> Plan:
    """The plan of a volume that is there."""
    return Plan(volume.shape, volume.voxels.dtype, volume.affine, volume.slope, volume.intercept, volume.voi)


def plan_message(plan: Plan) -> dict[str, Any]:
    """A plan for JSON."""
    return {
        "shape": list(plan.shape),
        "dtype": plan.dtype.name,
        "affine": plan.affine.tolist(),
        "slope": plan.slope.tolist(),
        "intercept": plan.intercept.tolist(),
        "voi": plan.voi,
    }


def plan_from_message(told: dict[str, Any]) -> Plan:
    """A plan that a worker told of, which may be anything. Raises: InvalidInput."""
    try:
        slices, rows, columns = (int(n) for n in told["shape"])
        plan = Plan(
            shape=(slices, rows, columns),
            dtype=np.dtype(str(told["dtype"])),
            affine=np.array(told["affine"], np.float64),
            slope=np.array(told["slope"], np.float64),
            intercept=np.array(told["intercept"], np.float64),
            voi=None if told["voi"] is None else (float(told["voi"][0]), float(told["voi"][1])),
        )
    except (KeyError, TypeError, ValueError):
        raise broken_reader() from None
    check_affine(plan.affine)
    sizes = min(plan.shape) > 0 and slices <= MAX_SLICES and slices * rows * columns <= MAX_VOXELS
    rescales = plan.slope.shape == plan.intercept.shape == (slices,)
    if not sizes or not rescales or plan.dtype.name not in VOXEL_DTYPES:
        raise broken_reader()
    return plan


def broken_reader() -> InvalidInput:
    """The error for a worker that files have brought to say what cannot be, or nothing."""
    return InvalidInput("The files are damaged in a way that stopped their reader.", Reason.FILE_NOT_READABLE)


class SliceFile:
    """The parent's side: a worker's file. Used as a context."""

    def __init__(self, path: Path, plan: Plan) -> None:
        self._file = path.open("rb", buffering=0)
        self._image = np.empty(plan.shape[1:], stored_dtype(plan.dtype))

    def read(self, index: int) -> NDArray[Any]:
        """Slice ``index``, ``(rows, columns)``, until the next one is read. Raises: InvalidInput, it is not there."""
        self._file.seek(index * self._image.nbytes)
        if self._file.readinto(self._image) != self._image.nbytes:  # type: ignore[arg-type]
            raise broken_reader()
        return self._image

    def __enter__(self) -> SliceFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()
