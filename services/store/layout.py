"""Which layout a store has: ``layout/<number>``, of which the highest number counts.

1. Volumes, annotations with an object for each event, masks, models, uploads.
2. Old events in segments (services.store.segments), voxels under a name that the record says (services.store.catalogue).
3. A volume has a project, and an annotation a review; records end with their digest (services.store.records).

What an older layout wrote is read as it is, for ever: nothing has to be rewritten, and a store of before is one of today
once its number says so. A program reads no store of a layout that it does not know.
"""

from __future__ import annotations

from services.core.errors import Reason, Unavailable
from services.store.port import Store

LAYOUT = 3


def check_layout(store: Store) -> None:
    """Raises: Unavailable: a newer program wrote to this store."""
    if (found := max(map(_number, store.list("layout")), default=1)) > LAYOUT:
        message = f"The store has layout {found}, and this Calque knows layouts up to {LAYOUT}; install a newer one."
        raise Unavailable(message, Reason.STORE_UNAVAILABLE)


def settle_layout(store: Store) -> None:
    """Have a store say that its layout is today's. Raises: Unavailable: it has a newer one."""
    check_layout(store)
    store.create(f"layout/{LAYOUT:06d}", b"")


def _number(key: str) -> int:
    return int(key.rpartition("/")[2])
