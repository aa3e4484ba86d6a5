"""The processes of a trial, each the target of a fork: server, tablet, tidier, importer."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import structlog
from calque.v1 import segmentation_pb2

from services.core.volume import Volume, grey_map, intensity_window
from services.segmentation.servicer import SegmentationServicer
from services.serving.audit import Recorder
from services.serving.server import Server
from services.serving.settings import Settings
from services.store.audit import Trail
from services.store.audit_spool import SpooledTrail
from services.store.catalogue import Catalogue, VolumeRecord
from services.store.directory import DirectoryStore
from services.store.log import Log
from services.store.port import Store
from services.store.s3 import Bucket, Patience, S3Store
from services.store.tidy import tidy
from services.volumes.servicer import VolumesServicer
from tablet_client.link.grpc_link import GrpcLink
from tablet_client.link.listener import Listener
from tablet_client.link.port import LinkError
from tablet_client.link.sync import SessionKeeper
from tablet_client.state.document import Document
from tablet_client.state.geometry import VolumeInfo
from tablet_client.state.journal import Journal
from tablet_client.state.probabilities import Probabilities
from tablet_client.state.slicecache import Room
from tests.crash.points import Counters, Point
from tests.crash.script import EVENTS, MASKS_AFTER, Script

SHAPE = (6, 20, 24)
THRESHOLD = 128
_AHEAD = 3
"""Events that a tablet may have waiting before it draws the next one."""


@dataclass(frozen=True)
class Place:
    """Where a trial's store lies: a folder, or a bucket."""

    store: Path | Bucket

    def open(self) -> Store:
        """The store, as a process of its own opens it."""
        if isinstance(self.store, Path):
            return DirectoryStore(self.store)
        return S3Store(self.store, Patience(tries=8, pause_s=0.05))


