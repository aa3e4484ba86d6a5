"""``calque run``: services and tablet on this machine, with a volume in the library.

With a display the tablet is yours until you close it. Without one the same tablet runs on a virtual display, and the
scripted hand does the main job on it (see ``services.cli.scripted``).
"""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from calque.v1 import volumes_pb2
from platformdirs import user_data_path
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from services.bench.client import Client, Refused
from services.cli import reach
from services.cli.children import child, has_display, services, virtual_display
from services.cli.serve import load_settings
from services.cli.source import Source
from services.core.errors import Reason

console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 110)


@dataclass(frozen=True)
class Options:
    """What ``calque run`` was asked for; see its help."""

    source: Source
    reference: Path | None
    out: Path
    store: Path | None
    scripted: bool | None
    size: str


def run_all(options: Options) -> None:
    """Run until the tablet is closed or the script is done; nothing is left running."""
    scripted = not has_display() if options.scripted is None else options.scripted
    started = time.monotonic()
    with ExitStack() as stack:
        stack.enter_context(ending_on_signals())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="calque-run-")))
        home = folder if scripted else user_data_path("calque", appauthor=False)
        console.print("Starting the services …")
        address, server = stack.enter_context(services(options.store or home / "store"))
        client = reach.client(address)
        stack.callback(client.close)
        volume = None
        try:
            volume = import_volume(client, options.source)
            console.print(f"“{volume.name}” is in the library.")
        except Refused as error:
            if scripted or error.reason is not Reason.NOT_SIGNED_IN:
                raise
            console.print("Users sign in at this store: do so on the tablet, and import there.")
        tablet = ["--server", address, "--journal", str(home / "journal"), "--size", options.size]
        tablet += ["--plain"] if load_settings().tls == "off" else []
        if volume is not None and scripted:
            _run_scripted(options, stack, client, server, volume, tablet)
        else:
            console.print("Opening the tablet. Close its window to end.")
            process = stack.enter_context(child([sys.executable, "-m", "tablet_client", *tablet]))
            process.wait()
    console.print(f"Done in {time.monotonic() - started:.0f} s.")


def _run_scripted(
    options: Options,
    stack: ExitStack,
    client: Client,
    server: subprocess.Popen[str],
    volume: volumes_pb2.Volume,
    tablet: list[str],
) -> None:
    from services.cli.scripted import Desk, run_script

    environment = {}
    if not has_display():
        console.print("There is no display: the tablet runs on a virtual one, and the scripted hand does the work.")
        environment = stack.enter_context(virtual_display(options.size))
    command = [sys.executable, "-m", "tablet_client", *tablet, "--hand"]
    process = stack.enter_context(child(command, environment=environment))
    desk = Desk(console=console, client=client, server_pid=server.pid, tablet=process, volume=volume, out=options.out)
    run_script(desk, source=options.source, reference=options.reference)


def import_volume(client: Client, source: Source) -> volumes_pb2.Volume:
    """Have the services read a volume, showing progress. Raises: CalqueError."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        tasks = {what: progress.add_task(f"{what} …", total=None) for what in ("Sending", "Reading")}

        def show(what: str, done: int, total: int) -> None:
            progress.update(tasks[what], completed=done, total=total or None)

        return client.import_files(
            source.files(),
            name=source.name,
            series=source.series,
            frame=source.frame,
            repairs=source.repairs,
            progress=show,
        )


@contextmanager
def ending_on_signals() -> Iterator[None]:
    """SIGTERM ends like an interrupt from the keyboard: in order, with exit status 130."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    except KeyboardInterrupt:
        console.print("Stopped.")
        raise SystemExit(130) from None
    finally:
        signal.signal(signal.SIGTERM, before)
