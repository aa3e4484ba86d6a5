"""Who waits for a whole probability that takes so many entries of the log into account."""

from __future__ import annotations

import asyncio

from services.core.errors import CalqueError
from services.segmentation.settings import Snapshot


class Waiting:
    """Futures of whole probabilities, by the length of the log that each needs."""

    def __init__(self) -> None:
        self._waiting: list[tuple[int, asyncio.Future[Snapshot]]] = []

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, length: int) -> asyncio.Future[Snapshot]:
        """Wait for a probability of at least ``length`` entries."""
        future: asyncio.Future[Snapshot] = asyncio.get_running_loop().create_future()
        self._waiting.append((length, future))
        return future

    def hand_out(self, snapshot: Snapshot) -> None:
        """Answer those for whom it is new enough."""
        for future in self._taken_off(snapshot.log_length):
            future.set_result(snapshot)

    def refuse(self, error: CalqueError, length: int | None = None) -> None:
        """Tell why to those who wait for at most ``length`` entries of the log, or, with None, to all."""
        for future in self._taken_off(length):
            future.set_exception(error)

    def _taken_off(self, length: int | None) -> list[asyncio.Future[Snapshot]]:
        ready = [future for n, future in self._waiting if length is None or n <= length]
        self._waiting = [one for one in self._waiting if one[1] not in ready]
        return [future for future in ready if not future.done()]
