"""The contract's Volumes service: translates, and leaves the work to the rooms below."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import Any

import grpc
import structlog
from calque import wire
from calque.v1 import common_pb2, volumes_pb2, volumes_pb2_grpc

from services.core.audit import Action
from services.core.errors import CalqueError, InvalidInput
from services.core.geometry import Plane, PlaneGeometry, acquisition_plane, plane_geometry
from services.core.projects import DEFAULT_PROJECT, check_project
from services.formats.dicom_seg import check_source
from services.formats.offer import Listing, Offer
from services.formats.repair import Repairs
from services.formats.worker import Limits, Stop, warm_up
from services.serving.audit import Recorder
from services.serving.caller import caller, caller_sees
from services.serving.settings import Settings
from services.store.audit import subject
from services.store.catalogue import Catalogue, VolumeRecord
from services.store.port import Store
from services.volumes.greys import GreyCache
from services.volumes.importing import Preview, Step, import_upload, list_upload
from services.volumes.pseudonymkey import pseudonyms
from services.volumes.uploads import PART_BYTES, Upload, UploadFolder, collect, out_of_step, own_upload

log = structlog.get_logger()

CHUNK_LIMIT_BYTES = 1 << 20
SLICES_LIMIT = 512
IMPORTS_AT_ONCE = 2

Context = grpc.aio.ServicerContext[Any, Any]


class VolumesServicer(volumes_pb2_grpc.VolumesServicer):
    """Volumes over a store. Blocking work runs in threads; one upload is written by one call at a time."""

    name = volumes_pb2.DESCRIPTOR.services_by_name["Volumes"].full_name
    serving = True
    runs_on = ""

    def __init__(self, store: Store, settings: Settings, recorder: Recorder) -> None:
        """Raises: InvalidInput, Unavailable when the key of the pseudonyms cannot be used."""
        self._store = store
        self._settings = settings
        self._recorder = recorder
        self._catalogue = Catalogue(store, caller_sees)
        self._pseudonyms = pseudonyms(settings, Catalogue(store))
        if self._pseudonyms is None:
            log.warning("de-identification is off: volumes are kept as their files say they are")
        self._checked: set[str] = set()
        self._imports: dict[Stop, str] = {}  # that run, and of which upload
        self._collect()
        self._greys = GreyCache(self._catalogue)
        self._limits = Limits(memory_bytes=settings.parser_memory_bytes, seconds=settings.parser_seconds)
        warm_up()
        # Imports take minutes and gigabytes: a few at once, and never in the threads that other calls wait for.
        self._importers = ThreadPoolExecutor(IMPORTS_AT_ONCE, thread_name_prefix="import")

    def register(self, server: grpc.aio.Server) -> None:
        """Add this service to a server."""
        volumes_pb2_grpc.add_VolumesServicer_to_server(self, server)

    async def close(self) -> None:
        """Begin no more imports, and end those that run."""
        for stop in self._imports:
            stop.set()
        self._importers.shutdown(wait=False, cancel_futures=True)

    async def GetUpload(  # noqa: N802 – names of rpcs
        self, request: volumes_pb2.GetUploadRequest, context: Context
    ) -> volumes_pb2.GetUploadResponse:
        files = await asyncio.to_thread(self._upload(request.upload_id).files)
        return volumes_pb2.GetUploadResponse(files=_uploaded(files))

    async def Upload(  # noqa: N802
        self, request_iterator: AsyncIterator[volumes_pb2.UploadRequest], context: Context
    ) -> volumes_pb2.UploadResponse:
        receiver: _Receiver | None = None
        try:
            async for request in request_iterator:
                receiver = receiver or _Receiver(self._upload(request.upload_id), request.upload_id)
                await receiver.take(request)
        finally:  # also when the connection breaks: what came is kept
            if receiver is not None:
                await asyncio.shield(receiver.flush())
        if receiver is None:
            return volumes_pb2.UploadResponse()
        return volumes_pb2.UploadResponse(files=_uploaded(await asyncio.to_thread(receiver.folder.files)))

    async def DeleteUpload(  # noqa: N802
        self, request: volumes_pb2.DeleteUploadRequest, context: Context
    ) -> volumes_pb2.DeleteUploadResponse:
        await asyncio.to_thread(self._upload(request.upload_id).delete)
        return volumes_pb2.DeleteUploadResponse()

    async def ListSeries(  # noqa: N802
        self, request: volumes_pb2.ListSeriesRequest, context: Context
    ) -> volumes_pb2.ListSeriesResponse:
        work = partial(list_upload, self._upload(request.upload_id), self._limits)
        return listing_message(await asyncio.get_running_loop().run_in_executor(self._importers, work))

    async def Import(  # noqa: N802
        self, request: volumes_pb2.ImportRequest, context: Context
    ) -> AsyncGenerator[volumes_pb2.ImportResponse, None]:
        upload, project = self._upload(request.upload_id), _project(request.project)
        await asyncio.to_thread(self._collect)
        loop = asyncio.get_running_loop()
        told: asyncio.Queue[Step | Preview | VolumeRecord | None] = asyncio.Queue()
        stop = Stop()

        def watch(news: Step | Preview | VolumeRecord) -> None:
            if isinstance(news, VolumeRecord):  # here, since the call may be gone by now
                self._recorder.write(Action.VOLUME_IMPORT, subject(news))
            loop.call_soon_threadsafe(told.put_nowait, news)

        work = loop.run_in_executor(
            self._importers,
            partial(
                copy_context().run,  # the caller's
                import_upload,
                upload,
                self._store,
                name=request.name[:256],
                project=project,
                series=request.series,
                frame=request.frame_plus_one - 1 if request.frame_plus_one else None,
                repairs=Repairs(request.resample, request.shear),
                limits=self._limits,
                pseudonyms=self._pseudonyms,
                watch=watch,
                stop=stop,
            ),
        )

        def ended(work: asyncio.Future[None]) -> None:
            self._imports.pop(stop, None)
            stop.close()
            told.put_nowait(None)
            if not work.cancelled():
                work.exception()  # seen, also when who asked is gone

        self._imports[stop] = upload.name
        work.add_done_callback(ended)
        try:
            while (news := await told.get()) is not None:
                if isinstance(news, VolumeRecord):
                    log.info("imported", volume=news.volume_id, shape=news.shape, dtype=news.dtype)
                yield import_response(news)
            await work
        finally:  # also when the call is cancelled, or the connection breaks
            stop.set()

    async def ListVolumes(  # noqa: N802
        self, request: volumes_pb2.ListVolumesRequest, context: Context
    ) -> volumes_pb2.ListVolumesResponse:
        records = await asyncio.to_thread(self._catalogue.list)
        return volumes_pb2.ListVolumesResponse(volumes=[volume_message(record) for record in records])

    async def GetVolume(  # noqa: N802
        self, request: volumes_pb2.GetVolumeRequest, context: Context
    ) -> volumes_pb2.GetVolumeResponse:
        record = await asyncio.to_thread(self._catalogue.get, request.volume_id)
        return volumes_pb2.GetVolumeResponse(volume=volume_message(record))

    async def ReadSlices(  # noqa: N802
        self, request: volumes_pb2.ReadSlicesRequest, context: Context
    ) -> AsyncGenerator[volumes_pb2.ReadSlicesResponse, None]:
        record = await asyncio.to_thread(self._catalogue.get, request.volume_id)
        if request.plane not in {int(plane) for plane in Plane}:
            raise InvalidInput("A plane must be named: axial, coronal or sagittal.")
        plane = plane_geometry(record.shape, record.affine_array, Plane(request.plane))
        if len(request.slices) > SLICES_LIMIT or any(index >= plane.slices for index in request.slices):
            raise InvalidInput(
                f"At most {SLICES_LIMIT} slices, numbered from 0 to {plane.slices - 1}, can be read at once."
            )
        await self._recorder.opened(subject(record))
        for index in request.slices:
            grey = await asyncio.to_thread(self._grey, record, plane, index)
            yield volumes_pb2.ReadSlicesResponse(slice=index, grey=grey)

    async def DeleteVolume(  # noqa: N802
        self, request: volumes_pb2.DeleteVolumeRequest, context: Context
    ) -> volumes_pb2.DeleteVolumeResponse:
        record = await asyncio.to_thread(self._catalogue.get, request.volume_id)
        async with self._recorder.recording(Action.VOLUME_DELETE, subject(record)):
            await asyncio.to_thread(self._catalogue.delete, record.volume_id)
        self._greys.forget(request.volume_id)
        log.info("deleted", volume=request.volume_id)
        return volumes_pb2.DeleteVolumeResponse()

    def _collect(self) -> None:
        """Forget the uploads that nobody imports any more."""
        if forgotten := collect(self._store, self._settings.upload_hours, self._checked, self._imports.values()):
            log.info("forgot uploads that nobody imported", uploads=forgotten)

    def _upload(self, upload_id: str) -> UploadFolder:
        upload_id = own_upload(upload_id, caller().user)
        return UploadFolder(self._store, upload_id, limit_bytes=self._settings.upload_limit_bytes, checked=self._checked)

    def _grey(self, record: VolumeRecord, plane: PlaneGeometry, index: int) -> bytes:
        return wire.pack(self._greys.image(record, plane, index), wire.GREY)


def _project(asked: str) -> str:
    """The project that a caller imports into. Raises: InvalidInput: it is not one of the caller's, or must be said."""
    seen = caller().projects
    if asked:
        if not caller().sees(check_project(asked)):
            raise InvalidInput("You are not a member of this project.")
        return asked
    if seen is None or DEFAULT_PROJECT in seen:
        return DEFAULT_PROJECT
    if len(seen) != 1:
        raise InvalidInput("Say which of your projects the volume belongs to." if seen else "You are of no project.")
    return next(iter(seen))


