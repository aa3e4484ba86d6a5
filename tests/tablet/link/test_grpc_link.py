"""The gRPC adapter against a small server of grpclib's own, in this process."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from calque.v1 import common_pb2
from google.rpc import error_details_pb2, status_pb2
from grpclib.const import Status
from grpclib.exceptions import GRPCError

from tablet_client.link import grpc_link
from tablet_client.link.fake_volume import cut
from tablet_client.link.grpc_link import GrpcLink
from tablet_client.link.port import LinkError
from tablet_client.link.status import ErrorInfoCodec, from_status
from tablet_client.state.geometry import Plane
from tests.tablet.link.grpc_services import INFO, VOXELS, free_port

# --- errors ----------------------------------------------------------------------------------------------------------

INFO_OF_A_GAP = common_pb2.ErrorInfo(reason=common_pb2.SEQUENCE_GAP, message="Event 5 is missing.", expected=5)
OTHER_DETAIL = error_details_pb2.RetryInfo()
ERRORS = [
    # status, message, details → reason, message, expected, retry
    (Status.FAILED_PRECONDITION, "m", [INFO_OF_A_GAP], ("SEQUENCE_GAP", "Event 5 is missing.", 5, False)),
    (Status.FAILED_PRECONDITION, "m", [OTHER_DETAIL, INFO_OF_A_GAP], ("SEQUENCE_GAP", "Event 5 is missing.", 5, False)),
    (Status.NOT_FOUND, "m", [common_pb2.ErrorInfo(reason=common_pb2.MASK_NOT_FOUND)], ("MASK_NOT_FOUND", "m", 0, False)),
    (
        Status.UNAVAILABLE,
        "m",
        [common_pb2.ErrorInfo(reason=25, message="Store.")],
        ("STORE_UNAVAILABLE", "Store.", 0, True),
    ),
    (Status.DATA_LOSS, "m", [common_pb2.ErrorInfo(reason=12)], ("DIGEST_MISMATCH", "m", 0, True)),
    (Status.DATA_LOSS, "m", [common_pb2.ErrorInfo(reason=27)], ("STORE_CORRUPT", "m", 0, False)),
    (Status.RESOURCE_EXHAUSTED, "m", [common_pb2.ErrorInfo(reason=26)], ("STORE_FULL", "m", 0, False)),
    (Status.INVALID_ARGUMENT, "m", [common_pb2.ErrorInfo(reason=999)], ("REASON_UNSPECIFIED", "m", 0, False)),
    (Status.UNAVAILABLE, "m", None, ("SERVICE_UNAVAILABLE", "m", 0, True)),
    (Status.DEADLINE_EXCEEDED, None, None, ("SERVICE_UNAVAILABLE", "", 0, True)),
    (Status.CANCELLED, "m", None, ("SERVICE_UNAVAILABLE", "m", 0, True)),
    (Status.UNAUTHENTICATED, "m", None, ("INTERNAL", "m", 0, False)),
    (Status.INTERNAL, "m", [OTHER_DETAIL], ("INTERNAL", "m", 0, False)),
]


@pytest.mark.parametrize(("status", "message", "details", "expected"), ERRORS)
async def test_statuses_become_link_errors(services, status, message, details, expected):
    services.volumes.fail = GRPCError(status, message, details)
    with pytest.raises(LinkError) as caught:
        await services.link.list_volumes()
    error = caught.value
    assert (error.reason, error.message, error.expected, error.retry) == expected
    assert error.status == status.name


def test_damaged_details_are_no_details():
    codec = ErrorInfoCodec()
    whole = codec.encode(Status.NOT_FOUND, "m", [INFO_OF_A_GAP])
    assert codec.decode(Status.NOT_FOUND, "m", whole) == INFO_OF_A_GAP
    assert codec.decode(Status.NOT_FOUND, "m", b"\xff\xff\xff") is None
    spoiled = status_pb2.Status.FromString(whole)
    spoiled.details[0].value = b"\xff\xff\xff"
    assert codec.decode(Status.NOT_FOUND, "m", spoiled.SerializeToString()) is None
    assert from_status(Status.NOT_FOUND, "m", None).reason == "INTERNAL"


async def test_no_server_is_an_error_that_may_pass():
    link = GrpcLink("127.0.0.1", free_port())
    with pytest.raises(LinkError) as caught:
        await link.list_volumes()
    assert (caught.value.reason, caught.value.retry, caught.value.status) == ("SERVICE_UNAVAILABLE", True, "UNAVAILABLE")
    link.close()


async def test_a_connection_that_is_closing_is_an_error_that_may_pass(services):
    """So it is for a moment when a server that ends says goodbye: grpclib then fails with an error of its own."""
    link = services.link
    await link.list_volumes()
    link._channel._protocol.processor.connection.close()
    with pytest.raises(LinkError) as caught:
        await link.list_volumes()
    assert (caught.value.reason, caught.value.retry) == ("SERVICE_UNAVAILABLE", True)
    await asyncio.sleep(0)  # the loop's turn, in which it is told of the end
    await link.list_volumes()


async def test_a_server_that_hangs_is_an_error_that_may_pass(services, monkeypatch):
    monkeypatch.setattr(grpc_link, "UNARY_S", 0.05)
    with pytest.raises(LinkError) as caught:
        await services.link.get_volume("v")
    assert (caught.value.reason, caught.value.retry) == ("SERVICE_UNAVAILABLE", True)
    assert caught.value.status == "DEADLINE_EXCEEDED"


async def test_the_link_works_again_when_the_server_is_back(services):
    assert len(await services.link.list_volumes()) == 1
    services.cut()
    with pytest.raises(LinkError) as caught:
        await services.link.list_volumes()
    assert caught.value.retry
    services.broken = False
    assert len(await services.link.list_volumes()) == 1


# --- volumes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("plane", Plane)
async def test_slices_are_the_volume_s(services, plane):
    got = [pair async for pair in services.link.read_slices("v", INFO.planes[plane], [2, 0])]
    assert [index for index, _ in got] == [2, 0]
    for index, grey in got:
        assert grey.dtype == np.uint16
        np.testing.assert_array_equal(grey, cut(VOXELS, INFO.planes[plane], index))


async def test_many_slices_are_asked_for_in_parts(services, monkeypatch):
    monkeypatch.setattr(grpc_link, "SLICES_AT_ONCE", 2)
    wanted = [0, 2, 0, 0, 2]
    assert [k async for k, _ in services.link.read_slices("v", INFO.planes[Plane.AXIAL], wanted)] == wanted


async def test_a_damaged_slice_is_said(services):
    slices = services.link.read_slices("v", INFO.planes[Plane.AXIAL], [0, 1])
    assert (await anext(slices))[0] == 0
    with pytest.raises(LinkError) as caught:
        await anext(slices)
    assert caught.value.reason == "DIGEST_MISMATCH"


async def test_a_stream_that_dies_halfway_gives_what_came(services):
    services.volumes.fail = GRPCError(Status.UNAVAILABLE, "gone")
    got = []
    with pytest.raises(LinkError) as caught:  # noqa: PT012 – what came before counts
        async for index, _ in services.link.read_slices("v", INFO.planes[Plane.AXIAL], [0, 2]):
            got.append(index)
    assert got == [0]
    assert caught.value.retry
