"""Answers that are kept for who asks again: known by the pixels themselves, so that none is ever stale or another's."""

from __future__ import annotations

from collections import OrderedDict
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from services.embedding.answers import Answer
from services.serving import metrics

Key = tuple[str, tuple[int, ...], bytes]


def key_of(model_digest: str, image: NDArray[np.uint8]) -> Key:
    """What features of a slice depend on: the model, the size, and the pixels (by their BLAKE2b digest)."""
    return model_digest, image.shape, blake2b(image.data, digest_size=32).digest()


class Kept:
    """Answers within a budget; what was asked for longest ago goes first. For one thread.

    Args:
        most_bytes: of the packed answers, all together; 0 keeps none.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._answers: OrderedDict[Key, Answer] = OrderedDict()
        self.size_bytes = 0

    def get(self, key: Key) -> Answer | None:
        """The answer, which counts as asked for now; None: it is not kept."""
        answer = self._answers.get(key)
        if answer is not None:
            self._answers.move_to_end(key)
        return answer

    def put(self, key: Key, answer: Answer) -> None:
        """Keep an answer that is not kept yet, and let others go for it; one that is over the budget alone is not kept."""
        if answer.size_bytes > self._most_bytes:
            return
        self._answers[key] = answer
        self.size_bytes += answer.size_bytes
        while self.size_bytes > self._most_bytes:
            _, gone = self._answers.popitem(last=False)
            self.size_bytes -= gone.size_bytes
        metrics.EMBEDDING_BYTES.set(self.size_bytes)
