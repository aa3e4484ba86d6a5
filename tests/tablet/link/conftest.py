"""A gRPC server for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.tablet.link.grpc_services import Services


@pytest_asyncio.fixture
async def services() -> AsyncIterator[Services]:
    found = Services()
    await found.start()
    yield found
    await found.stop()
