"""A patient's name, identifier and dates are in every place of the files; nothing that is kept, logged or sent has them."""

from __future__ import annotations

import asyncio
import io
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from uuid import uuid4

import grpc
import numpy as np
import pydicom
import pytest
from calque.v1 import segmentation_pb2, segmentation_pb2_grpc, volumes_pb2, volumes_pb2_grpc
from google.protobuf.message import Message

from services.core.audit import Action
from services.store.audit import Trail
from services.store.directory import DirectoryStore
from tests import canary
from tests.phantoms import oblique_phantom, phantom_object
from tests.processes import Serving
from tests.served import Tablet, chunks, refused, stroke

pb = segmentation_pb2
FORMATS = [number for number in pb.ExportFormat.values() if number]
KINDS = [number for number in pb.ExportKind.values() if number]
SHAPE = (4, 40, 48)


@dataclass
class Ward:
    """Services in a process of their own, all folders that they write to, and what they told."""

    folder: Path
    temporary: Path
    stubs: tuple[volumes_pb2_grpc.VolumesStub, segmentation_pb2_grpc.SegmentationStub]
    told: list[bytes] = field(default_factory=list)

    async def send(self, files: dict[str, bytes]) -> str:
        upload_id = str(uuid4())
        await self.stubs[0].Upload(r for name, data in files.items() for r in chunks(upload_id, name, data))
        return upload_id

    async def bring(self, files: dict[str, bytes], **asked: str) -> volumes_pb2.Volume:
        request = volumes_pb2.ImportRequest(upload_id=await self.send(files), **asked)
        responses = [response async for response in self.stubs[0].Import(request)]
        self.keep(*responses[:-1])  # progress and pictures
        return responses[-1].volume

    def keep(self, *messages: Message) -> None:
        """What another session is told."""
        self.told += [message.SerializeToString() for message in messages]

    def left(self) -> dict[str, set[str]]:
        """The secrets in all files of the services: store, key, logs, temporary ones."""
        return canary.hunted_files([self.folder, self.temporary])


@pytest.fixture
def temporary() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="canary-"))  # short: a socket has its path in it
    yield folder
    shutil.rmtree(folder)


@asynccontextmanager
async def ward(folder: Path, temporary: Path, *arguments: str) -> AsyncIterator[Ward]:
    """Services on the store in ``folder``; ended in order."""
    options = ("--listen", "127.0.0.1:0", "--store", str(folder / "server" / "store"), *arguments)
    with Serving(folder / "logs", "volumes", "segmentation", *options, TMPDIR=str(temporary)) as serving:
        async with grpc.aio.insecure_channel(serving.address(), [("grpc.max_receive_message_length", -1)]) as channel:
            yield Ward(
                folder,
                temporary,
                (volumes_pb2_grpc.VolumesStub(channel), segmentation_pb2_grpc.SegmentationStub(channel)),
            )
        serving.process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(serving.ended) == 0
        assert serving.process.stdout is not None
        (folder / "logs" / "stdout.txt").write_bytes(serving.line.encode() + serving.process.stdout.read())


def inputs(folder: Path) -> dict[str, dict[str, bytes]]:
    """Files of each kind. Each is a volume of its own."""
    folder.mkdir()
    volumes = [oblique_phantom((SHAPE[0] + n, *SHAPE[1:])) for n in range(6)]
    return {
        "series": canary.dicom_files(volumes[0], folder / "series"),
        "latin-1": canary.dicom_files(volumes[1], folder / "latin", "ISO_IR 100"),
        "enhanced": canary.enhanced_file(volumes[2], folder / "enhanced"),
        "disc": canary.disc(volumes[3], folder / "disc"),
        "nifti": canary.nifti_file(volumes[4], folder / "nifti"),
        **canary.tiff_files(volumes[5], folder / "tiff"),
        **canary.grid_files(oblique_phantom((SHAPE[0] + 6, *SHAPE[1:])), folder / "grids"),
    }


