"""Reading in a process of its own: the same volume, the same errors, and limits that hold."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from services.core.errors import CalqueError, ChoiceNeeded, InvalidInput, Reason, TooLarge
from services.formats.read import SourceFile, read_volume, source_files
from services.formats.shared_room import plan_from_message, plan_message, plan_of
from services.formats.worker import Limits, Stop, Stopped, _broken, _Listener, read_in_worker
from tests.formats.bad_dicom import encoded, unsigned
from tests.phantoms import oblique_phantom, write_dicom_series, write_nifti


def test_the_same_volume_and_progress(tmp_path: Path) -> None:
    phantom = oblique_phantom((6, 18, 22))
    files = source_files(write_dicom_series(phantom, tmp_path / "s"))
    steps: list[tuple[int, int]] = []
    there = read_in_worker(files, progress=lambda done, total: steps.append((done, total)))
    here = read_volume(files)
    assert np.array_equal(there.voxels, here.voxels)
    assert np.array_equal(there.affine, here.affine)
    assert (there.source_axes, there.modality, there.description) == (here.source_axes, here.modality, here.description)
    assert steps[-1] == (6, 6)


def test_decoders_do_not_print_into_the_log(tmp_path: Path) -> None:
    """The decoder of HTJ2K tells of damage on standard error; in the worker, nobody hears it."""
    good, spoilt = encoded("HTJ2K"), encoded("HTJ2K", lambda b: b[:180] + b[211:])
    # Of another slice the decoder only raises.
    path = write_dicom_series(unsigned(), tmp_path / "s", change=lambda n, d: (spoilt if n == 3 else good)(n, d))
    told: dict[str, bytes] = {}
    for call in ("read.read_volume", "worker.read_in_worker"):
        code = (
            "import sys; from pathlib import Path; from services.formats import read, worker\n"
            f"try: {call}(read.source_files(Path(sys.argv[1])))\n"
            "except worker.InvalidInput: print('refused')"
        )
        done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, check=True, timeout=120)
        assert done.stdout == b"refused\n"
        told[call] = done.stderr
    assert b"ojph" in told["read.read_volume"]
    assert told["worker.read_in_worker"] == b""


def test_errors_come_back_as_themselves(tmp_path: Path) -> None:
    phantom = oblique_phantom((6, 18, 22))
    files = source_files(write_dicom_series(phantom, tmp_path / "s", skip=(2,)))
    with pytest.raises(ChoiceNeeded) as caught:
        read_in_worker(files)
    with pytest.raises(ChoiceNeeded) as here:
        read_volume(files)
    assert (str(caught.value), caught.value.reason) == (str(here.value), Reason.SLICES_UNEVEN)
    (tmp_path / "a").write_text("no image")
    with pytest.raises(InvalidInput) as other:
        read_in_worker(source_files(tmp_path / "a"))
    assert other.value.reason == Reason.FILE_NOT_AN_IMAGE


def test_memory_limit(tmp_path: Path) -> None:
    # 900 MB of zeros in a file of 1 MB: honest, but more than this worker may have.
    nibabel.Nifti1Image(np.zeros((800, 800, 700), np.int16), np.eye(4)).to_filename(tmp_path / "a.nii.gz")
    with pytest.raises(TooLarge) as caught:
        read_in_worker(source_files(tmp_path / "a.nii.gz"), limits=Limits(memory_bytes=1 << 30))
    assert caught.value.reason == Reason.FILE_TOO_LARGE
    # The same limit is enough for a small file.
    phantom = oblique_phantom((4, 8, 9))
    small = write_nifti(phantom, tmp_path / "b.nii.gz")
    assert read_in_worker(source_files(small), limits=Limits(memory_bytes=1 << 30)).shape == phantom.shape


def test_time_limit(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "hangs")  # opening it for reading waits for ever
    start = time.monotonic()
    with pytest.raises(TooLarge, match="took longer"):
        read_in_worker([SourceFile("hangs", tmp_path / "hangs")], limits=Limits(seconds=0.5))
    assert time.monotonic() - start < 20


def test_a_reading_that_is_stopped_ends_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "hangs")
    files, stop = [SourceFile("hangs", tmp_path / "hangs")], Stop()
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(read_in_worker, files, stop=stop)
        with open(tmp_path / "hangs", "wb"):  # opened when the worker has opened its end: it reads
            stop.set()
            with pytest.raises(Stopped):
                reading.result(20)
    with pytest.raises(Stopped):  # also before it began
        read_in_worker(files, stop=stop)
    stop.close()
    stop.set()  # too late is harmless


def test_who_is_woken_by_a_stop_waits_for_no_worker(tmp_path: Path) -> None:
    stop = Stop()
    ours, theirs = multiprocessing.Pipe(duplex=False)
    theirs.close()  # a worker that says nothing more; one that lives would be waited for
    os.write(stop._write, b"!")
    with ours, pytest.raises(Stopped):
        _Listener(ours, tmp_path / "voxels", None, None, stop).answer(time.monotonic() + 20, Limits())
    stop.close()


@pytest.mark.parametrize(
    ("exitcode", "kind"),
    [(-signal.SIGKILL, TooLarge), (-signal.SIGXCPU, TooLarge), (-signal.SIGSEGV, InvalidInput), (1, InvalidInput)],
)
def test_a_worker_that_ends_without_an_answer(exitcode: int, kind: type[CalqueError]) -> None:
    assert type(_broken(exitcode)) is kind


async def test_from_threads_of_an_asyncio_server(tmp_path: Path) -> None:
    phantom = oblique_phantom((4, 8, 9))
    files = source_files(write_nifti(phantom, tmp_path / "a.nii.gz"))
    volumes = await asyncio.gather(*[asyncio.to_thread(read_in_worker, files) for _ in range(3)])
    assert all(np.array_equal(v.voxels, phantom.voxels) for v in volumes)


@pytest.mark.parametrize(
    "wrong",
    [
        {"shape": [4, 8]},
        {"shape": [4, 8, -9]},
        {"shape": [40_000, 8, 9]},
        {"dtype": "float64"},
        {"dtype": "O"},
        {"affine": [[1.0]]},
        {"slope": [1.0]},
        {"voi": "x"},
        {"shape": None},
    ],
)
def test_a_plan_that_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    told = plan_message(plan_of(oblique_phantom((4, 8, 9))))
    assert plan_from_message(json.loads(json.dumps(told))).shape == (4, 8, 9)
    with pytest.raises(InvalidInput):
        plan_from_message(told | wrong)
