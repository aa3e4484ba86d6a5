"""The contract's Segmentation service: translates, and leaves the work to the rooms below."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import Any

import grpc
import structlog
from calque.v1 import segmentation_pb2, segmentation_pb2_grpc

from services.core import pipeline
from services.core.audit import Action, Subject
from services.core.errors import CalqueError, Corrupt, InvalidInput, NotFound, Reason, TooLarge
from services.formats.worker import Limits
from services.segmentation import exports, masks
from services.segmentation.audience import View
from services.segmentation.computation import Computation
from services.segmentation.encoding import Embedding
from services.segmentation.fairness import Threads
from services.segmentation.features import Budget
from services.segmentation.messages import annotation_message, check_name, check_note, label_records, mask_message
from services.segmentation.pace import Pace
from services.segmentation.session import Session
from services.segmentation.workspace import Workspace
from services.segmentation.workspaces import Workspaces
from services.serving import metrics
from services.serving.audit import Recorder
from services.serving.caller import caller, caller_sees
from services.serving.settings import Settings
from services.serving.tls import client_credentials
from services.store.annotations import PAPER_LABELS, AnnotationRecord, Annotations, MaskRecord
from services.store.audit import subject
from services.store.catalogue import Catalogue, VolumeRecord
from services.store.log import Log
from services.store.port import Store

log = structlog.get_logger()

MASK_LIMIT_BYTES = 1 << 30
EXPORT_CHUNK_BYTES = 256 << 10
STORE_THREADS = 8

Context = grpc.aio.ServicerContext[Any, Any]
_KINDS: dict[int, exports.Kind] = {
    segmentation_pb2.EXPORT_KIND_ANNOTATION: "annotation",
    segmentation_pb2.EXPORT_KIND_MASK: "mask",
    segmentation_pb2.EXPORT_KIND_PROBABILITY: "probability",
}
_FORMATS: dict[int, exports.Format] = {
    segmentation_pb2.EXPORT_FORMAT_TIFF: "tiff",
    segmentation_pb2.EXPORT_FORMAT_NIFTI: "nifti",
    segmentation_pb2.EXPORT_FORMAT_ZIP: "zip",
    segmentation_pb2.EXPORT_FORMAT_DICOM_SEG: "dicom_seg",
}


class SegmentationServicer(segmentation_pb2_grpc.SegmentationServicer):
    """Annotations over a store. Computing runs in a pool of threads of its own, storing in another.

    Args:
        store: of everything.
        settings: of the service.
        recorder: of the audit trail.
        secret: by which the embedding service knows this one.

    Attributes:
        embedding: asks the embedding service.
    """

    name = segmentation_pb2.DESCRIPTOR.services_by_name["Segmentation"].full_name
    serving = True
    runs_on = ""

    def __init__(self, store: Store, settings: Settings, recorder: Recorder, secret: str = "") -> None:
        self._recorder = recorder
        self._threads = Threads(settings.compute_threads or os.cpu_count() or 1)
        self._features = Budget(settings.features_memory_bytes, self._threads.number, metrics.FEATURES_BYTES.set)
        metrics.FEATURES_LIMIT_BYTES.set(settings.features_memory_bytes)
        self._strokes_per_second = settings.strokes_per_second
        self._limits = Limits(memory_bytes=settings.parser_memory_bytes, seconds=settings.parser_seconds)
        self._catalogue = Catalogue(store, caller_sees)
        self._annotations = Annotations(store)
        self._threads.begin(pipeline.warm_up)
        self._store = ThreadPoolExecutor(STORE_THREADS, thread_name_prefix="store")
        self.embedding = Embedding(settings.embedding, secret, client_credentials(settings))
        self._workspaces = Workspaces(
            self._open, self._annotations, self._threads, self._store, self.embedding, kept=settings.workspaces
        )

    def register(self, server: grpc.aio.Server) -> None:
        """Add this service to a server."""
        segmentation_pb2_grpc.add_SegmentationServicer_to_server(self, server)

    async def close(self) -> None:
        """Stop computing."""
        await self._workspaces.close()
        self.embedding.close()
        self._threads.close()
        self._store.shutdown()

    async def CreateAnnotation(  # noqa: N802 – names of rpcs
        self, request: segmentation_pb2.CreateAnnotationRequest, context: Context
    ) -> segmentation_pb2.CreateAnnotationResponse:
        name = check_name(request.name or "Annotation")
        labels = label_records(list(request.labels)) if request.labels else PAPER_LABELS
        volume = await asyncio.to_thread(self._catalogue.get, request.volume_id)

        def create() -> AnnotationRecord:
            record = self._annotations.create(volume.volume_id, name=name, labels=labels, created_ms=_now_ms())
            self._recorder.write(Action.ANNOTATION_CREATE, subject(volume, record.annotation_id))
            return record

        record = await asyncio.to_thread(create)
        log.info("annotation begun", annotation=record.annotation_id)
        return segmentation_pb2.CreateAnnotationResponse(annotation=annotation_message(record))

    async def ListAnnotations(  # noqa: N802
        self, request: segmentation_pb2.ListAnnotationsRequest, context: Context
    ) -> segmentation_pb2.ListAnnotationsResponse:
        volume = await asyncio.to_thread(self._catalogue.get, request.volume_id)
        records = await asyncio.to_thread(self._annotations.of_volume, volume.volume_id)
        messages = [await asyncio.to_thread(self._message, record) for record in records]
        return segmentation_pb2.ListAnnotationsResponse(annotations=messages)

    async def RenameAnnotation(  # noqa: N802
        self, request: segmentation_pb2.RenameAnnotationRequest, context: Context
    ) -> segmentation_pb2.RenameAnnotationResponse:
        known = await asyncio.to_thread(self._open_for_change, request.annotation_id)
        name = check_name(request.name) if request.name else known.name
        given = {label.value: label for label in request.labels}
        kept = [label for label in annotation_message(known).labels if label.value not in given]
        labels = label_records(sorted([*kept, *given.values()], key=lambda label: label.value))
        async with self._recorder.recording(Action.ANNOTATION_RENAME, await asyncio.to_thread(self._subject, known)):
            record = await asyncio.to_thread(self._annotations.rename, known.annotation_id, name=name, labels=labels)
        self._workspaces.rename(record)
        return segmentation_pb2.RenameAnnotationResponse(annotation=await asyncio.to_thread(self._message, record))

    async def SubmitAnnotation(  # noqa: N802
        self, request: segmentation_pb2.SubmitAnnotationRequest, context: Context
    ) -> segmentation_pb2.SubmitAnnotationResponse:
        record = await asyncio.to_thread(self._open_for_change, request.annotation_id)
        mask = await asyncio.to_thread(self._annotations.mask, record.annotation_id, 0)
        submit = partial(self._annotations.submit, record.annotation_id, by=caller().user, now_ms=_now_ms())
        about = replace(await asyncio.to_thread(self._subject, record), mask=mask.number)
        async with self._recorder.recording(Action.ANNOTATION_SUBMIT, about):
            record = await asyncio.to_thread(submit)
        self._workspaces.rename(record)
        return segmentation_pb2.SubmitAnnotationResponse(annotation=await asyncio.to_thread(self._message, record))

    async def ReviewAnnotation(  # noqa: N802
        self, request: segmentation_pb2.ReviewAnnotationRequest, context: Context
    ) -> segmentation_pb2.ReviewAnnotationResponse:
        record = await asyncio.to_thread(self._seen, request.annotation_id)
        about, by = await asyncio.to_thread(self._subject, record), caller().user
        if request.verdict == segmentation_pb2.REVIEW_ACCEPTED:
            mask = await asyncio.to_thread(self._annotations.mask, record.annotation_id, request.mask_number)
            accept = partial(self._annotations.accept, record.annotation_id, mask.number, by=by, now_ms=_now_ms())
            async with (
                self._recorder.recording(Action.ANNOTATION_ACCEPT, replace(about, mask=mask.number)),
                self._workspaces.at_work(record.annotation_id) as workspace,
            ):
                record = await asyncio.to_thread(accept)
                await workspace.lock(record)
        elif request.verdict == segmentation_pb2.REVIEW_SENT_BACK:
            note = check_note(request.note)
            send_back = partial(self._annotations.send_back, record.annotation_id, note, by=by, now_ms=_now_ms())
            async with self._recorder.recording(Action.ANNOTATION_SEND_BACK, about):
                record = await asyncio.to_thread(send_back)
            self._workspaces.rename(record)
        else:
            raise InvalidInput("A review accepts an annotation or sends it back.")
        return segmentation_pb2.ReviewAnnotationResponse(annotation=await asyncio.to_thread(self._message, record))

    async def DeleteAnnotation(  # noqa: N802
        self, request: segmentation_pb2.DeleteAnnotationRequest, context: Context
    ) -> segmentation_pb2.DeleteAnnotationResponse:
        record = await asyncio.to_thread(self._open_for_change, request.annotation_id)
        async with self._recorder.recording(Action.ANNOTATION_DELETE, await asyncio.to_thread(self._subject, record)):
            await asyncio.to_thread(self._annotations.delete, record.annotation_id)
        await self._workspaces.drop(request.annotation_id)
        log.info("annotation deleted", annotation=request.annotation_id)
        return segmentation_pb2.DeleteAnnotationResponse()

    async def Annotate(  # noqa: N802
        self, request_iterator: AsyncIterator[segmentation_pb2.AnnotateRequest], context: Context
    ) -> AsyncGenerator[segmentation_pb2.AnnotateResponse, None]:
        requests = aiter(request_iterator)
        first = await anext(requests, None)
        if first is None or first.WhichOneof("what") != "open":
            raise InvalidInput("A stream begins by opening an annotation.")
        async with self._workspaces.at_work(first.open.annotation_id) as workspace:
            await asyncio.to_thread(self._seen, first.open.annotation_id)
            saved = await asyncio.to_thread(self._annotations.mask_count, first.open.annotation_id)
            session = Session(workspace, first.open, saved, Pace(self._strokes_per_second))
            with metrics.SESSIONS.track_inprogress():
                try:
                    await session.start()
                    opened = subject(workspace.volume, first.open.annotation_id)
                    await self._recorder.record(session.action, opened)
                    async with aclosing(_both_ways(session, requests)) as responses:
                        async for response in responses:
                            yield response
                finally:
                    session.stop()

    async def SaveMask(  # noqa: N802
        self, request: segmentation_pb2.SaveMaskRequest, context: Context
    ) -> AsyncGenerator[segmentation_pb2.SaveMaskResponse, None]:
        if not 1 <= request.threshold <= 255:
            raise InvalidInput("A threshold is a number from 1 to 255.")
        await asyncio.to_thread(self._open_for_change, request.annotation_id)
        async with self._workspaces.at_work(request.annotation_id) as workspace:
            waiting = asyncio.ensure_future(workspace.schedule.snapshot())
            try:
                async with aclosing(_follow(workspace, waiting)) as steps:
                    async for progress in steps:
                        yield segmentation_pb2.SaveMaskResponse(progress=progress)
                kept = await waiting
            finally:
                waiting.cancel()

        def save() -> MaskRecord:
            self._open_for_change(request.annotation_id)  # it may have been accepted meanwhile
            mask = masks.save(self._annotations, request.annotation_id, workspace.volume, kept, request.threshold)
            self._recorder.write(Action.MASK_SAVE, subject(workspace.volume, request.annotation_id, mask=mask.number))
            return mask

        record = await asyncio.to_thread(save)
        log.info("mask saved", annotation=request.annotation_id, number=record.number)
        yield segmentation_pb2.SaveMaskResponse(mask=mask_message(record))

    async def ListMasks(  # noqa: N802
        self, request: segmentation_pb2.ListMasksRequest, context: Context
    ) -> segmentation_pb2.ListMasksResponse:
        await asyncio.to_thread(self._seen, request.annotation_id)
        records = await asyncio.to_thread(self._annotations.masks, request.annotation_id)
        return segmentation_pb2.ListMasksResponse(masks=[mask_message(record) for record in records])

    async def UploadMask(  # noqa: N802
        self, request_iterator: AsyncIterator[segmentation_pb2.UploadMaskRequest], context: Context
    ) -> segmentation_pb2.UploadMaskResponse:
        requests = aiter(request_iterator)
        first = await anext(requests, segmentation_pb2.UploadMaskRequest())
        record, volume = await asyncio.to_thread(self._records, first.annotation_id)
        name, data, segment = first.name, bytearray(first.data), first.segment
        async for request in requests:
            data += request.data
            if len(data) > MASK_LIMIT_BYTES:
                raise TooLarge("The mask file is too large.")
        record.check_open()
        mask = await asyncio.to_thread(masks.take, name, bytes(data), volume, self._limits, segment)
        await self._recorder.record(Action.MASK_UPLOAD, subject(volume, record.annotation_id))
        digest = await asyncio.to_thread(self._annotations.put_blob, record.annotation_id, mask)
        return segmentation_pb2.UploadMaskResponse(mask_digest=digest, voxels=int(mask.sum()))

    async def Export(  # noqa: N802
        self, request: segmentation_pb2.ExportRequest, context: Context
    ) -> AsyncGenerator[segmentation_pb2.ExportResponse, None]:
        if request.kind not in _KINDS or request.format not in _FORMATS:
            raise InvalidInput("An export needs a kind and a format.", Reason.REQUEST_INVALID)
        kind, form = _KINDS[request.kind], _FORMATS[request.format]
        record, volume = await asyncio.to_thread(self._records, request.annotation_id)
        content = await self._content(record, volume, kind, request.mask_number)
        file = await asyncio.to_thread(exports.write, content, volume, record, form, _now_ms())
        number = content.mask.number if content.mask else 0
        given = subject(volume, record.annotation_id, mask=number, form=f"{kind}.{form}")
        await self._recorder.record(Action.ANNOTATION_EXPORT, given)
        for start in range(0, len(file.data), EXPORT_CHUNK_BYTES):
            response = segmentation_pb2.ExportResponse(data=file.data[start : start + EXPORT_CHUNK_BYTES])
            if start == 0:
                response.name, response.size_bytes = file.name, len(file.data)
            if start + EXPORT_CHUNK_BYTES >= len(file.data):
                response.sha256 = file.sha256
            yield response

    async def _content(
        self, record: AnnotationRecord, volume: VolumeRecord, kind: exports.Kind, number: int
    ) -> exports.Content:
        if kind == "mask":
            mask = await asyncio.to_thread(self._annotations.mask, record.annotation_id, number)
            inside = await asyncio.to_thread(self._annotations.get_blob, record.annotation_id, mask.digest, volume.shape)
            return await asyncio.to_thread(exports.of_mask, mask, inside)
        async with self._workspaces.at_work(record.annotation_id) as workspace:
            if kind == "annotation":
                return exports.of_labels(*await workspace.schedule.drawn(), _now_ms())
            return exports.of_probability(await workspace.schedule.snapshot(), _now_ms())

    def _open(self, annotation_id: str) -> tuple[AnnotationRecord, VolumeRecord, Computation, Log]:
        record, volume = self._records(annotation_id)
        entries = self._annotations.log(annotation_id)
        features = self._features.open(volume.volume_id, lambda: (self._catalogue.load(volume), volume.window))
        return record, volume, Computation(features, self._threads.number), entries

    def _seen(self, annotation_id: str) -> AnnotationRecord:
        """An annotation of a volume that is there for the caller. Raises: NotFound, Corrupt."""
        record = self._annotations.get(annotation_id)
        if caller().projects is None:  # whatever became of its volume
            return record
        try:
            self._catalogue.get(record.volume_id)
        except (NotFound, Corrupt) as error:  # of a damaged record nobody knows whose it is
            raise NotFound("There is no such annotation.", Reason.ANNOTATION_NOT_FOUND) from error
        return record

    def _open_for_change(self, annotation_id: str) -> AnnotationRecord:
        """As `_seen`. Raises: ChoiceNeeded: it was accepted."""
        record = self._seen(annotation_id)
        record.check_open()
        return record

    def _records(self, annotation_id: str) -> tuple[AnnotationRecord, VolumeRecord]:
        record = self._seen(annotation_id)
        return record, self._catalogue.get(record.volume_id)

    def _subject(self, record: AnnotationRecord) -> Subject:
        """An annotation as the audit trail names it, also where nothing can be known of its volume any more."""
        try:
            return subject(self._catalogue.get(record.volume_id), record.annotation_id)
        except (NotFound, Corrupt):
            return Subject(record.volume_id, record.annotation_id)

    def _message(self, record: AnnotationRecord) -> segmentation_pb2.Annotation:
        entries = self._annotations.log_summary(record.annotation_id)
        return annotation_message(record, entries, self._annotations.mask_count(record.annotation_id))


def _now_ms() -> int:
    """Milliseconds since 1970, UTC."""
    return time.time_ns() // 1_000_000


async def _both_ways(
    session: Session, requests: AsyncIterator[segmentation_pb2.AnnotateRequest]
) -> AsyncGenerator[segmentation_pb2.AnnotateResponse, None]:
    """What a session has to say, while it reads, until its tablet hangs up or something ends it."""
    reading = asyncio.create_task(session.read(requests))
    responses = aiter(session.responses())
    following = asyncio.ensure_future(anext(responses))
    try:
        while True:
            await asyncio.wait({reading, following}, return_when=asyncio.FIRST_COMPLETED)
            if following.done():
                yield following.result()
                following = asyncio.ensure_future(anext(responses))
            elif reading.done():
                break
        for response in session.rest():
            yield response
        await reading
    finally:
        for task in (reading, following):
            task.cancel()
        await asyncio.gather(reading, following, return_exceptions=True)


class _Follower:
    """A listener that only wants to know that something is new."""

    view: View | None = None

    def __init__(self) -> None:
        self.news = asyncio.Event()

    def changed(self) -> None:
        self.news.set()

    def failed(self, error: CalqueError) -> None:
        self.news.set()

    def gone(self, error: CalqueError) -> None:
        self.news.set()


async def _follow(workspace: Workspace, waiting: asyncio.Future[Any]) -> AsyncGenerator[segmentation_pb2.Progress, None]:
    """Progress of the computation until ``waiting`` is done."""
    follower = _Follower()
    workspace.audience.add(follower)
    waiting.add_done_callback(lambda _: follower.news.set())
    told = (-1, -1)
    try:
        while not waiting.done():
            await follower.news.wait()
            follower.news.clear()
            computation = workspace.computation
            now = (computation.generation, computation.done)
            if now != told and not waiting.done():
                told = now
                yield segmentation_pb2.Progress(generation=now[0], done=now[1], total=len(computation.current))
    finally:
        workspace.audience.discard(follower)