def volume(number: int = 0) -> Volume:
    """A volume with a bright half, small enough to be segmented in milliseconds."""
    voxels = np.random.default_rng(number).integers(0, 200, SHAPE).astype(np.int16)
    voxels[:, :, SHAPE[2] // 2 :] += 300
    return Volume(voxels, np.diag([2.0, 1.0, 1.0, 1.0]), np.ones(SHAPE[0]), np.zeros(SHAPE[0]))


def add(store: Store, one: Volume) -> VolumeRecord:
    """Put a volume into the library."""
    window, grey = intensity_window(one), grey_map(one)
    return Catalogue(store).add(one, name="Phantom", imported_ms=1, window=window, grey=grey, thumbnail=b"")


def importer(place: Place, counters: Counters, plan: Point | None, number: int) -> None:
    """Import a volume."""
    with counters.dying_at(plan):
        add(place.open(), volume(number))


def tidier(place: Place, counters: Counters, plan: Point | None) -> None:
    """Tidy the store once."""
    with counters.dying_at(plan):
        tidy(place.open(), now_ms=1, keep_ms=1 << 40)


def server(place: Place, port: int, spool: Path, counters: Counters, plan: Point | None, wrong: bool) -> None:
    """Serve until killed. ``wrong``: acknowledge events before they are written."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    if wrong:
        _acknowledge_before_writing()
    with counters.dying_at(plan):
        asyncio.run(_serve(place.open(), port, spool))


async def _serve(store: Store, port: int, spool: Path) -> None:
    settings = Settings(store=spool.parent / "unused", audit_spool=spool, compute_threads=1)
    recorder = Recorder(SpooledTrail(Trail(store), spool))
    servicers = [VolumesServicer(store, settings, recorder), SegmentationServicer(store, settings, recorder)]
    serving = Server(servicers, listen=f"127.0.0.1:{port}")
    await serving.start()
    await asyncio.Event().wait()


def _acknowledge_before_writing() -> None:
    """The build that the trials must catch: it says that an entry is durable, and then writes it, at once but beside."""
    create, writer = Log._create, ThreadPoolExecutor(1)

    def acknowledge(log: Log, position: int, data: bytes) -> bool:
        writer.submit(create, log, position, data)
        return True

    Log._create = acknowledge  # type: ignore[method-assign]


def tablet(folder: Path, port: int, volume_id: str, seed: str) -> None:
    """Draw the script, from wherever the journal says that it is, to its end."""

    async def live() -> None:
        await _Tablet(folder, port).draw(volume_id, seed)

    asyncio.run(live())


class _Tablet(Listener):
    """A tablet without a screen: journal, document, keeper of the session and connection are the real ones."""

    def __init__(self, folder: Path, port: int) -> None:
        self._folder = folder
        self._notes = Notes(folder / "notes")
        self._link = GrpcLink("127.0.0.1", port)
        self._news = asyncio.Event()

    def status_changed(self, status: Any) -> None:
        self._news.set()

    async def draw(self, volume_id: str, seed: str) -> None:
        info = VolumeInfo.from_message(await self._insist(lambda: self._link.get_volume(volume_id)))
        annotation_id = await self._annotation(volume_id)
        journal = Journal(self._folder, annotation_id)
        document = _Noted(self._notes, info.planes, journal.session_id, journal.next_sequence, journal.waiting, lambda: 0)
        keeper = SessionKeeper(
            self._link, annotation_id, document, journal, Probabilities(Room(1 << 16)), self, pause=_soon
        )
        keeper.configure(live=False, preset=segmentation_pb2.PRESET_PAPER, seed=1)
        keeping = asyncio.create_task(keeper.run())
        script = Script(seed, info.planes, journal.session_id)
        while True:
            drawn = document.next_sequence - 1
            if drawn in MASKS_AFTER and drawn not in self._notes.masks():
                await self._until(lambda: not document.waiting)
                mask = await self._insist(lambda: self._link.save_mask(annotation_id, THRESHOLD))
                self._notes.mask(drawn, mask.number, mask.digest)
            if drawn == EVENTS:
                break
            keeper.submit(script.draw(document))
            await self._until(lambda: document.waiting <= _AHEAD)
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)

    async def _annotation(self, volume_id: str) -> str:
        if known := self._notes.annotation():
            return known
        made = await self._insist(lambda: self._link.create_annotation(volume_id))
        self._notes.began(made.annotation_id)
        return str(made.annotation_id)

    async def _until(self, met: Callable[[], bool]) -> None:
        while not met():
            self._news.clear()
            await self._news.wait()

    async def _insist(self, call: Callable[[], Any]) -> Any:
        """Ask until the server answers, as a person does."""
        while True:
            try:
                return await call()
            except LinkError as error:
                if not error.retry:
                    raise
            await _soon(1.0)


async def _soon(seconds: float) -> None:
    """A pause as a tablet makes one, a hundred times as short."""
    await asyncio.sleep(seconds / 100)


class _Noted(Document):
    """A document that notes what the tablet was told, before anybody can be killed who knows it."""

    def __init__(self, notes: Notes, *arguments: Any) -> None:
        self._notes = notes
        super().__init__(*arguments)

    def saved(self, sequence: int) -> None:
        super().saved(sequence)
        self._notes.saved(self.session_id, sequence)

    def acknowledged(self, sequence: int, position: int) -> bool:
        own = self._find(sequence)
        if own is not None:
            self._notes.acknowledged(self.session_id, sequence, position, own.event.body)
        return super().acknowledged(sequence, position)

    def logged(self, entry: segmentation_pb2.LoggedEvent) -> bool:
        if entry.sequence and entry.session_id == self.session_id:  # its acknowledgement was lost with the server
            self._notes.acknowledged(entry.session_id, entry.sequence, entry.position, entry.body)
        return super().logged(entry)


class Notes:
    """What a tablet was told, a line each: with the operating system once the method returns, whoever is killed."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def began(self, annotation_id: str) -> None:
        """The annotation is there."""
        self._note("annotation", annotation_id)

    def saved(self, session_id: str, sequence: int) -> None:
        """The screen calls the event saved: it is in the journal."""
        self._note("saved", session_id, sequence)

    def acknowledged(self, session_id: str, sequence: int, position: int, body: bytes) -> None:
        """The server has the event."""
        self._note("acknowledged", session_id, sequence, position, hashlib.sha256(body).hexdigest())

    def mask(self, events: int, number: int, digest: str) -> None:
        """The server has saved a mask."""
        self._note("mask", events, number, digest)

    def annotation(self) -> str:
        """The annotation, once it has begun."""
        return next((line[0] for line in self.lines("annotation")), "")

    def masks(self) -> set[int]:
        """After how many events masks were saved."""
        return {int(line[0]) for line in self.lines("mask")}

    def lines(self, kind: str) -> list[list[str]]:
        """The notes of a kind."""
        with suppress(FileNotFoundError):
            lines = (line.split() for line in self._path.read_text().splitlines())
            return [line[1:] for line in lines if line[0] == kind]
        return []

    def _note(self, *words: object) -> None:
        with open(self._path, "ab", buffering=0) as file:
            file.write((" ".join(map(str, words)) + "\n").encode())
