"""The benchmark of imports runs, on a volume small enough for a test."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from services.bench import importing, sources
from services.bench.client import Client
from services.bench.memory import PeakMemory, tree_bytes
from tests.processes import Serving


def test_imports_are_measured_over_the_wire(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (importing, sources):
        monkeypatch.setattr(module, "SHAPE", (6, 64, 64))
    arguments = ("volumes", "--listen", "127.0.0.1:0", "--store", str(tmp_path / "store"))
    (tmp_path / "files").mkdir()
    with Serving(tmp_path, *arguments) as serving:
        found = importing.measure_imports(Client(serving.address()), serving.process.pid, tmp_path / "files", 2)
    assert set(found) == {"dicom", "nifti", "nifti_gz"}
    for one in found.values():
        assert len(one.service_s) == len(one.plain_s) == 2
        summary = one.summary()
        assert summary["time_ratio_best"] == min(one.service_s) / min(one.plain_s) > 0
        assert summary["memory_ratio"] > 0
    assert list((tmp_path / "store" / "volumes").glob("*/*")) == []


def test_the_peak_counts_processes_below_and_what_they_had(tmp_path: Path) -> None:
    """A process whose child takes 60 MB and gives them back."""
    takes = "import sys; x = bytearray(b'1') * 60_000_000; print(flush=True); sys.stdin.readline()"
    starts = (
        f"import subprocess, sys; subprocess.run([sys.executable, '-c', {takes!r}]); print(flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", starts], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()  # they are taken
        with PeakMemory(process.pid) as memory:
            held = tree_bytes(process.pid)
            while memory.bytes < held * 0.9:
                pass
            process.stdin.write("\n")
            process.stdout.readline()  # they are given back
        assert tree_bytes(process.pid) < memory.bytes - 55_000_000
        process.stdin.close()
