"""Slices that came from the server, all kinds together within a number of bytes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from tablet_client.state.geometry import Plane

Key = tuple[Plane, int]
"""A plane and a slice of it."""


class Room:
    """Bytes that caches share: what was not used for longest goes first, whosever it is."""

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._held: OrderedDict[tuple[SliceCache, Key], NDArray[Any]] = OrderedDict()
        self._bytes = 0

    @property
    def held_bytes(self) -> int:
        """Bytes of all arrays held."""
        return self._bytes

    def get(self, cache: SliceCache, key: Key) -> NDArray[Any]:
        """An array that is held; it counts as used last."""
        self._held.move_to_end((cache, key))
        return self._held[cache, key]

    def put(self, cache: SliceCache, key: Key, array: NDArray[Any]) -> list[tuple[SliceCache, Key]]:
        """Hold an array, also one that alone is over the cap. Returns: what had to go for it."""
        self._held[cache, key] = array
        self._bytes += array.nbytes
        return self._shrink()

    def resize(self, most_bytes: int) -> None:
        """Another cap, from now on."""
        self._most = most_bytes
        for cache, key in self._shrink():
            cache._went(key)

    def _shrink(self) -> list[tuple[SliceCache, Key]]:
        """Let go what is too much. Returns: what it was; its caches do not know yet."""
        gone = []
        while self._bytes > self._most and len(self._held) > 1:
            whose, old = self._held.popitem(last=False)
            self._bytes -= old.nbytes
            gone.append(whose)
        return gone

    def drop(self, cache: SliceCache, key: Key) -> None:
        """Hold it no longer."""
        self._bytes -= self._held.pop((cache, key)).nbytes


class SliceCache:
    """Arrays by plane and slice, in a room that other caches may share.

    Args:
        room: holds them.
        gone: told of each that went for another's sake.
    """

    def __init__(self, room: Room, gone: Callable[[Key], None] | None = None) -> None:
        self.room, self._gone = room, gone
        self._keys: set[Key] = set()

    def __len__(self) -> int:
        return len(self._keys)

    def get(self, plane: Plane, index: int) -> NDArray[Any] | None:
        """The array, which now counts as used last; None when it is not held."""
        return self.room.get(self, (plane, index)) if (plane, index) in self._keys else None

    def has(self, plane: Plane, index: int) -> bool:
        """It is held; asking does not count as use."""
        return (plane, index) in self._keys

    def put(self, plane: Plane, index: int, array: NDArray[Any]) -> bool:
        """Keep an array. Returns: another of this cache had to go for it."""
        self.drop(plane, index)
        self._keys.add((plane, index))
        gone = self.room.put(self, (plane, index), array)
        for cache, key in gone:
            cache._went(key)
        return any(cache is self for cache, _ in gone)

    def drop(self, plane: Plane, index: int) -> None:
        """Forget one."""
        if (plane, index) in self._keys:
            self._keys.remove((plane, index))
            self.room.drop(self, (plane, index))

    def clear(self) -> None:
        """Forget all."""
        for plane, index in list(self._keys):
            self.drop(plane, index)

    def _went(self, key: Key) -> None:
        self._keys.remove(key)
        if self._gone is not None:
            self._gone(key)
