"""The list of bad inputs and faults: what each item is, and which tests try it.

A test says its items by ``@pytest.mark.item(34)``; those of files begin with the item's number, in the test's name or
in that of its case. ``make bad-inputs`` runs them all and prints what came of each item.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable

import pytest

ITEMS: dict[int, str] = {
    1: "DICOM that ends too early",
    2: "DICOM without pixels",
    3: "rows or columns that are not those of the pixels",
    4: "sizes whose product is too large",
    5: "deflate and gzip bombs in DICOM",
    6: "another number of frames than is there",
    7: "impossible numbers of bits",
    8: "no orientation, or an impossible one",
    9: "several series or frames of reference together",
    10: "two slices at one place",
    11: "missing slices, uneven distances",
    12: "gantry tilt",
    13: "colour images",
    14: "other byte orders and compressions",
    15: "damaged elements",
    16: "sequences nested very deep",
    17: "paths in names and identifiers",
    18: "a program in the preamble",
    19: "impossible or changing rescale slopes",
    20: "damaged fragments; objects that are no images",
    21: "impossible distances in NIfTI and TIFF",
    22: "impossible affines",
    23: "huge sizes in a header",
    24: "impossible dimensions",
    25: "four and five dimensions",
    26: "scale slopes of zero, or no number",
    27: "voxels that are no number",
    28: "voxels past the end of the file",
    29: "gzip bombs and damaged gzip",
    30: "TIFF pages in a circle, or too many",
    31: "BigTIFF and other headers that lie",
    32: "archives that lead elsewhere, hold links or bombs",
    33: "names and contents that disagree",
    34: "a message that is too large",
    35: "streams that idle or drip",
    36: "floods of pings and of broken calls",
    37: "gaps and overlaps in an upload",
    38: "an upload with another digest",
    39: "strokes with impossible points, or too many",
    40: "labels and widths that cannot be",
    41: "an event sent twice",
    42: "an event's number used for another event",
    43: "a missing event",
    44: "another project's volumes",
    45: "no token, an old or a revoked one",
    46: "forged tokens, and those made for others",
    47: "a captured token without the client's key",
    48: "clocks that differ",
    49: "text that would forge a log, patients' data on the way",
    50: "an address to fetch from",
    51: "pickles",
    52: "ONNX with data elsewhere",
    53: "ONNX of huge shapes, or without numbers",
    54: "a model with another digest",
    55: "a model that is worse",
    56: "storage that is away, slow or fails half way",
    57: "a write whose reply is lost",
    58: "no room on server or tablet",
    59: "a kill at any step of writing",
    60: "two tablets on one annotation",
    61: "an embedding service that dies",
    62: "certificates that end or are renewed",
    63: "flipped bits in what is stored",
    64: "an audit trail that cannot be written",
}
_OF_FILES = "test_bad_inputs.py"


def numbers(test: pytest.Item) -> tuple[int, ...]:
    """The items that a test tries."""
    marked = [number for mark in test.iter_markers("item") for number in mark.args]
    named = re.findall(r"(?<=_)\d\d(?=_)|(?<=\[)\d\d(?= )", test.name) if test.path.name == _OF_FILES else []
    return tuple(sorted({*marked, *map(int, named)}))


def table(reports: Iterable[pytest.TestReport]) -> str:
    """Each item with the tests that tried it and what came of them, as Markdown.

    Args:
        reports: of tests, with their items in ``user_properties``.
    """
    outcomes: dict[int, dict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
    for report in reports:
        if report.when == "call" or report.outcome != "passed":
            for name, number in report.user_properties:
                if name == "item":
                    outcomes[int(str(number))][report.nodeid.partition("[")[0]][report.outcome] += 1
    rows = ["| item | what | test | outcome |", "| --- | --- | --- | --- |"]
    for number, what in ITEMS.items():
        for test, came in outcomes[number].items() or {"**none**": Counter(missing=1)}.items():
            told = ", ".join(f"{count} {outcome}" for outcome, count in came.items())
            rows.append(f"| {number} | {what} | `{test.removeprefix('tests/')}` | {told} |")
    tried = sum(1 for number in ITEMS if outcomes[number])
    failed = sum(came["failed"] for tests in outcomes.values() for came in tests.values())
    return "\n".join([*rows, "", f"{tried} of {len(ITEMS)} items were tried; {failed} tests failed."])
