"""What the tests of sign-in share."""

from __future__ import annotations

import argon2
import pytest

from services.serving.identity import users


@pytest.fixture(autouse=True)
def cheaper_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashes that cost a fraction of the real ones."""
    monkeypatch.setattr(users, "_HASHER", argon2.PasswordHasher(time_cost=2, memory_cost=19 << 10, parallelism=1))
