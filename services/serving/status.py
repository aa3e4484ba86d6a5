"""From the tree of errors to gRPC statuses, and back where one service asks another: the only place where this is done.

A failed call gets the status of its class in the tree and, in ``google.rpc.Status.details``, a ``calque.v1.ErrorInfo``.
What is not in the tree is a fault of ours: INTERNAL, with the traceback in the log and none of it on the wire.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, contextmanager
from functools import partial
from itertools import accumulate
from typing import Any

import grpc
import structlog
from calque.v1 import common_pb2
from google.protobuf import any_pb2
from google.rpc import status_pb2
from grpc_status import rpc_status

from services.core import errors
from services.serving import metrics
from services.serving.handlers import Continuation, Streaming, Unary, wrapped

log = structlog.get_logger()

# A status travels in headers, and gRPC ends a call, or the whole connection, whose headers are above 8 KiB.
MESSAGE_LIMIT_BYTES = 4 << 10
CHOICES_LIMIT_BYTES = 2 << 10

CODES: dict[type[errors.CalqueError], grpc.StatusCode] = {
    errors.InvalidInput: grpc.StatusCode.INVALID_ARGUMENT,
    errors.ChoiceNeeded: grpc.StatusCode.FAILED_PRECONDITION,
    errors.OutOfSequence: grpc.StatusCode.FAILED_PRECONDITION,
    errors.TooLarge: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.Unauthenticated: grpc.StatusCode.UNAUTHENTICATED,
    errors.Forbidden: grpc.StatusCode.PERMISSION_DENIED,
    errors.NotFound: grpc.StatusCode.NOT_FOUND,
    errors.Conflict: grpc.StatusCode.ABORTED,
    errors.Corrupt: grpc.StatusCode.DATA_LOSS,
    errors.Idle: grpc.StatusCode.DEADLINE_EXCEEDED,
    errors.Unavailable: grpc.StatusCode.UNAVAILABLE,
}
# An upload's chunk out of step and a refused stroke are the sender's fault, though they name what is expected.
_SENDERS_FAULT = {errors.Reason.UPLOAD_OUT_OF_STEP, errors.Reason.STROKE_INVALID, errors.Reason.LABEL_UNKNOWN}


def status_code(error: errors.CalqueError) -> grpc.StatusCode:
    """The gRPC status of an error of the tree."""
    if isinstance(error, errors.OutOfSequence) and error.reason in _SENDERS_FAULT:
        return grpc.StatusCode.INVALID_ARGUMENT
    return next((CODES[kind] for kind in type(error).__mro__ if kind in CODES), grpc.StatusCode.INTERNAL)


def error_info(error: errors.CalqueError) -> common_pb2.ErrorInfo:
    """The error as the contract has it."""
    return common_pb2.ErrorInfo(
        reason=error.reason.value,
        message=_fitting(str(error)),
        expected=error.expected if isinstance(error, errors.OutOfSequence) else 0,
        choices=_choices(error) if isinstance(error, errors.ChoiceNeeded) else [],
    )


def error_of(failed: Any) -> errors.CalqueError:
    """The error of the tree that another service ended a call with; where it gave none, that it is `Unavailable`.

    Args:
        failed: the `grpc.RpcError` that the call raised, which is a `grpc.Call` too.
    """
    info = common_pb2.ErrorInfo()
    details = rpc_status.from_call(failed)
    if details is None or not any(detail.Unpack(info) for detail in details.details):
        late = failed.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        return errors.Unavailable(f"The other service {'did not answer in time' if late else 'does not answer'}.")
    kinds = {code: kind for kind, code in CODES.items() if kind is not errors.OutOfSequence}
    reasons = {value.number: value.name for value in common_pb2.Reason.DESCRIPTOR.values}
    name = reasons.get(info.reason, "")  # a later version may have more of them
    known = errors.Reason(name) if name in errors.Reason.__members__ else None
    return kinds.get(failed.code(), errors.CalqueError)(info.message, known)


def _choices(error: errors.ChoiceNeeded) -> list[common_pb2.Choice]:
    """As many as fit into a status beside the message."""
    choices = [common_pb2.Choice(key=choice.key, text=choice.text) for choice in error.choices]
    sizes = accumulate(choice.ByteSize() for choice in choices)
    return [choice for choice, size in zip(choices, sizes) if size <= CHOICES_LIMIT_BYTES]


def _fitting(message: str) -> str:
    """A message, cut where it would fill the status."""
    kept = sum(1 for used in accumulate(map(_in_headers, message)) if used <= MESSAGE_LIMIT_BYTES)
    return message if kept == len(message) else f"{message[:kept]} …"


def _in_headers(character: str) -> float:
    """Bytes that a character of a message takes: percent-encoded once, and twice in the details, which are in base64."""
    size = len(character.encode())
    return (1 if " " <= character <= "~" and character != "%" else 3 * size) + 2 * size * 4 / 3


async def abort(context: grpc.aio.ServicerContext[Any, Any], error: errors.CalqueError) -> None:
    """End a call with the error's status and details."""
    detail = any_pb2.Any()
    info = error_info(error)
    detail.Pack(info)
    status = status_pb2.Status(code=status_code(error).value[0], message=info.message, details=[detail])
    rich = rpc_status.to_status(status)
    await context.abort(rich.code, rich.details, rich.trailing_metadata)


class ErrorInterceptor(grpc.aio.ServerInterceptor):
    """Ends every call that raises, as this module says. Servicers only raise."""

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        return handler and wrapped(handler, partial(_unary, method), partial(_streaming, method))


def _unary(method: str, behaviour: Unary) -> Unary:
    async def call(request: Any, context: Any) -> Any:
        with _counted(method, context):
            try:
                return await behaviour(request, context)
            except errors.CalqueError as error:
                await _refuse(context, method, error)
            except Exception as error:  # a fault of ours: the client gets a sentence, the log gets the rest
                await _fail(context, method, error)

    return call


def _streaming(method: str, behaviour: Streaming) -> Callable[[Any, Any], AsyncIterator[Any]]:
    async def call(request: Any, context: Any) -> AsyncIterator[Any]:
        with _counted(method, context):
            try:
                async with aclosing(behaviour(request, context)) as responses:
                    async for response in responses:
                        yield response
            except errors.CalqueError as error:
                await _refuse(context, method, error)
            except Exception as error:  # a fault of ours: the client gets a sentence, the log gets the rest
                await _fail(context, method, error)

    return call


@contextmanager
def _counted(method: str, context: Any) -> Iterator[None]:
    """Note how long a call took, and how it ended."""
    started, status = time.perf_counter(), None
    try:
        yield
    except (asyncio.CancelledError, GeneratorExit):
        status = grpc.StatusCode.CANCELLED
        raise
    finally:
        ended = status or context.code() or grpc.StatusCode.OK  # no code: nothing was said against it
        metrics.CALL_SECONDS.labels(method.removeprefix("/"), ended.name).observe(time.perf_counter() - started)


async def _refuse(context: Any, method: str, error: errors.CalqueError) -> None:
    log.info("refused", method=method, reason=error.reason.value)
    await abort(context, error)


async def _fail(context: Any, method: str, error: Exception) -> None:
    if isinstance(error, grpc.aio.AbortError):
        raise error
    log.error("failed", method=method, exc_info=error)
    await abort(context, errors.CalqueError("The server met a fault of its own; its log has the details."))