class _Receiver:
    """Gathers chunks of one call into parts of the store."""

    def __init__(self, folder: UploadFolder, upload_id: str) -> None:
        self.folder = folder
        self._upload_id = upload_id
        self._file: Upload | None = None
        self._offset = 0  # of the buffer's first byte
        self._sha256: Any = None  # of a file whose every byte came in this call
        self._buffer = bytearray()

    async def take(self, request: volumes_pb2.UploadRequest) -> None:
        """One message. Raises: InvalidInput, OutOfSequence, TooLarge, Corrupt."""
        if request.upload_id != self._upload_id:
            raise InvalidInput("One call sends one upload.")
        if len(request.data) > CHUNK_LIMIT_BYTES:
            raise InvalidInput("A chunk holds at most 1 MiB.")
        if request.HasField("file"):
            await self.flush()
            await self._begin(request.file, request.offset_bytes)
        if self._file is None:
            raise InvalidInput("The first chunk of a file must announce it.")
        end = self._offset + len(self._buffer)
        if request.offset_bytes != end:
            await self.flush()
            raise out_of_step(end)
        if end + len(request.data) > self._file.size_bytes:
            await self.flush()
            raise InvalidInput("More bytes came than the file was announced with; what came before is kept.")
        self._buffer += request.data
        whole = end + len(request.data) == self._file.size_bytes
        if whole or len(self._buffer) >= PART_BYTES:
            await self.flush()
        if whole:
            digest = None if self._sha256 is None else self._sha256.digest()
            await asyncio.to_thread(self.folder.finish, self._file.number, digest)

    async def flush(self) -> None:
        """Make what is buffered durable."""
        if self._file is not None and self._buffer:
            data, self._buffer = bytes(self._buffer), bytearray()
            await asyncio.to_thread(self._append, self._file.number, data)
            self._offset += len(data)

    def _append(self, number: int, data: bytes) -> None:
        self.folder.append(number, self._offset, data)
        if self._sha256 is not None:
            self._sha256.update(data)

    async def _begin(self, file: volumes_pb2.UploadFile, offset: int) -> None:
        self._file = await asyncio.to_thread(self.folder.announce, file.name, file.size_bytes, file.sha256)
        self._offset = self._file.committed_bytes
        self._sha256 = None if self._offset else hashlib.sha256()
        if offset != self._offset:
            raise out_of_step(self._offset)


