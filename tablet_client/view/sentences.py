"""What the user reads when something does not work: what happened, and what to do, without our words."""

from __future__ import annotations

from datetime import datetime

from calque.v1.segmentation_pb2 import (
    REVIEW_ACCEPTED,
    REVIEW_SENT_BACK,
    REVIEW_SUBMITTED,
    Annotation,
    Mask,
    Statistics,
)

from tablet_client.link.listener import Connection, Status
from tablet_client.link.port import LinkError, Step
from tablet_client.state.geometry import Plane
from tablet_client.state.guide import Place
from tablet_client.state.words import N_, _, language, ngettext

LOCKED = N_("This annotation was accepted, and is locked until a reviewer sends it back.")

_SENTENCES = {
    "FILE_TRUNCATED": N_("This file ends too early. Nothing was imported."),
    "FILE_NOT_READABLE": N_("This file cannot be read: it is damaged, or not a medical image. Nothing was imported."),
    "FILE_NOT_AN_IMAGE": N_("This file holds no image. Nothing was imported."),
    "FILE_HEADER_INVALID": N_("This file contradicts itself and cannot be trusted. Nothing was imported."),
    "FILE_TOO_LARGE": N_("This is too large for the server. Nothing was imported."),
    "GEOMETRY_INVALID": N_("The image does not say where it lies in the patient. Nothing was imported."),
    "SLICES_UNEVEN": N_("Slices are missing or unevenly spaced. Nothing was imported."),
    "SEVERAL_SERIES": N_("Several series lie here. Choose one of them."),
    "SEVERAL_FRAMES": N_("This image has several time points or channels. Choose one of them."),
    "COLOUR_IMAGE": N_("This is a colour image; grey values are needed. Nothing was imported."),
    "UPLOAD_OUT_OF_STEP": N_("The upload was interrupted. Please try again."),
    "DIGEST_MISMATCH": N_("Something was damaged on its way. It is sent again."),
    "STROKE_INVALID": N_("The server did not accept the last stroke. It was removed."),
    "LABEL_UNKNOWN": N_("This annotation no longer has that label. The last stroke was removed."),
    "OTHER_WRITER": N_(
        "Another tablet draws on this annotation now. Your strokes stay on this tablet; “Draw here” in the menu sends them."
    ),
    "ANNOTATION_LOCKED": LOCKED,
    "MASK_NOT_FOUND": N_("No mask of this annotation was saved yet. Save one first."),
    "VOLUME_NOT_FOUND": N_("This volume is no longer on the server."),
    "ANNOTATION_NOT_FOUND": N_("This annotation is no longer on the server."),
    "NOT_SEGMENTED": N_("Draw a little of the object and a little of what is not."),
    "STORE_UNAVAILABLE": N_("The server cannot reach its storage. Nothing is lost; it tries again."),
    "STORE_FULL": N_("The server has no room left. What you draw stays on this tablet."),
    "STORE_CORRUPT": N_("A file on the server is damaged. Please tell its administrator."),
    "MODEL_NOT_USABLE": N_("The server's model cannot be used. Please tell its administrator."),
    "SERVICE_UNAVAILABLE": N_("The server does not answer. Trying again …"),
    "SERVER_NOT_TRUSTED": N_("The server cannot prove who it is. Check its address and its certificate in the settings."),
    "NO_SERVER": N_("This tablet knows no server yet. Enter its address in the settings."),
    "INTERNAL": N_("The server made a mistake. Nothing that you drew is lost."),
    "NO_SOURCE_SERIES": N_("The slices of this volume are not images of a DICOM series. Choose NIfTI or TIFF."),
    "SEVERAL_SEGMENTS": N_("This segmentation has several segments. Choose one of them."),
    "NOT_SIGNED_IN": N_("The server asks who you are. What you drew stays on this tablet."),
    "SIGN_IN_REFUSED": N_("User or password is wrong."),
    "TOO_MANY_ATTEMPTS": N_("Too many attempts. Try again in some minutes."),
    "CODE_REFUSED": N_("The code was not confirmed. Ask for another one."),
    "ISSUER_UNAVAILABLE": N_("The sign-in service does not answer. Try again in a moment."),
    "NOT_ALLOWED": N_("You may not do this on this server. Please ask its administrator."),
}

