"""The keeper of a session: brings what is drawn to the server, each event once and in order, whatever the connection does.

Drawing never waits for it. An event goes to the journal first (in a thread: the disk may be slow), is sent only when it is
there, and leaves the journal only when the server has it. After a lost connection the server says which number it expects
and sends the part of its log that the tablet lacks, acknowledgements that were lost included.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from calque import wire
from calque.v1 import common_pb2, segmentation_pb2

from tablet_client.link.listener import Connection, Listener, Status
from tablet_client.link.port import Link, LinkError, Session
from tablet_client.link.scribe import Scribe
from tablet_client.link.views import Views
from tablet_client.state.document import Document, Event
from tablet_client.state.geometry import Plane, PlaneInfo
from tablet_client.state.journal import Journal, JournalError
from tablet_client.state.probabilities import Probabilities
from tablet_client.state.slicecache import Key

PAUSES_S = (0.5, 1.0, 2.0, 5.0)
"""Seconds before the first, second, … attempt to connect again; the last one repeats."""

OPEN_S = 15.0
"""Seconds that the server may take to open the annotation."""

LAST_WORDS_S = 5.0
"""Seconds that a stream that takes nothing more may take to say why."""

_EVENT_REFUSED = {"STROKE_INVALID", "LABEL_UNKNOWN", "MASK_NOT_FOUND"}
_LOCKED = "ANNOTATION_LOCKED"
_NOT_ALLOWED = {"NOT_FOUND", "UNAUTHENTICATED", "PERMISSION_DENIED", "UNIMPLEMENTED"}


def _after(error: LinkError) -> Connection:
    """How it stands when this has ended a connection."""
    if error.reason == "OTHER_WRITER":
        return Connection.OTHER_WRITER
    if error.reason == _LOCKED:
        return Connection.REFUSED
    return Connection.REFUSED if error.status in _NOT_ALLOWED else Connection.OFFLINE


class _Restart(Exception):
    """The server's numbers and ours cannot be brought together: go on as a new session."""


