"""What the keeper of a session tells: how the connection stands, and what came."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from calque.v1 import segmentation_pb2

from tablet_client.link.port import LinkError
from tablet_client.state.geometry import Plane


class Connection(Enum):
    """How the session stands with the server."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    OFFLINE = "offline"  # drawing goes on; the next attempt comes by itself
    OTHER_WRITER = "other writer"  # connected, and looking on
    REFUSED = "refused"  # the server will not have it: the annotation is gone, or this user may not; waits for `retry_now`


@dataclass(frozen=True)
class Status:
    """What the bar on top says.

    Attributes:
        connection: see `Connection`.
        waiting: events that the server has not acknowledged.
        saved_on_tablet: of those, the ones that are in the journal.
        tablet_full: the journal takes no events: drawing must stop, visibly.
        error: why it is offline or refused.
        journal_at_limit: it takes none, for the journals are as large as they may be.
        locked: nobody writes, for the annotation was accepted; it can be looked at.
    """

    connection: Connection
    waiting: int
    saved_on_tablet: int
    tablet_full: bool = False
    error: LinkError | None = None
    journal_at_limit: bool = False
    locked: bool = False

    @property
    def held_up(self) -> LinkError | None:
        """Why what waits does not come to the server for now; None: it is on its way, or nothing waits."""
        if not self.waiting:
            return None
        if self.connection is Connection.OTHER_WRITER:
            return LinkError("ANNOTATION_LOCKED" if self.locked else "OTHER_WRITER")
        return self.error if self.connection in (Connection.OFFLINE, Connection.REFUSED) else None


class Listener:
    """Told of what comes, on the loop. Override what is of interest."""

    def status_changed(self, status: Status) -> None:
        """Connection or counts changed."""

    def ink_changed(self) -> None:
        """Ink changed without the hand: another session's strokes came, or the server refused one."""

    def probability(self, plane: Plane, index: int) -> None:
        """A newer slice is in the cache."""

    def histogram(self, complete: bool) -> None:
        """A newer histogram is in the cache."""

    def progress(self, done: int, total: int) -> None:
        """Acquisition slices computed, of all."""

    def statistics(self, statistics: segmentation_pb2.Statistics) -> None:
        """Measured by the server."""

    def advice(self, advice: segmentation_pb2.Advice) -> None:
        """Where the next strokes pay most, of a generation whose probability came before."""

    def computing_failed(self, reason: str, message: str) -> None:
        """The server could not compute; events are kept."""

    def event_refused(self, error: LinkError) -> None:
        """The server will never take an event: its ink was removed."""

    def opened(self, annotation: segmentation_pb2.Annotation) -> None:
        """The server has opened the annotation, for the first time or again."""
