"""From errors to statuses, on a real server: ours in full, faults in one sentence, nothing of them on the wire."""

from __future__ import annotations

import asyncio
import io
import json
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
import structlog
from calque.v1 import volumes_pb2, volumes_pb2_grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.core import errors
from services.core.errors import CalqueError, OutOfSequence, Reason, Unavailable
from services.serving.logs import configure
from services.serving.server import Server
from services.serving.status import error_info, error_of, status_code
from tests.served import refusal

SECRET = "Someone^Secret"


class Faulty(volumes_pb2_grpc.VolumesServicer):
    """Raises what it is told to, from a unary call, in the middle of a stream, and from a call that is sent one."""

    name = "calque.v1.Volumes"
    serving = True
    runs_on = ""

    def __init__(self, error: BaseException) -> None:
        self.error = error
        self.closed = asyncio.Event()

    def register(self, server: grpc.aio.Server) -> None:
        volumes_pb2_grpc.add_VolumesServicer_to_server(self, server)

    async def close(self) -> None:
        pass

    async def ListVolumes(self, request: Any, context: Any) -> Any:  # noqa: N802
        raise self.error

    async def ReadSlices(self, request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802
        try:
            yield volumes_pb2.ReadSlicesResponse(slice=1)
            if isinstance(self.error, StopAsyncIteration):
                await asyncio.Event().wait()
            raise self.error
        finally:
            self.closed.set()

    async def Upload(self, request_iterator: Any, context: Any) -> Any:  # noqa: N802
        async for _ in request_iterator:
            raise self.error


@asynccontextmanager
async def served(servicer: Faulty) -> AsyncIterator[grpc.aio.Channel]:
    server = Server([servicer], listen="127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            yield channel
    finally:
        await server.stop(0)


async def refusals(error: BaseException) -> list[grpc.aio.AioRpcError]:
    """What each kind of call ends with."""
    found = []
    async with served(Faulty(error)) as channel:
        stub = volumes_pb2_grpc.VolumesStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as unary:
            await stub.ListVolumes(volumes_pb2.ListVolumesRequest())
        found.append(unary.value)
        call = stub.ReadSlices(volumes_pb2.ReadSlicesRequest())
        assert (await call.read()).slice == 1
        with pytest.raises(grpc.aio.AioRpcError) as streamed:
            await call.read()
        found.append(streamed.value)
        with pytest.raises(grpc.aio.AioRpcError) as sent:
            await stub.Upload(iter([volumes_pb2.UploadRequest()]))
        found.append(sent.value)
    return found


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (errors.InvalidInput("No."), ("INVALID_ARGUMENT", "REQUEST_INVALID", 0)),
        (errors.InvalidInput("No – “ünïcode”.", Reason.FILE_TRUNCATED), ("INVALID_ARGUMENT", "FILE_TRUNCATED", 0)),
        (errors.ChoiceNeeded("No."), ("FAILED_PRECONDITION", "SEVERAL_SERIES", 0)),
        (OutOfSequence("No.", 7), ("FAILED_PRECONDITION", "SEQUENCE_GAP", 7)),
        (OutOfSequence("No.", 2**63, Reason.UPLOAD_OUT_OF_STEP), ("INVALID_ARGUMENT", "UPLOAD_OUT_OF_STEP", 2**63)),
        (errors.TooLarge("No."), ("RESOURCE_EXHAUSTED", "FILE_TOO_LARGE", 0)),
        (errors.Unauthenticated("No."), ("UNAUTHENTICATED", "NOT_SIGNED_IN", 0)),
        (errors.Forbidden("No."), ("PERMISSION_DENIED", "NOT_ALLOWED", 0)),
        (errors.NotFound("No."), ("NOT_FOUND", "OBJECT_NOT_FOUND", 0)),
        (errors.Conflict("No."), ("ABORTED", "OTHER_WRITER", 0)),
        (errors.Corrupt("No."), ("DATA_LOSS", "STORE_CORRUPT", 0)),
        (Unavailable("No."), ("UNAVAILABLE", "SERVICE_UNAVAILABLE", 0)),
        (CalqueError("No."), ("INTERNAL", "INTERNAL", 0)),
    ],
)
async def test_an_error_of_the_tree_arrives_as_it_is(error: CalqueError, expected: tuple[str, str, int]) -> None:
    for refused in await refusals(error):
        assert refusal(refused) == expected
        assert refused.details() == str(error)
        back = error_of(refused)
        assert (str(back), back.reason) == (str(error), error.reason)
        assert type(back) is type(error) or isinstance(error, OutOfSequence)
    assert status_code(error).name == expected[0]


def test_every_class_of_the_tree_has_a_status() -> None:
    tree = [kind for kind in CalqueError.__subclasses__() if kind.__module__ == errors.__name__]
    assert {kind.__name__ for kind in tree} == {
        "InvalidInput", "ChoiceNeeded", "OutOfSequence", "TooLarge", "Unauthenticated", "Forbidden", "NotFound", "Conflict",
        "Corrupt", "Idle", "Unavailable",
    }  # fmt: skip
    made = [kind("x", 1) if kind is OutOfSequence else kind("x") for kind in tree]
    assert status_code(CalqueError("x")) is grpc.StatusCode.INTERNAL
    assert grpc.StatusCode.INTERNAL not in {status_code(error) for error in made}


