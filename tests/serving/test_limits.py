"""What one caller may take of a server, over real connections."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
import h2.config
import h2.connection
import h2.errors
import h2.events
import pytest
from calque.v1 import segmentation_pb2, volumes_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.segmentation.pace import AT_ONCE_S, Pace
from services.serving.caller import Caller, Role
from services.serving.limits import SLOWEST_UPLOAD_BYTES, Limits
from services.serving.server import MESSAGE_LIMIT_BYTES, Server
from tests.served import refused, serve
from tests.serving.identity.asking import asked, bearer

SLOW = ("DEADLINE_EXCEEDED", "STREAM_IDLE", 0)


async def by_name(token: str, peer: str) -> Caller:
    """Who calls is whom the token names."""
    return Caller(token, peer, frozenset(Role))


async def test_a_user_has_so_many_streams_and_others_have_theirs() -> None:
    async with asked(by_name, Limits(streams=2)) as (_, stub, _):

        async def begun(user: str) -> Any:
            call = stub.Import(volumes_pb2.ImportRequest(), metadata=bearer(user))
            await call.read()
            return call

        first, _second, other = [await begun(user) for user in ("ada", "ada", "bob")]
        for call in (stub.Import(volumes_pb2.ImportRequest(), metadata=bearer("ada")), stub.Upload(metadata=bearer("ada"))):
            assert await refused(call) == ("RESOURCE_EXHAUSTED", "TOO_MANY_STREAMS", 0)
        await stub.GetUpload(volumes_pb2.GetUploadRequest(), metadata=bearer("ada"))  # no stream
        first.cancel()
        async with asyncio.timeout(20):
            while True:  # until the server has heard of it
                with suppress(grpc.aio.AioRpcError):
                    await begun("ada")
                    break
        assert not other.done()


@pytest.mark.item(35)
async def test_an_idle_stream_is_closed(tmp_path: Path) -> None:
    async with serve(tmp_path / "store", limits=Limits(stream_idle_s=0.1)) as served:
        call = served.segmentation.Annotate()  # opened, and nothing said
        assert await refused(call) == SLOW
        assert (await served.volumes.ListVolumes(volumes_pb2.ListVolumesRequest())).volumes == []


@pytest.mark.item(35)
async def test_an_upload_that_drips_is_closed_and_a_steady_one_is_not(tmp_path: Path) -> None:
    async with serve(tmp_path / "store", limits=Limits(upload_idle_s=0.3)) as served:

        async def sent(size: int, times: int) -> Any:
            call, upload_id = served.volumes.Upload(), str(uuid4())
            announced = volumes_pb2.UploadFile(name="a", size_bytes=1 << 30, sha256=bytes(32))
            try:
                for n in range(times):
                    data = volumes_pb2.UploadRequest(upload_id=upload_id, offset_bytes=n * size, data=bytes(size))
                    if n == 0:
                        data.file.CopyFrom(announced)
                    await call.write(data)
                    await asyncio.sleep(0.05)
            except (grpc.aio.AioRpcError, asyncio.InvalidStateError):  # ended meanwhile
                return await refused(call)
            await call.done_writing()
            return await call

        assert await sent(1, 60) == SLOW
        assert (await sent(SLOWEST_UPLOAD_BYTES, 10)).files[0].committed_bytes == 10 * SLOWEST_UPLOAD_BYTES


async def status(call: Any) -> str:
    """That of a call which gRPC ends by itself, without our details."""
    with suppress(grpc.aio.AioRpcError):
        if hasattr(call, "__aiter__"):
            [_ async for _ in call]
        else:
            await call
    return str((await call.code()).name)


@pytest.mark.item(34)
async def test_a_message_that_is_too_large_is_refused_before_it_is_read(tmp_path: Path) -> None:
    async with serve(tmp_path / "store") as served:
        large = bytes(MESSAGE_LIMIT_BYTES)
        for call in (
            served.volumes.Upload(iter([volumes_pb2.UploadRequest(upload_id=str(uuid4()), data=large)])),
            served.segmentation.UploadMask(iter([segmentation_pb2.UploadMaskRequest(data=large)])),
            served.segmentation.Annotate(
                iter([segmentation_pb2.AnnotateRequest(event=segmentation_pb2.Event(body=large))])
            ),
            served.volumes.ListSeries(volumes_pb2.ListSeriesRequest(upload_id=large.decode())),
        ):
            assert await status(call) == "RESOURCE_EXHAUSTED"
        assert (await served.volumes.ListVolumes(volumes_pb2.ListVolumesRequest())).volumes == []


def ping(connection: h2.connection.H2Connection, number: int) -> None:
    connection.ping(number.to_bytes(8, "big"))


def begin_and_break_off(connection: h2.connection.H2Connection, _: int) -> None:
    stream = connection.get_next_available_stream_id()
    headers = {":method": "POST", ":scheme": "http", ":path": "/calque.v1.Volumes/Upload", ":authority": "x"}
    connection.send_headers(stream, [*headers.items(), ("content-type", "application/grpc"), ("te", "trailers")])
    connection.reset_stream(stream, h2.errors.ErrorCodes.CANCEL)


def flood(port: int, what: Callable[[h2.connection.H2Connection, int], None], times: int) -> Any:
    """Do something so many times at once. Returns why the server ends the connection."""
    connection = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
    connection.initiate_connection()
    with socket.create_connection(("127.0.0.1", port), timeout=30) as wire:
        for number in range(times):
            what(connection, number)
        wire.sendall(connection.data_to_send())
        while data := wire.recv(1 << 16):
            for event in connection.receive_data(data):
                if isinstance(event, h2.events.ConnectionTerminated):
                    return event.error_code
    return None


@pytest.mark.item(36)
@pytest.mark.parametrize(("what", "times"), [(ping, 20), (begin_and_break_off, 300)])
async def test_floods_are_answered_by_goaway(what: Callable[[h2.connection.H2Connection, int], None], times: int) -> None:
    server = Server([], listen="127.0.0.1:0", limits=Limits(ping_s=0.2))
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            health, request = health_pb2_grpc.HealthStub(channel), health_pb2.HealthCheckRequest()
            await health.Check(request)
            assert await asyncio.to_thread(flood, server.port, what, times) == h2.errors.ErrorCodes.ENHANCE_YOUR_CALM
            assert await health.Check(request)  # others are none the wiser
    finally:
        await server.stop(0)


async def test_strokes_beyond_the_pace_wait_and_are_not_lost() -> None:
    pace, clock = Pace(100), asyncio.get_running_loop().time
    began = clock()
    for _ in range(round(100 * AT_ONCE_S)):  # after a pause, at once
        await pace.next()
    assert clock() - began < 1
    began = clock()
    for _ in range(11):
        await pace.next()
    assert clock() - began > 0.09
