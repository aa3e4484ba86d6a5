"""``calque health``: whether services answer, for whoever starts and watches them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from services.cli.signin import DEFAULT_SERVER, Server


def health(
    service: Annotated[list[str] | None, typer.Argument(help="volumes, segmentation, embedding; none: the server.")] = None,
    server: Server = DEFAULT_SERVER,
    certificate: Annotated[Path | None, typer.Option(help="Certificates (PEM) that vouch for this server.")] = None,
    seconds: Annotated[float, typer.Option(help="How long an answer is waited for.")] = 5.0,
) -> None:
    """Say whether services answer and can work (exit status 0), or not (2), as an image's health check asks."""
    import grpc
    from grpc_health.v1 import health_pb2

    from services.cli.reach import client
    from services.core.errors import Reason, Unavailable

    caller = client(server, certificate)
    try:
        check = caller.channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        for name in service or [""]:
            full = f"calque.v1.{name.capitalize()}" if name else ""
            try:
                status = check(health_pb2.HealthCheckRequest(service=full), timeout=seconds).status
            except grpc.RpcError as error:
                message = f"{name or 'The server'} does not answer ({error.code().name})."
                raise Unavailable(message, Reason.SERVICE_UNAVAILABLE) from error
            if status != health_pb2.HealthCheckResponse.SERVING:
                raise Unavailable(f"{name or 'The server'} answers, and cannot work.", Reason.SERVICE_UNAVAILABLE)
    finally:
        caller.close()
    print(f"{', '.join(service or ['The server'])}: serving.")
