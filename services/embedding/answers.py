"""Features of a slice as they are sent: in parts that fit into messages. And what is too large to be asked for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from calque import wire
from calque.v1 import embedding_pb2
from numpy.typing import NDArray

from services.core.errors import InvalidInput, TooLarge
from services.embedding.encoder import Encoder
from services.serving.server import MESSAGE_LIMIT_BYTES

# The first layers keep tens of float32 maps of the slice's own size: a gigabyte or two at this size.
LARGEST_SLICE_PIXELS = 2048 * 2048
# What this size gets with a stride of 8 and 512 channels.
LARGEST_ANSWER_BYTES = 64 << 20
# A row must fit into a message; some of it is left for the other fields and for what zlib adds.
LARGEST_ROW_BYTES = MESSAGE_LIMIT_BYTES - (64 << 10)
PART_BYTES = 4 << 20


@dataclass(frozen=True)
class Answer:
    """Features of one slice, packed.

    Attributes:
        model_digest: SHA-256 of the model that made them, hexadecimal.
        shape: rows and columns of the grid, channels.
        parts: first row, number of rows, and their bytes.
    """

    model_digest: str
    shape: tuple[int, ...]
    parts: tuple[tuple[int, int, bytes], ...]

    @classmethod
    def of(cls, model_digest: str, features: NDArray[np.float16]) -> Answer:
        """Pack ``(grid_rows, grid_columns, channels)`` float16."""
        return cls(model_digest, features.shape, tuple(wire.pack_rows(features, wire.FEATURE, PART_BYTES)))

    @property
    def size_bytes(self) -> int:
        """Of all parts, packed."""
        return sum(len(data) for _, _, data in self.parts)

    def messages(self, request_id: int, elapsed_ms: float) -> Iterator[embedding_pb2.EmbedResponse]:
        """The parts as the contract has them."""
        rows, columns, channels = self.shape
        for first, count, data in self.parts:
            yield embedding_pb2.EmbedResponse(
                request_id=request_id,
                grid_rows=rows,
                grid_columns=columns,
                channels=channels,
                features=data,
                model_digest=self.model_digest,
                elapsed_ms=elapsed_ms,
                first_row=first,
                rows=count,
                last=first + count == rows,
            )


def bytes_of(encoder: Encoder, rows: int, columns: int) -> int:
    """Bytes that a slice and its features take, before they are packed.

    Raises:
        InvalidInput: it has no pixels.
        TooLarge: it is over a limit.
    """
    if not rows or not columns:
        raise InvalidInput("A slice to embed has no pixels.")
    grid_rows, grid_columns = encoder.grid(rows, columns)
    row_bytes = grid_columns * encoder.channels * 2
    answer_bytes = grid_rows * row_bytes
    if rows * columns > LARGEST_SLICE_PIXELS or answer_bytes > LARGEST_ANSWER_BYTES or row_bytes > LARGEST_ROW_BYTES:
        raise TooLarge(
            f"A slice of {rows} × {columns} pixels is too large to embed at once with the model “{encoder.name}”; "
            "send it in parts."
        )
    return rows * columns + answer_bytes
