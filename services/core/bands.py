"""Rows of an image shared among threads, for loops that let go of the interpreter and give a row the same bytes anyhow."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor


def in_bands(work: Callable[[int, int], object], rows: int, threads: int, tall: int = 1) -> None:
    """Do something with all rows, a band a thread; with one thread, in this one.

    Args:
        work: given the first row of a band and the one behind its last; a band may be empty.
        rows: how many there are.
        threads: how many share them.
        tall: a band begins at a multiple of so many rows.
    """
    if threads == 1:
        work(0, rows)
        return
    ends = [min(rows, tall * (-(-rows // tall) * band // threads)) for band in range(threads + 1)]
    with ThreadPoolExecutor(threads, thread_name_prefix="bands") as pool:
        list(pool.map(work, ends[:-1], ends[1:]))
