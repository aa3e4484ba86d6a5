"""In production nobody listens at the store's failpoints."""

from __future__ import annotations

from pathlib import Path

from services.store import failpoints

ROOT = Path(__file__).resolve().parents[2]


def test_nothing_but_tests_can_make_storage_fail() -> None:
    shipped = [path for room in ("services", "trainer", "tablet_client", "proto") for path in (ROOT / room).rglob("*.py")]
    listening = [path.name for path in shipped if "hooked" in path.read_text(encoding="utf-8")]
    assert listening == ["failpoints.py"]
    assert failpoints._hook is None
