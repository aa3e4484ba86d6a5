"""How much memory a process takes with all processes below it, at its highest. Linux alone tells it."""

from __future__ import annotations

import threading
from pathlib import Path
from types import TracebackType

_PERIOD_S = 0.002


class PeakMemory:
    """Watches while the ``with`` lasts.

    Attributes:
        bytes: the highest sum of the processes' memory. A page that several share counts once (``Pss``), and so does one of
            a file that is mapped.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self.bytes = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="peak memory")

    def __enter__(self) -> PeakMemory:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(_PERIOD_S):
            self.bytes = max(self.bytes, tree_bytes(self._pid))


def tree_bytes(pid: int) -> int:
    """Memory of a process and all below it; of one that just ended nothing."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        own = next((int(line.split()[1]) << 10 for line in lines if line.startswith("Pss:")), 0)
        below = [Path(folder, "children").read_text() for folder in Path(f"/proc/{pid}/task").iterdir()]
    except OSError:
        return 0
    return own + sum(tree_bytes(int(child)) for children in below for child in children.split())
