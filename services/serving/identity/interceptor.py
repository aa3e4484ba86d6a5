"""Before a call is answered: who makes it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import grpc

from services.serving.caller import LOCAL_USER, Caller, Role, set_caller
from services.serving.handlers import Continuation, Streaming, Unary, wrapped

_HEALTH = "/grpc.health.v1.Health/"


class CallerInterceptor(grpc.aio.ServerInterceptor):
    """Tells every handler who calls, by `services.serving.caller.caller`; health may be asked by anybody."""

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        handler = await continuation(handler_call_details)
        if handler is None or handler_call_details.method.startswith(_HEALTH):
            return handler
        return wrapped(handler, _unary, _streaming)


def _caller(context: Any) -> Caller:
    return Caller(LOCAL_USER, context.peer(), frozenset(Role))


def _unary(behaviour: Unary) -> Unary:
    async def call(request: Any, context: Any) -> Any:
        set_caller(_caller(context))
        return await behaviour(request, context)

    return call


def _streaming(behaviour: Streaming) -> Streaming:
    async def call(request: Any, context: Any) -> AsyncGenerator[Any]:
        set_caller(_caller(context))
        async with aclosing(behaviour(request, context)) as responses:
            async for response in responses:
                yield response

    return call
