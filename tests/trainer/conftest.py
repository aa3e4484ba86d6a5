from __future__ import annotations

from typing import Any

import pytest

from services.core.volume import Volume
from services.formats.nifti import read_nifti
from services.formats.sample import sample_volume
from services.formats.source import SourceFile
from trainer.backend import load


@pytest.fixture(scope="session")
def sample() -> Volume:
    """The sample MRI."""
    path = sample_volume()
    return read_nifti(SourceFile(path.name, path))


@pytest.fixture(scope="session", autouse=True)
def two_devices() -> Any:
    """The processor as two devices, which TensorFlow must be told before its first operation; most tests use one."""
    tf, _ = load()
    (processor,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(processor, [tf.config.LogicalDeviceConfiguration()] * 2)
    return tf