async def annotate(ward: Ward, volume: volumes_pb2.Volume, mask: dict[str, bytes]) -> None:
    """Draw, save, take a mask from a file, export everything, and look at it all from another session."""
    segmentation = ward.stubs[1]
    request = pb.CreateAnnotationRequest(volume_id=volume.volume_id)
    annotation_id = (await segmentation.CreateAnnotation(request)).annotation.annotation_id
    async with Tablet(segmentation, annotation_id) as tablet:
        await tablet.draw(
            stroke(1, 2, [28, 33], [13, 13], label=1, width_mm=3), stroke(1, 2, [5, 30], [36, 36], label=2, width_mm=3)
        )
        await tablet.whole()
        saving = segmentation.SaveMask(pb.SaveMaskRequest(annotation_id=annotation_id, threshold=100))
        assert [part async for part in saving][-1].mask.object_ml > 0
        for name, data in mask.items():
            sent = pb.UploadMaskRequest(annotation_id=annotation_id, name=name, data=data)
            taken = await segmentation.UploadMask(iter([sent]))
            await tablet.draw(pb.EventBody(mask_import=pb.MaskImport(mask_digest=taken.mask_digest)))
        async with Tablet(segmentation, annotation_id) as other:
            ward.keep(*other.messages)
    exported = 0
    for form in FORMATS:
        for kind in KINDS:
            request = pb.ExportRequest(annotation_id=annotation_id, kind=kind, format=form)
            try:
                parts = [part async for part in segmentation.Export(request)]
            except grpc.aio.AioRpcError:
                if form <= pb.EXPORT_FORMAT_ZIP or (kind == pb.EXPORT_KIND_MASK and volume.pseudonym):
                    raise
                continue  # other formats need not have each kind, nor be of volumes that no DICOM series is the source of
            exported += 1
            ward.keep(*parts)
            ward.told.append(b"".join(part.data for part in parts))
            if form == pb.EXPORT_FORMAT_DICOM_SEG:
                seg = pydicom.dcmread(io.BytesIO(ward.told[-1]))
                assert (seg.PatientIdentityRemoved, seg.PatientID) == ("YES", volume.pseudonym)
                applied = [code.CodeValue for code in seg.DeidentificationMethodCodeSequence]
                assert applied == ["113100", "113105", "113107"]
    assert exported >= 3 * len(KINDS) + (len(FORMATS) - 3 if volume.pseudonym else 0)
    ward.keep(await segmentation.ListAnnotations(pb.ListAnnotationsRequest(volume_id=volume.volume_id)))


