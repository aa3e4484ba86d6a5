"""Encoders in a store: files known by their digest, what is known of each, and which one counts.

::

    models/files/<sha256>       the ONNX file
    models/cards/<sha256>       its card as JSON: what it was trained on, how, and how good it is
    models/heads/<number>       which model counts from then on, and why; the highest number counts

Everything is create-only: a model that no longer counts stays, and going back to it is one more head.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from typing import Any

from services.core.errors import Corrupt, NotFound, Reason
from services.store import records
from services.store.port import Store, is_identifier

Card = dict[str, Any]

_BACK = "back from"  # how the reason of a head begins that goes back


@dataclass(frozen=True)
class Head:
    """Which model counts: ``digest``, since ``set_ms`` (milliseconds since 1970, UTC), and ``why``; ``number`` from 1."""

    number: int
    digest: str
    set_ms: int
    why: str


class Models:
    """The models of a store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def add(self, data: bytes, card: Card) -> str:
        """Keep a model with its card; the first card of a file stands. Returns: its SHA-256, hexadecimal."""
        digest = hashlib.sha256(data).hexdigest()
        if not self._store.create(f"models/files/{digest}", data):
            try:
                self.read(digest)
            except Corrupt:  # the same model, kept before and damaged since
                self._store.delete(f"models/files/{digest}")
                self._store.create(f"models/files/{digest}", data)
        self._store.create(f"models/cards/{digest}", records.encode(card))
        return digest

    def read(self, digest: str) -> bytes:
        """A model's file. Raises: NotFound, Corrupt."""
        data = self._read("files", digest)
        if hashlib.sha256(data).hexdigest() != digest:
            raise Corrupt("A stored model is damaged; add it again from its training run.")
        return data

    def card(self, digest: str) -> Card:
        """What is known of a model. Raises: NotFound, Corrupt."""
        try:
            card = records.decode(self._read("cards", digest))
        except ValueError as error:
            raise Corrupt("The card of a stored model is damaged.") from error
        if not isinstance(card, dict):
            raise Corrupt("The card of a stored model is damaged.")
        return card

    def digests(self) -> list[str]:
        """All models, sorted."""
        return [key.rpartition("/")[2] for key in self._store.list("models/cards")]

    def heads(self) -> list[Head]:
        """Which models counted, the first first. Raises: Corrupt."""
        try:
            return [Head(**records.decode(self._store.read(key))) for key in self._store.list("models/heads")]
        except (ValueError, TypeError) as error:
            raise Corrupt("The record of the model that counts is damaged.") from error

    def head(self) -> Head | None:
        """The model that counts, if any does. Raises: Corrupt."""
        heads = self.heads()
        return heads[-1] if heads else None

    def promote(self, digest: str, *, why: str, set_ms: int) -> Head:
        """Have a model count from now on. Raises: NotFound, Corrupt: it is not there, or damaged."""
        self.read(digest)
        number = len(list(self._store.list("models/heads"))) + 1
        while True:
            head = Head(number, digest, set_ms, why)
            if self._store.create(f"models/heads/{number:06d}", records.encode(asdict(head))):
                return head
            number += 1

    def roll_back(self, *, set_ms: int) -> Head:
        """Have the model count again that did before the one that counts now; again, the one before that.

        Raises: NotFound, there is none.
        """
        counted: list[Head] = []  # those that were not gone back from
        for head in self.heads():
            if head.why.startswith(_BACK) and len(counted) > 1:
                counted.pop()
            elif not counted or head.digest != counted[-1].digest:
                counted.append(head)
        if len(counted) < 2:
            raise NotFound("There is no earlier model to go back to.")
        return self.promote(counted[-2].digest, why=f"{_BACK} head {counted[-1].number}", set_ms=set_ms)

    def _read(self, kind: str, digest: str) -> bytes:
        if not is_identifier(digest):
            raise NotFound("There is no such model.", Reason.MODEL_NOT_USABLE)
        try:
            return self._store.read(f"models/{kind}/{digest}")
        except NotFound as error:
            raise NotFound("There is no such model.", Reason.MODEL_NOT_USABLE) from error
