"""The embedding service as the segmentation asks it: features of slices over gRPC, with a deadline, from any thread.

Whatever keeps the features from coming in time is one error, `Unavailable`: the segmentation then goes on with its own
features. The connection is made when it is first needed, and made again by gRPC when it broke.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import grpc
import numpy as np
from calque import wire
from calque.v1 import embedding_pb2, embedding_pb2_grpc
from numpy.typing import NDArray

from services.core.errors import ChoiceNeeded, InvalidInput, TooLarge, Unavailable
from services.serving.server import MESSAGE_LIMIT_BYTES
from services.serving.status import error_of

_OPTIONS = [
    ("grpc.max_receive_message_length", MESSAGE_LIMIT_BYTES),
    ("grpc.max_send_message_length", MESSAGE_LIMIT_BYTES),
    # A call that finds the service away fails at once; these say how soon after it came back one is answered again.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # With keepalive gRPC has the system give up a connection whose other end vanished without a word: else each call would
    # run into its deadline for a quarter of an hour. The server allows a ping every 20 s.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 5_000),
]


@dataclass(frozen=True)
class EmbeddingModel:
    """The model that a service answers with.

    Attributes:
        name: for people.
        digest: SHA-256 of its file, hexadecimal.
        channels: features at a grid point.
        stride: pixels between grid points, in both directions.
        bounded: all features lie within 0–1.
    """

    name: str
    digest: str
    channels: int
    stride: int
    bounded: bool

    def grid(self, rows: int, columns: int) -> tuple[int, int]:
        """Rows and columns of the grid that an image of this size gets."""
        return -(-rows // self.stride), -(-columns // self.stride)


class EmbeddingClient:
    """The embedding service at ``address`` (``host:port``). Calls block until their deadline at most, from any thread.

    ``secret`` is what it knows our services by; empty: it asks for none. Without ``credentials`` the connection is not
    encrypted.
    """

    def __init__(self, address: str, secret: str = "", credentials: grpc.ChannelCredentials | None = None) -> None:
        self._metadata = (("authorization", f"Bearer {secret}"),) if secret else ()
        self._channel = (
            grpc.secure_channel(address, credentials, options=_OPTIONS)
            if credentials
            else grpc.insecure_channel(address, options=_OPTIONS)
        )
        self._stub = embedding_pb2_grpc.EmbeddingStub(self._channel)

    def close(self) -> None:
        """Hang up; calls that wait raise Unavailable, and so do later ones."""
        self._channel.close()

    def model(self, deadline_s: float = 2.0) -> EmbeddingModel:
        """The model that answers now.

        Raises:
            Unavailable: the service is away, or did not answer within ``deadline_s`` seconds.
            ChoiceNeeded: it has no model.
        """
        with _refusals():
            found = self._stub.GetModel(embedding_pb2.GetModelRequest(), timeout=deadline_s, metadata=self._metadata)
        if not (found.digest and found.channels and found.stride):
            raise Unavailable("The embedding service does not say which model it has.")
        return EmbeddingModel(found.name, found.digest, found.channels, found.stride, found.bounded)

    def embed(self, image: NDArray[np.uint8], model: EmbeddingModel, deadline_s: float) -> NDArray[np.float16]:
        """Features of one slice by one model.

        Args:
            image: ``(rows, columns)`` uint8, the volume's intensity window as 0–255.
            model: that must answer, as `model` told it: features of two models must not be mixed.
            deadline_s: seconds until it gives up.

        Returns:
            ``(grid_rows, grid_columns, channels)`` float16. Grid point ``(r, c)`` describes the pixels around
            ``(r, c) × stride + (stride - 1) / 2``.

        Raises:
            Unavailable: the service is away, went away meanwhile, or did not answer in time.
            ChoiceNeeded: it has another model now (ask `model` again), none, or one that fails on this slice.
            TooLarge: the slice is over the service's limit.
            InvalidInput: it has no pixels.
        """
        rows, columns = image.shape
        request = embedding_pb2.EmbedRequest(
            rows=rows, columns=columns, pixels=wire.pack(image, wire.LEVEL), model_digest=model.digest
        )
        shape = (*model.grid(rows, columns), model.channels)
        features = wire.Rows(shape, wire.FEATURE)
        with _refusals():
            call = self._stub.Embed(iter((request,)), timeout=deadline_s, metadata=self._metadata)
            try:
                for part in call:
                    if (part.grid_rows, part.grid_columns, part.channels) != shape:
                        raise wire.WireError(f"The grid is not of shape {shape}.")
                    features.add(part.first_row, part.rows, part.features)
            finally:
                call.cancel()  # of no effect once it has ended
            return features.whole()


@contextmanager
def _refusals() -> Iterator[None]:
    """Turn a failed call into an error of the tree; one that the service met by its own fault into Unavailable."""
    try:
        yield
    except grpc.RpcError as error:
        said = error_of(error)
        if isinstance(said, ChoiceNeeded | TooLarge | InvalidInput):
            raise said from error
        raise Unavailable(f"No features of the encoder: {said}") from error
    except wire.WireError as error:
        raise Unavailable("The embedding service answered something else than features of the slice.") from error
    except ValueError as error:  # what gRPC raises once the channel is closed
        raise Unavailable("The connection to the embedding service was closed.") from error
