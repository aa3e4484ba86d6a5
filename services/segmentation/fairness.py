"""Which step of which session a free thread takes: what somebody waits for before the rest, and sessions in turn.

A step is short, and once begun it is finished. So the first step of a session that comes to a busy machine waits for one
running step, and for one urgent step of every other session at most: however much the others have queued.
"""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

Result = TypeVar("Result")


class Threads:
    """Threads that compute for all sessions of the process.

    Args:
        number: how many.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self._pool = ThreadPoolExecutor(number, thread_name_prefix="compute")
        self._lock = threading.Lock()
        self._urgent, self._rest = _Turns(), _Turns()

    async def run(self, who: object, work: Callable[..., Result], *arguments: object, urgent: bool) -> Result:
        """One step for ``who``, in its turn: urgent ones of all sessions come before the rest of any."""
        step = _Step(work, arguments)
        with self._lock:
            (self._urgent if urgent else self._rest).add(who, step)
        self._pool.submit(self._next)
        result: Result = await asyncio.wrap_future(step.done)
        return result

    def begin(self, work: Callable[[], object]) -> None:
        """Do something that nobody waits for, before all else."""
        self._pool.submit(work)

    def close(self) -> None:
        """End the threads with what they do now; what waits is forgotten."""
        self._pool.shutdown(cancel_futures=True)

    def _next(self) -> None:
        """Called once for each step, in a thread: takes the step whose turn it is, not the one it was called for."""
        with self._lock:
            step = (self._urgent or self._rest).take()
        step.run()


class _Step:
    """Work to be done in a thread, and what comes of it."""

    def __init__(self, work: Callable[..., Any], arguments: tuple[object, ...]) -> None:
        self.done: Future[Any] = Future()
        self._work = work
        self._arguments = arguments

    def run(self) -> None:
        if not self.done.set_running_or_notify_cancel():
            return
        try:
            self.done.set_result(self._work(*self._arguments))
        except BaseException as error:  # whoever waits gets it
            self.done.set_exception(error)


class _Turns:
    """Steps that wait, by session; the one whose turn it is stands first."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[object, deque[_Step]] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, who: object, step: _Step) -> None:
        self._waiting.setdefault(who, deque()).append(step)

    def take(self) -> _Step:
        who, steps = self._waiting.popitem(last=False)
        step = steps.popleft()
        if steps:
            self._waiting[who] = steps  # again, behind the others
        return step
