"""The contract's embedding service (``calque/v1/embedding.proto``): translates messages, runs the encoder in a thread."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
from calque import wire
from calque.v1 import embedding_pb2, embedding_pb2_grpc

from services.core.errors import ChoiceNeeded, InvalidInput, Reason, Unavailable
from services.embedding.answers import Answer, bytes_of
from services.embedding.encoder import Encoder
from services.embedding.held import Held
from services.store.models import Models
from services.store.port import Store

# Slices and features of all streams together, from the request until the answer was sent.
AT_WORK_BYTES = 1 << 30


class EmbeddingServicer(embedding_pb2_grpc.EmbeddingServicer):
    """Answers with one encoder at a time, or says of every call why there is none.

    One thread runs the network for all streams, which uses the cores itself; the event loop never waits for it.

    Args:
        held: the encoder that answers now.
        look_s: seconds between looks for another one.
    """

    name = embedding_pb2.DESCRIPTOR.services_by_name["Embedding"].full_name

    def __init__(self, held: Held, look_s: float = 10.0) -> None:
        self._held, self._look_s = held, look_s
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="embedding")
        self._at_work_bytes = 0
        self._watching: asyncio.Task[None] | None = None

    @classmethod
    def configured(cls, store: Store, model: Path | None, digest: str = "", threads: int = 0) -> EmbeddingServicer:
        """A servicer with the configured model, or without one with the model that counts in the store."""
        if model is not None:
            return cls(Held.of_file(model, digest, threads))
        held = Held(models=Models(store), threads=threads)
        held.look()
        return cls(held)

    @property
    def serving(self) -> bool:
        """Whether there is a model; what health reports."""
        return self._held.encoder is not None

    @property
    def runs_on(self) -> str:
        """The execution provider that the model's session really has."""
        return self._held.encoder.provider if self._held.encoder else ""

    async def begin(self, changed: Callable[[], Awaitable[None]]) -> None:
        """Look for another model now and then, and tell when it answers."""
        self._watching = asyncio.create_task(self._watch(changed))

    async def _watch(self, changed: Callable[[], Awaitable[None]]) -> None:
        while True:
            if await asyncio.to_thread(self._held.look):
                await changed()
            await asyncio.sleep(self._look_s)

    def register(self, server: grpc.aio.Server) -> None:
        """Add the service to a server."""
        embedding_pb2_grpc.add_EmbeddingServicer_to_server(self, server)

    async def close(self) -> None:
        """Let the thread end after the slice that it works on."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        await asyncio.to_thread(self._thread.shutdown, wait=True, cancel_futures=True)

    async def Embed(  # noqa: N802 - the contract's name
        self, request_iterator: AsyncIterator[embedding_pb2.EmbedRequest], context: Any
    ) -> AsyncIterator[embedding_pb2.EmbedResponse]:
        """See the contract."""
        loop = asyncio.get_running_loop()
        # Refused is the first request, not the call before it: a client that is still sending would not hear why.
        async for request in request_iterator:
            encoder = self._held.usable
            _check_model(encoder, request.model_digest)
            with self._room(bytes_of(encoder, request.rows, request.columns)):
                answer, elapsed_ms = await loop.run_in_executor(self._thread, embed, encoder, request)
                for message in answer.messages(request.request_id, elapsed_ms):
                    yield message

    @contextmanager
    def _room(self, size_bytes: int) -> Iterator[None]:
        """Memory for a slice at work, until its answer was sent. Raises: Unavailable, others have it."""
        if self._at_work_bytes + size_bytes > AT_WORK_BYTES:
            raise Unavailable("The embedding service is at work on as many slices as it can hold; try again.")
        self._at_work_bytes += size_bytes
        try:
            yield
        finally:
            self._at_work_bytes -= size_bytes

    async def GetModel(  # noqa: N802 - the contract's name
        self, request: embedding_pb2.GetModelRequest, context: Any
    ) -> embedding_pb2.GetModelResponse:
        """See the contract."""
        encoder = self._held.usable
        return embedding_pb2.GetModelResponse(
            name=encoder.name,
            digest=encoder.digest,
            channels=encoder.channels,
            stride=encoder.stride,
            provider=encoder.provider,
            size_bytes=encoder.size_bytes,
            bounded=encoder.bounded,
        )


def _check_model(encoder: Encoder, asked_for: str) -> None:
    if asked_for and asked_for.lower() != encoder.digest:
        raise ChoiceNeeded(f"The model “{encoder.name}” is loaded, and another one was asked for.", Reason.MODEL_NOT_USABLE)


def embed(encoder: Encoder, request: embedding_pb2.EmbedRequest) -> tuple[Answer, float]:
    """Answer one request. Returns the answer, and milliseconds in the network.

    Raises:
        InvalidInput: the pixels are not rows × columns values.
        ChoiceNeeded: the model answers not-a-number.
    """
    rows, columns = request.rows, request.columns
    try:
        image = wire.unpack(request.pixels, wire.LEVEL, (rows, columns))
    except wire.WireError as error:
        raise InvalidInput(f"A slice to embed of {rows} × {columns} pixels does not have that many bytes.") from error
    start = time.perf_counter()
    features = encoder.features(image)
    elapsed_ms = (time.perf_counter() - start) * 1000.0
    return Answer.of(encoder.digest, features), elapsed_ms
