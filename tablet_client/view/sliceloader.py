"""Fetches greys: the slice that is looked at first, then its neighbours, nearest first."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from tablet_client.link.port import Link, LinkError
from tablet_client.state.geometry import Plane, PlaneInfo, VolumeInfo
from tablet_client.state.slicecache import Key, SliceCache

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
        self._wanted: Key = (volume.acquisition, 0)
        self._beside: tuple[Key, ...] = ()

    def look_at(self, plane: Plane, index: int, beside: Sequence[Key] = ()) -> None:
        """The user looks there now, and sees these slices of other planes beside it."""
        self._wanted, self._beside = (plane, index), tuple(beside)
        self._wake.set()

    async def run(self) -> None:
        """Fetch until cancelled."""
        while True:
            plane, batch = self._next_batch()
            if not batch:
                self._wake.clear()
                await self._wake.wait()
                continue
            try:
                await self._fetch(plane, batch)
            except LinkError as error:
                if not self._cache.has(*self._wanted):
                    self._failed(error)
                await asyncio.sleep(_RETRY_S)

    def _next_batch(self) -> tuple[Plane, list[int]]:
        """A visible slice alone where one is missing, else the nearest missing ones."""
        for visible in (self._wanted, *self._beside):
            if not self._cache.has(*visible):
                return visible[0], [visible[1]]
        plane, middle = self._wanted
        count = self._volume.planes[plane].slices
        near = sorted(range(max(0, middle - _REACH), min(count, middle + _REACH + 1)), key=lambda k: abs(k - middle))
        return plane, [k for k in near if not self._cache.has(plane, k)][:_BATCH]

    async def _fetch(self, plane: Plane, batch: list[int]) -> None:
        info: PlaneInfo = self._volume.planes[plane]
        async for index, greys in self._link.read_slices(self._volume.volume_id, info, batch):
            if self._cache.put(plane, index, greys) and not self._seen():
                return  # the cache is smaller than the reach: the visible slice comes first again
            self._arrived(plane, index)
            if self._wanted[0] is not plane or not self._seen():
                return

    def _seen(self) -> bool:
        """All slices on the screen are here."""
        return all(self._cache.has(*visible) for visible in (self._wanted, *self._beside))
