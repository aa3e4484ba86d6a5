"""Reading in a process of its own: foreign bytes can exhaust, hang or crash only that.

The worker is forked from a clean server process that has the readers loaded (never from the caller, which may hold gRPC's
threads and locks), limits itself before it touches a byte, and writes the voxels into a file while it reads them. Nothing
that it says is unpickled: it answers in JSON, and the volume is validated again on this side.
"""

from __future__ import annotations

import json
import mmap
import multiprocessing
import os
import resource
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import connection, forkserver
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np

from services.core import errors
from services.core.errors import CalqueError, Choice, ChoiceNeeded, InvalidInput, Reason, TooLarge
from services.core.scratch import scratch_folder
from services.core.source import source_from_json
from services.core.volume import Volume
from services.formats.listing import list_series
from services.formats.offer import Listing, of_plain, plain
from services.formats.read import read_volume
from services.formats.repair import NO_REPAIRS, Repairs
from services.formats.room import Plan
from services.formats.shared_room import (
    VOXELS,
    SharedRoom,
    broken_reader,
    plan_from_message,
    plan_message,
    plan_of,
    stored_dtype,
)
from services.formats.source import Progress, SourceFile

_MAX_MESSAGE = 64 << 20  # a list of the most images with the longest names, each character escaped
# What a worker may say, by the name of the class.
_SAYABLE: dict[str, type[CalqueError]] = {
    kind.__name__: kind for kind in (errors.InvalidInput, errors.TooLarge, errors.Unavailable)
}
_CONTEXT = multiprocessing.get_context("forkserver")
# What a job in the worker may find: a volume, or plain values that JSON can say.
_Found = TypeVar("_Found", Volume, dict[str, Any])
# Loaded once, before the first worker. The command's own module is there because every worker imports it again.
_CONTEXT.set_forkserver_preload([__name__, "services.formats.dicom", "tifffile", "imagecodecs", "services.cli.main"])


def warm_up() -> None:
    """Start the process that workers are forked from, so that the first import does not wait for it. Returns at once."""
    forkserver.ensure_running()


@dataclass(frozen=True)
class Limits:
    """What one import may use.

    Attributes:
        memory_bytes: address space of the worker, the libraries' own few hundred MiB included.
        seconds: of wall clock, start to end.
    """

    memory_bytes: int = 6 << 30
    seconds: float = 600.0


class Follower(Protocol):
    """Uses slices while the others are read. Called in the thread that waits for the worker."""

    def begin(self, plan: Plan, path: Path) -> None:
        """A volume begins to come, in the file ``path`` (see `shared_room`); what came before counts no longer."""
        ...

    def ready(self, indexes: Sequence[int]) -> None:
        """Slices are there."""
        ...


class Stopped(Exception):
    """A reading was ended by its `Stop`."""


