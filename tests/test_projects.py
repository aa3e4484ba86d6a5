"""Whoever is not of a volume's project cannot tell it, or what was made of it, from what does not exist."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
import pytest
from calque.v1 import segmentation_pb2 as seg
from calque.v1 import volumes_pb2 as vol
from google.protobuf.message import Message

from services.core.volume import Volume
from services.serving.identity.issuer import IssuerKeys
from services.serving.identity.tokens import AccessTokens
from services.store import records
from tests.phantoms import oblique_phantom, write_nifti
from tests.served import Served, chunks, keep, refusal, serve
from tests.serving.identity.asking import bearer
from tests.serving.identity.issuer import AUDIENCE, Issuer, issuer
from trainer.scans import scans_of_store


@pytest.fixture(scope="module")
def one() -> Iterator[Issuer]:
    with issuer() as served:
        served.add("key")
        yield served


@pytest.fixture
async def served(tmp_path: Path, one: Issuer) -> AsyncIterator[Served]:
    tokens = AccessTokens(IssuerKeys(one.address), audience=AUDIENCE, leeway_s=0, roles_claim="r", projects_claim="at.p")
    async with serve(tmp_path / "store", tokens.caller) as served:
        yield served


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("nifti")
    return write_nifti(oblique_phantom((4, 24, 28)), folder / "one.nii").read_bytes()


class Person:
    """Who makes calls with a token of these projects."""

    def __init__(self, served: Served, one: Issuer, user: str, *projects: Any) -> None:
        self._stubs = {"Volumes": served.volumes, "Segmentation": served.segmentation}
        self._metadata = bearer(one.token("key", sub=user, r=["administrator"], at={"p": list(projects)}))

    async def ask(self, service: str, name: str, *requests: Message) -> list[Any]:
        """The answers to a call of any kind."""
        called = getattr(self._stubs[service], name)
        streams = name in ("Upload", "UploadMask", "Annotate")
        call = called(iter(requests) if streams else requests[0], metadata=self._metadata)
        return [part async for part in call] if hasattr(call, "__aiter__") else [await call]

    async def refused(self, service: str, name: str, *requests: Message) -> Any:
        """How a call is refused, to the last word; empty where it is not."""
        try:
            await self.ask(service, name, *requests)
        except grpc.aio.AioRpcError as error:
            return *refusal(error), error.details()
        return ()

    async def bring(self, file: bytes, upload_id: str = "", project: str = "") -> vol.Volume:
        upload_id = upload_id or str(uuid4())
        await self.ask("Volumes", "Upload", *chunks(upload_id, "one.nii", file))
        request = vol.ImportRequest(upload_id=upload_id, project=project)
        return (await self.ask("Volumes", "Import", request))[-1].volume  # type: ignore[no-any-return]

    async def volumes(self) -> set[str]:
        (listed,) = await self.ask("Volumes", "ListVolumes", vol.ListVolumesRequest())
        return {volume.volume_id for volume in listed.volumes}


def asked(volume_id: str, annotation_id: str) -> dict[tuple[str, str], list[Message]]:
    """Every call that names a volume or an annotation, as it would be answered for its owner."""
    opening = seg.AnnotateOpen(annotation_id=annotation_id, session_id=str(uuid4()))
    return {
        ("Volumes", "GetVolume"): [vol.GetVolumeRequest(volume_id=volume_id)],
        ("Volumes", "ReadSlices"): [vol.ReadSlicesRequest(volume_id=volume_id, plane=1, slices=[0])],
        ("Volumes", "DeleteVolume"): [vol.DeleteVolumeRequest(volume_id=volume_id)],
        ("Segmentation", "CreateAnnotation"): [seg.CreateAnnotationRequest(volume_id=volume_id)],
        ("Segmentation", "ListAnnotations"): [seg.ListAnnotationsRequest(volume_id=volume_id)],
        ("Segmentation", "RenameAnnotation"): [seg.RenameAnnotationRequest(annotation_id=annotation_id, name="x")],
        ("Segmentation", "SubmitAnnotation"): [seg.SubmitAnnotationRequest(annotation_id=annotation_id)],
        ("Segmentation", "ReviewAnnotation"): [seg.ReviewAnnotationRequest(annotation_id=annotation_id, verdict=2)],
        ("Segmentation", "DeleteAnnotation"): [seg.DeleteAnnotationRequest(annotation_id=annotation_id)],
        ("Segmentation", "SaveMask"): [seg.SaveMaskRequest(annotation_id=annotation_id, threshold=9)],
        ("Segmentation", "ListMasks"): [seg.ListMasksRequest(annotation_id=annotation_id)],
        ("Segmentation", "UploadMask"): [seg.UploadMaskRequest(annotation_id=annotation_id, name="m.nii", data=b"x")],
        ("Segmentation", "Export"): [seg.ExportRequest(annotation_id=annotation_id, kind=1, format=1)],
        ("Segmentation", "Annotate"): [seg.AnnotateRequest(open=opening)],
    }


def test_the_table_has_every_call_that_names_one() -> None:
    files = (vol.DESCRIPTOR, seg.DESCRIPTOR)
    calls = [
        (service.name, call) for file in files for service in file.services_by_name.values() for call in service.methods
    ]
    naming = {
        (service, call.name)
        for service, call in calls
        if {"volume_id", "annotation_id"} & {field.name for field in call.input_type.fields}
    }
    assert naming | {("Segmentation", "Annotate")} == asked("", "").keys()


@pytest.mark.item(44)
async def test_anothers_volume_is_as_if_it_did_not_exist(served: Served, one: Issuer, file: bytes) -> None:
    ann, bob = Person(served, one, "ann", "a"), Person(served, one, "bob", "b", "../x", 7)
    volume = await ann.bring(file)
    assert volume.project == "a"
    (made,) = await ann.ask("Segmentation", "CreateAnnotation", seg.CreateAnnotationRequest(volume_id=volume.volume_id))
    annotation_id = made.annotation.annotation_id
    nobodys = uuid4().hex, f"{uuid4().hex}-{uuid4().hex}"
    for at_work in (False, True):  # also while it is open in the server
        for call, requests in asked(volume.volume_id, annotation_id).items():
            none = asked(*nobodys)[call]
            assert (refused := await bob.refused(*call, *requests)) == await bob.refused(*call, *none), call
            assert refused[0] == "NOT_FOUND", call
        assert await bob.volumes() == set()
        if not at_work:
            drawn = seg.AnnotateOpen(annotation_id=annotation_id, session_id=str(uuid4()))
            assert await ann.ask("Segmentation", "Annotate", seg.AnnotateRequest(open=drawn))

    # The same file again: another volume, as new as any.
    other = await bob.bring(file)
    assert (other.project, len({other.volume_id, volume.volume_id})) == ("b", 2)
    assert await bob.volumes() == {other.volume_id}
    await bob.ask("Volumes", "DeleteVolume", vol.DeleteVolumeRequest(volume_id=other.volume_id))
    assert await ann.volumes() == {volume.volume_id}
    assert [scan.name for scan in scans_of_store(served.store, ["a"])] == [volume.volume_id]
    assert list(scans_of_store(served.store, ["b"])) == []
    for call, requests in asked(volume.volume_id, annotation_id).items():
        missing = ("SaveMask", "UploadMask", "SubmitAnnotation")  # strokes, a file, a mask
        if "Delete" not in call[1] and call[1] not in missing:
            assert await ann.refused(*call, *requests) == (), call


@pytest.mark.item(44)
async def test_anothers_upload_is_as_if_it_did_not_exist(served: Served, one: Issuer, file: bytes) -> None:
    ann, bob = Person(served, one, "ann", "a"), Person(served, one, "bob", "a")
    upload_id = str(uuid4())
    await ann.ask("Volumes", "Upload", *chunks(upload_id, "one.nii", file))
    request = vol.GetUploadRequest(upload_id=upload_id)
    assert (await bob.ask("Volumes", "GetUpload", request))[0].files == []
    assert (await bob.refused("Volumes", "ListSeries", vol.ListSeriesRequest(upload_id=upload_id)))[0] == "NOT_FOUND"
    assert (await bob.refused("Volumes", "Import", vol.ImportRequest(upload_id=upload_id)))[0] == "NOT_FOUND"
    await bob.ask("Volumes", "DeleteUpload", vol.DeleteUploadRequest(upload_id=upload_id))
    assert (await ann.ask("Volumes", "GetUpload", request))[0].files[0].committed_bytes == len(file)


async def test_an_import_goes_into_a_project_of_the_callers(served: Served, one: Issuer, file: bytes) -> None:
    for projects, asked_for, into in (
        (["default", "a"], "", "default"),
        (["default", "a"], "a", "a"),
        (["b"], "", "b"),
        (["b", "c"], "", None),
        (["b"], "a", None),
        (["b"], "../b", None),
        ([], "", None),
    ):
        person = Person(served, one, "u", *projects)
        if into is not None:
            assert (await person.bring(file, project=asked_for)).project == into
        else:
            request = vol.ImportRequest(upload_id=str(uuid4()), project=asked_for)
            assert (await person.refused("Volumes", "Import", request))[0] == "INVALID_ARGUMENT", projects


async def test_what_was_there_before_is_of_the_default_project(served: Served, one: Issuer, phantom: Volume) -> None:
    record = keep(served.store, phantom)
    key = f"volumes/{record.volume_id}/volume.json"
    fields = records.decode(served.store.read(key))
    assert fields.pop("project") == "default"
    served.store.delete(key)
    served.store.create(key, json.dumps(fields).encode())
    assert await Person(served, one, "ann", "default").volumes() == {record.volume_id}
    assert await Person(served, one, "bob", "b").volumes() == set()
    assert await Person(served, one, "eve").volumes() == set()


@pytest.fixture
def phantom() -> Volume:
    return oblique_phantom((4, 24, 28))
