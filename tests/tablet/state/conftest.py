"""Volumes whose planes lie differently."""

from __future__ import annotations

import numpy as np
import pytest

from tablet_client.state.geometry import VolumeInfo
from tests.tablet.state.phantom import AFFINES, SHAPE, volume_message


@pytest.fixture(params=AFFINES, ids=str)
def affine(request: pytest.FixtureRequest) -> np.ndarray:
    """Voxel → mm of a volume of shape `SHAPE`."""
    return AFFINES[request.param]


@pytest.fixture
def volume(affine: np.ndarray) -> VolumeInfo:
    """The volume of `affine`."""
    return VolumeInfo.from_message(volume_message(SHAPE, affine))
