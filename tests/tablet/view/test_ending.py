"""The application ends when it is told to, whatever it was about to do."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

pytestmark = [pytest.mark.screen, pytest.mark.asyncio(loop_scope="session")]


@pytest.mark.parametrize("later", range(5))
async def test_an_end_right_after_going_back_to_the_library_is_not_missed(studio: Any, later: int) -> None:
    """Going back has the server asked again; so many turns of the loop later the window is closed."""
    from tablet_client.view.librarycontrol import LibraryControl
    from tablet_client.view.tasks import Tasks

    control = LibraryControl(studio.link, studio.app.library, studio.app.importer, lambda _: None)
    tasks = Tasks(lambda _: None)
    tasks.start(control.run())
    async with asyncio.timeout(10):
        await control.listed.wait()
        for _ in range(1000):
            if control._now._waiters:
                break
            await asyncio.sleep(0)
        assert control._now._waiters
        control.refresh()
        for _ in range(later):
            await asyncio.sleep(0)
        await tasks.end()
