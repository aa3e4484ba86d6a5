"""An upload over the real wire whose server is killed: nothing that it had is sent twice, and the digest is checked."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
from calque.v1 import volumes_pb2

from services.core.volume import Volume
from services.store.catalogue import Catalogue
from services.store.directory import DirectoryStore
from services.volumes import intake
from tablet_client.link.grpc_link import GrpcLink
from tablet_client.link.port import LinkError, LocalFile, Step
from tests.phantoms import oblique_phantom, write_nifti
from tests.processes import Serving
from tests.served import SECONDS, eventually, serve

HELD = 10 << 20
PART = 4 << 20


class Wire:
    """A way to the server that counts what the tablet sends, and lets no more than some of it through.

    Attributes:
        port: where the tablet connects.
        target: port of the server.
        sent: bytes from the tablet that were let through.
        most: how many may be.
    """

    def __init__(self) -> None:
        self.port = self.target = self.sent = 0
        self.most = HELD
        self._connections: list[asyncio.StreamWriter] = []

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        self._server.close()
        self.cut()

    def cut(self) -> None:
        for writer in self._connections:
            writer.transport.abort()
        self._connections.clear()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.append(writer)
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        self._connections.append(back)
        await asyncio.gather(self._pass(reader, back, True), self._pass(there, writer, False), return_exceptions=True)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, count: bool) -> None:
        while data := await reader.read(min(1 << 16, self.most - self.sent) if count else 1 << 16):
            self.sent += len(data) if count else 0
            writer.write(data)
            await writer.drain()
            if self.sent >= self.most:
                return
        writer.close()


def noise() -> Volume:
    voxels = np.random.default_rng(0).integers(-2000, 2000, (24, 512, 512)).astype(np.int16)
    affine = np.diag([1.0, 1.0, 3.0, 1.0])[:, [2, 1, 0, 3]]
    return Volume(voxels, affine, np.ones(24), np.zeros(24))


@pytest.mark.parametrize("damaged", [False, True])
async def test_an_upload_goes_on_with_another_server(tmp_path: Path, damaged: bool) -> None:
    volume, upload_id, store = noise(), str(uuid4()), DirectoryStore(tmp_path / "store")
    path = write_nifti(volume, tmp_path / "noise.nii")
    files, size = [LocalFile("noise.nii", path)], path.stat().st_size
    arguments = (tmp_path, "volumes", "--listen", "127.0.0.1:0", "--store", str(tmp_path / "store"))

    def parts() -> list[str]:
        return [key for key in store.list(f"uploads/{upload_id.replace('-', '')}") if "/parts/" in key]

    wire = Wire()
    await wire.open()
    link = GrpcLink("127.0.0.1", wire.port)
    try:
        with Serving(*arguments) as first:
            wire.target = int(first.address().rpartition(":")[2])
            sending = asyncio.create_task(link.import_files(files, upload_id))
            await eventually(lambda: len(parts()) == HELD // PART)  # the rest is on its way when the server dies
            first.process.kill()
            first.process.wait()
            wire.cut()
            with pytest.raises(LinkError) as cut:
                await sending
            assert cut.value.retry
        kept = sum(store.size(key) for key in parts())
        assert kept == HELD // PART * PART
        if damaged:
            part = tmp_path / "store" / parts()[0]
            data = bytearray(part.read_bytes())
            data[1_000_000] ^= 1
            part.write_bytes(data)
        with Serving(*arguments) as second:
            wire.target = int(second.address().rpartition(":")[2])
            wire.sent, wire.most = 0, 1 << 40
            imported = await link.import_files(files, upload_id)
            await eventually(lambda: not parts())  # forgotten when the volume is there
        needed = size - kept + (size if damaged else 0)  # a file with another digest is sent anew
        assert needed <= wire.sent < needed + needed // 100
    finally:
        link.close()
        await wire.close()
    stored = Catalogue(store).load(Catalogue(store).get(imported.volume_id))
    np.testing.assert_array_equal(stored.voxels, volume.voxels)


async def test_an_import_that_the_tablet_stops_ends_on_the_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    upload_id = str(uuid4())
    path = write_nifti(oblique_phantom((4, 20, 24)), tmp_path / "a.nii")
    os.mkfifo(tmp_path / "hangs")
    async with serve(tmp_path / "store") as served:
        link = GrpcLink("127.0.0.1", served.port)
        try:
            with monkeypatch.context() as patched:
                patched.setattr(DirectoryStore, "file", lambda *_: tmp_path / "hangs")
                work = asyncio.create_task(link.import_files([LocalFile("a.nii", path)], upload_id))
                async with asyncio.timeout(SECONDS):
                    writing = await asyncio.to_thread(open, tmp_path / "hangs", "wb")
                with writing:  # the worker has its other end, and reads what never comes
                    assert len(served.imports) == 1
                    work.cancel()
                    with pytest.raises(asyncio.CancelledError):
                        await work
                    await eventually(lambda: not served.imports)
            assert await link.list_volumes() == []
            assert list(served.store.list("uploads")) != []
            await link.delete_upload(upload_id)
            assert list(served.store.list("uploads")) == []
            # The connection goes on, and so do imports; their slices are shown.
            monkeypatch.setattr(intake, "_PREVIEW_S", 0.0)
            shown: list[volumes_pb2.ImportPreview] = []
            steps: list[Step] = []
            volume = await link.import_files([LocalFile("a.nii", path)], upload_id, steps.append, show=shown.append)
            assert sorted(one.slice for one in shown) == [0, 1, 2, 3]
            assert shown[0].plane in volume.planes
            assert steps[-1] == Step("import", 4, 4)
        finally:
            link.close()
