from calque.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SeriesKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SERIES_KIND_UNSPECIFIED: _ClassVar[SeriesKind]
    SERIES_KIND_IMAGE: _ClassVar[SeriesKind]
    SERIES_KIND_LOCALIZER: _ClassVar[SeriesKind]
    SERIES_KIND_DERIVED: _ClassVar[SeriesKind]
    SERIES_KIND_OTHER_REFERENCE: _ClassVar[SeriesKind]

class ImportStage(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    IMPORT_STAGE_UNSPECIFIED: _ClassVar[ImportStage]
    IMPORT_STAGE_FILES: _ClassVar[ImportStage]
    IMPORT_STAGE_SLICES: _ClassVar[ImportStage]
SERIES_KIND_UNSPECIFIED: SeriesKind
SERIES_KIND_IMAGE: SeriesKind
SERIES_KIND_LOCALIZER: SeriesKind
SERIES_KIND_DERIVED: SeriesKind
SERIES_KIND_OTHER_REFERENCE: SeriesKind
IMPORT_STAGE_UNSPECIFIED: ImportStage
IMPORT_STAGE_FILES: ImportStage
IMPORT_STAGE_SLICES: ImportStage

class Volume(_message.Message):
    __slots__ = ("volume_id", "name", "modality", "description", "imported_ms", "planes", "acquisition", "grey_slope", "grey_intercept", "grey_exact", "window_low", "window_high", "warnings", "voxel_ml", "digest", "thumbnail", "deidentified", "pseudonym", "dicom_seg_refusal", "project")
    VOLUME_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    MODALITY_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    IMPORTED_MS_FIELD_NUMBER: _ClassVar[int]
    PLANES_FIELD_NUMBER: _ClassVar[int]
    ACQUISITION_FIELD_NUMBER: _ClassVar[int]
    GREY_SLOPE_FIELD_NUMBER: _ClassVar[int]
    GREY_INTERCEPT_FIELD_NUMBER: _ClassVar[int]
    GREY_EXACT_FIELD_NUMBER: _ClassVar[int]
    WINDOW_LOW_FIELD_NUMBER: _ClassVar[int]
    WINDOW_HIGH_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    VOXEL_ML_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    THUMBNAIL_FIELD_NUMBER: _ClassVar[int]
    DEIDENTIFIED_FIELD_NUMBER: _ClassVar[int]
    PSEUDONYM_FIELD_NUMBER: _ClassVar[int]
    DICOM_SEG_REFUSAL_FIELD_NUMBER: _ClassVar[int]
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    volume_id: str
    name: str
    modality: str
    description: str
    imported_ms: int
    planes: _containers.RepeatedCompositeFieldContainer[_common_pb2.PlaneGeometry]
    acquisition: _common_pb2.Plane
    grey_slope: float
    grey_intercept: float
    grey_exact: bool
    window_low: float
    window_high: float
    warnings: _containers.RepeatedScalarFieldContainer[str]
    voxel_ml: float
    digest: str
    thumbnail: bytes
    deidentified: bool
    pseudonym: str
    dicom_seg_refusal: _common_pb2.ErrorInfo
    project: str
    def __init__(self, volume_id: _Optional[str] = ..., name: _Optional[str] = ..., modality: _Optional[str] = ..., description: _Optional[str] = ..., imported_ms: _Optional[int] = ..., planes: _Optional[_Iterable[_Union[_common_pb2.PlaneGeometry, _Mapping]]] = ..., acquisition: _Optional[_Union[_common_pb2.Plane, str]] = ..., grey_slope: _Optional[float] = ..., grey_intercept: _Optional[float] = ..., grey_exact: _Optional[bool] = ..., window_low: _Optional[float] = ..., window_high: _Optional[float] = ..., warnings: _Optional[_Iterable[str]] = ..., voxel_ml: _Optional[float] = ..., digest: _Optional[str] = ..., thumbnail: _Optional[bytes] = ..., deidentified: _Optional[bool] = ..., pseudonym: _Optional[str] = ..., dicom_seg_refusal: _Optional[_Union[_common_pb2.ErrorInfo, _Mapping]] = ..., project: _Optional[str] = ...) -> None: ...

class GetUploadRequest(_message.Message):
    __slots__ = ("upload_id",)
    UPLOAD_ID_FIELD_NUMBER: _ClassVar[int]
    upload_id: str
    def __init__(self, upload_id: _Optional[str] = ...) -> None: ...

class GetUploadResponse(_message.Message):
    __slots__ = ("files",)
    FILES_FIELD_NUMBER: _ClassVar[int]
    files: _containers.RepeatedCompositeFieldContainer[UploadedFile]
    def __init__(self, files: _Optional[_Iterable[_Union[UploadedFile, _Mapping]]] = ...) -> None: ...

class UploadedFile(_message.Message):
    __slots__ = ("name", "size_bytes", "committed_bytes")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    COMMITTED_BYTES_FIELD_NUMBER: _ClassVar[int]
    name: str
    size_bytes: int
    committed_bytes: int
    def __init__(self, name: _Optional[str] = ..., size_bytes: _Optional[int] = ..., committed_bytes: _Optional[int] = ...) -> None: ...

class DeleteUploadRequest(_message.Message):
    __slots__ = ("upload_id",)
    UPLOAD_ID_FIELD_NUMBER: _ClassVar[int]
    upload_id: str
    def __init__(self, upload_id: _Optional[str] = ...) -> None: ...

class DeleteUploadResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class UploadRequest(_message.Message):
    __slots__ = ("upload_id", "file", "offset_bytes", "data")
    UPLOAD_ID_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    OFFSET_BYTES_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    upload_id: str
    file: UploadFile
    offset_bytes: int
    data: bytes
    def __init__(self, upload_id: _Optional[str] = ..., file: _Optional[_Union[UploadFile, _Mapping]] = ..., offset_bytes: _Optional[int] = ..., data: _Optional[bytes] = ...) -> None: ...

class UploadFile(_message.Message):
    __slots__ = ("name", "size_bytes", "sha256")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    name: str
    size_bytes: int
    sha256: bytes
    def __init__(self, name: _Optional[str] = ..., size_bytes: _Optional[int] = ..., sha256: _Optional[bytes] = ...) -> None: ...

class UploadResponse(_message.Message):
    __slots__ = ("files",)
    FILES_FIELD_NUMBER: _ClassVar[int]
    files: _containers.RepeatedCompositeFieldContainer[UploadedFile]
    def __init__(self, files: _Optional[_Iterable[_Union[UploadedFile, _Mapping]]] = ...) -> None: ...

class ListSeriesRequest(_message.Message):
    __slots__ = ("upload_id",)
    UPLOAD_ID_FIELD_NUMBER: _ClassVar[int]
    upload_id: str
    def __init__(self, upload_id: _Optional[str] = ...) -> None: ...

class ListSeriesResponse(_message.Message):
    __slots__ = ("series", "others", "unlisted")
    SERIES_FIELD_NUMBER: _ClassVar[int]
    OTHERS_FIELD_NUMBER: _ClassVar[int]
    UNLISTED_FIELD_NUMBER: _ClassVar[int]
    series: _containers.RepeatedCompositeFieldContainer[Series]
    others: _containers.RepeatedCompositeFieldContainer[OtherFiles]
    unlisted: int
    def __init__(self, series: _Optional[_Iterable[_Union[Series, _Mapping]]] = ..., others: _Optional[_Iterable[_Union[OtherFiles, _Mapping]]] = ..., unlisted: _Optional[int] = ...) -> None: ...

class Series(_message.Message):
    __slots__ = ("key", "kind", "modality", "description", "place", "date", "columns", "rows", "slices", "column_mm", "row_mm", "slice_mm", "frames", "refusal", "resample_helps", "shear_helps")
    KEY_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    MODALITY_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    PLACE_FIELD_NUMBER: _ClassVar[int]
    DATE_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    SLICES_FIELD_NUMBER: _ClassVar[int]
    COLUMN_MM_FIELD_NUMBER: _ClassVar[int]
    ROW_MM_FIELD_NUMBER: _ClassVar[int]
    SLICE_MM_FIELD_NUMBER: _ClassVar[int]
    FRAMES_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    RESAMPLE_HELPS_FIELD_NUMBER: _ClassVar[int]
    SHEAR_HELPS_FIELD_NUMBER: _ClassVar[int]
    key: str
    kind: SeriesKind
    modality: str
    description: str
    place: str
    date: str
    columns: int
    rows: int
    slices: int
    column_mm: float
    row_mm: float
    slice_mm: float
    frames: _containers.RepeatedCompositeFieldContainer[_common_pb2.Choice]
    refusal: _common_pb2.ErrorInfo
    resample_helps: bool
    shear_helps: bool
    def __init__(self, key: _Optional[str] = ..., kind: _Optional[_Union[SeriesKind, str]] = ..., modality: _Optional[str] = ..., description: _Optional[str] = ..., place: _Optional[str] = ..., date: _Optional[str] = ..., columns: _Optional[int] = ..., rows: _Optional[int] = ..., slices: _Optional[int] = ..., column_mm: _Optional[float] = ..., row_mm: _Optional[float] = ..., slice_mm: _Optional[float] = ..., frames: _Optional[_Iterable[_Union[_common_pb2.Choice, _Mapping]]] = ..., refusal: _Optional[_Union[_common_pb2.ErrorInfo, _Mapping]] = ..., resample_helps: _Optional[bool] = ..., shear_helps: _Optional[bool] = ...) -> None: ...

class OtherFiles(_message.Message):
    __slots__ = ("what", "count")
    WHAT_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    what: str
    count: int
    def __init__(self, what: _Optional[str] = ..., count: _Optional[int] = ...) -> None: ...

class ImportRequest(_message.Message):
    __slots__ = ("upload_id", "name", "series", "frame_plus_one", "resample", "shear", "project")
    UPLOAD_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    SERIES_FIELD_NUMBER: _ClassVar[int]
    FRAME_PLUS_ONE_FIELD_NUMBER: _ClassVar[int]
    RESAMPLE_FIELD_NUMBER: _ClassVar[int]
    SHEAR_FIELD_NUMBER: _ClassVar[int]
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    upload_id: str
    name: str
    series: str
    frame_plus_one: int
    resample: bool
    shear: bool
    project: str
    def __init__(self, upload_id: _Optional[str] = ..., name: _Optional[str] = ..., series: _Optional[str] = ..., frame_plus_one: _Optional[int] = ..., resample: _Optional[bool] = ..., shear: _Optional[bool] = ..., project: _Optional[str] = ...) -> None: ...

class ImportResponse(_message.Message):
    __slots__ = ("progress", "volume", "preview")
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    VOLUME_FIELD_NUMBER: _ClassVar[int]
    PREVIEW_FIELD_NUMBER: _ClassVar[int]
    progress: ImportProgress
    volume: Volume
    preview: ImportPreview
    def __init__(self, progress: _Optional[_Union[ImportProgress, _Mapping]] = ..., volume: _Optional[_Union[Volume, _Mapping]] = ..., preview: _Optional[_Union[ImportPreview, _Mapping]] = ...) -> None: ...

class ImportProgress(_message.Message):
    __slots__ = ("done", "total", "stage")
    DONE_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    done: int
    total: int
    stage: ImportStage
    def __init__(self, done: _Optional[int] = ..., total: _Optional[int] = ..., stage: _Optional[_Union[ImportStage, str]] = ...) -> None: ...

class ImportPreview(_message.Message):
    __slots__ = ("plane", "slice", "picture")
    PLANE_FIELD_NUMBER: _ClassVar[int]
    SLICE_FIELD_NUMBER: _ClassVar[int]
    PICTURE_FIELD_NUMBER: _ClassVar[int]
    plane: _common_pb2.PlaneGeometry
    slice: int
    picture: bytes
    def __init__(self, plane: _Optional[_Union[_common_pb2.PlaneGeometry, _Mapping]] = ..., slice: _Optional[int] = ..., picture: _Optional[bytes] = ...) -> None: ...

class ListVolumesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListVolumesResponse(_message.Message):
    __slots__ = ("volumes",)
    VOLUMES_FIELD_NUMBER: _ClassVar[int]
    volumes: _containers.RepeatedCompositeFieldContainer[Volume]
    def __init__(self, volumes: _Optional[_Iterable[_Union[Volume, _Mapping]]] = ...) -> None: ...

class GetVolumeRequest(_message.Message):
    __slots__ = ("volume_id",)
    VOLUME_ID_FIELD_NUMBER: _ClassVar[int]
    volume_id: str
    def __init__(self, volume_id: _Optional[str] = ...) -> None: ...

class GetVolumeResponse(_message.Message):
    __slots__ = ("volume",)
    VOLUME_FIELD_NUMBER: _ClassVar[int]
    volume: Volume
    def __init__(self, volume: _Optional[_Union[Volume, _Mapping]] = ...) -> None: ...

class ReadSlicesRequest(_message.Message):
    __slots__ = ("volume_id", "plane", "slices")
    VOLUME_ID_FIELD_NUMBER: _ClassVar[int]
    PLANE_FIELD_NUMBER: _ClassVar[int]
    SLICES_FIELD_NUMBER: _ClassVar[int]
    volume_id: str
    plane: _common_pb2.Plane
    slices: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, volume_id: _Optional[str] = ..., plane: _Optional[_Union[_common_pb2.Plane, str]] = ..., slices: _Optional[_Iterable[int]] = ...) -> None: ...

class ReadSlicesResponse(_message.Message):
    __slots__ = ("slice", "grey")
    SLICE_FIELD_NUMBER: _ClassVar[int]
    GREY_FIELD_NUMBER: _ClassVar[int]
    slice: int
    grey: bytes
    def __init__(self, slice: _Optional[int] = ..., grey: _Optional[bytes] = ...) -> None: ...

class DeleteVolumeRequest(_message.Message):
    __slots__ = ("volume_id",)
    VOLUME_ID_FIELD_NUMBER: _ClassVar[int]
    volume_id: str
    def __init__(self, volume_id: _Optional[str] = ...) -> None: ...

class DeleteVolumeResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
