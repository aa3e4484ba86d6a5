"""Whoever makes garbage, it is collected on the loop's own thread."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref

from tablet_client.view import garbage


class Ring:
    """Cyclic garbage that notes where it ends."""

    def __init__(self, ended: list[int]) -> None:
        self.itself = self
        weakref.finalize(self, lambda: ended.append(threading.get_ident()))


async def test_garbage_ends_on_the_loops_thread() -> None:
    ended: list[int] = []
    done = asyncio.Event()
    loop = asyncio.get_running_loop()
    assert gc.isenabled()

    def litter() -> None:
        for _ in range(20_000):  # enough for many automatic collections
            Ring(ended)

    with garbage.collecting_here(loop):
        assert not gc.isenabled()
        await asyncio.to_thread(litter)
        assert ended == []
        loop.call_later(2 * garbage.PAUSE_S, done.set)
        await done.wait()
    assert len(ended) == 20_000
    assert set(ended) == {threading.get_ident()}
    assert gc.isenabled()
