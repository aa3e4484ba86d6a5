"""What all tests share: repeatable property tests, and the volumes that only some machines keep."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.items import numbers, table
from tests.rgw import PACKAGES, Server
from tests.s3 import VARIABLE, s3_server

# The same examples in every run; no deadline, since the machine may be busy.
settings.register_profile(
    "calque", derandomize=True, database=None, deadline=None, max_examples=80, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("calque")

NO_DATA = "CALQUE_DATA names no folder of real volumes"
NO_INDEX = "no package index is reachable"
NO_S3 = f"no S3 server is to be had: install Debian's {' '.join(PACKAGES)}, or name one in {VARIABLE}"
TESTED_ON = "tested on"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real volumes. A test that uses it is marked ``realdata``, and skipped where there is none."""
    return Path(os.environ["CALQUE_DATA"])


@pytest.fixture(scope="session", autouse=True)
def own_data_folder(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What Calque keeps for its user, the development authority too, is of this run alone."""
    os.environ["XDG_DATA_HOME"] = str(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="session")
def s3_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server | None]:
    """The S3 server of this test run, which its workers share; None: there is none to be had."""
    folder = tmp_path_factory.getbasetemp()
    with s3_server((folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) / "s3") as server:
        yield server


@pytest.fixture
def s3(s3_run: Server | None, record_property: Callable[[str, object], None]) -> Server:
    """An S3 server. A test that uses it is skipped where there is none, and the summary says so."""
    if s3_run is None:
        pytest.skip(NO_S3)
    record_property(TESTED_ON, s3_run.name)
    return s3_run


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--items", metavar="FILE", help="write what came of each bad input and fault, as Markdown")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Note which bad inputs and faults a test tries. Skip what needs real volumes where there are none."""
    for test in items:
        if tried := numbers(test):
            test.add_marker(pytest.mark.item(*tried))
            test.user_properties += [("item", number) for number in tried]
    folder = os.environ.get("CALQUE_DATA", "")
    if not (folder and Path(folder).is_dir()):
        for item in items:
            if item.get_closest_marker("realdata"):
                item.add_marker(pytest.mark.skip(reason=NO_DATA))


def _reports(terminalreporter: pytest.TerminalReporter) -> list[pytest.TestReport]:
    return [one for kind in ("passed", "failed") for one in terminalreporter.stats.get(kind, [])]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say loudly what did not run, and on which object store the tests of it did."""
    told = (
        (NO_DATA, "tests on real volumes"),
        (NO_INDEX, "tests of what is installed"),
        (NO_S3, "tests of the S3 store"),
    )
    for reason, what in told:
        skipped = [r for r in terminalreporter.stats.get("skipped", []) if reason in str(r.longrepr)]
        if skipped:
            terminalreporter.write_sep("=", f"{len(skipped)} {what} did not run: {reason}", yellow=True)
    if target := terminalreporter.config.getoption("--items"):
        kinds = ("passed", "failed", "error", "skipped")
        told = table(report for kind in kinds for report in terminalreporter.stats.get(kind, []))
        Path(target).parent.mkdir(parents=True, exist_ok=True)
        Path(target).write_text(f"{told}\n", encoding="utf-8")
        terminalreporter.write_line(f"\n{told}")
    done = [dict(r.user_properties) for r in _reports(terminalreporter) if r.when == "call" and r.user_properties]
    for server, count in Counter(properties[TESTED_ON] for properties in done if TESTED_ON in properties).items():
        terminalreporter.write_sep("=", f"{count} tests of the S3 store ran on {server}")
