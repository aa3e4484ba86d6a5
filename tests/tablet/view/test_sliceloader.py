"""Scrolling through a large volume: every slice comes, and the tablet never holds more than it may."""

from __future__ import annotations

import asyncio

import numpy as np

from tablet_client.link.fake import FakeLink
from tablet_client.link.fake_volume import fake_volume
from tablet_client.state.geometry import Plane, VolumeInfo
from tablet_client.state.probabilities import Probabilities
from tablet_client.state.slicecache import Room, SliceCache
from tablet_client.view.sliceloader import SliceLoader

MOST = 48 << 20


async def test_a_volume_of_512_512_200_is_scrolled_from_end_to_end_within_the_cap():
    voxels = np.zeros((200, 512, 512), np.uint16)
    voxels += np.arange(200, dtype=np.uint16)[:, None, None]
    message, voxels = fake_volume(voxels, "Large")
    room = Room(MOST)
    greys, probabilities = SliceCache(room), Probabilities(room)
    came, most, failed = asyncio.Event(), 0, []

    def arrived(plane: Plane, index: int) -> None:
        nonlocal most
        most = max(most, room.held_bytes)
        came.set()

    link = FakeLink([(message, voxels)])
    loader = SliceLoader(link, VolumeInfo.from_message(message), greys, arrived, failed.append)
    running = asyncio.create_task(loader.run())
    try:
        for index in range(200):
            loader.look_at(Plane.AXIAL, index)
            async with asyncio.timeout(10):
                while (shown := greys.get(Plane.AXIAL, index)) is None:
                    came.clear()
                    await came.wait()
            assert shown[0, 0] == index
            probabilities.put(Plane.AXIAL, index, 1, np.full((512, 512), index, np.uint8))
            most = max(most, room.held_bytes)
            assert greys.has(Plane.AXIAL, index)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert failed == []
    assert MOST / 2 < most <= MOST
    assert probabilities.get(Plane.AXIAL, 199) is not None
    assert probabilities.get(Plane.AXIAL, 0) is None
