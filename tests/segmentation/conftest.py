"""A small oblique volume, and the services with an annotation of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.core import pipeline
from services.core.volume import Volume
from tests.phantoms import oblique_phantom
from tests.served import Served, serve

SHAPE = (12, 40, 48)


@pytest.fixture(scope="session", autouse=True)
def compiled_loops() -> None:
    """Compiling them after a change of the engine takes as long as the tests wait for an answer."""
    pipeline.warm_up()


@pytest.fixture(scope="session")
def phantom() -> Volume:
    return oblique_phantom(SHAPE)


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with serve(tmp_path / "store", compute_threads=2) as served:
        yield served
