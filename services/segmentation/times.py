"""How long the steps of a generation took, added up over threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from services.serving import metrics

Step = Literal["gather", "fit", "features", "predict", "walk", "reconstruct", "advise"]


class Times:
    """Seconds by step. Threads may add at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seconds: dict[Step, float] = {}

    @contextmanager
    def of(self, step: Step) -> Iterator[None]:
        """Add the time that the block takes."""
        started = time.perf_counter()
        try:
            yield
        finally:
            seconds = time.perf_counter() - started
            metrics.STEP_SECONDS.labels(step).observe(seconds)
            with self._lock:
                self._seconds[step] = self._seconds.get(step, 0.0) + seconds

    def ms(self, step: Step) -> float:
        """Milliseconds of a step so far."""
        return self._seconds.get(step, 0.0) * 1e3
