"""One stream of ``Annotate``: what a tablet sends goes to the workspace, what is new comes back, the most wanted first.

What is sent is decided when the wire has room for it, from the newest state, so a slow connection gets fewer messages,
never late ones: what must not be lost (acknowledgements, entries of the log), then the visible slice, then progress, then,
when the volume is done, the other slices of the plane outward, and last where to draw next.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from uuid import UUID

from calque import wire
from calque.v1 import common_pb2, segmentation_pb2

from services.core.audit import Action
from services.core.errors import CalqueError, Conflict, InvalidInput
from services.core.geometry import Plane
from services.segmentation.audience import View
from services.segmentation.events import slice_exists
from services.segmentation.messages import advice_message, annotation_message, check_author, settings_of
from services.segmentation.pace import Pace
from services.segmentation.workspace import Workspace
from services.serving import metrics
from services.serving.status import error_info

Request = segmentation_pb2.AnnotateRequest
Response = segmentation_pb2.AnnotateResponse


class Session:
    """A tablet at an annotation. A listener of its workspace."""

    def __init__(self, workspace: Workspace, opening: segmentation_pb2.AnnotateOpen, masks: int, pace: Pace) -> None:
        """Join with ``masks`` saved so far; events come at ``pace``. Raises: InvalidInput: no UUID names the session."""
        try:
            self.session_id = str(UUID(opening.session_id))
        except ValueError as error:
            raise InvalidInput("A session is named by a UUID.") from error
        self.view: View | None = None
        self._workspace = workspace
        self._opening = opening
        self._masks = masks
        self._pace = pace
        self._opened = False
        self._writer = self._locked = False
        self._outbox: deque[Response] = deque()
        self._error: CalqueError | None = None
        self._news = asyncio.Event()
        self._logged = min(opening.have_entries, workspace.log.length)  # entries that the tablet has
        self._taking = 0  # number of the event that this stream is just handing in
        self._sent: dict[View, int] = {}
        self._sent_bytes = 0
        self._latent = segmentation_pb2.LatentFeatures()  # as told last
        self._advised = 0  # generation of the last advice
        self._told = (0, -1)  # generation and slices of the last progress
        self._counted = 0  # generation of the last histogram
        self._measured = (0, 0.0, 0.0)  # generation and times of the last statistics

    async def start(self) -> None:
        """Join the workspace: as the writer when nobody else writes, or when taking over was asked for."""
        log = self._workspace.log
        self._workspace.audience.add(self)
        if not self._opening.read_only:
            author = check_author(self._opening.author)
            await self._workspace.begin(self, self.session_id, author, take_over=self._opening.take_over)
        self._workspace.schedule.latents.again()
        self._writer, self._locked = self._writes(), self._workspace.locked
        annotation = self._workspace.annotation
        self._outbox.append(
            Response(
                opened=segmentation_pb2.AnnotateOpened(
                    annotation=annotation_message(annotation, log.summary, self._masks),
                    writer=self._writer,
                    next_sequence=log.next_sequence(self.session_id),
                    log_length=log.length,
                )
            )
        )
        self._opened = True
        self.changed()

    @property
    def action(self) -> Action:
        """What came of its opening, for the audit trail."""
        if not self._writer:
            return Action.ANNOTATION_OPEN
        return Action.ANNOTATION_TAKE_OVER if self._opening.take_over else Action.ANNOTATION_WRITE

    def stop(self) -> None:
        """Leave the workspace."""
        self._workspace.leave(self)

    async def read(self, requests: AsyncIterator[Request]) -> None:
        """Take what the tablet sends until it ends. Errors are those of ``Annotate``."""
        async for request in requests:
            kind = request.WhichOneof("what")
            if kind == "event":
                await self._take(request.event)
            elif kind == "view":
                self._look(request.view)
            elif kind == "settings":
                self._set(request.settings)
            elif kind == "segment":
                self._workspace.schedule.segment()
            else:
                raise InvalidInput("A stream opens one annotation, once.")

    async def responses(self) -> AsyncIterator[Response]:
        """What the tablet is to get, without end. Raises what made the workspace give up."""
        while True:
            self._news.clear()
            if self._error is not None and not self._outbox:
                raise self._error
            response = await self._next()
            if response is not None:
                yield response
            else:
                await self._news.wait()

    def rest(self) -> list[Response]:
        """What must not be lost and was not sent yet."""
        rest, self._outbox = list(self._outbox), deque()
        return rest

    # Listener

    def changed(self) -> None:
        if not self._opened:
            return
        log = self._workspace.log
        for entry in log.entries[self._logged :]:
            self._logged = entry.position
            if entry.session_id == self.session_id and entry.sequence and entry.sequence == self._taking:
                continue  # acknowledged instead; what a dead stream of the session brought, the tablet must be told
            logged = segmentation_pb2.LoggedEvent(
                position=entry.position, session_id=entry.session_id, sequence=entry.sequence, body=entry.body
            )
            self._outbox.append(Response(logged=logged))
        writer, locked = self._writes(), self._workspace.locked
        if (writer, locked) != (self._writer, self._locked):
            self._writer, self._locked = writer, locked
            self._outbox.append(Response(writer=segmentation_pb2.WriterChanged(writer=writer, locked=locked)))
        self._news.set()

    def _writes(self) -> bool:
        may = not (self._opening.read_only or self._workspace.locked)
        return may and self._workspace.log.writer == self.session_id

    def failed(self, error: CalqueError) -> None:
        self._outbox.append(Response(error=error_info(error)))
        self._news.set()

    def gone(self, error: CalqueError) -> None:
        self._error = error  # the stream ends
        self._news.set()

    # From the tablet

    async def _take(self, event: segmentation_pb2.Event) -> None:
        if self._opening.read_only:
            raise Conflict("This tablet only looks at the annotation.")
        await self._pace.next()
        self._taking = event.sequence
        position = await self._workspace.append(self.session_id, event.sequence, event.body, event.sha256)
        self._taking = 0
        self._outbox.append(Response(ack=segmentation_pb2.Ack(sequence=event.sequence, position=position)))
        self._news.set()

    def _look(self, view: segmentation_pb2.AnnotateView) -> None:
        if not slice_exists(view.plane, view.slice, self._workspace.planes):
            raise InvalidInput("There is no such slice.")
        self.view = (Plane(view.plane), view.slice)
        self._workspace.schedule.look()
        self._news.set()

    def _set(self, settings: segmentation_pb2.AnnotateSettings) -> None:
        if not self._writer:
            return
        labels = [label.value for label in self._workspace.annotation.labels]
        self._workspace.schedule.set_settings(settings_of(settings, labels))

    # To the tablet

    async def _next(self) -> Response | None:
        if self._outbox:
            return self._outbox.popleft()
        soon = await self._visible() or self._latent_features() or self._progress() or self._statistics()
        return soon or await self._neighbour() or self._advice()

    async def _visible(self) -> Response | None:
        return await self._slice(self.view) if self.view else None

    async def _neighbour(self) -> Response | None:
        """The slice nearest to the visible one that the tablet does not have, when the whole volume is up to date."""
        if self.view is None or not self._workspace.computation.complete:
            return None
        plane, centre = self.view
        generation = self._workspace.computation.generation
        slices = range(self._workspace.planes[plane].slices)
        missing = [index for index in slices if self._sent.get((plane, index)) != generation]
        if not missing:
            return None
        return await self._slice((plane, min(missing, key=lambda index: abs(index - centre))))

    async def _slice(self, view: View) -> Response | None:
        computation, generation = self._workspace.computation, self._workspace.computation.generation
        if self._sent.get(view) == generation:
            return None
        plane, index = view
        image = computation.image(self._workspace.planes[plane], index)
        if image is None:
            return None
        self._sent[view] = generation
        length, latent_model = self._workspace.schedule.fitted_length, computation.latent_model
        levels = await asyncio.to_thread(wire.pack, image, wire.LEVEL)
        self._sent_bytes += len(levels)
        metrics.PROBABILITY_BYTES.inc(len(levels))
        probability = segmentation_pb2.Probability(
            plane=common_pb2.Plane.Name(plane),
            slice=index,
            generation=generation,
            log_length=length,
            levels=levels,
            default_threshold=computation.default_threshold,
            latent_model=latent_model,
        )
        return Response(probability=probability)

    def _advice(self) -> Response | None:
        """Where to draw next, after all that was computed."""
        schedule, generation = self._workspace.schedule, self._workspace.computation.generation
        found = schedule.advising.found
        if found is None or self._advised == generation:
            return None
        self._advised = generation
        return Response(advice=advice_message(found, self._workspace.planes[schedule.acquired], generation))

    def _latent_features(self) -> Response | None:
        """How it stands with the encoder's features, where that is news."""
        latents = self._workspace.schedule.latents
        now = segmentation_pb2.LatentFeatures(
            model_digest=latents.found.digest if latents.found else "",
            missing=error_info(latents.missing) if latents.missing else None,
        )
        if now == self._latent:
            return None
        self._latent = now
        return Response(latent_features=now)

    def _progress(self) -> Response | None:
        """How far the volume is; a histogram with the first slices, and with the whole volume."""
        computation = self._workspace.computation
        now = (computation.generation, computation.done)
        if now == self._told or not computation.generation:
            return None
        self._told = now
        total = len(computation.current)
        something = now[1] > 0 or not computation.answers  # a count of no slices would read as an object of 0 mL
        if computation.complete or (something and self._counted != now[0]):
            self._counted = now[0]
            counts, complete = computation.histogram(), computation.complete
            histogram = segmentation_pb2.Histogram(generation=now[0], counts=counts.tolist(), complete=complete)
            self._outbox.append(Response(histogram=histogram))
        return Response(progress=segmentation_pb2.Progress(generation=now[0], done=now[1], total=total))

    def _statistics(self) -> Response | None:
        measured = self._workspace.schedule.measured
        now = (measured.generation, measured.visible_ms, measured.volume_ms)
        if now == self._measured or not (measured.visible_ms or measured.volume_ms):
            return None
        self._measured = now
        statistics = segmentation_pb2.Statistics(
            generation=measured.generation,
            out_of_bag=measured.out_of_bag,
            labelled_voxels=[measured.labelled.get(label.value, 0) for label in self._workspace.annotation.labels],
            gather_ms=measured.times.ms("gather"),
            fit_ms=measured.times.ms("fit"),
            visible_ms=measured.visible_ms,
            volume_ms=measured.volume_ms,
            workspace_bytes=self._workspace.computation.size_bytes,
            peak_bytes=metrics.peak_bytes(),
            features_ms=measured.times.ms("features"),
            predict_ms=measured.times.ms("predict"),
            walk_ms=measured.times.ms("walk"),
            reconstruct_ms=measured.times.ms("reconstruct"),
            sent_bytes=self._sent_bytes,
        )
        return Response(statistics=statistics)
