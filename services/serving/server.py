"""One gRPC server for one or several services, with health for each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Protocol, runtime_checkable

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from services.core.errors import Reason, Unavailable
from services.serving.identity.interceptor import Authenticate, CallerInterceptor
from services.serving.limits import LimitInterceptor, Limits
from services.serving.status import ErrorInterceptor

MESSAGE_LIMIT_BYTES = 8 << 20

_OPTIONS = [
    ("grpc.max_receive_message_length", MESSAGE_LIMIT_BYTES),
    ("grpc.max_send_message_length", MESSAGE_LIMIT_BYTES),
    # One port, one server: without this a second server on the same port would silently share its calls.
    ("grpc.so_reuseport", 0),
]


class Servicer(Protocol):
    """What a room gives to be served."""

    name: str
    """Full name of the service: ``calque.v1.Volumes``."""

    @property
    def serving(self) -> bool:
        """Whether it can answer now; health says so."""
        ...

    @property
    def runs_on(self) -> str:
        """What it really runs on, where that is in question, such as CUDAExecutionProvider; else empty."""
        ...

    def register(self, server: grpc.aio.Server) -> None:
        """Add itself to a server."""
        ...

    async def close(self) -> None:
        """Let go of threads and caches."""
        ...


@runtime_checkable
class Changing(Protocol):
    """A servicer that may come to serve, or to run on something else, while it is served."""

    async def begin(self, changed: Callable[[], Awaitable[None]]) -> None:
        """Begin to watch for it, until closed; ``changed`` is to be called when it happened."""
        ...


class Server:
    """A gRPC server on ``listen`` (``host:port``).

    Args:
        authenticate: says who calls; None: nobody is asked who they are.
        credentials: that the server proves itself with; None: connections are not encrypted.
        limits: of what one caller may take.

    Raises:
        Unavailable: the address cannot be had.
    """

    def __init__(
        self,
        servicers: Sequence[Servicer],
        *,
        listen: str,
        authenticate: Authenticate | None = None,
        credentials: grpc.ServerCredentials | None = None,
        limits: Limits | None = None,
    ) -> None:
        limits = limits or Limits()
        interceptors = [ErrorInterceptor(), CallerInterceptor(authenticate), LimitInterceptor(limits)]
        self._server = grpc.aio.server(interceptors=interceptors, options=[*_OPTIONS, *limits.options()])
        self._servicers = servicers
        self._ran_on: dict[str, str] = {}
        self._health = health.aio.HealthServicer()
        for servicer in servicers:
            servicer.register(self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        self.port = self.answer_on(listen, credentials)

    def answer_on(self, listen: str, credentials: grpc.ServerCredentials | None = None) -> int:
        """Answer on one more address, before the start. Returns its port. Raises: Unavailable: it cannot be had."""
        try:
            if credentials is None:
                return self._server.add_insecure_port(listen)
            return self._server.add_secure_port(listen, credentials)
        except RuntimeError as error:
            message = f"The address {listen} cannot be served on; is it in use?"
            raise Unavailable(message, Reason.SERVICE_UNAVAILABLE) from error

    async def start(self) -> None:
        """Begin to answer, and tell health of each service, and of the server as a whole under the empty name.

        What a service really runs on is a name of its own, ``calque.v1.Embedding/CPUExecutionProvider``: a probe of another
        provider's name gets NOT_FOUND, or NOT_SERVING where it ran on that before.
        """
        await self._server.start()
        await self._health.set("", health_pb2.HealthCheckResponse.SERVING)
        for servicer in self._servicers:
            await self._tell(servicer)
            if isinstance(servicer, Changing):
                await servicer.begin(partial(self._tell, servicer))

    async def _tell(self, servicer: Servicer) -> None:
        states = health_pb2.HealthCheckResponse
        await self._health.set(servicer.name, states.SERVING if servicer.serving else states.NOT_SERVING)
        before, now = self._ran_on.get(servicer.name), servicer.runs_on
        if before and before != now:
            await self._health.set(f"{servicer.name}/{before}", states.NOT_SERVING)
        if now:
            await self._health.set(f"{servicer.name}/{now}", states.SERVING)
        self._ran_on[servicer.name] = now

    async def stop(self, grace_s: float = 2.0) -> None:
        """Report NOT_SERVING, let running calls end for a while, then close everything."""
        await self._health.enter_graceful_shutdown()
        await self._server.stop(grace_s)
        for servicer in self._servicers:
            await servicer.close()
