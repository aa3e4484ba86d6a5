"""The server's end of an annotation stream, in memory."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from calque import wire
from calque.v1 import common_pb2, segmentation_pb2
from numpy.typing import NDArray

from tablet_client.link.fake_volume import cut
from tablet_client.link.port import LinkError, Outgoing
from tablet_client.state.geometry import Plane

if TYPE_CHECKING:
    from tablet_client.link.fake import FakeLink

Answer = segmentation_pb2.AnnotateResponse
Fault = Callable[[str, object], bool]
"""Asked before each message, with ``"in"`` or ``"out"`` and the message: True loses the message and cuts the stream."""


@dataclass
class FakeAnnotation:
    """An annotation on the server: its log, who has it open, and what was computed."""

    message: segmentation_pb2.Annotation
    log: list[tuple[str, int, bytes]] = field(default_factory=list)
    sessions: list[FakeSession] = field(default_factory=list)
    writer: FakeSession | None = None
    generation: int = 0
    masks: list[segmentation_pb2.Mask] = field(default_factory=list)
    levels: NDArray[np.uint8] | None = None  # as the voxels

    def reviewed(self, review: int, by: str, note: str = "") -> segmentation_pb2.Annotation:
        """How far its review is from now on."""
        self.message.review = segmentation_pb2.Review.Name(review)  # type: ignore[assignment]
        self.message.reviewed_by, self.message.review_note, self.message.reviewed_ms = by, note, 1_796_000_000_000
        return self.message


class FakeSession:
    """One end of a stream in memory."""

    def __init__(self, link: FakeLink, annotation: FakeAnnotation, opening: segmentation_pb2.AnnotateOpen) -> None:
        self._link, self._annotation, self._opening = link, annotation, opening
        self._to_client: asyncio.Queue[Answer | LinkError] = asyncio.Queue()
        self._view: segmentation_pb2.AnnotateView | None = None
        self._live = False
        self._broken = False

    def open(self) -> None:
        """Answer the opening."""
        a = self._annotation
        locked = a.message.review == segmentation_pb2.REVIEW_ACCEPTED
        if locked and self._opening.take_over:
            self.fail(LinkError("ANNOTATION_LOCKED", "It was accepted.", status="FAILED_PRECONDITION"))
            return
        if (
            not locked
            and not self._opening.read_only
            and (a.writer is None or self._opening.take_over or self._same_session(a.writer))
        ):
            if a.writer is not None:
                a.writer.out(Answer(writer=segmentation_pb2.WriterChanged(writer=False)))
            a.writer = self
            self._log(0, b"")
        opened = segmentation_pb2.AnnotateOpened(
            annotation=a.message, writer=a.writer is self, next_sequence=self._expected(), log_length=len(a.log)
        )
        self.out(Answer(opened=opened))
        for position in range(self._opening.have_entries + 1, len(a.log) + 1):
            self._out_logged(position)

    def _log(self, sequence: int, body: bytes) -> None:
        """Append an entry, and tell the others."""
        a = self._annotation
        a.log.append((self._opening.session_id, sequence, body))
        a.message.log_length = len(a.log)
        if sequence:
            a.message.events += 1
            a.message.changed_ms = segmentation_pb2.EventBody.FromString(body).drawn_ms
            a.message.changed_by = self._opening.author
        for other in a.sessions:
            if other is not self:
                other._out_logged(len(a.log))

    def _same_session(self, other: FakeSession) -> bool:
        return other._opening.session_id == self._opening.session_id

    async def send(self, message: Outgoing) -> None:
        """See `Session`."""
        await asyncio.sleep(0)
        await self._link.flows.wait()
        if self._broken:
            raise LinkError("SERVICE_UNAVAILABLE", retry=True, status="UNAVAILABLE")
        if self._link.fault is not None and self._link.fault("in", message):
            self.fail(LinkError("SERVICE_UNAVAILABLE", retry=True, status="UNAVAILABLE"))
            return
        if isinstance(message, segmentation_pb2.Event):
            self._take(message)
        elif isinstance(message, segmentation_pb2.AnnotateView):
            self._view = message
            self._answer()
        elif isinstance(message, segmentation_pb2.AnnotateSettings):
            self._live = message.live
        else:
            self._answer(anew=True)

    async def __aiter__(self) -> AsyncIterator[Answer]:
        while True:
            message = await self._to_client.get()
            await self._link.flows.wait()
            if isinstance(message, LinkError):
                raise message
            yield message

    def out(self, message: Answer) -> None:
        """Send to the client, unless a fault cuts the stream first."""
        if self._broken:
            return
        if self._link.fault is not None and self._link.fault("out", message):
            self.fail(LinkError("SERVICE_UNAVAILABLE", retry=True, status="UNAVAILABLE"))
            return
        self._to_client.put_nowait(message)

    def fail(self, error: LinkError) -> None:
        """End the stream with an error."""
        if not self._broken:
            self._broken = True
            self._to_client.put_nowait(error)

    def _expected(self) -> int:
        return 1 + sum(s == self._opening.session_id and n > 0 for s, n, _ in self._annotation.log)

    def _out_logged(self, position: int) -> None:
        session_id, sequence, body = self._annotation.log[position - 1]
        entry = segmentation_pb2.LoggedEvent(position=position, session_id=session_id, sequence=sequence, body=body)
        self.out(Answer(logged=entry))

    def _take(self, event: segmentation_pb2.Event) -> None:
        a, expected = self._annotation, self._expected()
        if a.writer is not self:
            self.fail(LinkError("OTHER_WRITER", status="ABORTED"))
        elif hashlib.sha256(event.body).digest() != event.sha256:
            self.fail(LinkError("DIGEST_MISMATCH", retry=True, status="DATA_LOSS"))
        elif event.sequence > expected:
            self.fail(LinkError("SEQUENCE_GAP", expected=expected, status="FAILED_PRECONDITION"))
        elif event.sequence < expected:
            session_id = self._opening.session_id
            positions = [p for p, (s, n, _) in enumerate(a.log, 1) if (s, n) == (session_id, event.sequence)]
            if a.log[positions[0] - 1][2] != event.body:
                self.fail(LinkError("SEQUENCE_CONFLICT", status="ABORTED"))
            else:
                self.out(Answer(ack=segmentation_pb2.Ack(sequence=event.sequence, position=positions[0])))
        elif reason := self._wrong(event.body):
            self.fail(LinkError(reason, expected=event.sequence, status="INVALID_ARGUMENT"))
        else:
            self._log(event.sequence, event.body)
            self.out(Answer(ack=segmentation_pb2.Ack(sequence=event.sequence, position=len(a.log))))
            if self._live:
                self._answer(anew=True)

    def _wrong(self, body: bytes) -> str:
        event = segmentation_pb2.EventBody.FromString(body)
        which = event.WhichOneof("action")
        if which in ("stroke", "lasso") and getattr(event, which).label not in {
            k.value for k in self._annotation.message.labels
        }:
            return "LABEL_UNKNOWN"
        if which in ("stroke", "lasso", "erase") and not getattr(event, which).x:
            return "STROKE_INVALID"
        return ""

    def _answer(self, anew: bool = False) -> None:
        """Send the visible slice, and the histogram, computed anew where asked."""
        a = self._annotation
        if anew:
            a.levels = self._link.compute(a)
            a.generation += 1
        if a.levels is None:
            if anew and not self._live:
                self.out(Answer(error=common_pb2.ErrorInfo(reason=common_pb2.NOT_SEGMENTED, message="Draw both labels.")))
            return
        info = self._link.volume_info(a)
        if self._view is not None:
            plane = info.planes[Plane(self._view.plane)]
            levels = wire.pack(cut(a.levels, plane, self._view.slice), wire.LEVEL)
            probability = segmentation_pb2.Probability(
                generation=a.generation,
                log_length=len(a.log),
                levels=levels,
                plane=self._view.plane,
                slice=self._view.slice,
                default_threshold=self._link.threshold,
            )
            self.out(Answer(probability=probability))
        if anew:
            counts = np.bincount(a.levels.reshape(-1), minlength=256).tolist()
            histogram = segmentation_pb2.Histogram(generation=a.generation, counts=counts, complete=True)
            self.out(Answer(histogram=histogram))
            done = len(a.levels)
            self.out(Answer(progress=segmentation_pb2.Progress(generation=a.generation, done=done, total=done)))
            self.out(Answer(advice=self._link.advise(a, a.levels)))
