"""``calque models``: which encoders a store has, and which one counts."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from services.cli.store import store_at
from services.core.errors import Corrupt
from services.store.models import Head, Models

_SHORT = 12  # digits of a digest that people see


def add_model(store: str | None, run: Path, form: str) -> None:
    """Keep the encoder of a training run. Raises: CalqueError."""
    from trainer.card import register

    digest, _, why = register(Models(store_at(store)), run, _now_ms(), form)
    print(f"{digest[:_SHORT]}: {why}")


def list_models(store: str | None) -> None:
    """Print a line a model. Raises: CalqueError."""
    models = Models(store_at(store))
    head = models.head()
    table = Table("", "model", "SHA-256", "test PSNR", "hidden pixels", "counts since", box=SIMPLE)
    for digest in models.digests():
        try:
            card = models.card(digest)
        except Corrupt:  # hides no other model
            card = {"name": "card damaged"}
        test = (card.get("scores") or {}).get("test") or {}
        counts = head is not None and digest == head.digest
        table.add_row(
            "→" if counts else "",
            str(card.get("name", "")),
            digest[:_SHORT],
            *(f"{test[name]:.2f} dB" if name in test else "–" for name in ("psnr_db", "psnr_hidden_db")),
            _when(head) if head is not None and counts else "",
        )
    Console(highlight=False).print(table if table.row_count else "The store has no models.")


def promote_model(store: str | None, digest: str) -> None:
    """Have a model count. Raises: CalqueError."""
    from trainer.card import find

    models = Models(store_at(store))
    _tell(models.promote(find(models, digest), why="promoted by hand", set_ms=_now_ms()))


def roll_back(store: str | None) -> None:
    """Have the earlier model count again. Raises: CalqueError."""
    _tell(Models(store_at(store)).roll_back(set_ms=_now_ms()))


def _tell(head: Head) -> None:
    print(f"{head.digest[:_SHORT]} counts from now on (head {head.number}: {head.why}).")


def _when(head: Head) -> str:
    return datetime.fromtimestamp(head.set_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
