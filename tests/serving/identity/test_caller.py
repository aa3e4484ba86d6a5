"""Who calls is known where a call is answered, on a real server."""

from __future__ import annotations

import pytest
from calque.v1 import volumes_pb2

from services.serving.caller import Caller, Role, caller
from tests.serving.identity.asking import asked


async def test_a_handler_knows_who_calls() -> None:
    async with asked() as (_, stub, _):
        known = (await stub.GetUpload(volumes_pb2.GetUploadRequest())).files[0].name
        streaming = stub.Import(volumes_pb2.ImportRequest())
        streamed = [(await streaming.read()).volume.name for _ in range(2)]
        streaming.cancel()
    user, peer, roles = known.split()
    assert user == "local"
    assert peer.startswith("ipv4:127.0.0.1:")
    assert roles == "administrator,annotator,reviewer,trainer,viewer"
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
