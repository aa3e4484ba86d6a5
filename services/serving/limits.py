"""What one caller may take: streams at once, and time in which nothing comes."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import grpc

from services.core.errors import Idle, Reason, TooLarge
from services.serving.caller import LOCAL_USER, caller
from services.serving.handlers import Continuation, Streaming, Unary, is_stream, wrapped
from services.serving.identity.users import SERVICE_USER

UPLOADS = {"/calque.v1.Volumes/Upload", "/calque.v1.Segmentation/UploadMask"}
"""Calls that bring files."""
SLOWEST_UPLOAD_BYTES = 64 << 10
"""An upload must bring so many in its time, or be at its end."""
CALLS_AT_ONCE = 128
"""Most calls at once on one connection."""


@dataclass(frozen=True)
class Limits:
    """Limits of a server.

    Attributes:
        streams: that one user may have open at once.
        stream_idle_s: seconds in which a client must send something on a stream.
        upload_idle_s: seconds in which an upload must bring `SLOWEST_UPLOAD_BYTES`.
        ping_s: seconds in which a client must answer a ping; gRPC sends one to who breaks off calls.
    """

    streams: int = 32
    stream_idle_s: float = 3600.0
    upload_idle_s: float = 60.0
    ping_s: float = 20.0

    def options(self) -> list[tuple[str, int]]:
        """gRPC's own, against floods: who pings too often, or breaks off too many calls, gets a GOAWAY."""
        return [
            ("grpc.max_concurrent_streams", CALLS_AT_ONCE),
            # A tablet that sleeps and wakes may ping every 20 s; without this the server would punish it.
            ("grpc.http2.min_recv_ping_interval_without_data_ms", 20_000),
            ("grpc.keepalive_time_ms", 60_000),
            ("grpc.keepalive_timeout_ms", 20_000),
            # Each call that is broken off is followed by a ping, and no new one is taken up before it is answered.
            ("grpc.http2.ping_on_rst_stream_percent", 100),
            ("grpc.http2.ping_timeout_ms", round(self.ping_s * 1000)),
        ]


class LimitInterceptor(grpc.aio.ServerInterceptor):
    """Holds streams to their limits. Comes after whoever says who calls."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._streams: Counter[str] = Counter()

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None or not is_stream(handler) or not method.startswith("/calque."):
            return handler
        sends = bool(getattr(handler, "request_streaming", False))
        taken = partial(self._timely, method in UPLOADS) if sends else _as_it_is
        return wrapped(handler, partial(self._unary, taken), partial(self._streaming, taken))

    def _unary(self, taken: Any, behaviour: Unary) -> Unary:
        async def call(request: Any, context: Any) -> Any:
            with self._counted():
                return await behaviour(taken(request), context)

        return call

    def _streaming(self, taken: Any, behaviour: Streaming) -> Streaming:
        async def call(request: Any, context: Any) -> AsyncGenerator[Any, None]:
            with self._counted():
                async with aclosing(behaviour(taken(request), context)) as responses:
                    async for response in responses:
                        yield response

        return call

    @contextmanager
    def _counted(self) -> Iterator[None]:
        """One stream more of the caller's. Raises: TooLarge."""
        user = caller().user
        if user in (LOCAL_USER, SERVICE_USER):  # everybody's, where nobody is asked who calls
            yield
            return
        if self._streams[user] >= self._limits.streams:
            raise TooLarge("You have too many streams open at once; close some of them.", Reason.TOO_MANY_STREAMS)
        self._streams[user] += 1
        try:
            yield
        finally:
            self._streams[user] -= 1
            if not self._streams[user]:
                del self._streams[user]

    async def _timely(self, upload: bool, requests: AsyncIterator[Any]) -> AsyncGenerator[Any, None]:
        """Requests as they come. Raises: Idle, when they do not: only the time that we wait for the client counts."""
        limits, clock = self._limits, asyncio.get_running_loop().time
        seconds, least = (limits.upload_idle_s, SLOWEST_UPLOAD_BYTES) if upload else (limits.stream_idle_s, 1)
        left, came = seconds, 0
        while True:
            began = clock()
            try:
                async with asyncio.timeout(left):
                    request = await anext(requests, None)
            except TimeoutError:
                raise Idle("Too little came for too long, so that the stream was closed; open it again.") from None
            if request is None:
                return
            left, came = left - (clock() - began), came + max(request.ByteSize(), 1)
            if came >= least:
                left, came = seconds, 0
            yield request


def _as_it_is(request: Any) -> Any:
    return request
