"""Records of the store ↔ messages of the contract."""

from __future__ import annotations

from calque.v1 import common_pb2, segmentation_pb2

from services.core.advice import Advice
from services.core.errors import InvalidInput
from services.core.geometry import PlaneGeometry
from services.segmentation.settings import Learning, Settings, Switches
from services.store.annotations import AnnotationRecord, LabelRecord, MaskRecord
from services.store.log import Summary

PRESETS: dict[int, str] = {
    segmentation_pb2.PRESET_UNSPECIFIED: "paper",
    segmentation_pb2.PRESET_PAPER: "paper",
    segmentation_pb2.PRESET_CALQUE: "calque",
}
CLASSIFIERS: dict[int, str] = {
    segmentation_pb2.CLASSIFIER_UNSPECIFIED: "forest",
    segmentation_pb2.CLASSIFIER_FOREST: "forest",
    segmentation_pb2.CLASSIFIER_MLP: "mlp",
    segmentation_pb2.CLASSIFIER_GRADIENT_BOOSTING: "gradient_boosting",
    segmentation_pb2.CLASSIFIER_SVM: "svm",
    segmentation_pb2.CLASSIFIER_NAIVE_BAYES: "naive_bayes",
}
NAME_LIMIT = 64
NOTE_LIMIT = 200
LABEL_LIMIT = 15
NOTHING = Summary()


def annotation_message(record: AnnotationRecord, log: Summary = NOTHING, masks: int = 0) -> segmentation_pb2.Annotation:
    """An annotation as the contract has it."""
    return segmentation_pb2.Annotation(
        annotation_id=record.annotation_id,
        volume_id=record.volume_id,
        name=record.name,
        created_ms=record.created_ms,
        labels=[common_pb2.Label(value=label.value, name=label.name, colour=label.colour) for label in record.labels],
        log_length=log.length,
        masks=masks,
        events=log.events,
        changed_ms=log.changed_ms,
        changed_by=log.changed_by,
        review=f"REVIEW_{record.review.upper() or 'UNSPECIFIED'}",
        reviewed_by=record.reviewed_by,
        reviewed_ms=record.reviewed_ms,
        accepted_mask=record.accepted_mask,
        review_note=record.review_note,
    )


def advice_message(advice: Advice, plane: PlaneGeometry, generation: int) -> segmentation_pb2.Advice:
    """Advice in the pixels of the acquisition's plane."""
    places = []
    for place in advice.places:
        corner = plane.pixel_of((place.slice, place.row, place.column))
        other = plane.pixel_of((place.slice, place.row + place.rows - 1, place.column + place.columns - 1))
        (column, right), (row, bottom) = (sorted(ends) for ends in list(zip(corner, other))[:2])
        places.append(
            segmentation_pb2.Place(
                plane=common_pb2.Plane.Name(plane.plane),
                slice=corner[2],
                row=row,
                column=column,
                rows=bottom - row + 1,
                columns=right - column + 1,
            )
        )
    return segmentation_pb2.Advice(
        generation=generation, places=places, expected_dice=advice.expected_dice, enough=advice.enough
    )


def mask_message(record: MaskRecord) -> segmentation_pb2.Mask:
    """A saved mask as the contract has it."""
    return segmentation_pb2.Mask(
        number=record.number,
        digest=record.digest,
        threshold=record.threshold,
        saved_ms=record.saved_ms,
        log_length=record.log_length,
        preset="PRESET_" + record.preset.upper(),
        seed=record.seed,
        engine=record.engine,
        object_ml=record.object_ml,
        connected=record.connected,
        fill_holes=record.fill_holes,
        classifier="CLASSIFIER_" + record.classifier.upper(),
        latent_model=record.latent_model,
    )


def settings_of(message: segmentation_pb2.AnnotateSettings, labels: list[int]) -> Settings:
    """How a tablet wants an annotation with these labels to be computed. Raises: InvalidInput."""
    shown = message.shown_label or labels[0]
    if shown not in labels or message.preset not in PRESETS or message.classifier not in CLASSIFIERS:
        raise InvalidInput("There is no such label, preset or classifier.")
    learning = Learning(PRESETS[message.preset], message.seed, shown, CLASSIFIERS[message.classifier])
    on = learning.preset == "calque"
    if on and learning.classifier != "forest":
        raise InvalidInput("The preset calque works with the forest alone; choose the preset paper for other classifiers.")
    switches = Switches(
        connected=message.connected if message.HasField("connected") else on,
        fill_holes=message.fill_holes if message.HasField("fill_holes") else on,
    )
    return Settings(learning, switches, message.live, latent=on and message.latent_features)


def label_records(labels: list[common_pb2.Label]) -> tuple[LabelRecord, ...]:
    """Labels of a request, checked. Raises: InvalidInput."""
    records = tuple(LabelRecord(label.value, check_name(label.name), label.colour) for label in labels)
    if [record.value for record in records] != list(range(1, len(records) + 1)) or not 2 <= len(records) <= LABEL_LIMIT:
        raise InvalidInput(f"Labels are numbered 1, 2, … without gaps, from 2 to {LABEL_LIMIT} of them.")
    if any(record.colour > 0xFFFFFF for record in records):
        raise InvalidInput("A colour is 0xRRGGBB.")
    return records


def check_author(name: str) -> str:
    """Whoever works with a tablet, as it is kept; may be empty. Raises: InvalidInput."""
    return check_name(name) if name.strip() else ""


def check_note(note: str) -> str:
    """A reviewer's note as it is kept. Raises: InvalidInput."""
    note = note.strip()
    if len(note) > NOTE_LIMIT or not note.isprintable():
        raise InvalidInput(f"A note has at most {NOTE_LIMIT} printable characters.")
    return note


def check_name(name: str) -> str:
    """A name as it is kept. Raises: InvalidInput."""
    name = name.strip()
    if not name or len(name) > NAME_LIMIT or not name.isprintable():
        raise InvalidInput(f"A name has 1 to {NAME_LIMIT} printable characters.")
    return name
