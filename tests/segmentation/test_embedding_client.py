"""The segmentation's side of the embedding service over a real connection: what it gets, and what keeps it from it."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from services.core.errors import ChoiceNeeded, InvalidInput, Reason, TooLarge, Unavailable
from services.embedding.encoder import Encoder
from services.embedding.held import Held
from services.embedding.servicer import EmbeddingServicer
from services.segmentation.embedding_client import EmbeddingClient
from services.serving.server import Server
from services.store.directory import DirectoryStore
from services.store.models import Models
from tests.encoders import naive_features, small_model
from tests.served import SECONDS

# Time that a busy machine may take beyond a deadline, to run the thread that waited.
SLACK_S = 2.0


def image(seed: int, rows: int = 13, columns: int = 22) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (rows, columns)).astype(np.uint8)


def held(**changes: Any) -> Held:
    return Held(Encoder.load(small_model(**changes).SerializeToString()))


@asynccontextmanager
async def embedding(held: Held, port: int = 0) -> AsyncIterator[int]:
    """The service on loopback. Gives its port."""
    server = Server([EmbeddingServicer(held, look_s=0.01)], listen=f"127.0.0.1:{port}")
    await server.start()
    try:
        yield server.port
    finally:
        await server.stop(0)


def calling(port: int) -> closing[EmbeddingClient]:
    return closing(EmbeddingClient(f"127.0.0.1:{port}"))


async def test_threads_that_share_a_client_each_get_the_features_of_their_slice() -> None:
    async with embedding(held()) as port:

        def ask() -> None:
            with calling(port) as client, ThreadPoolExecutor(4) as threads:
                model = client.model()
                assert (model.name, model.channels, model.stride, len(model.digest)) == ("small", 3, 4, 64)
                slices = [image(seed, 9 + seed, 40 - seed) for seed in range(12)]
                for pixels, found in zip(slices, threads.map(lambda s: client.embed(s, model, SECONDS), slices)):
                    assert found.dtype == np.float16
                    np.testing.assert_allclose(found, naive_features(pixels), rtol=2**-11, atol=1e-6)

        await asyncio.to_thread(ask)


async def test_an_answer_of_several_parts_is_put_together() -> None:
    weights, large = np.random.default_rng(0).random((1, 512)), image(0, 8 * 90, 8 * 92)
    async with embedding(held(weights=weights, stride=8)) as port:
        with calling(port) as client:
            model = await asyncio.to_thread(client.model)
            features = await asyncio.to_thread(client.embed, large, model, SECONDS)
    np.testing.assert_allclose(features, naive_features(large, weights, 8), rtol=2**-11, atol=1e-6)


async def test_without_a_model_the_service_says_so() -> None:
    async with embedding(Held()) as port:
        with calling(port) as client, pytest.raises(ChoiceNeeded, match="No model") as refused:
            await asyncio.to_thread(client.model)
    assert refused.value.reason is Reason.MODEL_NOT_USABLE


async def test_a_slice_that_the_service_refuses_is_refused_with_its_words() -> None:
    async with embedding(held()) as port:
        with calling(port) as client:
            model = await asyncio.to_thread(client.model)
            with pytest.raises(InvalidInput, match="no pixels"):
                await asyncio.to_thread(client.embed, image(0, 0, 4), model, SECONDS)
            with pytest.raises(TooLarge, match="too large"):
                await asyncio.to_thread(client.embed, np.zeros((3000, 3000), np.uint8), model, SECONDS)


async def test_where_nobody_listens_it_is_known_at_once_and_a_service_that_comes_is_found() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
    with calling(port) as client:
        started = time.monotonic()
        with pytest.raises(Unavailable, match="does not answer"):
            await asyncio.to_thread(client.model, SECONDS)
        assert time.monotonic() - started < SLACK_S

        for _ in range(2):  # it comes, goes and comes again
            async with embedding(held(), port):
                model = await asyncio.to_thread(found, client)
                assert (await asyncio.to_thread(client.embed, image(0), model, SECONDS)).shape == (4, 6, 3)
            with pytest.raises(Unavailable):
                await asyncio.to_thread(client.embed, image(0), model, SECONDS)


def found(client: EmbeddingClient) -> Any:
    """The model, asked for until somebody answers."""
    until = time.monotonic() + SECONDS
    while True:
        try:
            return client.model()
        except Unavailable:
            assert time.monotonic() < until
            time.sleep(0.02)


def test_a_listener_that_never_answers_holds_nobody_beyond_the_deadline() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as silent, calling(silent.getsockname()[1]) as client:
        started = time.monotonic()
        with pytest.raises(Unavailable, match="in time"):
            client.model(0.2)
        assert 0.1 < time.monotonic() - started < 0.2 + SLACK_S


async def test_a_slow_model_holds_nobody_beyond_the_deadline() -> None:
    white = image(0)
    white[5, 5] = 255
    async with embedding(held(slow=True)) as port:
        with calling(port) as client:
            model = await asyncio.to_thread(client.model)
            started = time.monotonic()
            with pytest.raises(Unavailable, match="in time"):
                await asyncio.to_thread(client.embed, white, model, 0.2)
            assert time.monotonic() - started < 0.2 + SLACK_S
            features = await asyncio.to_thread(client.embed, image(0), model, SECONDS)
    assert features.shape == (4, 6, 3)


async def test_a_connection_that_breaks_in_mid_answer_is_told_and_made_again() -> None:
    large = image(1, 600, 600)  # some 100 kB of features
    async with embedding(held()) as port, cut(port, after_bytes=20_000) as broken:
        with calling(broken) as client:
            model = await asyncio.to_thread(client.model)
            with pytest.raises(Unavailable, match="does not answer"):
                await asyncio.to_thread(client.embed, large, model, SECONDS)
            assert await asyncio.to_thread(found, client) == model
            features = await asyncio.to_thread(client.embed, large, model, SECONDS)
    np.testing.assert_allclose(features, naive_features(large), rtol=2**-11, atol=1e-6)


@asynccontextmanager
async def cut(port: int, after_bytes: int) -> AsyncIterator[int]:
    """A way to the service whose first connection breaks once it answered so many bytes. Gives its port."""
    left = [after_bytes]
    tasks = set()

    async def both(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())
        limit, left[:] = (left or [None])[0], []
        there, away = await asyncio.open_connection("127.0.0.1", port)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(pump(reader, away, None))
                group.create_task(pump(there, writer, limit))
        except* ConnectionError:
            pass
        finally:
            writer.transport.abort()
            away.transport.abort()

    server = await asyncio.start_server(both, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await asyncio.gather(*tasks)  # each ends with its client


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, limit: int | None) -> None:
    """Hand bytes on until they end, or so many went: then both directions break."""
    passed = 0
    while data := await reader.read(8192):
        passed += len(data)
        if limit is not None and passed > limit:
            break
        writer.write(data)
        await writer.drain()
    raise ConnectionResetError


async def test_features_of_another_model_than_was_meant_are_never_given(tmp_path: Path) -> None:
    models = Models(DirectoryStore(tmp_path))

    def put(weights: np.ndarray) -> str:
        digest = models.add(small_model(weights=weights).SerializeToString(), {})
        models.promote(digest, why="", set_ms=0)
        return digest

    put(np.ones((1, 3)))
    here = Held(models=models)
    here.look()
    async with embedding(here) as port:
        with calling(port) as client:
            first = await asyncio.to_thread(client.model)
            assert (await asyncio.to_thread(client.embed, image(0), first, SECONDS)).shape == (4, 6, 3)
            digest = await asyncio.to_thread(put, np.ones((1, 5)))
            async with asyncio.timeout(SECONDS):
                while (second := await asyncio.to_thread(client.model)).digest != digest:
                    pass
            with pytest.raises(ChoiceNeeded, match="another one was asked for") as refused:
                await asyncio.to_thread(client.embed, image(0), first, SECONDS)
            features = await asyncio.to_thread(client.embed, image(0), second, SECONDS)
    assert refused.value.reason is Reason.MODEL_NOT_USABLE
    np.testing.assert_allclose(features, naive_features(image(0), np.ones((1, 5))), rtol=2**-11)


def test_after_closing_nobody_waits() -> None:
    client = EmbeddingClient("127.0.0.1:1")
    client.close()
    with pytest.raises(Unavailable, match="closed"):
        client.model()
