"""Every item of the list of bad inputs and faults has a test, and no test says an item that is none."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.items import ITEMS, table

TESTS = Path(__file__).parent


def marked() -> dict[int, list[str]]:
    """Items that tests are marked with, and the tests."""
    found: dict[int, list[str]] = {}
    for path in TESTS.rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for decorator in getattr(node, "decorator_list", []):
                if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.item":
                    for number in decorator.args:
                        found.setdefault(ast.literal_eval(number), []).append(f"{path.name}::{getattr(node, 'name', '')}")
    return found


def test_every_item_has_a_test() -> None:
    """Those of files, up to 33, have theirs in the tests of files, which count them themselves."""
    assert list(ITEMS) == list(range(1, 65))
    assert set(ITEMS) - set(range(1, 34)) <= marked().keys() <= set(ITEMS)


def test_the_table_tells_what_came_of_each_item() -> None:
    def report(number: int, name: str, outcome: str) -> pytest.TestReport:
        return pytest.TestReport(name, ("", 0, ""), {}, outcome, None, "call", user_properties=[("item", number)])

    told = table([report(34, "tests/a.py::x[1]", "passed"), report(34, "tests/a.py::x[2]", "failed")])
    assert "| 34 | a message that is too large | `a.py::x` | 1 passed, 1 failed |" in told
    assert "| 35 | streams that idle or drip | `**none**` | 1 missing |" in told
    assert told.endswith("1 of 64 items were tried; 1 tests failed.")
