"""What commands print: never anything that the terminal would obey, or that stops the command because it cannot show it."""

from __future__ import annotations

import sys
from collections.abc import Iterable


def printable(text: str) -> str:
    """Text with every character that cannot be shown, a line's end among them, written as its escape."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def tell(lines: Iterable[str]) -> None:
    """Print lines to standard output at once, in the characters that it has."""
    encoding = sys.stdout.encoding or "utf-8"
    for line in lines:
        print(printable(line).encode(encoding, "backslashreplace").decode(encoding), flush=True)
