"""Which role a call needs: one table of all calls of the contract."""

from __future__ import annotations

from services.serving.caller import Role

_CALLS: dict[Role, dict[str, tuple[str, ...]]] = {
    Role.VIEWER: {
        "Volumes": ("ListVolumes", "GetVolume", "ReadSlices"),
        "Segmentation": ("ListAnnotations", "ListMasks", "Export"),
        "Embedding": ("GetModel",),
        "Identity": ("Renew", "GetUser"),
    },
    Role.ANNOTATOR: {
        "Volumes": ("GetUpload", "DeleteUpload", "Upload", "ListSeries", "Import"),
        "Segmentation": ("CreateAnnotation", "RenameAnnotation", "SubmitAnnotation", "Annotate", "SaveMask", "UploadMask"),
        "Embedding": ("Embed",),
    },
    Role.REVIEWER: {"Segmentation": ("DeleteAnnotation", "ReviewAnnotation")},
    Role.ADMINISTRATOR: {"Volumes": ("DeleteVolume",)},
}

LEAST_ROLE: dict[str, Role] = {
    f"/calque.v1.{service}/{call}": role
    for role, services in _CALLS.items()
    for service, calls in services.items()
    for call in calls
}
"""The least role for each call, by its full name as gRPC has it: ``/calque.v1.Volumes/GetVolume``."""

FOR_ANYBODY = {"/calque.v1.Identity/GetWay", "/calque.v1.Identity/SignIn"}
"""Calls that carry no token, by their full names."""