_NO_DICOM = {
    "NO_SOURCE_SERIES": N_("not possible: its slices are not images of a DICOM series"),
    "GEOMETRY_INVALID": N_("not possible: its slices do not lie as DICOM asks"),
}

_PLANES = {Plane.AXIAL: N_("Axial"), Plane.CORONAL: N_("Coronal"), Plane.SAGITTAL: N_("Sagittal")}

HINT = N_("Draw a little of the object and a little of what is not.")
READING = N_("Another tablet draws on this annotation. You can look, or choose “Draw here” in the menu.")
NO_IMAGE = N_("This slice is not here yet: strokes need an image under them.")
TABLET_FULL = N_("This tablet has no room left: strokes cannot be kept. Free some room to go on drawing.")
JOURNAL_FULL = N_(
    "The journal is full: the last stroke is not saved, all others are. Wait for the server, or enlarge it in the settings."
)


def sentence(error: LinkError) -> str:
    """A sentence for a failed call; the server's own where it says more than the reason."""
    if error.choices:  # they are listed, and the server's sentence would list them once more
        return _(_SENTENCES[error.reason])
    ours = _SENTENCES.get(error.reason)
    more = error.reason.startswith(("FILE_", "SLICES_", "GEOMETRY_", "SEVERAL_", "REQUEST_")) and error.message
    if more and (language() == "en" or not ours):  # the server speaks English
        return error.message
    return _(ours) if ours else error.message or _("Something went wrong. Please try again.")


def no_room(status: Status) -> str:
    """Why no stroke can be kept."""
    return _(JOURNAL_FULL if status.journal_at_limit else TABLET_FULL)


def reading(status: Status | None) -> str:
    """Why there can be no drawing, where another tablet draws or nobody may."""
    return _(LOCKED if status is not None and status.locked else READING)


def left_behind(waiting: int) -> str:
    """Strokes wait for another server than the one of now."""
    return ngettext(
        "{n} stroke waits for the other server. It stays on this tablet until you come back to that server.",
        "{n} strokes wait for the other server. They stay on this tablet until you come back to that server.",
        waiting,
    )


def import_step(step: Step) -> str:
    """What an import does now: ``"Sending 34 of 120 MB"``, ``"Reading slice 40 of 200"``."""
    if step.what == "upload":
        return _("Sending {done} of {total}").format(**_sizes(step)) if step.total else _("Sending …")
    if not step.total:
        return _("The server reads the files …")
    # A count of what is done names the one that is next as long as there is one.
    current = min(step.done + 1, step.total)
    what = _("Looking at file {n} of {total}") if step.what == "files" else _("Reading slice {n} of {total}")
    return what.format(n=current, total=step.total)


def export_step(step: Step) -> str:
    """How far an export is: ``"Receiving 3 of 12 MB"``."""
    return _("Receiving {done} of {total}").format(**_sizes(step)) if step.total else _("Receiving …")


def export_failed(error: LinkError) -> str:
    """A sentence for an export that failed."""
    if error.reason in ("SERVICE_UNAVAILABLE", "STORE_UNAVAILABLE"):
        return _("The server does not answer. Nothing was exported: try again later.")
    if error.reason == "DIGEST_MISMATCH":
        return _("The file was damaged on its way. Nothing was exported: try again.")
    return no_dicom(error.reason) if error.reason in _NO_DICOM else sentence(error)


def no_dicom(reason: str) -> str:
    """Why there can be no DICOM Segmentation of a volume."""
    return _(_NO_DICOM.get(reason, _NO_DICOM["GEOMETRY_INVALID"]))


def saved_mask(mask: Mask) -> str:
    """A saved mask: its object's volume, threshold and the day."""
    day = datetime.fromtimestamp(mask.saved_ms / 1000).strftime("%Y-%m-%d %H:%M")
    told = _("{volume} at threshold {threshold}").format(volume=millilitres(mask.object_ml), threshold=mask.threshold)
    return f"{told} · {day}"


