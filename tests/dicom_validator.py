"""An independent judge of DICOM objects: dciodvfy of dicom3tools, which is installed for the tests where it may be."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest


def check_dicom(data: bytes, folder: Path) -> str:
    """Fail on an error that dciodvfy finds in an object. Returns what it recognised the object as, and its warnings."""
    program = shutil.which("dciodvfy")
    if program is None:
        pytest.skip("dciodvfy is not installed: DICOM objects go unchecked. As root: apt-get install dicom3tools")
    (folder / "checked.dcm").write_bytes(data)
    result = subprocess.run([program, folder / "checked.dcm"], capture_output=True, text=True, timeout=60, check=False)
    said = result.stdout + result.stderr
    assert "Error" not in said, said
    assert result.returncode == 0, said
    return said
