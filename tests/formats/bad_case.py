"""A table of bad inputs: who makes the file, and what reading it must answer."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from services.core.errors import Reason

Make = Callable[[Path], Path]


@dataclass(frozen=True)
class Case:
    """One bad input.

    Attributes:
        make: writes it into an empty folder, and gives the file or folder to read.
        status: short for the gRPC status: IA INVALID_ARGUMENT, FP FAILED_PRECONDITION, RE RESOURCE_EXHAUSTED.
        reason: why, for programs.
        names: what the sentence must hold: the file that is bad.
        words: other words that the sentence must hold.
    """

    make: Make
    status: str
    reason: Reason
    names: str
    words: tuple[str, ...] = ()


CASES: dict[str, Case] = {}


def case(item: str, status: str, reason: Reason, names: str, *words: str) -> Callable[[Make], Make]:
    """Enter what makes a bad input into the table; ``item`` starts with its number in the list of bad inputs."""

    def enter(make: Make) -> Make:
        assert item not in CASES
        CASES[item] = Case(make, status, reason, names, words)
        return make

    return enter


def deflated_zeros(size_mb: int) -> bytes:
    """A raw deflate stream of so many MiB of zeros, a thousandth of it long; made at once, however long."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    block = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    return block * size_mb + b"\x03\x00"


def gzip_then_zeros(start: bytes, size_mb: int) -> bytes:
    """A gzip file of some bytes and then so many MiB of zeros; its checksum is never reached."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = packer.compress(start) + packer.flush(zlib.Z_FULL_FLUSH)
    return b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + packed + deflated_zeros(size_mb) + bytes(8)
