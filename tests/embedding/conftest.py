"""The hand-written models, for every test of the room."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest

from tests import encoders


@pytest.fixture(scope="session")
def small_model() -> Callable[..., onnx.ModelProto]:
    return encoders.small_model


@pytest.fixture(scope="session")
def naive_features() -> Callable[..., np.ndarray]:
    return encoders.naive_features