class SessionKeeper:
    """Keeps one annotation's session. `run` is its task; everything else is called on the same loop and returns at once.

    Args:
        link: the services.
        annotation_id: which annotation.
        document: made with the journal's session, next number and waiting events (see `open_document`).
        journal: of this annotation.
        probabilities: takes what the server computes.
        listener: told of what comes.
        pause: waits so many seconds; tests hand in their own.

    Attributes:
        author: who works with this tablet; told with the next connection.
    """

    def __init__(
        self,
        link: Link,
        annotation_id: str,
        document: Document,
        journal: Journal,
        probabilities: Probabilities,
        listener: Listener,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._link = link
        self._annotation_id = annotation_id
        self._document = document
        self._journal = journal
        self._probabilities = probabilities
        self._listener = listener
        self._pause = pause
        self._connection = Connection.CONNECTING
        self._error: LinkError | None = None
        self._told: Status | None = None
        self._scribe = Scribe(journal, self._journaled, pause)
        self._wake = asyncio.Event()
        self._nudged = asyncio.Event()
        self._limit: asyncio.Timeout | None = None
        self._take_over = False
        self._writer = self._locked = False
        self._next = 1
        self._log_length = 0
        self._agreed = False  # on the next number, in this connection
        self._sent = 0
        self._failures = 0  # since something got through
        self.author = ""
        self._views = Views(probabilities)
        self._settings: segmentation_pb2.AnnotateSettings | None = None
        self._settings_due = self._segment_due = False

    # --- called by the view ------------------------------------------------------------------------------------------

    @property
    def status(self) -> Status:
        """As it is now."""
        d, scribe = self._document, self._scribe
        return Status(
            self._connection,
            d.waiting,
            d.saved_on_tablet,
            scribe.full,
            self._error,
            journal_at_limit=scribe.at_limit,
            locked=self._locked and self._connection is Connection.OTHER_WRITER,
        )

    def submit(self, event: Event) -> None:
        """An event that the document made: journal it, then send it."""
        self._scribe.write(event)
        self._tell()

    def look_at(self, plane: Plane, index: int, beside: Sequence[Key] = ()) -> None:
        """What the user looks at, and what else is on the screen; only the newest is sent."""
        self._views.look_at([(plane, index), *beside])
        self._wake.set()

    def configure(
        self,
        *,
        live: bool,
        seed: int = 0,
        shown_label: int = 0,
        preset: segmentation_pb2.Preset = segmentation_pb2.PRESET_UNSPECIFIED,
        connected: bool | None = None,
        fill_holes: bool | None = None,
    ) -> None:
        """How to compute; sent again after every reconnection. See the contract's AnnotateSettings; None: absent."""
        self._settings = segmentation_pb2.AnnotateSettings(
            preset=preset, live=live, seed=seed, shown_label=shown_label, connected=connected, fill_holes=fill_holes
        )
        self._settings_due = True
        self._wake.set()

    def segment(self) -> None:
        """Compute now, with all that was drawn; offline, as soon as the server has it."""
        self._segment_due = True
        self._wake.set()

    def take_over(self) -> None:
        """Become the writer although another tablet is."""
        self._take_over = True
        self._hang_up()
        self.retry_now()

    def retry_now(self) -> None:
        """Do not wait for the next attempt: the network is back, or the user asks."""
        self._nudged.set()

    def flush(self) -> bool:
        """Wait here until the journal has everything: the system is about to stop the application.

        Returns:
            False when the disk did not take it.
        """
        return self._scribe.flush()

    # --- the task ----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Keep the session until cancelled. Call `flush` after that, in case it was cancelled before it began."""
        writing = asyncio.create_task(self._scribe.run())
        try:
            await self._keep_connected()
        finally:
            self._scribe.close()
            await writing

    async def _keep_connected(self) -> None:
        while True:
            self._nudged.clear()
            try:
                await self._connect()
            except _Restart:
                await self._restart()
            except LinkError as error:
                if error.reason in _EVENT_REFUSED and self._replace_refused(error):
                    continue
                if error.reason == "SEQUENCE_CONFLICT":
                    await self._restart()
                    continue
                if self._nudged.is_set():
                    continue
                if error.reason == "NOT_SIGNED_IN":
                    self._link.account.asked()
                connection = _after(error)
                self._set(connection, error)
                if error.reason == _LOCKED:
                    self._take_over = False  # it can still be looked at
                forever = connection is Connection.REFUSED and error.reason != _LOCKED
                await self._rest(None if forever else PAUSES_S[min(self._failures, len(PAUSES_S) - 1)])
                self._failures += 1

    async def _connect(self) -> None:
        """One connection, from opening to its end, which is always an error."""
        opening = segmentation_pb2.AnnotateOpen(
            annotation_id=self._annotation_id,
            session_id=self._document.session_id,
            take_over=self._take_over,
            have_entries=self._document.have_entries,
            author=self.author,
        )
        sending: asyncio.Task[None] | None = None
        try:
            async with asyncio.timeout(OPEN_S) as self._limit, self._link.annotate(opening) as session:
                async for message in session:
                    if message.HasField("opened"):
                        self._limit.reschedule(None)
                        self._opened(message.opened)
                        sending = sending or asyncio.create_task(self._send(session))
                    else:
                        self._receive(message)
                    if message.HasField("logged"):
                        await asyncio.sleep(0)  # a long log must not hold up the hand
            raise LinkError("SERVICE_UNAVAILABLE", "The server has ended the session.", retry=True)
        except TimeoutError as error:
            raise LinkError("SERVICE_UNAVAILABLE", "The server does not answer.", retry=True) from error
        finally:
            self._limit = None
            self._writer = False
            if sending is not None:
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)

    async def _send(self, session: Session) -> None:
        """Send what is due, whenever something is."""
        try:
            while True:
                await self._send_due(session)
                await self._wake.wait()
                self._wake.clear()
        except LinkError:
            self._hang_up(LAST_WORDS_S)  # the reason comes to the one who listens

    async def _send_due(self, session: Session) -> None:
        if self._settings_due and self._settings is not None:
            self._settings_due = False
            await session.send(self._settings)
        if self._views.due and (view := self._views.message()) is not None:
            self._views.due = False
            await session.send(view)
        while self._writer and self._agreed and (due := self._document.to_send(max(self._next, self._sent + 1))):
            for event in due:
                if not self._writer:
                    return
                await session.send(event.message())
                self._sent = event.sequence
        if self._segment_due and self._writer and self._agreed and self._everything_sent:
            self._segment_due = False
            await session.send(segmentation_pb2.AnnotateSegment())

    @property
    def _everything_sent(self) -> bool:
        """What was drawn until now is with the server or on its way there."""
        return max(self._sent + 1, self._document.first_waiting) >= self._document.next_sequence

    def _hang_up(self, after_s: float = 0.0) -> None:
        if self._limit is not None and not self._limit.expired():
            self._limit.reschedule(asyncio.get_running_loop().time() + after_s)

    async def _rest(self, seconds: float | None) -> None:
        """Wait so long, or until `retry_now`."""
        waits: list[asyncio.Future[object]] = [asyncio.ensure_future(self._nudged.wait())]
        if seconds is not None:
            waits.append(asyncio.ensure_future(self._pause(seconds)))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    # --- what comes --------------------------------------------------------------------------------------------------

    def _opened(self, opened: segmentation_pb2.AnnotateOpened) -> None:
        self._next, self._log_length, self._agreed = opened.next_sequence, opened.log_length, False
        self._take_over = self._take_over and not opened.writer
        self._settings_due = self._settings is not None
        self._views.restart()
        self._probabilities.restart()
        if not self._document.waiting:
            self._failures = 0
        self._locked = opened.annotation.review == segmentation_pb2.REVIEW_ACCEPTED
        self._listener.opened(opened.annotation)
        self._become(opened.writer)

    def _become(self, writer: bool) -> None:
        if writer and not self._writer:
            self._sent = 0  # what was sent meanwhile may have been dropped; what was not, is acknowledged once more
            self._settings_due = self._settings is not None
        self._writer = writer
        self._set(Connection.CONNECTED if writer else Connection.OTHER_WRITER)
        self._agree()

    def _agree(self) -> None:
        """The server must expect the first event that waits, at the latest when the log is here, for the log brings the
        acknowledgements that were lost.

        Raises:
            _Restart: it does not.
        """
        if self._writer and not self._agreed:
            self._agreed = self._next == self._document.first_waiting
            if not self._agreed and self._document.have_entries >= self._log_length:
                raise _Restart
        self._wake.set()

    def _receive(self, message: segmentation_pb2.AnnotateResponse) -> None:
        what = message.WhichOneof("what")
        if what == "logged":
            own = message.logged.session_id == self._document.session_id
            self._entered(self._document.logged(message.logged), message.logged.sequence if own else 0)
            self._agree()
            return
        self._failures = 0
        if what == "ack":
            ack = message.ack
            self._entered(self._document.acknowledged(ack.sequence, ack.position), ack.sequence)
        elif what == "probability":
            self._take_probability(message.probability)
        elif what == "histogram":
            h = message.histogram
            if self._probabilities.put_counts(h.generation, h.counts, h.complete):
                self._listener.histogram(h.complete)
        elif what == "progress":
            self._listener.progress(message.progress.done, message.progress.total)
        elif what == "statistics":
            self._listener.statistics(message.statistics)
        elif what == "advice":
            self._listener.advice(message.advice)
        elif what == "error":
            self._listener.computing_failed(common_pb2.Reason.Name(message.error.reason), message.error.message)
        elif what == "writer":
            unlocked = self._locked and not message.writer.locked
            self._locked = message.writer.locked
            self._become(message.writer.writer)
            if unlocked:  # who opens it again may write
                self.retry_now()
                raise LinkError("SERVICE_UNAVAILABLE", "The annotation can be drawn on again.", retry=True)

    def _entered(self, changed: bool, own_sequence: int) -> None:
        if own_sequence:
            self._scribe.forget(self._document.first_waiting - 1)
        if changed:
            self._listener.ink_changed()
        self._tell()

    def _take_probability(self, message: segmentation_pb2.Probability) -> None:
        info = self._document.planes.get(Plane(message.plane)) if int(message.plane) in set(Plane) else None
        if info is None or message.slice >= info.slices:
            return
        try:
            levels = wire.unpack(message.levels, wire.LEVEL, info.shape)
        except wire.WireError as error:
            self._listener.computing_failed("DIGEST_MISMATCH", str(error))
            return
        suggested, entries = message.default_threshold, message.log_length
        if self._probabilities.put(info.plane, message.slice, message.generation, levels, entries, suggested):
            self._listener.probability(info.plane, message.slice)
        if self._views.came(info.plane, message.slice):
            self._wake.set()

    def _replace_refused(self, error: LinkError) -> bool:
        replacement = self._document.refused(error.expected or self._document.first_waiting)
        if replacement is None:
            return False
        self._listener.event_refused(error)
        self._listener.ink_changed()
        self.submit(replacement)
        return True

    # --- inside ------------------------------------------------------------------------------------------------------

    def _journaled(self, event: Event | None) -> None:
        """The journal has an event, or could not take it."""
        if event is not None:
            self._document.saved(event.sequence)
            self._wake.set()
        self._tell()

    async def _restart(self) -> None:
        """Go on as a new session, in the journal first."""
        await self._scribe.idle()
        # Nothing may come between the two: both number what waits anew, and the disk is waited for here this once.
        try:
            self._document.restart(self._journal.restart())
            self._scribe.restarted()
        except JournalError:
            await self._rest(PAUSES_S[2])
        self._tell()

    def _set(self, connection: Connection, error: LinkError | None = None) -> None:
        self._connection, self._error = connection, error
        self._tell()

    def _tell(self) -> None:
        if (status := self.status) != self._told:
            self._told = status
            self._listener.status_changed(status)


def open_document(planes: Mapping[Plane, PlaneInfo], journal: Journal) -> Document:
    """The document of a journal: its session, next number and waiting events."""
    return Document(planes, journal.session_id, journal.next_sequence, journal.waiting)
