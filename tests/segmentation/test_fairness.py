"""Sessions in turn, and what somebody waits for first."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest

from services.segmentation.fairness import Threads
from tests.served import SECONDS


class Machine:
    """One thread that is held busy, so that steps queue; then the order in which they are taken."""

    def __init__(self) -> None:
        self.threads = Threads(1)
        self.order: list[str] = []
        self._free = threading.Event()
        self._asked: list[asyncio.Task[None]] = []

    async def occupy(self) -> None:
        busy = threading.Event()

        def hold() -> None:
            busy.set()
            assert self._free.wait(SECONDS)

        self._asked.append(asyncio.create_task(self.threads.run(self, hold, urgent=True)))
        assert await asyncio.to_thread(busy.wait, SECONDS)

    async def ask(self, *names: str, urgent: bool = False) -> None:
        """Queue steps; a step's session is its name's first letter."""
        for name in names:
            step = self.threads.run(name[0], self.order.append, name, urgent=urgent)
            self._asked.append(asyncio.create_task(step))
            await asyncio.sleep(0)  # it queues now

    async def release(self) -> list[str]:
        self._free.set()
        await asyncio.gather(*self._asked)
        return self.order


@pytest.fixture
async def machine() -> AsyncIterator[Machine]:
    machine = Machine()
    await machine.occupy()
    yield machine
    await machine.release()
    machine.threads.close()


async def test_sessions_take_turns_however_much_one_has_queued(machine: Machine) -> None:
    await machine.ask("a1", "a2", "a3", "a4", "b1", "b2", "c1")
    assert await machine.release() == ["a1", "b1", "c1", "a2", "b2", "a3", "a4"]


async def test_what_is_looked_at_comes_before_the_rest_of_any_session(machine: Machine) -> None:
    await machine.ask("a1", "a2", "b1")
    await machine.ask("b2", "c1", urgent=True)
    await machine.ask("c2")
    await machine.ask("b3", urgent=True)
    assert await machine.release() == ["b2", "c1", "b3", "a1", "b1", "c2", "a2"]


async def test_a_session_that_comes_back_stands_behind_those_who_wait(machine: Machine) -> None:
    def again(name: str) -> None:
        machine.order.append(name)
        loop.call_soon_threadsafe(lambda: asyncio.ensure_future(machine.ask("a2", urgent=True)))
        assert asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loop).result(SECONDS) is None  # it was asked

    loop = asyncio.get_running_loop()
    first = asyncio.create_task(machine.threads.run("a", again, "a1", urgent=True))
    await asyncio.sleep(0)
    await machine.ask("b1", "c1", urgent=True)
    machine._free.set()
    await first
    assert await machine.release() == ["a1", "b1", "c1", "a2"]


async def test_a_failing_step_tells_who_asked_and_a_step_given_up_is_not_run(machine: Machine) -> None:
    def fails() -> None:
        raise ZeroDivisionError

    failing = asyncio.create_task(machine.threads.run("a", fails, urgent=True))
    given_up = asyncio.create_task(machine.threads.run("b", machine.order.append, "b1", urgent=True))
    await asyncio.sleep(0)
    await machine.ask("c1")
    given_up.cancel()
    await asyncio.gather(given_up, return_exceptions=True)
    assert await machine.release() == ["c1"]
    with pytest.raises(ZeroDivisionError):
        await failing
    with pytest.raises(asyncio.CancelledError):
        await given_up
