"""TensorFlow and Keras, imported when they are first needed: that takes seconds, and only training needs them."""

from __future__ import annotations

import os
from typing import Any

from services.core.errors import Unavailable


def load() -> tuple[Any, Any]:
    """The modules ``tensorflow`` and ``keras``, the latter on the former.

    Returns:
        ``(tensorflow, keras)``.

    Raises:
        Unavailable: they are not installed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ["KERAS_BACKEND"] = "tensorflow"
    try:
        import keras
        import tensorflow
    except ModuleNotFoundError as error:
        raise Unavailable(
            f"Training needs the package {error.name}, which is not installed; install calque[trainer]."
        ) from error
    return tensorflow, keras
