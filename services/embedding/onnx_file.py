"""Which files an ONNX model refers to, read from its bytes alone.

ONNX Runtime would open files that a model names as "external data", relative to wherever the process stands. A model here
is one self-contained file, so such a reference is looked for before the runtime sees the bytes. Only the protobuf wire
format is needed for it (field numbers: onnx/onnx.proto, IR version 11), not the `onnx` package.
"""

from __future__ import annotations

from collections.abc import Iterator

from services.core.errors import InvalidInput, Reason

# For each message the fields through which a tensor can be reached, with the message that each holds.
_PATHS: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
_EXTERNAL_DATA, _DATA_LOCATION, _EXTERNAL = 13, 14, 1
_DEEPEST = 32  # graphs inside graphs; real models have two or three


def has_external_data(model: bytes) -> bool:
    """Whether any tensor of an ONNX model lies outside its bytes.

    Raises:
        InvalidInput: the bytes are not a protobuf message.
    """
    try:
        return _external(memoryview(model), "model", 0)
    except (IndexError, ValueError) as error:
        raise InvalidInput("The model is not an ONNX file.", Reason.MODEL_NOT_USABLE) from error


def _external(message: memoryview, kind: str, depth: int) -> bool:
    if depth > _DEEPEST:
        raise ValueError("nested too deeply")
    for number, value in _fields(message):
        if kind == "tensor" and (number == _EXTERNAL_DATA or (number == _DATA_LOCATION and value == _EXTERNAL)):
            return True
        inner = _PATHS[kind].get(number)
        if inner is not None and isinstance(value, memoryview) and _external(value, inner, depth + 1):
            return True
    return False


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Each field's number with its value: an integer (wire type 0) or its bytes (types 1, 2 and 5)."""
    position = 0
    while position < len(message):
        tag, position = _varint(message, position)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            value, position = _varint(message, position)
            yield number, value
            continue
        if wire == 2:
            length, position = _varint(message, position)
        elif wire in (1, 5):
            length = 8 if wire == 1 else 4
        else:
            raise ValueError(f"wire type {wire}")
        if position + length > len(message):
            raise ValueError("a field ends after the message")
        yield number, message[position : position + length]
        position += length


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise ValueError("a number is too long")
