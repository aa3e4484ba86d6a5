"""Who calls is known where a call is answered, on a real server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from calque.v1 import volumes_pb2, volumes_pb2_grpc

from services.serving.caller import Caller, Role, caller
from services.serving.server import Server


class Asking(volumes_pb2_grpc.VolumesServicer):
    """Answers with who calls, as a thread and as each part of a stream knows it."""

    name = "calque.v1.Volumes"
    serving = True
    runs_on = ""

    def register(self, server: grpc.aio.Server) -> None:
        volumes_pb2_grpc.add_VolumesServicer_to_server(self, server)

    async def close(self) -> None:
        pass

    async def GetUpload(self, request: Any, context: Any) -> Any:  # noqa: N802
        known = await asyncio.to_thread(caller)
        return volumes_pb2.GetUploadResponse(files=[volumes_pb2.UploadedFile(name=f"{known.user} {known.peer}")])

    async def Import(self, request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802
        for _ in range(2):
            yield volumes_pb2.ImportResponse(volume=volumes_pb2.Volume(name=f"{caller().user} {caller().peer}"))


async def test_a_handler_knows_who_calls() -> None:
    server = Server([Asking()], listen="127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        stub = volumes_pb2_grpc.VolumesStub(channel)
        known = (await stub.GetUpload(volumes_pb2.GetUploadRequest())).files[0].name
        streamed = [one.volume.name async for one in stub.Import(volumes_pb2.ImportRequest())]
    await server.stop(0)
    user, peer = known.split()
    assert user == "local"
    assert peer.startswith("ipv4:127.0.0.1:")
    assert streamed == [known, known]


def test_outside_of_a_call_it_is_the_local_user_who_may_everything() -> None:
    assert (caller().user, caller().peer) == ("local", "")
    assert all(caller().may(role) for role in Role)


@pytest.mark.parametrize(
    ("roles", "least", "may"),
    [
        ({Role.VIEWER}, Role.VIEWER, True),
        ({Role.VIEWER}, Role.ANNOTATOR, False),
        ({Role.VIEWER, Role.REVIEWER}, Role.ANNOTATOR, True),
        ({Role.ADMINISTRATOR}, Role.TRAINER, True),
        (set(), Role.VIEWER, False),
    ],
)
def test_a_role_may_what_those_below_it_may(roles: set[Role], least: Role, may: bool) -> None:
    assert Caller("a", "", frozenset(roles)).may(least) == may
