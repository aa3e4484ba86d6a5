"""What the application does otherwise on Android: touches, files, language. Its Java is reached through pyjnius."""

from __future__ import annotations

import sys


def here() -> bool:
    """This is Android."""
    return hasattr(sys, "getandroidapilevel")
