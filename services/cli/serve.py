"""``calque serve``: one process with one or several services, until a signal."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import grpc

from services.serving.settings import Service, Settings


def run_services(settings: Settings, services: tuple[Service, ...], *, with_parent: bool = False) -> None:
    """Serve until SIGINT or SIGTERM, or, ``with_parent``, until standard input closes."""
    from services.serving.logs import configure

    configure(settings.log)
    asyncio.run(_serve(settings, services, with_parent))


async def _serve(settings: Settings, services: tuple[Service, ...], with_parent: bool) -> None:
    import structlog

    from services.serving.server import Register, Server
    from services.store.directory import DirectoryStore

    log = structlog.get_logger()
    store = await asyncio.to_thread(DirectoryStore, settings.store)
    await asyncio.to_thread(store.check)
    async with AsyncExitStack() as closing:
        registers: dict[str, Register] = {}
        unready: list[str] = []
        if "volumes" in services:
            registers["calque.v1.Volumes"] = _volumes(store, settings)
        if "segmentation" in services:
            registers["calque.v1.Segmentation"], close = _segmentation(store, settings)
            closing.push_async_callback(close)
        if "embedding" in services:
            registers["calque.v1.Embedding"], ready = await asyncio.to_thread(_embedding, settings)
            unready += [] if ready else ["calque.v1.Embedding"]
        server = Server(registers, listen=settings.listen)
        await server.start()
        closing.push_async_callback(server.stop)
        for name in unready:
            await server.set_serving(name, False)
        host = settings.listen.rpartition(":")[0]
        # The one line on standard output: who started us reads the port from it.
        print(f"Calque serves {', '.join(services)} on {host}:{server.port}", flush=True)
        log.info("serving", services=list(services), listen=f"{host}:{server.port}")
        await _until_told(with_parent)
        log.info("stopping")


def _volumes(store: object, settings: Settings) -> Callable[[grpc.aio.Server], None]:
    from calque.v1 import volumes_pb2_grpc

    from services.volumes.servicer import VolumesServicer

    servicer = VolumesServicer(store, settings)  # type: ignore[arg-type]
    return lambda server: volumes_pb2_grpc.add_VolumesServicer_to_server(servicer, server)


def _segmentation(
    store: object, settings: Settings
) -> tuple[Callable[[grpc.aio.Server], None], Callable[[], Awaitable[None]]]:
    from calque.v1 import segmentation_pb2_grpc

    from services.segmentation.servicer import SegmentationServicer

    servicer = SegmentationServicer(store, settings)  # type: ignore[arg-type]
    return lambda server: segmentation_pb2_grpc.add_SegmentationServicer_to_server(servicer, server), servicer.close


async def _until_told(with_parent: bool) -> None:
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, told.set)
    if with_parent:
        parent = loop.run_in_executor(None, sys.stdin.read)
        parent.add_done_callback(lambda _: told.set())
    await told.wait()
