"""The line under the top bar: how far the volume is computed in the background."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from calque.v1 import segmentation_pb2
from numpy.typing import NDArray

pytestmark = [pytest.mark.screen, pytest.mark.asyncio(loop_scope="session")]

ACCENT = (0x5B, 0xB8, 0xC4)


async def line(studio: Any) -> NDArray[np.bool_]:
    """Which pixels of the lowest two rows of the top bar are the line: ``(2, columns)``."""
    from tablet_client.hand.png import screenshot

    shown = await screenshot()
    low = shown.shape[0] - int(studio.app.viewer.bar.y)
    return (shown[low - 2 : low] == ACCENT).all(axis=-1)


async def test_the_line_is_as_long_as_the_part_that_is_computed_and_goes_at_the_end(studio: Any) -> None:
    control, bar = studio.app.viewer_control, studio.app.viewer.bar

    def tell(done: int) -> None:
        progress = segmentation_pb2.Progress(generation=1, done=done, total=12)
        answer = segmentation_pb2.AnnotateResponse(progress=progress)
        studio.link.send(control.work.annotation.annotation_id, answer)

    await studio.hand.until("The link", lambda: bar.safety_text == "Saved on server")
    assert not (await line(studio)).any()
    for done in (3, 9):
        tell(done)
        await studio.hand.until("The progress", lambda done=done: bar.progress == done / 12)
        assert (await line(studio)).sum(axis=1).tolist() == [int(bar.width * done / 12)] * 2
    tell(12)
    await studio.hand.until("The end", lambda: bar.progress == 1)
    assert not (await line(studio)).any()


async def test_without_a_connection_no_line_stays(studio: Any) -> None:
    bar = studio.app.viewer.bar
    await studio.hand.until("The link", lambda: bar.safety_text == "Saved on server")
    studio.app.viewer_control.progress(3, 12)
    studio.link.online = False
    studio.link.hang_up()
    await studio.hand.until("The loss", lambda: bar.safety_text == "Offline")
    assert bar.progress == 0
    studio.link.online = True
    studio.app.viewer_control.work.keeper.retry_now()
