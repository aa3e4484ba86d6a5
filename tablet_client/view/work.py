"""An open annotation: everything that lives as long as it is open, made and ended together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from calque.v1.segmentation_pb2 import Annotation

from tablet_client.link.listener import Listener
from tablet_client.link.port import Link, LinkError
from tablet_client.link.sync import SessionKeeper, open_document
from tablet_client.state.geometry import Plane, VolumeInfo
from tablet_client.state.guide import Guide
from tablet_client.state.journal import Journal
from tablet_client.state.preferences import Preferences
from tablet_client.state.probabilities import Probabilities
from tablet_client.state.slicecache import Room, SliceCache
from tablet_client.view.sliceband import SliceBand
from tablet_client.view.sliceloader import SliceLoader
from tablet_client.view.tasks import Tasks


class Work:
    """Document, journal, session and caches of one annotation of one volume.

    Args:
        link: the services.
        volume: what is drawn on.
        annotation: what is drawn into.
        folder: where journals lie.
        greys: slices that are here already, of the same volume; None: none.
        listener: told of what the session brings.
        arrived, failed: told of slices that came, or could not be had.
        broken: told when a background task ends by a fault of ours.

    Attributes:
        ended: it was left.

    Raises:
        JournalError: the tablet's disk cannot be written.
    """

    def __init__(
        self,
        link: Link,
        volume: VolumeInfo,
        annotation: Annotation,
        folder: Path,
        greys: SliceCache | None,
        listener: Listener,
        arrived: Callable[[Plane, int], None],
        failed: Callable[[LinkError], None],
        broken: Callable[[BaseException], None],
    ) -> None:
        self.volume, self.annotation = volume, annotation
        self.greys = SliceCache(Room(Preferences().cache_bytes)) if greys is None else greys
        self.probabilities = Probabilities(self.greys.room)
        self.guide = Guide(volume.planes)
        self.band = SliceBand(volume.planes)
        self.journal = Journal(folder, annotation.annotation_id)
        self.document = open_document(volume.planes, self.journal)
        self.keeper = SessionKeeper(
            link, annotation.annotation_id, self.document, self.journal, self.probabilities, listener
        )
        self.loader = SliceLoader(link, volume, self.greys, arrived, failed)
        self.tasks = Tasks(broken)
        self.ended = False
        self._news = asyncio.Event()

    def prefer(self, preferences: Preferences) -> None:
        """Hold as much as the user wants, slices in memory and strokes in the journal, and sign with the user's name."""
        self.greys.room.resize(preferences.cache_bytes)
        self.journal.limit_bytes = preferences.journal_bytes
        self.keeper.author = preferences.reader

    def start(self) -> None:
        """Connect and fetch."""
        self.tasks.start(self.keeper.run())
        self.tasks.start(self.loader.run())

    def news(self) -> None:
        """The session tells another status."""
        self._news.set()

    async def all_sent(self) -> LinkError | None:
        """Wait until the server has every stroke. Returns: why it does not get them for now, or None."""
        while self.document.waiting:
            if self.ended:
                return LinkError("SERVICE_UNAVAILABLE", retry=True)
            if (error := self.keeper.status.held_up) is not None:
                return error
            self._news.clear()
            await self._news.wait()
        return None

    async def end(self) -> None:
        """Hang up; what was drawn is in the journal afterwards."""
        self.ended = True
        self.news()
        try:
            await self.tasks.end()
        finally:
            self.keeper.flush()
            self.journal.close()
            self.probabilities.clear()  # the greys may serve another annotation of the volume
