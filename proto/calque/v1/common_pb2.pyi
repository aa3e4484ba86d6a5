from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Plane(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PLANE_UNSPECIFIED: _ClassVar[Plane]
    PLANE_AXIAL: _ClassVar[Plane]
    PLANE_CORONAL: _ClassVar[Plane]
    PLANE_SAGITTAL: _ClassVar[Plane]

class Reason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REASON_UNSPECIFIED: _ClassVar[Reason]
    FILE_TRUNCATED: _ClassVar[Reason]
    FILE_NOT_READABLE: _ClassVar[Reason]
    FILE_NOT_AN_IMAGE: _ClassVar[Reason]
    FILE_HEADER_INVALID: _ClassVar[Reason]
    FILE_TOO_LARGE: _ClassVar[Reason]
    GEOMETRY_INVALID: _ClassVar[Reason]
    SLICES_UNEVEN: _ClassVar[Reason]
    SEVERAL_SERIES: _ClassVar[Reason]
    SEVERAL_FRAMES: _ClassVar[Reason]
    COLOUR_IMAGE: _ClassVar[Reason]
    UPLOAD_OUT_OF_STEP: _ClassVar[Reason]
    DIGEST_MISMATCH: _ClassVar[Reason]
    REQUEST_INVALID: _ClassVar[Reason]
    STROKE_INVALID: _ClassVar[Reason]
    LABEL_UNKNOWN: _ClassVar[Reason]
    SEQUENCE_GAP: _ClassVar[Reason]
    SEQUENCE_CONFLICT: _ClassVar[Reason]
    OTHER_WRITER: _ClassVar[Reason]
    VOLUME_NOT_FOUND: _ClassVar[Reason]
    ANNOTATION_NOT_FOUND: _ClassVar[Reason]
    MASK_NOT_FOUND: _ClassVar[Reason]
    OBJECT_NOT_FOUND: _ClassVar[Reason]
    MASK_MISMATCH: _ClassVar[Reason]
    NOT_SEGMENTED: _ClassVar[Reason]
    STORE_UNAVAILABLE: _ClassVar[Reason]
    STORE_FULL: _ClassVar[Reason]
    STORE_CORRUPT: _ClassVar[Reason]
    MODEL_NOT_USABLE: _ClassVar[Reason]
    SERVICE_UNAVAILABLE: _ClassVar[Reason]
    INTERNAL: _ClassVar[Reason]
    NO_SOURCE_SERIES: _ClassVar[Reason]
    SEVERAL_SEGMENTS: _ClassVar[Reason]
    NOT_SIGNED_IN: _ClassVar[Reason]
    NOT_ALLOWED: _ClassVar[Reason]
    SIGN_IN_REFUSED: _ClassVar[Reason]
    TOO_MANY_ATTEMPTS: _ClassVar[Reason]
    ANNOTATION_LOCKED: _ClassVar[Reason]
    TOO_MANY_STREAMS: _ClassVar[Reason]
    STREAM_IDLE: _ClassVar[Reason]
PLANE_UNSPECIFIED: Plane
PLANE_AXIAL: Plane
PLANE_CORONAL: Plane
PLANE_SAGITTAL: Plane
REASON_UNSPECIFIED: Reason
FILE_TRUNCATED: Reason
FILE_NOT_READABLE: Reason
FILE_NOT_AN_IMAGE: Reason
FILE_HEADER_INVALID: Reason
FILE_TOO_LARGE: Reason
GEOMETRY_INVALID: Reason
SLICES_UNEVEN: Reason
SEVERAL_SERIES: Reason
SEVERAL_FRAMES: Reason
COLOUR_IMAGE: Reason
UPLOAD_OUT_OF_STEP: Reason
DIGEST_MISMATCH: Reason
REQUEST_INVALID: Reason
STROKE_INVALID: Reason
LABEL_UNKNOWN: Reason
SEQUENCE_GAP: Reason
SEQUENCE_CONFLICT: Reason
OTHER_WRITER: Reason
VOLUME_NOT_FOUND: Reason
ANNOTATION_NOT_FOUND: Reason
MASK_NOT_FOUND: Reason
OBJECT_NOT_FOUND: Reason
MASK_MISMATCH: Reason
NOT_SEGMENTED: Reason
STORE_UNAVAILABLE: Reason
STORE_FULL: Reason
STORE_CORRUPT: Reason
MODEL_NOT_USABLE: Reason
SERVICE_UNAVAILABLE: Reason
INTERNAL: Reason
NO_SOURCE_SERIES: Reason
SEVERAL_SEGMENTS: Reason
NOT_SIGNED_IN: Reason
NOT_ALLOWED: Reason
SIGN_IN_REFUSED: Reason
TOO_MANY_ATTEMPTS: Reason
ANNOTATION_LOCKED: Reason
TOO_MANY_STREAMS: Reason
STREAM_IDLE: Reason

class PlaneGeometry(_message.Message):
    __slots__ = ("plane", "columns", "rows", "slices", "column_mm", "row_mm", "slice_mm", "left", "right", "top", "bottom", "pixel_to_mm", "pixel_to_voxel")
    PLANE_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    SLICES_FIELD_NUMBER: _ClassVar[int]
    COLUMN_MM_FIELD_NUMBER: _ClassVar[int]
    ROW_MM_FIELD_NUMBER: _ClassVar[int]
    SLICE_MM_FIELD_NUMBER: _ClassVar[int]
    LEFT_FIELD_NUMBER: _ClassVar[int]
    RIGHT_FIELD_NUMBER: _ClassVar[int]
    TOP_FIELD_NUMBER: _ClassVar[int]
    BOTTOM_FIELD_NUMBER: _ClassVar[int]
    PIXEL_TO_MM_FIELD_NUMBER: _ClassVar[int]
    PIXEL_TO_VOXEL_FIELD_NUMBER: _ClassVar[int]
    plane: Plane
    columns: int
    rows: int
    slices: int
    column_mm: float
    row_mm: float
    slice_mm: float
    left: str
    right: str
    top: str
    bottom: str
    pixel_to_mm: _containers.RepeatedScalarFieldContainer[float]
    pixel_to_voxel: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, plane: _Optional[_Union[Plane, str]] = ..., columns: _Optional[int] = ..., rows: _Optional[int] = ..., slices: _Optional[int] = ..., column_mm: _Optional[float] = ..., row_mm: _Optional[float] = ..., slice_mm: _Optional[float] = ..., left: _Optional[str] = ..., right: _Optional[str] = ..., top: _Optional[str] = ..., bottom: _Optional[str] = ..., pixel_to_mm: _Optional[_Iterable[float]] = ..., pixel_to_voxel: _Optional[_Iterable[int]] = ...) -> None: ...

class Label(_message.Message):
    __slots__ = ("value", "name", "colour")
    VALUE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    COLOUR_FIELD_NUMBER: _ClassVar[int]
    value: int
    name: str
    colour: int
    def __init__(self, value: _Optional[int] = ..., name: _Optional[str] = ..., colour: _Optional[int] = ...) -> None: ...

class ErrorInfo(_message.Message):
    __slots__ = ("reason", "message", "expected", "choices")
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_FIELD_NUMBER: _ClassVar[int]
    CHOICES_FIELD_NUMBER: _ClassVar[int]
    reason: Reason
    message: str
    expected: int
    choices: _containers.RepeatedCompositeFieldContainer[Choice]
    def __init__(self, reason: _Optional[_Union[Reason, str]] = ..., message: _Optional[str] = ..., expected: _Optional[int] = ..., choices: _Optional[_Iterable[_Union[Choice, _Mapping]]] = ...) -> None: ...

class Choice(_message.Message):
    __slots__ = ("key", "text")
    KEY_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    key: str
    text: str
    def __init__(self, key: _Optional[str] = ..., text: _Optional[str] = ...) -> None: ...
