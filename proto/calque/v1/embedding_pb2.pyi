from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class EmbedRequest(_message.Message):
    __slots__ = ("request_id", "rows", "columns", "pixels", "model_digest")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    PIXELS_FIELD_NUMBER: _ClassVar[int]
    MODEL_DIGEST_FIELD_NUMBER: _ClassVar[int]
    request_id: int
    rows: int
    columns: int
    pixels: bytes
    model_digest: str
    def __init__(self, request_id: _Optional[int] = ..., rows: _Optional[int] = ..., columns: _Optional[int] = ..., pixels: _Optional[bytes] = ..., model_digest: _Optional[str] = ...) -> None: ...

class EmbedResponse(_message.Message):
    __slots__ = ("request_id", "grid_rows", "grid_columns", "channels", "features", "model_digest", "elapsed_ms", "first_row", "rows", "last")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    GRID_ROWS_FIELD_NUMBER: _ClassVar[int]
    GRID_COLUMNS_FIELD_NUMBER: _ClassVar[int]
    CHANNELS_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    MODEL_DIGEST_FIELD_NUMBER: _ClassVar[int]
    ELAPSED_MS_FIELD_NUMBER: _ClassVar[int]
    FIRST_ROW_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    request_id: int
    grid_rows: int
    grid_columns: int
    channels: int
    features: bytes
    model_digest: str
    elapsed_ms: float
    first_row: int
    rows: int
    last: bool
    def __init__(self, request_id: _Optional[int] = ..., grid_rows: _Optional[int] = ..., grid_columns: _Optional[int] = ..., channels: _Optional[int] = ..., features: _Optional[bytes] = ..., model_digest: _Optional[str] = ..., elapsed_ms: _Optional[float] = ..., first_row: _Optional[int] = ..., rows: _Optional[int] = ..., last: _Optional[bool] = ...) -> None: ...

class GetModelRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetModelResponse(_message.Message):
    __slots__ = ("name", "digest", "channels", "stride", "provider", "size_bytes", "bounded")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    CHANNELS_FIELD_NUMBER: _ClassVar[int]
    STRIDE_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    BOUNDED_FIELD_NUMBER: _ClassVar[int]
    name: str
    digest: str
    channels: int
    stride: int
    provider: str
    size_bytes: int
    bounded: bool
    def __init__(self, name: _Optional[str] = ..., digest: _Optional[str] = ..., channels: _Optional[int] = ..., stride: _Optional[int] = ..., provider: _Optional[str] = ..., size_bytes: _Optional[int] = ..., bounded: _Optional[bool] = ...) -> None: ...