class Stop:
    """Ends a reading that nobody waits for any more, at any moment and from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._read, self._write = os.pipe()
        self._closed = False
        self.asked = False

    def set(self) -> None:
        """Ask for the end."""
        with self._lock:
            first, self.asked = not self.asked, True  # known before the pipe wakes who waits
            if first and not self._closed:
                os.write(self._write, b"!")

    def check(self) -> None:
        """Raises: Stopped, when the end was asked for."""
        if self.asked:
            raise Stopped

    def fileno(self) -> int:
        """Can be read from when the end was asked for."""
        return self._read

    def close(self) -> None:
        """Let go of the pipe."""
        with self._lock:
            if not self._closed:
                os.close(self._read)
                os.close(self._write)
            self._closed = True


def read_in_worker(
    files: Sequence[SourceFile],
    *,
    series: str = "",
    frame: int | None = None,
    progress: Progress | None = None,
    limits: Limits | None = None,
    repairs: Repairs = NO_REPAIRS,
    folder: Path | None = None,
    follower: Follower | None = None,
    stop: Stop | None = None,
) -> Volume:
    """`services.formats.read.read_volume` in a limited process. Blocks: call it from a thread.

    Args:
        files, series, frame, repairs: as there.
        progress: called in the calling thread.
        limits: what the worker may use; ``None`` means `Limits()`.
        folder: an empty folder, where the voxels are left in the file `VOXELS`; ``None``: nowhere but in the volume.
        follower: told of slices while the others are read.
        stop: ends the reading.

    Returns:
        The volume; its voxels are mapped from the file, and take memory only where they are looked at.

    Raises:
        InvalidInput, ChoiceNeeded, TooLarge: as there, and when the worker breaks, or reaches a limit.
        Stopped: by ``stop``.
    """
    job = partial(read_volume, list(files), series=series, frame=frame, repairs=repairs)
    return _run(job, True, limits or Limits(), folder, progress, follower, stop)


def list_in_worker(files: Sequence[SourceFile], *, limits: Limits | None = None) -> Listing:
    """`services.formats.listing.list_series` in a limited process. Blocks: call it from a thread.

    Raises:
        InvalidInput, TooLarge: as there, and when the worker breaks, or reaches a limit.
    """
    told = in_worker(partial(_listed, list(files)), limits=limits)
    return Listing(
        tuple(of_plain(offer) for offer in told["offers"]),
        tuple((str(what), int(count)) for what, count in told["others"]),
        int(told["unlisted"]),
    )


def _listed(files: list[SourceFile]) -> dict[str, Any]:
    found = list_series(files)
    return {"offers": [plain(offer) for offer in found.offers], "others": found.others, "unlisted": found.unlisted}


def in_worker(job: Callable[[], _Found], *, limits: Limits | None = None) -> _Found:
    """Do something with foreign bytes in a limited process. Blocks: call it from a thread.

    Args:
        job: a function of a module, its arguments bound by `functools.partial`.
        limits: what the worker may use; ``None`` means `Limits()`.

    Raises:
        InvalidInput, ChoiceNeeded, TooLarge: as the job, and when the worker breaks, or reaches a limit.
    """
    return _run(job, False, limits or Limits())


def _run(
    job: Callable[..., _Found],
    reads: bool,
    limits: Limits,
    folder: Path | None = None,
    progress: Progress | None = None,
    follower: Follower | None = None,
    stop: Stop | None = None,
) -> _Found:
    """Do a job in a process of its own; one that ``reads`` a volume is given ``progress`` and ``room``."""
    deadline = time.monotonic() + limits.seconds
    with scratch_folder() if folder is None else nullcontext(folder) as place:
        ours, theirs = _CONTEXT.Pipe(duplex=False)
        process = _CONTEXT.Process(
            target=_work,
            args=(theirs, str(place), job, reads, limits),
            name="calque-import",
            daemon=True,
        )
        with ours:
            try:
                process.start()
                theirs.close()
                listener = _Listener(ours, place / VOXELS, progress, follower, stop)
                answer = listener.answer(deadline, limits)
                if answer is None:
                    process.join(max(0.0, deadline - time.monotonic()))
                    raise _broken(process.exitcode)
            finally:
                theirs.close()
                if process.pid is not None:
                    process.kill()
                    process.join()
                process.close()
        found: _Found = _collect(place / VOXELS, answer)
        return found


class _Listener:
    """Hears a worker."""

    def __init__(
        self,
        ours: Connection[Any, Any],
        voxels: Path,
        progress: Progress | None,
        follower: Follower | None,
        stop: Stop | None,
    ) -> None:
        self._ours, self._voxels = ours, voxels
        self._progress, self._follower, self._stop = progress, follower, stop

    def answer(self, deadline: float, limits: Limits) -> dict[str, Any] | None:
        """Pass on what the worker says until its answer; ``None`` when it ended without one. Raises: TooLarge, Stopped."""
        stop: Any = self._stop
        waited = [self._ours] if stop is None else [self._ours, stop]
        while ready := connection.wait(waited, max(0.0, deadline - time.monotonic())):
            if stop in ready:
                raise Stopped
            try:
                message = json.loads(self._ours.recv_bytes(_MAX_MESSAGE))
            except (EOFError, OSError, ValueError):
                return None
            if not message.keys().isdisjoint(("volume", "told", "error")):
                return dict(message)
            self._pass_on(message)
        raise TooLarge(f"Reading the files took longer than {limits.seconds:g} seconds and was stopped.")

    def _pass_on(self, message: dict[str, Any]) -> None:
        if self._progress and "progress" in message:
            done, total = message["progress"]
            self._progress(int(done), int(total))
        if self._follower and "plan" in message:
            self._follower.begin(plan_from_message(message["plan"]), self._voxels)
        if self._follower and "ready" in message:
            self._follower.ready([int(index) for index in message["ready"]])


def _broken(exitcode: int | None) -> CalqueError:
    """The error for a worker that ended without an answer: killed for its limits, or crashed by the file."""
    if exitcode is not None and -exitcode in (9, 24, 25):  # SIGKILL of the memory killer, SIGXCPU, SIGXFSZ
        return TooLarge("Reading the files needed more memory or time than is allowed and was stopped.")
    return broken_reader()


def _collect(voxels: Path, answer: dict[str, Any]) -> Any:
    if "error" in answer:
        kind, reason, message = answer["error"]
        if kind == ChoiceNeeded.__name__:
            choices = tuple(Choice(str(key), str(text)) for key, text in answer.get("choices", ()))
            raise ChoiceNeeded(str(message), Reason(reason), choices)
        raise _SAYABLE.get(kind, InvalidInput)(str(message), Reason(reason))
    if "told" in answer:
        return dict(answer["told"])
    told = answer["volume"]
    plan = plan_from_message(told["plan"])
    first, second, third = told["source_axes"]
    with voxels.open("rb") as file:
        if os.fstat(file.fileno()).st_size != plan.shape[0] * plan.slice_bytes:
            raise _broken(None)
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    stored = np.frombuffer(mapped, stored_dtype(plan.dtype)).reshape(plan.shape)
    return Volume(
        voxels=stored.astype(plan.dtype, copy=False),
        affine=plan.affine,
        slope=plan.slope,
        intercept=plan.intercept,
        source_axes=(int(first), int(second), int(third)),
        modality=str(told["modality"]),
        description=str(told["description"]),
        warnings=tuple(str(w) for w in told["warnings"]),
        voi=plan.voi,
        source=None if told["source"] is None else source_from_json(told["source"]),
    )


def _work(
    theirs: Connection[Any, Any],
    folder: str,
    job: Callable[..., Volume | dict[str, Any]],
    reads: bool,
    limits: Limits,
) -> None:
    """The worker: limit itself, do the job, leave voxels in ``folder``, answer."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core dump would hold a patient's image
    resource.setrlimit(resource.RLIMIT_CPU, (int(limits.seconds) + 2, int(limits.seconds) + 2))
    resource.setrlimit(resource.RLIMIT_AS, (limits.memory_bytes, limits.memory_bytes))
    with open(os.devnull, "wb") as nowhere:  # decoders print what they find wrong, which may quote the file
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    tempfile.tempdir = folder  # what is unpacked goes with the folder, also when this process is killed

    def say(message: dict[str, Any]) -> None:
        theirs.send_bytes(json.dumps(message).encode())

    said = 0.0

    def progress(done: int, total: int) -> None:
        nonlocal said
        if done == total or time.monotonic() - said > 0.05:
            said = time.monotonic()
            say({"progress": [done, total]})

    room = SharedRoom(Path(folder), say)
    try:
        found = job(progress=progress, room=room) if reads else job()
        if isinstance(found, dict):
            return say({"told": found})
        volume = found
        room.finish(volume)
        say(
            {
                "volume": {
                    "plan": plan_message(plan_of(volume)),
                    "source_axes": list(volume.source_axes),
                    "modality": volume.modality,
                    "description": volume.description,
                    "warnings": list(volume.warnings),
                    "source": None if volume.source is None else asdict(volume.source),
                }
            }
        )
    except CalqueError as error:
        choices = error.choices if isinstance(error, ChoiceNeeded) else ()
        told = [[choice.key, choice.text] for choice in choices]
        say({"error": [type(error).__name__, error.reason.value, str(error)], "choices": told})
    except MemoryError:
        say({"error": ["TooLarge", Reason.FILE_TOO_LARGE.value, "Reading the files needs more memory than is allowed."]})
    except OSError:
        say({"error": ["TooLarge", Reason.STORE_FULL.value, "The server has no room to read the files; nothing was kept."]})
    except Exception:
        # Not its text: that may quote the file.
        say({"error": ["InvalidInput", Reason.FILE_NOT_READABLE.value, "The files are damaged and could not be read."]})
