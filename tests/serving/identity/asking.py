"""A server that answers who calls, with or without asking for tokens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
from calque.v1 import volumes_pb2, volumes_pb2_grpc

from services.serving.caller import caller
from services.serving.identity.interceptor import Authenticate
from services.serving.limits import Limits
from services.serving.server import Server


def _who() -> str:
    known = caller()
    return f"{known.user} {known.peer} {','.join(sorted(known.roles))}"


class Asking(volumes_pb2_grpc.VolumesServicer):
    """Answers with who calls, as a thread and as each part of a stream knows it.

    Attributes:
        ended: set when a stream was ended.
    """

    name = "calque.v1.Volumes"
    serving = True
    runs_on = ""

    def __init__(self) -> None:
        self.ended = asyncio.Event()

    def register(self, server: grpc.aio.Server) -> None:
        volumes_pb2_grpc.add_VolumesServicer_to_server(self, server)

    async def close(self) -> None:
        pass

    async def GetUpload(self, request: Any, context: Any) -> Any:  # noqa: N802
        return volumes_pb2.GetUploadResponse(files=[volumes_pb2.UploadedFile(name=await asyncio.to_thread(_who))])

    async def ListVolumes(self, request: Any, context: Any) -> Any:  # noqa: N802
        return volumes_pb2.ListVolumesResponse(volumes=[volumes_pb2.Volume(name=_who())])

    async def Import(self, request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802
        """Two answers, then none until the call is ended."""
        try:
            for _ in range(2):
                yield volumes_pb2.ImportResponse(volume=volumes_pb2.Volume(name=_who()))
            await asyncio.Event().wait()
        finally:
            self.ended.set()

    async def Upload(self, request_iterator: Any, context: Any) -> Any:  # noqa: N802
        """Takes what comes, until the client or the server ends it."""
        try:
            async for _ in request_iterator:
                pass
        finally:
            self.ended.set()
        return volumes_pb2.UploadResponse()


@asynccontextmanager
async def asked(
    authenticate: Authenticate | None = None, limits: Limits | None = None
) -> AsyncIterator[tuple[Asking, volumes_pb2_grpc.VolumesAsyncStub, grpc.aio.Channel]]:
    """The servicer, a stub that talks to it, and the stub's channel."""
    servicer = Asking()
    server = Server([servicer], listen="127.0.0.1:0", authenticate=authenticate, limits=limits)
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            yield servicer, volumes_pb2_grpc.VolumesStub(channel), channel  # type: ignore[misc]
    finally:
        await server.stop(0)


def bearer(token: str) -> tuple[tuple[str, str], ...]:
    """The metadata of a call that carries a token."""
    return (("authorization", f"Bearer {token}"),)
