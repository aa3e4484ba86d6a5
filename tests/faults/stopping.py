"""``calque serve`` that stops itself (SIGSTOP): ``python -m tests.faults.stopping KIND STEP TIME serve …``.

It stops once, when the ``TIME``-th object of a kind comes to a step of its writing, and goes on there when it is woken.
"""

from __future__ import annotations

import signal
import sys
import threading

from services.cli.main import main
from services.store.failpoints import hooked
from tests.crash.points import kind_of


class Stop:
    """Stops this process, once."""

    def __init__(self, kind: str, step: str, time: int) -> None:
        self._kind, self._step, self._left = kind, step, time

    def __call__(self, step: str, key: str) -> None:
        if (kind_of(key), step) == (self._kind, self._step):
            self._left -= 1
            if not self._left:
                # To this thread: of a signal to the process another one might hear first, while this one goes on.
                signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)


if __name__ == "__main__":
    kind, step, time, *arguments = sys.argv[1:]
    sys.argv[1:] = arguments
    with hooked(Stop(kind, step, int(time))):
        main()
