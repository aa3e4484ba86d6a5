from calque.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Preset(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PRESET_UNSPECIFIED: _ClassVar[Preset]
    PRESET_PAPER: _ClassVar[Preset]
    PRESET_CALQUE: _ClassVar[Preset]

class Classifier(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CLASSIFIER_UNSPECIFIED: _ClassVar[Classifier]
    CLASSIFIER_FOREST: _ClassVar[Classifier]
    CLASSIFIER_MLP: _ClassVar[Classifier]
    CLASSIFIER_GRADIENT_BOOSTING: _ClassVar[Classifier]
    CLASSIFIER_SVM: _ClassVar[Classifier]
    CLASSIFIER_NAIVE_BAYES: _ClassVar[Classifier]

class Review(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REVIEW_UNSPECIFIED: _ClassVar[Review]
    REVIEW_ACCEPTED: _ClassVar[Review]
    REVIEW_SENT_BACK: _ClassVar[Review]
    REVIEW_SUBMITTED: _ClassVar[Review]

class ExportKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EXPORT_KIND_UNSPECIFIED: _ClassVar[ExportKind]
    EXPORT_KIND_ANNOTATION: _ClassVar[ExportKind]
    EXPORT_KIND_MASK: _ClassVar[ExportKind]
    EXPORT_KIND_PROBABILITY: _ClassVar[ExportKind]

class ExportFormat(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EXPORT_FORMAT_UNSPECIFIED: _ClassVar[ExportFormat]
    EXPORT_FORMAT_TIFF: _ClassVar[ExportFormat]
    EXPORT_FORMAT_NIFTI: _ClassVar[ExportFormat]
    EXPORT_FORMAT_ZIP: _ClassVar[ExportFormat]
    EXPORT_FORMAT_DICOM_SEG: _ClassVar[ExportFormat]
PRESET_UNSPECIFIED: Preset
PRESET_PAPER: Preset
PRESET_CALQUE: Preset
CLASSIFIER_UNSPECIFIED: Classifier
CLASSIFIER_FOREST: Classifier
CLASSIFIER_MLP: Classifier
CLASSIFIER_GRADIENT_BOOSTING: Classifier
CLASSIFIER_SVM: Classifier
CLASSIFIER_NAIVE_BAYES: Classifier
REVIEW_UNSPECIFIED: Review
REVIEW_ACCEPTED: Review
REVIEW_SENT_BACK: Review
REVIEW_SUBMITTED: Review
EXPORT_KIND_UNSPECIFIED: ExportKind
EXPORT_KIND_ANNOTATION: ExportKind
EXPORT_KIND_MASK: ExportKind
EXPORT_KIND_PROBABILITY: ExportKind
EXPORT_FORMAT_UNSPECIFIED: ExportFormat
EXPORT_FORMAT_TIFF: ExportFormat
EXPORT_FORMAT_NIFTI: ExportFormat
EXPORT_FORMAT_ZIP: ExportFormat
EXPORT_FORMAT_DICOM_SEG: ExportFormat

class Annotation(_message.Message):
    __slots__ = ("annotation_id", "volume_id", "name", "created_ms", "labels", "log_length", "masks", "events", "changed_ms", "changed_by", "review", "reviewed_by", "reviewed_ms", "accepted_mask", "review_note")
    ANNOTATION_ID_FIELD_NUMBER: _ClassVar[int]
    VOLUME_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    CREATED_MS_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    LOG_LENGTH_FIELD_NUMBER: _ClassVar[int]
    MASKS_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    CHANGED_MS_FIELD_NUMBER: _ClassVar[int]
    CHANGED_BY_FIELD_NUMBER: _ClassVar[int]
    REVIEW_FIELD_NUMBER: _ClassVar[int]
    REVIEWED_BY_FIELD_NUMBER: _ClassVar[int]
    REVIEWED_MS_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_MASK_FIELD_NUMBER: _ClassVar[int]
    REVIEW_NOTE_FIELD_NUMBER: _ClassVar[int]
    annotation_id: str
    volume_id: str
    name: str
    created_ms: int
    labels: _containers.RepeatedCompositeFieldContainer[_common_pb2.Label]
    log_length: int
    masks: int
    events: int
    changed_ms: int
    changed_by: str
    review: Review
    reviewed_by: str
    reviewed_ms: int
    accepted_mask: int
    review_note: str
    def __init__(self, annotation_id: _Optional[str] = ..., volume_id: _Optional[str] = ..., name: _Optional[str] = ..., created_ms: _Optional[int] = ..., labels: _Optional[_Iterable[_Union[_common_pb2.Label, _Mapping]]] = ..., log_length: _Optional[int] = ..., masks: _Optional[int] = ..., events: _Optional[int] = ..., changed_ms: _Optional[int] = ..., changed_by: _Optional[str] = ..., review: _Optional[_Union[Review, str]] = ..., reviewed_by: _Optional[str] = ..., reviewed_ms: _Optional[int] = ..., accepted_mask: _Optional[int] = ..., review_note: _Optional[str] = ...) -> None: ...

class SubmitAnnotationRequest(_message.Message):
    __slots__ = ("annotation_id",)
    ANNOTATION_ID_FIELD_NUMBER: _ClassVar[int]
    annotation_id: str
    def __init__(self, annotation_id: _Optional[str] = ...) -> None: ...

class SubmitAnnotationResponse(_message.Message):
    __slots__ = ("annotation",)
    ANNOTATION_FIELD_NUMBER: _ClassVar[int]
    annotation: Annotation
    def __init__(self, annotation: _Optional[_Union[Annotation, _Mapping]] = ...) -> None: ...

class ReviewAnnotationRequest(_message.Message):
    __slots__ = ("annotation_id", "verdict", "mask_number", "note")
    ANNOTATION_ID_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    MASK_NUMBER_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    annotation_id: str
    verdict: Review
    mask_number: int
    note: str
    def __init__(self, annotation_id: _Optional[str] = ..., verdict: _Optional[_Union[Review, str]] = ..., mask_number: _Optional[int] = ..., note: _Optional[str] = ...) -> None: ...

class ReviewAnnotationResponse(_message.Message):
    __slots__ = ("annotation",)
    ANNOTATION_FIELD_NUMBER: _ClassVar[int]
    annotation: Annotation
    def __init__(self, annotation: _Optional[_Union[Annotation, _Mapping]] = ...) -> None: ...

class Mask(_message.Message):
    __slots__ = ("number", "digest", "threshold", "saved_ms", "log_length", "preset", "seed", "engine", "object_ml", "connected", "fill_holes", "classifier", "latent_model")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    SAVED_MS_FIELD_NUMBER: _ClassVar[int]
    LOG_LENGTH_FIELD_NUMBER: _ClassVar[int]
    PRESET_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    ENGINE_FIELD_NUMBER: _ClassVar[int]
    OBJECT_ML_FIELD_NUMBER: _ClassVar[int]
    CONNECTED_FIELD_NUMBER: _ClassVar[int]
    FILL_HOLES_FIELD_NUMBER: _ClassVar[int]
    CLASSIFIER_FIELD_NUMBER: _ClassVar[int]
    LATENT_MODEL_FIELD_NUMBER: _ClassVar[int]
    number: int
    digest: str
    threshold: int
    saved_ms: int
    log_length: int
    preset: Preset
    seed: int
    engine: str
    object_ml: float
    connected: bool
    fill_holes: bool
    classifier: Classifier
    latent_model: str
    def __init__(self, number: _Optional[int] = ..., digest: _Optional[str] = ..., threshold: _Optional[int] = ..., saved_ms: _Optional[int] = ..., log_length: _Optional[int] = ..., preset: _Optional[_Union[Preset, str]] = ..., seed: _Optional[int] = ..., engine: _Optional[str] = ..., object_ml: _Optional[float] = ..., connected: _Optional[bool] = ..., fill_holes: _Optional[bool] = ..., classifier: _Optional[_Union[Classifier, str]] = ..., latent_model: _Optional[str] = ...) -> None: ...

class CreateAnnotationRequest(_message.Message):
    __slots__ = ("volume_id", "name", "labels")
    VOLUME_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    volume_id: str
    name: str
    labels: _containers.RepeatedCompositeFieldContainer[_common_pb2.Label]
    def __init__(self, volume_id: _Optional[str] = ..., name: _Optional[str] = ..., labels: _Optional[_Iterable[_Union[_common_pb2.Label, _Mapping]]] = ...) -> None: ...

class CreateAnnotationResponse(_message.Message):
    __slots__ = ("annotation",)
    ANNOTATION_FIELD_NUMBER: _ClassVar[int]
    annotation: Annotation
    def __init__(self, annotation: _Optional[_Union[Annotation, _Mapping]] = ...) -> None: ...

class ListAnnotationsRequest(_message.Message):
    __slots__ = ("volume_id",)
    VOLUME_ID_FIELD_NUMBER: _ClassVar[int]
    volume_id: str
    def __init__(self, volume_id: _Optional[str] = ...) -> None: ...

class ListAnnotationsResponse(_message.Message):
    __slots__ = ("annotations",)
    ANNOTATIONS_FIELD_NUMBER: _ClassVar[int]
    annotations: _containers.RepeatedCompositeFieldContainer[Annotation]
    def __init__(self, annotations: _Optional[_Iterable[_Union[Annotation, _Mapping]]] = ...) -> None: ...

class RenameAnnotationRequest(_message.Message):
    __slots__ = ("annotation_id", "name", "labels")
    ANNOTATION_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    annotation_id: str
    name: str
    labels: _containers.RepeatedCompositeFieldContainer[_common_pb2.Label]
    def __init__(self, annotation_id: _Optional[str] = ..., name: _Optional[str] = ..., labels: _Optional[_Iterable[_Union[_common_pb2.Label, _Mapping]]] = ...) -> None: ...

class RenameAnnotationResponse(_message.Message):
    __slots__ = ("annotation",)
    ANNOTATION_FIELD_NUMBER: _ClassVar[int]
    annotation: Annotation
    def __init__(self, annotation: _Optional[_Union[Annotation, _Mapping]] = ...) -> None: ...

class DeleteAnnotationRequest(_message.Message):
    __slots__ = ("annotation_id",)
    ANNOTATION_ID_FIELD_NUMBER: _ClassVar[int]
    annotation_id: str
    def __init__(self, annotation_id: _Optional[str] = ...) -> None: ...

class DeleteAnnotationResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class AnnotateRequest(_message.Message):
    __slots__ = ("open", "event", "view", "settings", "segment")
    OPEN_FIELD_NUMBER: _ClassVar[int]
    EVENT_FIELD_NUMBER: _ClassVar[int]
    VIEW_FIELD_NUMBER: _ClassVar[int]
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    SEGMENT_FIELD_NUMBER: _ClassVar[int]
    open: AnnotateOpen
    event: Event
    view: AnnotateView
    settings: AnnotateSettings
    segment: AnnotateSegment
    def __init__(self, open: _Optional[_Union[AnnotateOpen, _Mapping]] = ..., event: _Optional[_Union[Event, _Mapping]] = ..., view: _Optional[_Union[AnnotateView, _Mapping]] = ..., settings: _Optional[_Union[AnnotateSettings, _Mapping]] = ..., segment: _Optional[_Union[AnnotateSegment, _Mapping]] = ...) -> None: ...

class AnnotateOpen(_message.Message):
    __slots__ = ("annotation_id", "session_id", "take_over", "have_entries", "read_only", "author")
    ANNOTATION_ID_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    TAKE_OVER_FIELD_NUMBER: _ClassVar[int]
    HAVE_ENTRIES_FIELD_NUMBER: _ClassVar[int]
    READ_ONLY_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    annotation_id: str
    session_id: str
    take_over: bool
    have_entries: int
    read_only: bool
    author: str
    def __init__(self, annotation_id: _Optional[str] = ..., session_id: _Optional[str] = ..., take_over: _Optional[bool] = ..., have_entries: _Optional[int] = ..., read_only: _Optional[bool] = ..., author: _Optional[str] = ...) -> None: ...

class Event(_message.Message):
    __slots__ = ("sequence", "body", "sha256")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    body: bytes
    sha256: bytes
    def __init__(self, sequence: _Optional[int] = ..., body: _Optional[bytes] = ..., sha256: _Optional[bytes] = ...) -> None: ...

class EventBody(_message.Message):
    __slots__ = ("stroke", "lasso", "erase", "undo", "redo", "clear", "mask_import", "drawn_ms")
    STROKE_FIELD_NUMBER: _ClassVar[int]
    LASSO_FIELD_NUMBER: _ClassVar[int]
    ERASE_FIELD_NUMBER: _ClassVar[int]
    UNDO_FIELD_NUMBER: _ClassVar[int]
    REDO_FIELD_NUMBER: _ClassVar[int]
    CLEAR_FIELD_NUMBER: _ClassVar[int]
    MASK_IMPORT_FIELD_NUMBER: _ClassVar[int]
    DRAWN_MS_FIELD_NUMBER: _ClassVar[int]
    stroke: Stroke
    lasso: Lasso
    erase: Erase
    undo: Undo
    redo: Redo
    clear: Clear
    mask_import: MaskImport
    drawn_ms: int
    def __init__(self, stroke: _Optional[_Union[Stroke, _Mapping]] = ..., lasso: _Optional[_Union[Lasso, _Mapping]] = ..., erase: _Optional[_Union[Erase, _Mapping]] = ..., undo: _Optional[_Union[Undo, _Mapping]] = ..., redo: _Optional[_Union[Redo, _Mapping]] = ..., clear: _Optional[_Union[Clear, _Mapping]] = ..., mask_import: _Optional[_Union[MaskImport, _Mapping]] = ..., drawn_ms: _Optional[int] = ...) -> None: ...

class Stroke(_message.Message):
    __slots__ = ("plane", "slice", "label", "width_mm", "x", "y", "widths_mm")
    PLANE_FIELD_NUMBER: _ClassVar[int]
    SLICE_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    WIDTH_MM_FIELD_NUMBER: _ClassVar[int]
    X_FIELD_NUMBER: _ClassVar[int]
    Y_FIELD_NUMBER: _ClassVar[int]
    WIDTHS_MM_FIELD_NUMBER: _ClassVar[int]
    plane: _common_pb2.Plane
    slice: int
    label: int
    width_mm: float
    x: _containers.RepeatedScalarFieldContainer[float]
    y: _containers.RepeatedScalarFieldContainer[float]
    widths_mm: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, plane: _Optional[_Union[_common_pb2.Plane, str]] = ..., slice: _Optional[int] = ..., label: _Optional[int] = ..., width_mm: _Optional[float] = ..., x: _Optional[_Iterable[float]] = ..., y: _Optional[_Iterable[float]] = ..., widths_mm: _Optional[_Iterable[float]] = ...) -> None: ...

class Lasso(_message.Message):
    __slots__ = ("plane", "slice", "label", "x", "y")
    PLANE_FIELD_NUMBER: _ClassVar[int]
    SLICE_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    X_FIELD_NUMBER: _ClassVar[int]
    Y_FIELD_NUMBER: _ClassVar[int]
    plane: _common_pb2.Plane
    slice: int
    label: int
    x: _containers.RepeatedScalarFieldContainer[float]
    y: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, plane: _Optional[_Union[_common_pb2.Plane, str]] = ..., slice: _Optional[int] = ..., label: _Optional[int] = ..., x: _Optional[_Iterable[float]] = ..., y: _Optional[_Iterable[float]] = ...) -> None: ...

class Erase(_message.Message):
    __slots__ = ("plane", "slice", "width_mm", "x", "y", "widths_mm")
    PLANE_FIELD_NUMBER: _ClassVar[int]
    SLICE_FIELD_NUMBER: _ClassVar[int]
    WIDTH_MM_FIELD_NUMBER: _ClassVar[int]
    X_FIELD_NUMBER: _ClassVar[int]
    Y_FIELD_NUMBER: _ClassVar[int]
    WIDTHS_MM_FIELD_NUMBER: _ClassVar[int]
    plane: _common_pb2.Plane
    slice: int
    width_mm: float
    x: _containers.RepeatedScalarFieldContainer[float]
    y: _containers.RepeatedScalarFieldContainer[float]
    widths_mm: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, plane: _Optional[_Union[_common_pb2.Plane, str]] = ..., slice: _Optional[int] = ..., width_mm: _Optional[float] = ..., x: _Optional[_Iterable[float]] = ..., y: _Optional[_Iterable[float]] = ..., widths_mm: _Optional[_Iterable[float]] = ...) -> None: ...

class Undo(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Redo(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Clear(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class MaskImport(_message.Message):
    __slots__ = ("mask_digest",)
    MASK_DIGEST_FIELD_NUMBER: _ClassVar[int]
    mask_digest: str
    def __init__(self, mask_digest: _Optional[str] = ...) -> None: ...

class AnnotateView(_message.Message):
    __slots__ = ("plane", "slice")
    PLANE_FIELD_NUMBER: _ClassVar[int]
    SLICE_FIELD_NUMBER: _ClassVar[int]
    plane: _common_pb2.Plane
    slice: int
    def __init__(self, plane: _Optional[_Union[_common_pb2.Plane, str]] = ..., slice: _Optional[int] = ...) -> None: ...

class AnnotateSettings(_message.Message):
    __slots__ = ("preset", "live", "seed", "shown_label", "connected", "fill_holes", "classifier", "latent_features")
    PRESET_FIELD_NUMBER: _ClassVar[int]
    LIVE_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    SHOWN_LABEL_FIELD_NUMBER: _ClassVar[int]
    CONNECTED_FIELD_NUMBER: _ClassVar[int]
    FILL_HOLES_FIELD_NUMBER: _ClassVar[int]
    CLASSIFIER_FIELD_NUMBER: _ClassVar[int]
    LATENT_FEATURES_FIELD_NUMBER: _ClassVar[int]
    preset: Preset
    live: bool
    seed: int
    shown_label: int
    connected: bool
    fill_holes: bool
    classifier: Classifier
    latent_features: bool
    def __init__(self, preset: _Optional[_Union[Preset, str]] = ..., live: _Optional[bool] = ..., seed: _Optional[int] = ..., shown_label: _Optional[int] = ..., connected: _Optional[bool] = ..., fill_holes: _Optional[bool] = ..., classifier: _Optional[_Union[Classifier, str]] = ..., latent_features: _Optional[bool] = ...) -> None: ...

class AnnotateSegment(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class AnnotateResponse(_message.Message):
    __slots__ = ("opened", "logged", "ack", "probability", "histogram", "progress", "statistics", "error", "writer", "advice", "latent_features")
    OPENED_FIELD_NUMBER: _ClassVar[int]
    LOGGED_FIELD_NUMBER: _ClassVar[int]
    ACK_FIELD_NUMBER: _ClassVar[int]
    PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    HISTOGRAM_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    STATISTICS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    WRITER_FIELD_NUMBER: _ClassVar[int]
    ADVICE_FIELD_NUMBER: _ClassVar[int]
    LATENT_FEATURES_FIELD_NUMBER: _ClassVar[int]
    opened: AnnotateOpened
    logged: LoggedEvent
    ack: Ack
    probability: Probability
    histogram: Histogram
    progress: Progress
    statistics: Statistics
    error: _common_pb2.ErrorInfo
    writer: WriterChanged
    advice: Advice
    latent_features: LatentFeatures
    def __init__(self, opened: _Optional[_Union[AnnotateOpened, _Mapping]] = ..., logged: _Optional[_Union[LoggedEvent, _Mapping]] = ..., ack: _Optional[_Union[Ack, _Mapping]] = ..., probability: _Optional[_Union[Probability, _Mapping]] = ..., histogram: _Optional[_Union[Histogram, _Mapping]] = ..., progress: _Optional[_Union[Progress, _Mapping]] = ..., statistics: _Optional[_Union[Statistics, _Mapping]] = ..., error: _Optional[_Union[_common_pb2.ErrorInfo, _Mapping]] = ..., writer: _Optional[_Union[WriterChanged, _Mapping]] = ..., advice: _Optional[_Union[Advice, _Mapping]] = ..., latent_features: _Optional[_Union[LatentFeatures, _Mapping]] = ...) -> None: ...

class AnnotateOpened(_message.Message):
    __slots__ = ("annotation", "writer", "next_sequence", "log_length")
    ANNOTATION_FIELD_NUMBER: _ClassVar[int]
    WRITER_FIELD_NUMBER: _ClassVar[int]
    NEXT_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    LOG_LENGTH_FIELD_NUMBER: _ClassVar[int]
    annotation: Annotation
    writer: bool
    next_sequence: int
    log_length: int
    def __init__(self, annotation: _Optional[_Union[Annotation, _Mapping]] = ..., writer: _Optional[bool] = ..., next_sequence: _Optional[int] = ..., log_length: _Optional[int] = ...) -> None: ...

class LoggedEvent(_message.Message):
    __slots__ = ("position", "session_id", "sequence", "body")
    POSITION_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    position: int
    session_id: str
    sequence: int
    body: bytes
    def __init__(self, position: _Optional[int] = ..., session_id: _Optional[str] = ..., sequence: _Optional[int] = ..., body: _Optional[bytes] = ...) -> None: ...

class Ack(_message.Message):
    __slots__ = ("sequence", "position")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    position: int
    def __init__(self, sequence: _Optional[int] = ..., position: _Optional[int] = ...) -> None: ...

class Probability(_message.Message):
    __slots__ = ("plane", "slice", "generation", "log_length", "levels", "default_threshold", "latent_model")
    PLANE_FIELD_NUMBER: _ClassVar[int]
    SLICE_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    LOG_LENGTH_FIELD_NUMBER: _ClassVar[int]
    LEVELS_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    LATENT_MODEL_FIELD_NUMBER: _ClassVar[int]
    plane: _common_pb2.Plane
    slice: int
    generation: int
    log_length: int
    levels: bytes
    default_threshold: int
    latent_model: str
    def __init__(self, plane: _Optional[_Union[_common_pb2.Plane, str]] = ..., slice: _Optional[int] = ..., generation: _Optional[int] = ..., log_length: _Optional[int] = ..., levels: _Optional[bytes] = ..., default_threshold: _Optional[int] = ..., latent_model: _Optional[str] = ...) -> None: ...

class Histogram(_message.Message):
    __slots__ = ("generation", "counts", "complete")
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    generation: int
    counts: _containers.RepeatedScalarFieldContainer[int]
    complete: bool
    def __init__(self, generation: _Optional[int] = ..., counts: _Optional[_Iterable[int]] = ..., complete: _Optional[bool] = ...) -> None: ...

class Progress(_message.Message):
    __slots__ = ("generation", "done", "total")
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    generation: int
    done: int
    total: int
    def __init__(self, generation: _Optional[int] = ..., done: _Optional[int] = ..., total: _Optional[int] = ...) -> None: ...

class Statistics(_message.Message):
    __slots__ = ("generation", "out_of_bag", "labelled_voxels", "gather_ms", "fit_ms", "visible_ms", "volume_ms", "workspace_bytes", "peak_bytes", "features_ms", "predict_ms", "walk_ms", "reconstruct_ms", "sent_bytes")
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    OUT_OF_BAG_FIELD_NUMBER: _ClassVar[int]
    LABELLED_VOXELS_FIELD_NUMBER: _ClassVar[int]
    GATHER_MS_FIELD_NUMBER: _ClassVar[int]
    FIT_MS_FIELD_NUMBER: _ClassVar[int]
    VISIBLE_MS_FIELD_NUMBER: _ClassVar[int]
    VOLUME_MS_FIELD_NUMBER: _ClassVar[int]
    WORKSPACE_BYTES_FIELD_NUMBER: _ClassVar[int]
    PEAK_BYTES_FIELD_NUMBER: _ClassVar[int]
    FEATURES_MS_FIELD_NUMBER: _ClassVar[int]
    PREDICT_MS_FIELD_NUMBER: _ClassVar[int]
    WALK_MS_FIELD_NUMBER: _ClassVar[int]
    RECONSTRUCT_MS_FIELD_NUMBER: _ClassVar[int]
    SENT_BYTES_FIELD_NUMBER: _ClassVar[int]
    generation: int
    out_of_bag: float
    labelled_voxels: _containers.RepeatedScalarFieldContainer[int]
    gather_ms: float
    fit_ms: float
    visible_ms: float
    volume_ms: float
    workspace_bytes: int
    peak_bytes: int
    features_ms: float
    predict_ms: float
    walk_ms: float
    reconstruct_ms: float
    sent_bytes: int
    def __init__(self, generation: _Optional[int] = ..., out_of_bag: _Optional[float] = ..., labelled_voxels: _Optional[_Iterable[int]] = ..., gather_ms: _Optional[float] = ..., fit_ms: _Optional[float] = ..., visible_ms: _Optional[float] = ..., volume_ms: _Optional[float] = ..., workspace_bytes: _Optional[int] = ..., peak_bytes: _Optional[int] = ..., features_ms: _Optional[float] = ..., predict_ms: _Optional[float] = ..., walk_ms: _Optional[float] = ..., reconstruct_ms: _Optional[float] = ..., sent_bytes: _Optional[int] = ...) -> None: ...

class LatentFeatures(_message.Message):
    __slots__ = ("model_digest", "missing")
    MODEL_DIGEST_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    model_digest: str
    missing: _common_pb2.ErrorInfo
    def __init__(self, model_digest: _Optional[str] = ..., missing: _Optional[_Union[_common_pb2.ErrorInfo, _Mapping]] = ...) -> None: ...

class Advice(_message.Message):
    __slots__ = ("generation", "places", "expected_dice", "enough")
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    PLACES_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_DICE_FIELD_NUMBER: _ClassVar[int]
    ENOUGH_FIELD_NUMBER: _ClassVar[int]
    generation: int
    places: _containers.RepeatedCompositeFieldContainer[Place]
    expected_dice: float
    enough: bool
    def __init__(self, generation: _Optional[int] = ..., places: _Optional[_Iterable[_Union[Place, _Mapping]]] = ..., expected_dice: _Optional[float] = ..., enough: _Optional[bool] = ...) -> None: ...

class Place(_message.Message):
    __slots__ = ("plane", "slice", "row", "column", "rows", "columns")
    PLANE_FIELD_NUMBER: _ClassVar[int]
    SLICE_FIELD_NUMBER: _ClassVar[int]
    ROW_FIELD_NUMBER: _ClassVar[int]
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    plane: _common_pb2.Plane
    slice: int
    row: int
    column: int
    rows: int
    columns: int
    def __init__(self, plane: _Optional[_Union[_common_pb2.Plane, str]] = ..., slice: _Optional[int] = ..., row: _Optional[int] = ..., column: _Optional[int] = ..., rows: _Optional[int] = ..., columns: _Optional[int] = ...) -> None: ...

class WriterChanged(_message.Message):
    __slots__ = ("writer", "locked")
    WRITER_FIELD_NUMBER: _ClassVar[int]
    LOCKED_FIELD_NUMBER: _ClassVar[int]
    writer: bool
    locked: bool
    def __init__(self, writer: _Optional[bool] = ..., locked: _Optional[bool] = ...) -> None: ...

class SaveMaskRequest(_message.Message):
    __slots__ = ("annotation_id", "threshold")
    ANNOTATION_ID_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    annotation_id: str
    threshold: int
    def __init__(self, annotation_id: _Optional[str] = ..., threshold: _Optional[int] = ...) -> None: ...

class SaveMaskResponse(_message.Message):
    __slots__ = ("progress", "mask")
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    MASK_FIELD_NUMBER: _ClassVar[int]
    progress: Progress
    mask: Mask
    def __init__(self, progress: _Optional[_Union[Progress, _Mapping]] = ..., mask: _Optional[_Union[Mask, _Mapping]] = ...) -> None: ...

class ListMasksRequest(_message.Message):
    __slots__ = ("annotation_id",)
    ANNOTATION_ID_FIELD_NUMBER: _ClassVar[int]
    annotation_id: str
    def __init__(self, annotation_id: _Optional[str] = ...) -> None: ...

class ListMasksResponse(_message.Message):
    __slots__ = ("masks",)
    MASKS_FIELD_NUMBER: _ClassVar[int]
    masks: _containers.RepeatedCompositeFieldContainer[Mask]
    def __init__(self, masks: _Optional[_Iterable[_Union[Mask, _Mapping]]] = ...) -> None: ...

class UploadMaskRequest(_message.Message):
    __slots__ = ("annotation_id", "name", "data", "segment")
    ANNOTATION_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    SEGMENT_FIELD_NUMBER: _ClassVar[int]
    annotation_id: str
    name: str
    data: bytes
    segment: int
    def __init__(self, annotation_id: _Optional[str] = ..., name: _Optional[str] = ..., data: _Optional[bytes] = ..., segment: _Optional[int] = ...) -> None: ...

class UploadMaskResponse(_message.Message):
    __slots__ = ("mask_digest", "voxels")
    MASK_DIGEST_FIELD_NUMBER: _ClassVar[int]
    VOXELS_FIELD_NUMBER: _ClassVar[int]
    mask_digest: str
    voxels: int
    def __init__(self, mask_digest: _Optional[str] = ..., voxels: _Optional[int] = ...) -> None: ...

class ExportRequest(_message.Message):
    __slots__ = ("annotation_id", "kind", "format", "mask_number")
    ANNOTATION_ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    MASK_NUMBER_FIELD_NUMBER: _ClassVar[int]
    annotation_id: str
    kind: ExportKind
    format: ExportFormat
    mask_number: int
    def __init__(self, annotation_id: _Optional[str] = ..., kind: _Optional[_Union[ExportKind, str]] = ..., format: _Optional[_Union[ExportFormat, str]] = ..., mask_number: _Optional[int] = ...) -> None: ...

class ExportResponse(_message.Message):
    __slots__ = ("name", "data", "sha256", "size_bytes")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    name: str
    data: bytes
    sha256: str
    size_bytes: int
    def __init__(self, name: _Optional[str] = ..., data: _Optional[bytes] = ..., sha256: _Optional[str] = ..., size_bytes: _Optional[int] = ...) -> None: ...