def listing_message(listing: Listing) -> volumes_pb2.ListSeriesResponse:
    """What files hold as the contract has it."""
    return volumes_pb2.ListSeriesResponse(
        series=[_series_message(offer) for offer in listing.offers],
        others=[volumes_pb2.OtherFiles(what=what, count=count) for what, count in listing.others],
        unlisted=listing.unlisted,
    )


def _series_message(offer: Offer) -> volumes_pb2.Series:
    column_mm, row_mm, slice_mm = offer.spacing_mm
    return volumes_pb2.Series(
        key=offer.key,
        kind=f"SERIES_KIND_{offer.kind.name}",
        modality=offer.modality,
        description=offer.description,
        place=offer.place,
        date=offer.date,
        columns=offer.columns,
        rows=offer.rows,
        slices=offer.slices,
        column_mm=column_mm,
        row_mm=row_mm,
        slice_mm=slice_mm,
        frames=[common_pb2.Choice(key=frame.key, text=frame.text) for frame in offer.frames],
        refusal=common_pb2.ErrorInfo(reason=offer.reason.value, message=offer.sentence) if offer.reason else None,
        resample_helps=offer.repairs.resample,
        shear_helps=offer.repairs.shear,
    )


def volume_message(record: VolumeRecord) -> volumes_pb2.Volume:
    """A record as the contract has it."""
    affine = record.affine_array
    planes = [plane_geometry(record.shape, affine, plane) for plane in Plane]
    return volumes_pb2.Volume(
        volume_id=record.volume_id,
        name=record.name,
        modality=record.modality,
        description=record.description,
        imported_ms=record.imported_ms,
        planes=[plane_message(plane) for plane in planes],
        acquisition=common_pb2.Plane.Name(acquisition_plane(record.shape, affine)),
        grey_slope=record.grey.slope,
        grey_intercept=record.grey.intercept,
        grey_exact=record.grey.exact,
        window_low=(record.voi or record.window)[0],
        window_high=(record.voi or record.window)[1],
        warnings=record.warnings,
        voxel_ml=record.voxel_ml,
        digest=record.digest,
        thumbnail=record.thumbnail,
        deidentified=record.deidentified,
        project=record.project,
        pseudonym=record.source.patient_id if record.deidentified and record.source else "",
        dicom_seg_refusal=_dicom_seg_refusal(record),
    )


