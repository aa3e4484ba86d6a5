from __future__ import annotations

import pytest

from services.core.volume import Volume
from services.formats.nifti import read_nifti
from services.formats.sample import sample_volume
from services.formats.source import SourceFile


@pytest.fixture(scope="session")
def sample() -> Volume:
    """The sample MRI."""
    path = sample_volume()
    return read_nifti(SourceFile(path.name, path))
