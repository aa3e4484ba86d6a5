"""What interceptors share: a handler of a call with another behaviour in place of its own."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Any

import grpc

Continuation = Callable[[grpc.HandlerCallDetails], Awaitable["grpc.RpcMethodHandler[Any, Any] | None"]]
Unary = Callable[[Any, Any], Awaitable[Any]]
Streaming = Callable[[Any, Any], AsyncGenerator[Any, None]]


def wrapped(
    handler: grpc.RpcMethodHandler[Any, Any],
    unary: Callable[[Unary], Unary],
    streaming: Callable[[Streaming], Callable[[Any, Any], AsyncIterator[Any]]],
) -> grpc.RpcMethodHandler[Any, Any]:
    """A handler that does the same within another behaviour.

    Args:
        handler: of any of the four kinds of calls.
        unary: wraps a behaviour that returns its answer, or writes its answers to the context, as health's Watch does.
        streaming: wraps one that yields its answers.
    """
    any_handler: Any = handler  # its attributes are not typed
    make: Any = {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (False, True): grpc.unary_stream_rpc_method_handler,
        (True, False): grpc.stream_unary_rpc_method_handler,
        (True, True): grpc.stream_stream_rpc_method_handler,
    }[any_handler.request_streaming, any_handler.response_streaming]
    kinds = (any_handler.request_streaming, any_handler.response_streaming)
    behaviour = getattr(any_handler, "_".join("stream" if streams else "unary" for streams in kinds))
    within = streaming(behaviour) if inspect.isasyncgenfunction(behaviour) else unary(behaviour)
    made: grpc.RpcMethodHandler[Any, Any] = make(within, any_handler.request_deserializer, any_handler.response_serializer)
    return made


def is_stream(handler: grpc.RpcMethodHandler[Any, Any]) -> bool:
    """Whether requests or answers of its calls are streamed."""
    any_handler: Any = handler
    return bool(any_handler.request_streaming or any_handler.response_streaming)
