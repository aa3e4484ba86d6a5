"""Records in the store: JSON, then a line with its SHA-256, so that a flipped bit is noticed.

Those of layouts 1 and 2 end with the JSON.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any


def encode(fields: dict[str, Any]) -> bytes:
    """The bytes that are stored."""
    content = json.dumps(fields, indent=1).encode()
    return content + b"\n" + hashlib.sha256(content).hexdigest().encode()


def decode(data: bytes) -> Any:
    """What was encoded. Raises: ValueError: the bytes are damaged."""
    if data.endswith(b"}"):
        return json.loads(data)
    content, _, digest = data.rpartition(b"\n")
    if hashlib.sha256(content).hexdigest().encode() != digest:
        raise ValueError("The record does not have its digest.")
    return json.loads(content)
