"""What all tests share: repeatable property tests, and the volumes that only some machines keep."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# The same examples in every run; no deadline, since the machine may be busy.
settings.register_profile(
    "calque", derandomize=True, database=None, deadline=None, max_examples=80, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("calque")

NO_DATA = "CALQUE_DATA names no folder of real volumes"
NO_INDEX = "no package index is reachable"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real volumes. A test that uses it is marked ``realdata``, and skipped where there is none."""
    return Path(os.environ["CALQUE_DATA"])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs real volumes where there are none."""
    folder = os.environ.get("CALQUE_DATA", "")
    if not (folder and Path(folder).is_dir()):
        for item in items:
            if item.get_closest_marker("realdata"):
                item.add_marker(pytest.mark.skip(reason=NO_DATA))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say loudly what did not run."""
    for reason, what in ((NO_DATA, "tests on real volumes"), (NO_INDEX, "tests of what a tablet installs")):
        skipped = [r for r in terminalreporter.stats.get("skipped", []) if reason in str(r.longrepr)]
        if skipped:
            terminalreporter.write_sep("=", f"{len(skipped)} {what} did not run: {reason}", yellow=True)
