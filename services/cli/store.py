"""The store that the settings name: the one place that makes one. ``calque store``: keeping it tidy."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from services.core.errors import CalqueError, InvalidInput, Unavailable

if TYPE_CHECKING:
    from services.serving.settings import Settings
    from services.store.port import Store
    from services.store.tidy import Tidied


def open_store(settings: Settings) -> Store:
    """The store, which is not asked anything yet; a folder that is missing is made.

    Raises:
        InvalidInput: the settings of an S3 store cannot be used.
        Unavailable: the folder cannot be made, or what speaks to an S3 server is not installed.
    """
    if isinstance(settings.store, Path):
        from services.store.directory import DirectoryStore

        return DirectoryStore(settings.store)
    if not settings.s3_endpoint:
        raise InvalidInput("A store in a bucket needs the address of its S3 server; set CALQUE_S3_ENDPOINT.")
    try:
        from services.store.s3 import Bucket, S3Store
    except ImportError as error:
        raise Unavailable("A store in a bucket needs the extra s3; install calque[s3].") from error
    bucket = Bucket(
        settings.store.name,
        settings.s3_endpoint,
        settings.s3_region,
        credentials=settings.s3_credentials,
        authority=settings.s3_authority,
    )
    return S3Store(bucket)


def store_at(place: str | None) -> Store:
    """The store of a command: the one that it is told, else that of the settings. It must be there.

    Raises: InvalidInput, Unavailable.
    """
    return _there(_settings(place))


def tidy_store(place: str | None, days: float | None) -> None:
    """Tidy a store once, and tell what came of it. Raises: CalqueError."""
    settings = _settings(place, **({} if days is None else {"tidy_days": days}))
    done = _tidy(_there(settings), settings.tidy_days)
    print(
        f"Moved {done.moved} old events into segments. Removed {done.removed} objects that nothing pointed to; "
        f"{done.condemned} more are kept for now."
    )
    for annotation in done.damaged:
        print(f"The log of annotation {annotation} is damaged and stays as it is.")


def copy_store(place: str | None, to: str) -> None:
    """Copy a store into another one, and tell what came of it. Raises: CalqueError."""
    from services.store.copying import copy

    source, target = _settings(place), _settings(to)
    if source.store == target.store:
        raise InvalidInput("A store cannot be copied into itself.")
    store = open_store(target)
    store.check()
    done = copy(_there(source), store)
    print(f"Copied {done.copied} objects, {done.size_bytes} bytes; {done.there} were there already.")


@contextmanager
def kept_tidy(store: Store, days: float, *, first_s: float = 600.0, every_s: float = 86_400.0) -> Iterator[None]:
    """Tidy a store now and then while the block lasts; it may end, or the process be killed, at any moment of it."""
    import structlog

    log = structlog.get_logger()
    ended = threading.Event()

    def run() -> None:
        pause = first_s
        while not ended.wait(pause):
            pause = every_s
            try:
                done = _tidy(store, days)
                log.info("tidied the store", moved=done.moved, removed=done.removed, condemned=done.condemned)
            except CalqueError as error:
                log.warning("could not tidy the store", reason=error.reason.value)

    threading.Thread(target=run, name="tidy", daemon=True).start()
    try:
        yield
    finally:
        ended.set()


def _settings(place: str | None, **flags: object) -> Settings:
    from services.cli.serve import load_settings

    return load_settings(**flags, **({} if place is None else {"store": place}))


def _there(settings: Settings) -> Store:
    from services.store.layout import check_layout

    if isinstance(settings.store, Path) and not settings.store.is_dir():
        raise Unavailable(f"There is no store at {settings.store}; name it with --store or CALQUE_STORE.")
    store = open_store(settings)
    check_layout(store)
    return store


def _tidy(store: Store, days: float) -> Tidied:
    from services.store.tidy import tidy

    return tidy(store, now_ms=time.time_ns() // 1_000_000, keep_ms=round(days * 86_400_000))