def safety(status: Status) -> tuple[str, str]:
    """Whether the work is safe: the sign of `TopBar` and the words beside it."""
    n = status.waiting
    strokes = ngettext("{n} stroke waits", "{n} strokes wait", n)
    if status.tablet_full:
        return "full", _("Not saved: the journal is full") if status.journal_at_limit else _(
            "Not saved: this tablet is full"
        )
    if n > status.saved_on_tablet:
        return "tablet", _("Saving …")
    if status.connection is Connection.CONNECTED:
        return ("tablet", _("Saved on this tablet")) if n else ("saved", _("Saved on server"))
    if status.connection is Connection.OTHER_WRITER:
        told = _("Accepted") if status.locked else _("Another tablet draws")
        return "reading", told + (f", {strokes}" if n else "")
    if status.connection is Connection.CONNECTING:
        return "tablet", _("Connecting …") + (f" {strokes}" if n else "")
    return "offline", _("Offline") + (f", {strokes}" if n else "")


def review(annotation: Annotation) -> str:
    """How far the review of an annotation is, and what its reviewer said."""
    day = datetime.fromtimestamp(annotation.reviewed_ms / 1000).strftime("%Y-%m-%d %H:%M")
    who = f"{annotation.reviewed_by} · {day}" if annotation.reviewed_by else day
    if annotation.review == REVIEW_SUBMITTED:
        return _("Handed in, and waits for a reviewer.") + f"\n{who}"
    if annotation.review == REVIEW_ACCEPTED:
        return _("Accepted, and locked.") + f"\n{who}"
    if annotation.review == REVIEW_SENT_BACK:
        told = _("Sent back: {note}").format(note=annotation.review_note) if annotation.review_note else _("Sent back.")
        return f"{told}\n{who}"
    if not annotation.masks:
        return _("Save a mask first: it is what a reviewer looks at.")
    return _("Nobody was asked to review it yet.")


def _sizes(step: Step) -> dict[str, str]:
    """The bytes of a step in a fitting unit."""
    size, unit = (1e6, "MB") if step.total >= 1e6 else (1e3, "kB")
    return {"done": f"{step.done / size:.0f}", "total": f"{step.total / size:.0f} {unit}"}


def plane_name(plane: Plane) -> str:
    """A plane's name."""
    return _(_PLANES[plane])


def slice_name(plane: Plane, index: int) -> str:
    """A slice, numbered as the slice bar does: ``"Coronal 13"``."""
    return f"{plane_name(plane)} {index + 1}"


def millilitres(volume_ml: float | None) -> str:
    """An object's volume: ``"182 mL"``, ``"8.4 mL"``, or a dash."""
    if volume_ml is None:
        return "–"
    return f"{volume_ml:.1f} mL" if volume_ml < 10 else f"{volume_ml:.0f} mL"


def next_slice(place: Place | None) -> str:
    """The button that goes there, numbered as the slice bar does: ``"Next: 31"``."""
    return _("Next") if place is None else _("Next: {n}").format(n=place.index + 1)


def details(statistics: Statistics, dice: float, threshold: int) -> str:
    """What the service measured and expects, a line each, for the menu; what it does not say is left out.

    Args:
        statistics: of the service.
        dice: Dice coefficient that it expects at ``threshold``; 0: it expects none.
    """
    lines = []
    if statistics.visible_ms:
        visible, whole = seconds(statistics.visible_ms), seconds(statistics.volume_ms)
        told = (
            _("Visible slice after {visible}, volume after {whole}")
            if statistics.volume_ms
            else _("Visible slice after {visible}")
        )
        lines.append(told.format(visible=visible, whole=whole))
    if statistics.workspace_bytes:
        size = f"{statistics.workspace_bytes / 1e6:.0f} MB"
        lines.append(_("The server holds {size} for this annotation").format(size=size))
    if dice and threshold:
        lines.append(_("Expected Dice at threshold {threshold}: {dice}").format(threshold=threshold, dice=f"{dice:.2f}"))
    return "\n".join(lines)


def seconds(milliseconds: float) -> str:
    """A duration: ``"0.12 s"``, ``"3.4 s"``, ``"75 s"``."""
    took = milliseconds / 1000
    return f"{took:.2f} s" if took < 1 else f"{took:.1f} s" if took < 10 else f"{took:.0f} s"


def number(value: float, digits: int = 1) -> str:
    """With a true minus sign."""
    return f"{value:.{digits}f}".replace("-", "\u2212")


def kept(waiting: int) -> str:
    """What becomes of strokes when their user must sign in."""
    told = ngettext("{n} stroke waits on this tablet", "{n} strokes wait on this tablet", waiting).format(n=waiting)
    return _("{strokes}, for whoever drew it to sign in again.").format(strokes=told)