@pytest.mark.parametrize("error", [ZeroDivisionError(SECRET), KeyError(SECRET), MemoryError(SECRET), OSError(5, SECRET)])
async def test_a_fault_of_ours_tells_nothing_of_itself(error: Exception) -> None:
    for refused in await refusals(error):
        assert refusal(refused) == ("INTERNAL", "INTERNAL", 0)
        told = f"{refused.details()} {refused.trailing_metadata()}"
        assert "Secret" not in told
        assert type(error).__name__ not in told


async def test_a_call_that_the_client_leaves_is_left() -> None:
    servicer = Faulty(StopAsyncIteration())
    async with served(servicer) as channel:
        call = volumes_pb2_grpc.VolumesStub(channel).ReadSlices(volumes_pb2.ReadSlicesRequest())
        assert (await call.read()).slice == 1
        call.cancel()
        async with asyncio.timeout(20):
            await servicer.closed.wait()


async def test_health_can_be_asked_and_watched() -> None:
    async with served(Faulty(ZeroDivisionError())) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        states = health_pb2.HealthCheckResponse
        for name in ("", "calque.v1.Volumes"):
            answer = await stub.Check(health_pb2.HealthCheckRequest(service=name))
            assert answer.status == states.SERVING
        with pytest.raises(grpc.aio.AioRpcError) as unknown:
            await stub.Check(health_pb2.HealthCheckRequest(service="calque.v1.Nothing"))
        assert unknown.value.code() is grpc.StatusCode.NOT_FOUND
        watch = stub.Watch(health_pb2.HealthCheckRequest(service="calque.v1.Volumes"))
        assert (await watch.read()).status == states.SERVING
        watch.cancel()


class Moving(Faulty):
    """May run on something else than it began with."""

    runs_on = "CUDAExecutionProvider"

    async def begin(self, changed: Callable[[], Awaitable[None]]) -> None:
        self.changed = changed


async def test_health_names_what_a_service_runs_on_now() -> None:
    servicer = Moving(ZeroDivisionError())
    async with served(servicer) as channel:
        stub = health_pb2_grpc.HealthStub(channel)

        async def state(runs_on: str) -> str:
            answer = await stub.Check(health_pb2.HealthCheckRequest(service=f"calque.v1.Volumes/{runs_on}"))
            return health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)

        assert await state("CUDAExecutionProvider") == "SERVING"
        servicer.runs_on = "CPUExecutionProvider"
        await servicer.changed()
        assert await state("CPUExecutionProvider") == "SERVING"
        assert await state("CUDAExecutionProvider") == "NOT_SERVING"


async def test_a_call_that_no_service_has_is_unimplemented() -> None:
    async with served(Faulty(ZeroDivisionError())) as channel:
        call = channel.unary_unary("/calque.v1.Volumes/Nothing")
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call(b"")
    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_an_address_in_use_is_said_in_one_sentence() -> None:
    server = Server([], listen="127.0.0.1:0")
    await server.start()
    with pytest.raises(Unavailable, match="cannot be served on"):
        Server([], listen=f"127.0.0.1:{server.port}")
    await server.stop(0)


@pytest.mark.parametrize("form", ["people", "json"])
@pytest.mark.item(49)
def test_a_traceback_in_the_log_has_no_values(form: Any, monkeypatch) -> None:
    written = io.StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    try:
        configure(form)
        structlog.get_logger().error("failed", method="/x", exc_info=_fault())
    finally:
        structlog.reset_defaults()
    text = written.getvalue()
    assert "ZeroDivisionError" in text
    assert "KeyError" in text
    assert "_fault" in text
    assert "Secret" not in text
    if form == "json":
        (line,) = text.splitlines()
        assert json.loads(line)["event"] == "failed"


def _fault() -> Exception:
    patient = "".join(["Someone", "^", "Secret"])
    try:
        try:
            raise KeyError(patient)
        except KeyError:
            return ValueError(len(patient) / 0)
    except ZeroDivisionError as error:
        return error


@pytest.mark.parametrize("letter", ["x", "é", "%", "漢"])
async def test_a_long_sentence_is_cut_and_arrives(letter: str) -> None:
    choices = tuple(errors.Choice(str(n), letter * 60) for n in range(500))
    for call in await refusals(errors.ChoiceNeeded(letter * 9000, Reason.SEVERAL_SERIES, choices)):
        assert call.code() is grpc.StatusCode.FAILED_PRECONDITION
        assert re.fullmatch(rf"{letter}{{200,}} …", call.details())


async def test_choices_arrive_with_the_refusal() -> None:
    offered = errors.ChoiceNeeded("Choose.", Reason.SEVERAL_SERIES, (errors.Choice("a1", "T2, 30 images"),))
    assert [(choice.key, choice.text) for choice in error_info(offered).choices] == [("a1", "T2, 30 images")]
    many = errors.ChoiceNeeded("Choose.", Reason.SEVERAL_SERIES, tuple(errors.Choice(str(n), "x" * 60) for n in range(500)))
    for call in await refusals(many):
        assert refusal(call) == ("FAILED_PRECONDITION", "SEVERAL_SERIES", 0)
    assert 20 < len(error_info(many).choices) < 60
