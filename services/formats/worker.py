"""Reading in a process of its own: foreign bytes can exhaust, hang or crash only that.

The worker is forked from a clean server process that has the readers loaded (never from the caller, which may hold gRPC's
threads and locks), limits itself before it touches a byte, and leaves the voxels as a file. Nothing that it says is
unpickled: it answers in JSON, and the volume is validated again on this side.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from services.core import errors
from services.core.errors import CalqueError, Choice, ChoiceNeeded, InvalidInput, Reason, TooLarge
from services.core.source import source_from_json
from services.core.volume import Volume
from services.formats.read import read_volume
from services.formats.repair import NO_REPAIRS, Repairs
from services.formats.scratch import scratch_folder
from services.formats.source import Progress, SourceFile

_MAX_MESSAGE = 4 << 20  # a name of 64 characters for each of 20,000 slices, and more
_VOXELS, _RESCALE, _AFFINE = "voxels.npy", "rescale.npy", "affine.npy"
# What a worker may say, by the name of the class.
_SAYABLE: dict[str, type[CalqueError]] = {
    kind.__name__: kind for kind in (errors.InvalidInput, errors.TooLarge, errors.Unavailable)
}
_CONTEXT = multiprocessing.get_context("forkserver")
# What a job in the worker may find: a volume, or plain values that JSON can say.
_Found = TypeVar("_Found", Volume, dict[str, Any])


@dataclass(frozen=True)
class Limits:
    """What one import may use.

    Attributes:
        memory_bytes: address space of the worker, the libraries' own few hundred MiB included.
        seconds: of wall clock, start to end.
    """

    memory_bytes: int = 6 << 30
    seconds: float = 600.0


def read_in_worker(
    files: Sequence[SourceFile],
    *,
    series: str = "",
    frame: int | None = None,
    progress: Progress | None = None,
    limits: Limits | None = None,
    repairs: Repairs = NO_REPAIRS,
) -> Volume:
    """`services.formats.read.read_volume` in a limited process. Blocks: call it from a thread.

    Args:
        files, series, frame, repairs: as there.
        progress: called in the calling thread.
        limits: what the worker may use; ``None`` means `Limits()`.

    Raises:
        InvalidInput, ChoiceNeeded, TooLarge: as there, and when the worker breaks, or reaches a limit.
    """
    job = partial(read_volume, list(files), series=series, frame=frame, repairs=repairs)
    return in_worker(job, progress=progress, limits=limits)


def in_worker(job: Callable[..., _Found], *, progress: Progress | None = None, limits: Limits | None = None) -> _Found:
    """Do something with foreign bytes in a limited process. Blocks: call it from a thread.

    Args:
        job: a function of a module, its arguments bound by `functools.partial`; ``progress`` is added where one is given.
        progress: called in the calling thread.
        limits: what the worker may use; ``None`` means `Limits()`.

    Raises:
        InvalidInput, ChoiceNeeded, TooLarge: as the job, and when the worker breaks, or reaches a limit.
    """
    limits = limits or Limits()
    deadline = time.monotonic() + limits.seconds
    _CONTEXT.set_forkserver_preload([__name__, "services.formats.dicom"])
    with scratch_folder() as folder:
        ours, theirs = _CONTEXT.Pipe(duplex=False)
        process = _CONTEXT.Process(
            target=_work,
            args=(theirs, str(folder), job, progress is not None, limits),
            name="calque-import",
            daemon=True,
        )
        with ours:
            try:
                process.start()
                theirs.close()
                answer = _listen(ours, progress, deadline, limits)
                if answer is None:
                    process.join(max(0.0, deadline - time.monotonic()))
                    raise _broken(process.exitcode)
            finally:
                theirs.close()
                if process.pid is not None:
                    process.kill()
                    process.join()
                process.close()
        found: _Found = _collect(folder, answer)
        return found


def _listen(
    ours: Connection[Any, Any], progress: Progress | None, deadline: float, limits: Limits
) -> dict[str, Any] | None:
    """Messages of the worker until its answer; ``None`` when it ended without one."""
    while ours.poll(max(0.0, deadline - time.monotonic())):
        try:
            message = json.loads(ours.recv_bytes(_MAX_MESSAGE))
        except (EOFError, OSError, ValueError):
            return None
        if "progress" not in message:
            return dict(message)
        if progress:
            done, total = message["progress"]
            progress(int(done), int(total))
    raise TooLarge(f"Reading the files took longer than {limits.seconds:g} seconds and was stopped.")


def _broken(exitcode: int | None) -> CalqueError:
    """The error for a worker that ended without an answer: killed for its limits, or crashed by the file."""
    if exitcode is not None and -exitcode in (9, 24, 25):  # SIGKILL of the memory killer, SIGXCPU, SIGXFSZ
        return TooLarge("Reading the files needed more memory or time than is allowed and was stopped.")
    return InvalidInput("The files are damaged in a way that stopped their reader.", Reason.FILE_NOT_READABLE)


def _collect(folder: Path, answer: dict[str, Any]) -> Any:
    if "error" in answer:
        kind, reason, message = answer["error"]
        if kind == ChoiceNeeded.__name__:
            choices = tuple(Choice(str(key), str(text)) for key, text in answer.get("choices", ()))
            raise ChoiceNeeded(str(message), Reason(reason), choices)
        raise _SAYABLE.get(kind, InvalidInput)(str(message), Reason(reason))
    if "told" in answer:
        return dict(answer["told"])
    voxels, rescale, affine = (np.load(folder / name, allow_pickle=False) for name in (_VOXELS, _RESCALE, _AFFINE))
    told = answer["volume"]
    first, second, third = told["source_axes"]
    return Volume(
        voxels=voxels,
        affine=affine,
        slope=rescale[0],
        intercept=rescale[1],
        source_axes=(int(first), int(second), int(third)),
        modality=str(told["modality"]),
        description=str(told["description"]),
        warnings=tuple(str(w) for w in told["warnings"]),
        voi=None if told["voi"] is None else (float(told["voi"][0]), float(told["voi"][1])),
        source=None if told["source"] is None else source_from_json(told["source"]),
    )


def _work(
    theirs: Connection[Any, Any],
    folder: str,
    job: Callable[..., Volume | dict[str, Any]],
    heard: bool,
    limits: Limits,
) -> None:
    """The worker: limit itself, do the job, leave arrays in ``folder``, answer."""
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

    try:
        found = job(progress=progress) if heard else job()
        if isinstance(found, dict):
            return say({"told": found})
        volume = found
        np.save(Path(folder, _VOXELS), volume.voxels)
        np.save(Path(folder, _RESCALE), np.stack([volume.slope, volume.intercept]))
        np.save(Path(folder, _AFFINE), volume.affine)
        say(
            {
                "volume": {
                    "source_axes": list(volume.source_axes),
                    "modality": volume.modality,
                    "description": volume.description,
                    "warnings": list(volume.warnings),
                    "voi": volume.voi,
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
