"""A small volume, and the services on a store in a folder."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.core import pipeline
from services.core.volume import Volume
from tests.phantoms import oblique_phantom
from tests.served import Served, serve


@pytest.fixture(scope="session", autouse=True)
def compiled_loops() -> None:
    """Compiling them after a change of the engine takes as long as the tests wait for an answer."""
    pipeline.warm_up()


@pytest.fixture(scope="session")
def phantom() -> Volume:
    return oblique_phantom((6, 40, 48))


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with serve(tmp_path / "store", compute_threads=1) as served:
        yield served