def _dicom_seg_refusal(record: VolumeRecord) -> common_pb2.ErrorInfo | None:
    """Why no DICOM segmentation can lie on a volume, or None."""
    try:
        check_source(record.shape, record.affine_array, record.source)
    except CalqueError as error:
        return common_pb2.ErrorInfo(reason=error.reason.value, message=str(error))
    return None


def import_response(news: Step | Preview | VolumeRecord) -> volumes_pb2.ImportResponse:
    """News of an import as the contract has it."""
    if isinstance(news, VolumeRecord):
        return volumes_pb2.ImportResponse(volume=volume_message(news))
    if isinstance(news, Preview):
        shown = volumes_pb2.ImportPreview(plane=plane_message(news.plane), slice=news.slice, picture=news.picture)
        return volumes_pb2.ImportResponse(preview=shown)
    stage = volumes_pb2.IMPORT_STAGE_SLICES if news.slices else volumes_pb2.IMPORT_STAGE_FILES
    return volumes_pb2.ImportResponse(progress=volumes_pb2.ImportProgress(done=news.done, total=news.total, stage=stage))


def plane_message(plane: PlaneGeometry) -> common_pb2.PlaneGeometry:
    """A plane's geometry as the contract has it."""
    return common_pb2.PlaneGeometry(
        plane=common_pb2.Plane.Name(plane.plane),
        columns=plane.columns,
        rows=plane.rows,
        slices=plane.slices,
        column_mm=plane.column_mm,
        row_mm=plane.row_mm,
        slice_mm=plane.slice_mm,
        left=plane.left,
        right=plane.right,
        top=plane.top,
        bottom=plane.bottom,
        pixel_to_mm=plane.pixel_to_mm.ravel().tolist(),
        pixel_to_voxel=plane.pixel_to_voxel.ravel().tolist(),
    )


def _uploaded(files: list[Upload]) -> list[volumes_pb2.UploadedFile]:
    return [
        volumes_pb2.UploadedFile(name=file.name, size_bytes=file.size_bytes, committed_bytes=file.committed_bytes)
        for file in files
    ]
