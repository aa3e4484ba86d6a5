"""One gRPC server for one or several services, with health for each."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import grpc
import structlog
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from services.core.errors import Reason, Unavailable
from services.serving.status import ErrorInterceptor

log = structlog.get_logger()

MESSAGE_LIMIT_BYTES = 8 << 20

_OPTIONS = [
    ("grpc.max_receive_message_length", MESSAGE_LIMIT_BYTES),
    ("grpc.max_send_message_length", MESSAGE_LIMIT_BYTES),
    # A tablet that sleeps and wakes may ping every 20 s; without this the server would punish it.
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 20_000),
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    # One port, one server: without this a second server on the same port would silently share its calls.
    ("grpc.so_reuseport", 0),
]

Register = Callable[[grpc.aio.Server], None]
"""Adds a servicer to a server."""


class Server:
    """A gRPC server on ``listen`` (``host:port``) with the given services, by their full names (``calque.v1.Volumes``)."""

    def __init__(self, services: Mapping[str, Register], *, listen: str) -> None:
        self._server = grpc.aio.server(interceptors=[ErrorInterceptor()], options=_OPTIONS)
        self._names = list(services)
        self._health = health.aio.HealthServicer()
        for register in services.values():
            register(self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        try:
            self.port = self._server.add_insecure_port(listen)
        except RuntimeError as error:
            raise Unavailable(
                f"The address {listen} cannot be served on; is it in use?", Reason.SERVICE_UNAVAILABLE
            ) from error

    async def start(self) -> None:
        """Begin to answer; every service reports SERVING."""
        await self._server.start()
        for name in ["", *self._names]:
            await self.set_serving(name, True)

    async def set_serving(self, name: str, serving: bool) -> None:
        """Report a service as SERVING or NOT_SERVING; the empty name is the server as a whole."""
        states = health_pb2.HealthCheckResponse
        await self._health.set(name, states.SERVING if serving else states.NOT_SERVING)

    async def stop(self, grace_s: float = 2.0) -> None:
        """Report NOT_SERVING, let running calls end for a while, then close."""
        await self._health.enter_graceful_shutdown()
        await self._server.stop(grace_s)

    async def wait(self) -> None:
        """Until the server is stopped."""
        await self._server.wait_for_termination()
