"""All bad inputs of files, in one table."""

from __future__ import annotations

from tests.formats import bad_case, bad_dicom, bad_files, bad_grids

TABLES = (bad_dicom, bad_files, bad_grids)  # each enters its cases when it is imported
CASES = bad_case.CASES
