"""The encoder that answers now: a configured file for good, or the model that counts in the store, which may change.

As long as none counts there, the one that Calque comes with answers (`SHIPPED`).
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import structlog

from services.core.errors import CalqueError, ChoiceNeeded, Reason, Unavailable
from services.embedding.encoder import Encoder
from services.embedding.providers import PREFERRED
from services.store.models import Models

log = structlog.get_logger()

SHIPPED = Path(__file__).with_name("shipped") / "encoder.onnx"
"""The ``final`` encoder for the live segmentation; ``card.json`` and ``README.md`` beside it tell what it learned from."""

NONE = "No model is configured for embedding, and the store has none that counts."


class Held:
    """One encoder, or a sentence that says why there is none. Safe to use from several threads.

    Args:
        encoder: to begin with.
        why_not: said where there is none.
        models: of the store, where the encoder comes from there.
        threads: of one run; 0 leaves the number to ONNX Runtime.
        providers: what a model runs on, in order of preference.
    """

    def __init__(
        self,
        encoder: Encoder | None = None,
        why_not: str = NONE,
        models: Models | None = None,
        threads: int = 0,
        providers: Sequence[str] = PREFERRED,
    ) -> None:
        self.encoder = encoder
        self._why_not = why_not
        self._models, self._threads, self._providers = models, threads, providers
        self._seen = 0  # number of the head that was looked at last
        self._looking = threading.Lock()

    @classmethod
    def of_file(cls, model: Path, digest: str = "", threads: int = 0, providers: Sequence[str] = PREFERRED) -> Held:
        """A configured model. One that is not usable is logged and told to callers, and stops nothing."""
        try:
            encoder = Encoder.load(model, digest=digest, providers=providers, threads=threads)
        except CalqueError as error:
            log.error("model not usable", why=str(error))
            return cls(None, str(error))
        _told(encoder)
        return cls(encoder)

    @classmethod
    def of_store(cls, models: Models, threads: int = 0, providers: Sequence[str] = PREFERRED) -> Held:
        """The model that counts in a store; until one does, the one that Calque comes with."""
        held = cls(models=models, threads=threads, providers=providers)
        if not held.look():
            shipped = cls.of_file(SHIPPED, "", threads, providers)
            held.encoder, held._why_not = shipped.encoder, shipped._why_not
        return held

    @property
    def usable(self) -> Encoder:
        """The encoder. Raises: ChoiceNeeded, there is none."""
        if self.encoder is None:
            raise ChoiceNeeded(self._why_not, Reason.MODEL_NOT_USABLE)
        return self.encoder

    def look(self) -> bool:
        """Take the model that counts in the store, where it is another one, once it has answered a trial.

        Until then, and where it is not usable, the one that was there goes on; it is tried again where the store was away.

        Returns:
            Whether another one answers now.
        """
        if self._models is None:
            return False
        with self._looking:
            seen = self._seen
            try:
                head = self._models.head()
                if head is None or head.number == self._seen:
                    return False
                self._seen = head.number
                if self.encoder is not None and self.encoder.digest == head.digest:
                    return False
                encoder = Encoder.load(
                    self._models.read(head.digest),
                    digest=head.digest,
                    providers=self._providers,
                    threads=self._threads,
                )
            except CalqueError as error:
                log.error("the model that counts is not usable", why=str(error), goes_on=self.encoder is not None)
                self._why_not = str(error)
                if isinstance(error, Unavailable):
                    self._seen = seen
                return False
            self.encoder = encoder
            _told(encoder)
            return True


def _told(encoder: Encoder) -> None:
    log.info("model loaded", name=encoder.name, sha256=encoder.digest, provider=encoder.provider)
