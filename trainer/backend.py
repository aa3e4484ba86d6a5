"""TensorFlow and Keras, imported when they are first needed: that takes seconds, and only training needs them."""

from __future__ import annotations

import os
from typing import Any


def load() -> tuple[Any, Any]:
    """The modules ``tensorflow`` and ``keras``, the latter on the former.

    Returns:
        ``(tensorflow, keras)``.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ["KERAS_BACKEND"] = "tensorflow"
    import keras
    import tensorflow

    return tensorflow, keras
