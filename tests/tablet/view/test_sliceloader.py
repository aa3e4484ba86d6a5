"""Scrolling through a large volume: every slice comes, and the tablet never holds more than it may."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import AsyncIterator, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from tablet_client.link.fake import FakeLink
from tablet_client.link.fake_volume import fake_volume
from tablet_client.state.geometry import Plane, PlaneInfo, VolumeInfo
from tablet_client.state.probabilities import Probabilities
from tablet_client.state.slicecache import Room, SliceCache
from tablet_client.view.sliceloader import SliceLoader

MOST = 48 << 20
BESIDE = 8 << 20  # what is on its way, and the bookkeeping


class Link(FakeLink):
    """As a network, it gives arrays of their own, not views of the server's."""

    async def read_slices(
        self, volume_id: str, plane: PlaneInfo, slices: Sequence[int]
    ) -> AsyncIterator[tuple[int, NDArray[np.uint16]]]:
        async for index, greys in super().read_slices(volume_id, plane, slices):
            yield index, np.array(greys)


@pytest.mark.parametrize("plane", [Plane.AXIAL, Plane.CORONAL])
async def test_a_volume_of_512_512_200_is_scrolled_from_end_to_end_within_the_cap(plane: Plane) -> None:
    shape = (200, 512, 512)
    voxels = np.zeros(shape, np.uint16)
    voxels += np.arange(shape[plane - 1], dtype=np.uint16).reshape([-1 if axis == plane - 1 else 1 for axis in range(3)])
    message, voxels = fake_volume(voxels, "Large")
    info = VolumeInfo.from_message(message)
    room = Room(MOST)
    greys, probabilities = SliceCache(room), Probabilities(room)
    came, most, failed = asyncio.Event(), 0, []

    def arrived(plane: Plane, index: int) -> None:
        nonlocal most
        most = max(most, room.held_bytes)
        came.set()

    loader = SliceLoader(Link([(message, voxels)]), info, greys, arrived, failed.append)
    shown_slices = set()
    tracemalloc.start()
    running = asyncio.create_task(loader.run())
    try:
        for index in range(info.planes[plane].slices):
            loader.look_at(plane, index)
            async with asyncio.timeout(10):
                while (shown := greys.get(plane, index)) is None:
                    came.clear()
                    await came.wait()
            assert (shown == shown[0, 0]).all()
            shown_slices.add(int(shown[0, 0]))
            probabilities.put(plane, index, 1, np.full(info.planes[plane].shape, index % 256, np.uint8))
            most = max(most, room.held_bytes)
            assert greys.has(plane, index)
        _, allocated = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert failed == []
    assert len(shown_slices) == info.planes[plane].slices  # every one, and no other in its place
    assert MOST / 2 < most <= MOST
    assert allocated < MOST + BESIDE  # the volume has 105 MB
    assert probabilities.get(plane, index) is not None
    assert probabilities.get(plane, 0) is None
