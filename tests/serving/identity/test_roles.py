"""The table of roles has every call of the contract, and no other."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from services.serving.caller import Role
from services.serving.identity.roles import FOR_ANYBODY, LEAST_ROLE

PROTO = Path(__file__).resolve().parents[3] / "proto" / "calque" / "v1"


def calls() -> set[str]:
    """Every call of the contract, as gRPC names it."""
    files = [importlib.import_module(f"calque.v1.{source.stem}_pb2").DESCRIPTOR for source in PROTO.glob("*.proto")]
    services = [service for file in files for service in file.services_by_name.values()]
    return {f"/{service.full_name}/{call.name}" for service in services for call in service.methods}


def test_every_call_has_a_least_role() -> None:
    assert len(calls()) > 10
    assert LEAST_ROLE.keys() | FOR_ANYBODY == calls()
    assert {"/calque.v1.Identity/GetWay", "/calque.v1.Identity/SignIn"} == FOR_ANYBODY
    assert not LEAST_ROLE.keys() & FOR_ANYBODY


@pytest.mark.parametrize(
    ("call", "role"),
    [
        ("Volumes/ReadSlices", Role.VIEWER),
        ("Volumes/Import", Role.ANNOTATOR),
        ("Volumes/DeleteVolume", Role.ADMINISTRATOR),
        ("Segmentation/Annotate", Role.ANNOTATOR),
        ("Segmentation/SubmitAnnotation", Role.ANNOTATOR),
        ("Segmentation/DeleteAnnotation", Role.REVIEWER),
        ("Segmentation/ReviewAnnotation", Role.REVIEWER),
        ("Embedding/Embed", Role.ANNOTATOR),
    ],
)
def test_what_takes_more_needs_more(call: str, role: Role) -> None:
    assert LEAST_ROLE[f"/calque.v1.{call}"] is role
