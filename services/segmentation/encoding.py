"""What an encoder says of the volumes at work ("latent features"), asked of the embedding service behind all else.

It is asked about every slice of a volume, once for all annotations of it, and only all of them count: so what comes of
strokes depends on the encoder, never on how fast it was. Nobody waits for it; where it does not come, it is told why, and
asked for again after a while.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import structlog

from services.core.errors import CalqueError, ChoiceNeeded, Reason, Unavailable
from services.core.latent import Latent, quantised
from services.segmentation.embedding_client import EmbeddingClient, EmbeddingModel
from services.segmentation.features import VolumeFeatures

log = structlog.get_logger()

MODEL_SECONDS = 10.0
"""Longest wait for what encoder there is."""
SLICE_SECONDS = 20.0
"""Longest wait for one slice."""
VOLUME_SECONDS = 1800.0
"""Longest wait for all slices of a volume."""
AGAIN_SECONDS = 30.0
"""After so long it is asked again for what did not come."""
MOST_CHANNELS = 32
"""Features at a grid point that a forest gets at most; on average they also take no more than a byte a voxel."""

_VOLUMES = 2  # that are asked about at once


class Embedding:
    """The embedding service, for all annotations of the process. Its methods are called in one asyncio loop.

    Args:
        address: ``host:port``; empty: there is none, unless `connect` names one.
        secret: by which the service knows this one; empty: it asks for none.
        credentials: of an encrypted connection to this address; None: it is not encrypted.
    """

    def __init__(self, address: str = "", secret: str = "", credentials: grpc.ChannelCredentials | None = None) -> None:
        self._secret = secret
        self._client = EmbeddingClient(address, secret, credentials) if address else None
        self._threads = ThreadPoolExecutor(_VOLUMES, thread_name_prefix="encoding")
        self._under_way: dict[VolumeFeatures, asyncio.Future[Latent]] = {}

    def connect(self, address: str) -> None:
        """Ask the service at this address of this machine, where none was named before."""
        if self._client is None:
            self._client = EmbeddingClient(address, self._secret)

    async def of(self, features: VolumeFeatures) -> Latent:
        """What the encoder that is served now says of a volume, kept with its features; two that ask have it asked once.

        Where it fails now, what was said before still counts.

        Raises:
            Unavailable: there is no service, it does not answer in time, or the volume is closed meanwhile.
            ChoiceNeeded: it has no encoder of this kind, or another one since it was asked.
            CalqueError: it refuses a slice.
        """
        asked = self._under_way.get(features)
        if asked is None:
            asked = asyncio.get_running_loop().run_in_executor(self._threads, self._ask, features)
            self._under_way[features] = asked
            asked.add_done_callback(lambda _: self._under_way.pop(features))
        return await asyncio.shield(asked)

    def close(self) -> None:
        """Ask no more; who waits gets an error."""
        if self._client is not None:
            self._client.close()
        self._threads.shutdown(cancel_futures=True)

    def _ask(self, features: VolumeFeatures) -> Latent:
        if self._client is None:
            raise Unavailable("No embedding service is configured, so the encoder's features are missing.")
        known = features.latent
        try:
            model = self._client.model(MODEL_SECONDS)
            if known is not None and known.digest == model.digest:
                return known
            found = features.latent = _encoded(self._client, _checked(model), features)
        except CalqueError as error:
            if known is None:
                raise
            log.warning("latent features of before go on", why=str(error))
            return known
        log.info("latent features are there", model=model.digest, bytes=found.grids.nbytes)
        return found


def _checked(model: EmbeddingModel) -> EmbeddingModel:
    if not model.bounded or model.channels > min(MOST_CHANNELS, model.stride**2):
        raise ChoiceNeeded(
            f"The encoder “{model.name}” is not one for drawing: its features are too many, or not within 0 to 1.",
            Reason.MODEL_NOT_USABLE,
        )
    return model


def _encoded(client: EmbeddingClient, model: EmbeddingModel, features: VolumeFeatures) -> Latent:
    """What a model says of every slice.

    One after the other: others wait for one slice at most, and a run of several at once might round otherwise.
    """
    slices, rows, columns = features.volume.shape
    grids = np.empty((slices, *model.grid(rows, columns), model.channels), dtype=np.uint8)
    end = time.monotonic() + VOLUME_SECONDS
    for index in range(slices):
        left = end - time.monotonic()
        if left <= 0.0:
            raise Unavailable("The encoder's features of all slices did not come in time.")
        if not features.users:
            raise Unavailable("The volume was closed.")
        grids[index] = quantised(client.embed(features.image(index), model, min(SLICE_SECONDS, left)))
    return Latent(model.digest, model.stride, grids)


class Latents:
    """The encoder's features as one annotation wants them. Its methods are called in one asyncio loop.

    Args:
        embedding: asks for them.
        features: of the volume.
        changed: called when `found` or `missing` may be others.

    Attributes:
        found: all of them; None while they are not wanted or not there.
        missing: why they are not there although they are wanted; None where they are, and until that is known.
    """

    def __init__(self, embedding: Embedding, features: VolumeFeatures, changed: Callable[[], object]) -> None:
        self.found: Latent | None = None
        self.missing: CalqueError | None = None
        self._embedding = embedding
        self._features = features
        self._changed = changed
        self._task: asyncio.Task[None] | None = None  # while they are wanted

    def want(self, wanted: bool) -> None:
        """Have them, or do without."""
        if wanted and self._task is None:
            self._task = asyncio.create_task(self._follow(), name="latents")
        elif not wanted and self._task is not None:
            self._task.cancel()
            self._task = self.found = self.missing = None
            self._changed()

    def again(self) -> None:
        """Ask now, where they are wanted: for what did not come, or for what another encoder says."""
        if self._task is not None:
            self._task.cancel()
            self._task = asyncio.create_task(self._follow(), name="latents")

    async def close(self) -> None:
        """Ask no more, and wait for the end."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _follow(self) -> None:
        while True:
            try:
                self.found, self.missing = await self._embedding.of(self._features), None
            except CalqueError as error:
                if str(error) != str(self.missing):
                    log.warning("no latent features", why=str(error))
                self.missing = error
            except Exception as error:  # told to whoever looks; the log has the traceback
                log.error("no latent features", exc_info=error)
                self.missing = CalqueError("The encoder's features could not be had.")
            self._changed()
            if self.found is not None:
                return
            await asyncio.sleep(AGAIN_SECONDS)
