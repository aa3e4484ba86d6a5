"""A picture of the window as a PNG file."""

from __future__ import annotations

import asyncio
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from kivy.core.window import Window
from kivy.graphics.opengl import GL_RGBA, GL_UNSIGNED_BYTE, glReadPixels
from numpy.typing import NDArray


async def screenshot() -> NDArray[np.uint8]:
    """What the next frame shows: ``(rows, columns, 3)`` uint8, the top row first."""
    taken: asyncio.Future[NDArray[np.uint8]] = asyncio.get_running_loop().create_future()

    def before_flip(*_: Any) -> None:
        if not taken.done():
            wide, tall = (int(n) for n in Window.size)
            raw = glReadPixels(0, 0, wide, tall, GL_RGBA, GL_UNSIGNED_BYTE)
            taken.set_result(np.frombuffer(raw, np.uint8).reshape(tall, wide, 4)[::-1, :, :3].copy())

    Window.bind(on_flip=before_flip)
    Window.canvas.ask_update()
    try:
        return await taken
    finally:
        Window.unbind(on_flip=before_flip)


def write_png(path: Path, image: NDArray[np.uint8]) -> None:
    """Write ``(rows, columns, 3)`` uint8 as a PNG file."""
    rows, columns, _ = image.shape
    lines = np.concatenate([np.zeros((rows, 1), np.uint8), image.reshape(rows, columns * 3)], axis=1)
    head = struct.pack(">IIBBBBB", columns, rows, 8, 2, 0, 0, 0)
    parts = [(b"IHDR", head), (b"IDAT", zlib.compress(lines.tobytes(), 6)), (b"IEND", b"")]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*part) for part in parts))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