@pytest.mark.timeout(280)
@pytest.mark.item(49)
async def test_nothing_of_the_patient_is_kept_logged_or_exported(tmp_path: Path, temporary: Path) -> None:
    files = inputs(tmp_path / "inputs")
    phantom = oblique_phantom((SHAPE[0] + 4, *SHAPE[1:]))  # of the NIfTI file
    mask = canary.nifti_file(replace(phantom, voxels=phantom_object(phantom).astype(np.uint8)), tmp_path / "mask")
    assert all(canary.hunted(b"".join(one.values())) >= {canary.NAME} for one in files.values())
    async with ward(tmp_path / "server", temporary, "--log", "json") as there:
        brought = {what: await there.bring(one) for what, one in files.items()}
        assert len({volume.volume_id for volume in brought.values()}) == len(files)
        dicom = [brought[what] for what in ("series", "latin-1", "enhanced")]
        assert len({volume.pseudonym for volume in dicom}) == 1
        assert all(volume.pseudonym and volume.name.startswith(volume.pseudonym) for volume in dicom)
        assert {volume.description for volume in dicom} == {"T2 axial"}
        for what in ("series", "enhanced", "nifti", "j"):  # one of each kind: the others differ in nothing that is kept
            await annotate(there, brought[what], mask if what == "nifti" else {})

        # Refusals, of which the log may tell that they were; and what is asked to be chosen, then chosen.
        cut = {name: data[: len(data) * 2 // 3] for name, data in files["series"].items()}
        assert (await refused(there.stubs[0].Import(volumes_pb2.ImportRequest(upload_id=await there.send(cut)))))[0] == (
            "INVALID_ARGUMENT"
        )
        named = {f"{canary.TEXT}.nii": b"Dear colleague, about " + canary.TEXT.encode()}
        for bad in (named, {f"{canary.NAME}.nii.gz": files["nifti"][f"{canary.FOLDER}.nii.gz"][:-40]}):
            upload_id = await there.send(bad)
            assert await refused(there.stubs[0].Import(volumes_pb2.ImportRequest(upload_id=upload_id)))
        two = await there.send(files["nifti"] | files["j"])
        assert (await refused(there.stubs[0].Import(volumes_pb2.ImportRequest(upload_id=two))))[1] == "SEVERAL_SERIES"
        listing = await there.stubs[0].ListSeries(volumes_pb2.ListSeriesRequest(upload_id=two))
        assert len(listing.series) == 2  # told to who chooses, by the files' own names
        assert there.left() != {}  # the files wait for the choice
        chosen = volumes_pb2.ImportRequest(upload_id=two, series=f"{canary.FOLDER}.nii.gz")
        assert [one async for one in there.stubs[0].Import(chosen)][-1].volume.volume_id == brought["nifti"].volume_id

        listed = await there.stubs[0].ListVolumes(volumes_pb2.ListVolumesRequest())
        there.keep(listed, *brought.values())
        assert all(volume.deidentified for volume in listed.volumes)
    assert there.left() == {}
    assert set().union(*map(canary.hunted, there.told)) == set()
    kept = list((tmp_path / "server").rglob("*"))
    assert any(path.name == "pseudonym.key" for path in kept)
    assert sum(path.name == "volume.json" for path in kept) == len(files)
    events = [one.event for one in Trail(DirectoryStore(tmp_path / "server" / "server" / "store")).records()]
    assert {event.subject.pseudonym for event in events} == {volume.pseudonym for volume in brought.values()}
    assert {event.action for event in events} >= {Action.VOLUME_IMPORT, Action.MASK_UPLOAD, Action.ANNOTATION_EXPORT}
    logged = b"".join(path.read_bytes() for path in (tmp_path / "server" / "logs").iterdir())
    assert logged.count(b'"refused"') >= 4
    assert logged.count(b'"imported"') == len(files) + 1


async def test_without_de_identification_the_hunt_finds_the_patient(tmp_path: Path, temporary: Path) -> None:
    files = canary.dicom_files(oblique_phantom(SHAPE), tmp_path / "series")
    async with ward(tmp_path / "server", temporary, "--deidentify", "off") as there:
        volume = await there.bring(files)
        assert not volume.deidentified
        assert any("switched off" in warning for warning in volume.warnings)
    ((path, secrets),) = there.left().items()
    assert path.endswith("volume.json")
    assert {canary.NAME, canary.LATIN, canary.IDENTIFIER, canary.DAY, canary.UID, "134759.12"} <= secrets
    assert canary.hunted(volume.SerializeToString()) >= {canary.NAME, canary.IDENTIFIER}


async def test_an_upload_that_nobody_imports_is_forgotten(tmp_path: Path, temporary: Path) -> None:
    files = canary.dicom_files(oblique_phantom(SHAPE), tmp_path / "series")
    async with ward(tmp_path / "server", temporary) as there:
        await there.send(files)
    assert canary.NAME in set().union(*there.left().values())
    async with ward(tmp_path / "server", temporary, "--upload-hours", "24") as there:
        assert there.left() != {}
    async with ward(tmp_path / "server", temporary, "--upload-hours", "0.0000001") as there:
        assert there.left() == {}


async def test_what_a_killed_process_left_is_removed_at_the_next_start(tmp_path: Path, temporary: Path) -> None:
    around = temporary / f"calque-{os.getuid()}", tmp_path / "server" / "server" / "store" / ".tmp"
    for folder in around:
        (folder / "killed").mkdir(parents=True)
        (folder / "killed" / "000000").write_text(canary.TEXT)
    async with ward(tmp_path / "server", temporary) as there:
        assert there.left() == {}
    assert [list(folder.iterdir()) for folder in around] == [[], []]


@pytest.mark.parametrize("form", canary.forms("x"))
def test_the_hunt_finds_every_form(form: str) -> None:
    for secret in canary.SECRETS:
        pattern = canary.forms(secret)[form]
        assert len(pattern) >= 8
        assert secret in canary.hunted(b"\xff{" + pattern + b"}\0")
    assert canary.hunted(b"nobody, 2024-02-29, 1.2.840.10008.5.1.4.1.1.4") == set()
    plain = canary.TEXT.encode()
    for packed in (canary.zipped({"a": plain}), canary.gzip.compress(plain), canary.zlib.compress(plain)):
        assert canary.IDENTIFIER in canary.hunted(packed)
    for start in range(3):
        assert canary.NAME in canary.hunted(canary.base64.b64encode(b"-" * start + plain))
