"""The store that the settings name: the one place that makes one. ``calque store``: keeping it tidy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from services.core.errors import InvalidInput, Unavailable

if TYPE_CHECKING:
    from services.serving.settings import Settings
    from services.store.port import Store


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
    from services.cli.serve import load_settings
    from services.store.layout import check_layout

    settings = load_settings(**({} if place is None else {"store": place}))
    if isinstance(settings.store, Path) and not settings.store.is_dir():
        raise Unavailable(f"There is no store at {settings.store}; name it with --store or CALQUE_STORE.")
    store = open_store(settings)
    check_layout(store)
    return store


def tidy_store(place: str | None, days: float) -> None:
    """Tidy a store once, and tell what came of it. Raises: CalqueError."""
    import time

    from services.store.tidy import tidy

    done = tidy(store_at(place), now_ms=time.time_ns() // 1_000_000, keep_ms=round(days * 86_400_000))
    print(
        f"Moved {done.moved} old events into segments. Removed {done.removed} objects that nothing pointed to; "
        f"{done.condemned} more are kept for now."
    )
    for annotation in done.damaged:
        print(f"The log of annotation {annotation} is damaged and stays as it is.")
