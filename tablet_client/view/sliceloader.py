"""Fetches greys: the slice that is looked at first, then its neighbours, nearest first."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from tablet_client.link.port import Link, LinkError
from tablet_client.state.geometry import Plane, PlaneInfo, VolumeInfo
from tablet_client.state.slicecache import SliceCache

_REACH = 40  # slices to either side that are fetched ahead
_BATCH = 8  # slices of one call: the user may be elsewhere before it ends
_RETRY_S = 1.0


class SliceLoader:
    """Fills a cache with the greys of one volume.

    Args:
        link: the services.
        volume: whose slices.
        cache: takes them.
        arrived: told of each slice that came.
        failed: told when the visible slice cannot be had; it is tried again.
    """

    def __init__(
        self,
        link: Link,
        volume: VolumeInfo,
        cache: SliceCache,
        arrived: Callable[[Plane, int], None],
        failed: Callable[[LinkError], None],
    ) -> None:
        self._link, self._volume, self._cache = link, volume, cache
        self._arrived, self._failed = arrived, failed
        self._wake = asyncio.Event()
        self._wanted = (volume.acquisition, 0)

    def look_at(self, plane: Plane, index: int) -> None:
        """The user looks there now."""
        self._wanted = (plane, index)
        self._wake.set()

    async def run(self) -> None:
        """Fetch until cancelled."""
        while True:
            batch = self._next_batch()
            if not batch:
                self._wake.clear()
                await self._wake.wait()
                continue
            try:
                await self._fetch(self._wanted[0], batch)
            except LinkError as error:
                if not self._cache.has(*self._wanted):
                    self._failed(error)
                await asyncio.sleep(_RETRY_S)

    def _next_batch(self) -> list[int]:
        """The visible slice alone when it is missing, else the nearest missing ones."""
        plane, middle = self._wanted
        if not self._cache.has(plane, middle):
            return [middle]
        count = self._volume.planes[plane].slices
        near = sorted(range(max(0, middle - _REACH), min(count, middle + _REACH + 1)), key=lambda k: abs(k - middle))
        return [k for k in near if not self._cache.has(plane, k)][:_BATCH]

    async def _fetch(self, plane: Plane, batch: list[int]) -> None:
        info: PlaneInfo = self._volume.planes[plane]
        async for index, greys in self._link.read_slices(self._volume.volume_id, info, batch):
            if self._cache.put(plane, index, greys) and not self._cache.has(*self._wanted):
                return  # the cache is smaller than the reach: the visible slice comes first again
            self._arrived(plane, index)
            if self._wanted[0] is not plane or not self._cache.has(*self._wanted):
                return
