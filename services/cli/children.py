"""Child processes of ``calque run``: services, tablet, virtual display. None outlives us.

Each child reads its standard input until it ends: when we die, however, the pipe closes and the child goes.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from services.core.errors import Reason, Unavailable

_END_SECONDS = 10.0


@contextmanager
def child(
    arguments: list[str], *, environment: Mapping[str, str | None] | None = None, errors: IO[bytes] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """Run a command with pipes for input and output while the block lasts; what it says on the side goes to ``errors``.

    A variable of ``environment`` that is None is not there.
    """
    variables = {**os.environ, **(environment or {})}
    process = subprocess.Popen(
        arguments,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
        env={name: value for name, value in variables.items() if value is not None},
        start_new_session=True,  # an interrupt from the keyboard reaches us, and we end the children in order
    )
    try:
        yield process
    finally:
        end(process)


def end(process: subprocess.Popen[str]) -> None:
    """End a child: close its input, ask it to go, and make it go."""
    if process.stdin:
        with suppress(BrokenPipeError):
            process.stdin.close()
    with suppress(subprocess.TimeoutExpired):
        process.wait(_END_SECONDS)
    for insist in (process.terminate, process.kill):
        if process.poll() is None:
            insist()
            with suppress(subprocess.TimeoutExpired):
                process.wait(_END_SECONDS)
    if process.stdout:
        process.stdout.close()


@contextmanager
def services(store: Path, listen: str = "127.0.0.1:0") -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """All services in one process, on a free port of loopback unless told; their log is ``services.log`` beside the store.

    Gives the address and the process. Raises: Unavailable.
    """
    store.mkdir(parents=True, exist_ok=True)
    record = store.parent / "services.log"
    command = [sys.executable, "-m", "services.cli", "serve", "--with-parent", "--listen", listen]
    command += ["--store", str(store)]
    # They are for this machine alone: what a server for others proves itself with is not for them.
    without = dict.fromkeys(("CALQUE_CERTIFICATE", "CALQUE_KEY", "CALQUE_CLIENT_AUTHORITY"))
    with open(record, "ab") as errors, child(command, environment=without, errors=errors) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line.startswith("Calque serves"):
            said = record.read_text(errors="replace").strip().splitlines()[-1:]
            raise Unavailable(f"The services did not start. {' '.join(said)}", Reason.SERVICE_UNAVAILABLE)
        yield line.split()[-1], process


def has_display() -> bool:
    """Whether a window can be opened on this machine."""
    return sys.platform in ("win32", "darwin") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


@contextmanager
def virtual_display(size: str) -> Iterator[dict[str, str]]:
    """A screen that nobody sees (Xvfb). Gives the environment for programs that draw on it. Raises: Unavailable."""
    if shutil.which("Xvfb") is None:
        raise Unavailable(
            "There is no display, and Xvfb, which makes a virtual one, is not installed. On Debian and Ubuntu: "
            "apt-get install xvfb xauth libgl1-mesa-dri libgl1 libgles2 libegl1 libmtdev1"
        )
    read, write = os.pipe()
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            ["Xvfb", "-displayfd", str(write), "-screen", "0", f"{size}x24", "-nolisten", "tcp"],
            pass_fds=[write],
            stdin=subprocess.DEVNULL,
            stderr=errors,
            start_new_session=True,
        )
        os.close(write)
        try:
            with os.fdopen(read) as answer:
                number = answer.readline().strip()
            if not number:
                errors.seek(0)
                reason = errors.read().decode(errors="replace").strip().splitlines()[-1:]
                raise Unavailable(f"The virtual display did not start: {' '.join(reason)}")
            yield {"DISPLAY": f":{number}", "LIBGL_ALWAYS_SOFTWARE": "1"}
        finally:
            process.terminate()
            process.wait()


def peak_mib(pid: int) -> int | None:
    """Peak resident memory of a process in MiB; None where the system does not tell (only Linux does)."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM")), None)
