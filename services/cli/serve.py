"""``calque serve``: one process with one or several services, until a signal."""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import nullcontext

from pydantic import ValidationError

from services.core.errors import InvalidInput
from services.serving.settings import Service, Settings

SERVICES: tuple[Service, ...] = ("volumes", "segmentation", "embedding")


def load_settings(**flags: object) -> Settings:
    """Settings from the environment with flags over them. Raises: InvalidInput, naming what is wrong."""
    try:
        return Settings(**flags)  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]) if first["loc"] else "?"
        raise InvalidInput(f"The setting {name} (CALQUE_{name.upper()}) is not usable: {first['msg']}.") from error


def run_services(settings: Settings, services: tuple[Service, ...], *, with_parent: bool = False) -> None:
    """Serve until SIGINT or SIGTERM, or, ``with_parent``, until standard input closes."""
    from services.serving.logs import configure

    configure(settings.log)
    asyncio.run(_serve(settings, services, with_parent))


async def _serve(settings: Settings, services: tuple[Service, ...], with_parent: bool) -> None:
    import structlog

    from services.cli.store import kept_tidy, open_store
    from services.core.scratch import clean_scratch, scratch_folder
    from services.serving.audit import Recorder
    from services.serving.identity.authentication import access, service_secret, way_of
    from services.serving.identity.local import IdentityServicer
    from services.serving.limits import Limits
    from services.serving.metrics import exposed
    from services.serving.server import Server, Servicer
    from services.serving.tls import check_reach, server_credentials
    from services.store.audit import Trail
    from services.store.audit_spool import SpooledTrail
    from services.store.layout import settle_layout

    log = structlog.get_logger()
    told = await _end_asked_for(with_parent)
    secret = service_secret(settings)
    allowed = access(settings, secret)
    credentials = server_credentials(settings)
    check_reach(settings.listen, encrypted=credentials is not None, asked=allowed.authenticate is not None)
    if credentials is None:
        log.warning("connections are not encrypted, as CALQUE_TLS says")
    store = open_store(settings)
    store.check()
    settle_layout(store)
    if left := clean_scratch():
        log.info("removed temporary files of a process that was stopped", folders=left)
    trail = SpooledTrail(Trail(store), settings.audit_folder)
    recorder = Recorder(trail)
    servicers: list[Servicer] = []
    if allowed.local or settings.oidc_issuer:
        servicers.append(IdentityServicer(allowed.local, recorder, way=way_of(settings)))
    if "volumes" in services:
        from services.volumes.servicer import VolumesServicer

        servicers.append(VolumesServicer(store, settings, recorder))
    if "segmentation" in services:
        from services.segmentation.servicer import SegmentationServicer

        segmentation = SegmentationServicer(store, settings, recorder, secret)
        servicers.append(segmentation)
    if "embedding" in services:
        from services.embedding.servicer import EmbeddingServicer

        servicers.append(EmbeddingServicer.configured(store, settings))
    limits = Limits(settings.streams_per_user, settings.stream_idle_seconds, settings.upload_idle_seconds)
    server = Server(
        servicers, listen=settings.listen, authenticate=allowed.authenticate, credentials=credentials, limits=limits
    )
    address = f"{settings.listen.rpartition(':')[0]}:{server.port}"
    both = "segmentation" in services and "embedding" in services
    # Within the process nothing is encrypted: where the port is, they meet in a folder that only this user may enter.
    private = scratch_folder() if both and credentials else nullcontext()
    # One kind of service does it for all; several at once do no harm.
    tidying = kept_tidy(store, settings.tidy_days) if "segmentation" in services else nullcontext()
    with exposed(settings.metrics) if settings.metrics else nullcontext("") as metrics, tidying, private as folder:
        if both:
            within = f"unix:{folder}/embedding" if folder else from_here(address)
            if folder:
                server.answer_on(within)
            segmentation.embedding.connect(within)
        await server.start()
        # The one line on standard output: who started us reads the address from it.
        print(f"Calque serves {', '.join(services)} on {address}", flush=True)
        log.info("serving", services=list(services), listen=address, **({"metrics": metrics} if metrics else {}))
        try:
            await told.wait()
        finally:
            log.info("stopping")
            await server.stop()
            await asyncio.to_thread(trail.close)


def from_here(address: str) -> str:
    """Where this process reaches what it serves on an address, which may be that of every interface."""
    host, _, port = address.rpartition(":")
    return f"localhost:{port}" if host in ("0.0.0.0", "[::]") else address


async def _end_asked_for(with_parent: bool) -> asyncio.Event:
    """Set by a signal, or when standard input closes; listened to before anything is started."""
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, told.set)
    if with_parent:
        await loop.connect_read_pipe(lambda: _UntilClosed(told), sys.stdin)
    return told


class _UntilClosed(asyncio.Protocol):
    """Reads a pipe only to learn when it closes."""

    def __init__(self, told: asyncio.Event) -> None:
        self._told = told

    def connection_lost(self, exc: Exception | None) -> None:
        self._told.set()
