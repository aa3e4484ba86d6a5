"""The contract's embedding service (``calque/v1/embedding.proto``): translates messages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import numpy as np
from calque import wire
from calque.v1 import embedding_pb2, embedding_pb2_grpc
from numpy.typing import NDArray

from services.core.errors import ChoiceNeeded, InvalidInput, Reason, Unavailable
from services.embedding.answers import bytes_of
from services.embedding.encoder import Encoder
from services.embedding.held import Held
from services.embedding.kept import Key, key_of
from services.embedding.network import Network
from services.embedding.providers import named
from services.serving.settings import Settings
from services.store.models import Models
from services.store.port import Store

# Slices and features of all streams together, from the request until the answer was sent.
AT_WORK_BYTES = 1 << 30


class EmbeddingServicer(embedding_pb2_grpc.EmbeddingServicer):
    """Answers with one encoder at a time, or says of every call why there is none.

    Args:
        held: the encoder that answers now.
        network: what runs it.
        look_s: seconds between looks for another one.
    """

    name = embedding_pb2.DESCRIPTOR.services_by_name["Embedding"].full_name

    def __init__(self, held: Held, network: Network | None = None, look_s: float = 10.0) -> None:
        self._held, self._look_s = held, look_s
        self._network = network or Network()
        self._at_work_bytes = 0
        self._watching: asyncio.Task[None] | None = None

    @classmethod
    def configured(cls, store: Store, settings: Settings) -> EmbeddingServicer:
        """A servicer with the configured model; without one, with that of the store, or the one that Calque comes with.

        Raises:
            InvalidInput: the setting of the providers has a word that is none.
        """
        threads, providers = settings.compute_threads, named(settings.embedding_providers)
        if settings.model is not None:
            held = Held.of_file(settings.model, settings.model_sha256, threads, providers)
        else:
            held = Held.of_store(Models(store), threads, providers)
        return cls(held, Network(settings.embedding_batch, settings.embedding_memory_bytes))

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
        """End after the run that the network is at."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        await self._network.close()

    async def Embed(  # noqa: N802 - the contract's name
        self, request_iterator: AsyncIterator[embedding_pb2.EmbedRequest], context: Any
    ) -> AsyncIterator[embedding_pb2.EmbedResponse]:
        """See the contract."""
        # Refused is the first request, not the call before it: a client that is still sending would not hear why.
        async for request in request_iterator:
            encoder = self._held.usable
            _check_model(encoder, request.model_digest)
            with self._room(bytes_of(encoder, request.rows, request.columns)):
                image, key = await asyncio.to_thread(_read, encoder, request)
                answer, elapsed_ms = await self._network.answer(encoder, image, key)
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


def _read(encoder: Encoder, request: embedding_pb2.EmbedRequest) -> tuple[NDArray[np.uint8], Key]:
    """The slice of a request, and what its answer is known by. Raises: InvalidInput, its size and bytes disagree."""
    rows, columns = request.rows, request.columns
    try:
        image = wire.unpack(request.pixels, wire.LEVEL, (rows, columns))
    except wire.WireError as error:
        raise InvalidInput(f"A slice to embed of {rows} × {columns} pixels does not have that many bytes.") from error
    return image, key_of(encoder.digest, image)
