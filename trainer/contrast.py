"""The contrastive loss: which of all other patches of a step shows the same place as this one?

Chen and others, "A simple framework for contrastive learning of visual representations" (2020).
"""

from __future__ import annotations

from typing import Any

from trainer.backend import load

_TEMPERATURE = 0.2


def nt_xent(one: Any, other: Any) -> Any:
    """Normalised, temperature-scaled cross entropy of two views of places.

    Args:
        one, other: ``(n, numbers)`` float32, row by row the views' vectors.

    Returns:
        ``(n,)`` float32, of each place the mean of what both of its views cost.
    """
    tf, _ = load()
    vectors = tf.math.l2_normalize(tf.concat([one, other], axis=0), axis=1)
    number = tf.shape(one)[0]
    alike = tf.matmul(vectors, vectors, transpose_b=True) / _TEMPERATURE
    alike -= 1e9 * tf.eye(2 * number)  # a view is not asked whether it is like itself
    partners = tf.concat([tf.range(number, 2 * number), tf.range(number)], axis=0)
    costs = tf.nn.sparse_softmax_cross_entropy_with_logits(partners, alike)
    return (costs[:number] + costs[number:]) / 2
