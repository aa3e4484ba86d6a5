"""A patient whom nobody has: name, identifier and dates in every place of a file where they can hide, and their hunter."""

from __future__ import annotations

import base64
import gzip
import io
import json
import urllib.parse
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
import tifffile
from pydicom.datadict import DicomDictionary
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.tag import Tag
from pydicom.uid import ExplicitVRLittleEndian, MediaStorageDirectoryStorage

from services.core.volume import Volume
from services.formats import dicom_header
from tests.phantoms import dicom_slice, enhanced_object, save_dicom, write_metaimage, write_nrrd

NAME, LATIN = "Zyxqueline", "Kvärnströß"
IDENTIFIER = "90817263"
DAY, TIME = "19570312", "134759.123456"
UID = "1.2.826.0.1.3680043.8.498.770077"
SECRETS = (NAME, LATIN, IDENTIFIER, DAY, "1957-03-12", "1957.03.12", "12.03.1957", "03/12/1957", "134759.12", UID)
TEXT = f"{NAME} {LATIN} {IDENTIFIER} 12.03.1957"
FOLDER = f"{NAME}_{LATIN}_{DAY}"

# The reader needs these as they are; what identifies among them is set apart below.
_LEFT = {int(Tag(keyword)) for keyword in dicom_header._TAGS} | {int(Tag("SpecificCharacterSet"))}
_LEFT_GROUPS = {0x0000, 0x0002, 0x0004, 0x0028, 0x7FE0, 0xFFFE}


def value(vr: str, tag: int) -> Any:
    """The patient in an element of this type; ``None`` where a number holds too little to tell anybody."""
    texts = {"AE": NAME, "CS": f"{NAME.upper()}_1957", "SH": f"{NAME} {DAY[:5]}", "PN": f"{NAME}^{LATIN}"}
    numbers = {"IS": IDENTIFIER, "DS": IDENTIFIER, "DA": DAY, "TM": TIME, "DT": DAY + TIME, "UI": f"{UID}.{tag}"}
    if vr in ("LO", "ST", "LT", "UT", "UC"):
        return TEXT if vr == "LO" else f"{TEXT} {DAY} {tag:08x}"
    if vr == "UR":
        return f"https://{NAME}.example/{IDENTIFIER}?born=1957-03-12"
    if vr in ("OB", "UN", "OW", "OF", "OD", "OL", "OV"):
        return (TEXT + DAY).encode().ljust(64)
    if vr == "SQ":
        return [_item(tag, 2)]
    return texts.get(vr) or numbers.get(vr)


def _item(tag: int, depth: int) -> Dataset:
    item = Dataset()
    for keyword in ("PatientName", "PatientID", "PatientBirthDate", "ReferencedSOPInstanceUID", "TextValue", "DateTime"):
        setattr(item, keyword, value(pydicom.datadict.dictionary_VR(keyword), tag))
    if depth > 1:
        item.ContentSequence = [_item(tag, depth - 1)]
    return item


def spoil(dataset: Dataset, index: int, character_set: str = "ISO_IR 192") -> Dataset:
    """Put the patient into every element of the standard's dictionary that can hold one, and beside the elements."""
    dataset.SpecificCharacterSet = character_set
    for tag, (vr, *_) in DicomDictionary.items():
        if tag not in _LEFT and tag >> 16 not in _LEFT_GROUPS and (hidden := value(vr, tag)) is not None:
            dataset.add_new(tag, vr, hidden)
    dataset.PatientName, dataset.PatientID, dataset.IssuerOfPatientID = f"{NAME}^{LATIN}", f"MRN-{IDENTIFIER}", NAME
    dataset.StudyDate, dataset.StudyTime, dataset.AcquisitionTime = DAY, TIME, TIME
    dataset.SeriesDescription = f"T2 {NAME} axial {IDENTIFIER}"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = f"{UID}.1", f"{UID}.2"
    dataset.FrameOfReferenceUID = f"{UID}.3"
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"{UID}.4.{index}"
    for group in (0x5000, 0x6000, 0x6002):  # curves and overlays
        dataset.add_new((group, 0x0022), "LO", TEXT)
        dataset.add_new((group, 0x1500), "LO", TEXT)
        dataset.add_new((group, 0x2500), "LO", TEXT)
        dataset.add_new((group, 0x3000), "OW", value("OW", 0))
    for group, creator in ((0x0011, f"{NAME} PRIVATE"), (0x0029, "SIEMENS CSA HEADER"), (0x0051, "SIEMENS MR HEADER")):
        block = dataset.private_block(group, creator, create=True)
        for element, vr in ((0x01, "LO"), (0x02, "PN"), (0x03, "DA"), (0x04, "SQ"), (0x10, "OB"), (0x20, "UT")):
            block.add_new(element, vr, value(vr, group << 16 | element))
    csa = b"SV10\4\3\2\1\1\0\0\0M\0\0\0" + b"tPatientName".ljust(64, b"\0") + TEXT.encode()
    dataset[0x0029, 0x1010].value = csa + b"\0" * (len(csa) % 2)
    dataset.add_new((0xFFFC, 0xFFFC), "OB", value("OB", 0))
    dataset.preamble = (TEXT + DAY).encode().ljust(128, b"\0")
    meta = dataset.file_meta
    meta.SourceApplicationEntityTitle = meta.SendingApplicationEntityTitle = meta.ImplementationVersionName = NAME
    meta.PrivateInformationCreatorUID, meta.PrivateInformation = f"{UID}.5", value("OB", 0)
    return dataset


def dicom_files(volume: Volume, folder: Path, character_set: str = "ISO_IR 192") -> dict[str, bytes]:
    """A series of the patient's: names of files as the user has them, and their bytes."""
    folder.mkdir()
    files = {}
    for index in range(volume.shape[0]):
        dataset = spoil(dicom_slice(volume, index, f"{UID}.2"), index, character_set)
        path = save_dicom(dataset, folder / str(index))
        files[f"{FOLDER}/{TEXT.replace(' ', '_')}_{index:03}.dcm"] = path.read_bytes()
    return files


def enhanced_file(volume: Volume, folder: Path) -> dict[str, bytes]:
    """The same as one multi-frame object."""
    folder.mkdir()
    dataset = spoil(enhanced_object(volume), 9)
    for functional in [*dataset.SharedFunctionalGroupsSequence, *dataset.PerFrameFunctionalGroupsSequence]:
        functional.ReferencedImageSequence = [_item(0x00081140, 2)]
    return {f"{NAME}.dcm": save_dicom(dataset, folder / "enhanced").read_bytes()}


def disc(volume: Volume, folder: Path) -> dict[str, bytes]:
    """A disc with a DICOMDIR, in a zip archive of telling names."""
    folder.mkdir()
    directory = Dataset()
    directory.file_meta = FileMetaDataset()
    directory.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    directory.file_meta.MediaStorageSOPClassUID = MediaStorageDirectoryStorage
    directory.file_meta.MediaStorageSOPInstanceUID = f"{UID}.10"
    directory.FileSetID, directory.DirectoryRecordSequence = NAME.upper(), []
    files = {}
    for index in range(volume.shape[0]):
        dataset = dicom_slice(volume, index, f"{UID}.6")
        dataset.PatientName, dataset.PatientID, dataset.StudyDate, dataset.StudyTime = f"{NAME}^Y", IDENTIFIER, DAY, TIME
        dataset.StudyInstanceUID, dataset.FrameOfReferenceUID = f"{UID}.7", f"{UID}.8"
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"{UID}.9.{index}"
        record = _item(index, 1)
        record.DirectoryRecordType, record.ReferencedFileID = "IMAGE", [NAME.upper(), f"IM{index:04}"]
        directory.DirectoryRecordSequence.append(record)
        files[f"{FOLDER}/{NAME.upper()}/IM{index:04}"] = save_dicom(dataset, folder / "slice").read_bytes()
    files[f"{FOLDER}/DICOMDIR"] = save_dicom(directory, folder / "DICOMDIR").read_bytes()
    return {f"{TEXT}.zip": zipped(files)}


def zipped(files: dict[str, bytes]) -> bytes:
    """A zip archive, whose comments tell as well."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.comment = TEXT.encode()
        for name, data in files.items():
            entry = zipfile.ZipInfo(name)
            entry.comment = TEXT.encode()
            archive.writestr(entry, data)
    return out.getvalue()


def nifti_file(volume: Volume, folder: Path) -> dict[str, bytes]:
    """A NIfTI file with the patient in each text of its header and in extensions, one of which is a DICOM data set."""
    folder.mkdir()
    ras = np.diag([-1.0, -1.0, 1.0, 1.0]) @ volume.affine[:, [2, 1, 0, 3]]
    image = nibabel.Nifti1Image(volume.voxels.transpose(2, 1, 0), ras)
    for field, most in (("descrip", 80), ("aux_file", 24), ("intent_name", 16), ("db_name", 18), ("data_type", 10)):
        image.header[field] = TEXT.encode("latin-1")[:most]
    for code, content in ((6, TEXT), (4, f"<AFNI name='{TEXT}'/>"), (44, json.dumps({"born": "1957-03-12", "who": TEXT}))):
        image.header.extensions.append(nibabel.nifti1.Nifti1Extension(code, content.encode()))
    image.header.extensions.append(nibabel.nifti1.Nifti1DicomExtension(2, _item(0, 2)))
    nibabel.save(image, folder / "a.nii.gz")
    return {f"{FOLDER}.nii.gz": (folder / "a.nii.gz").read_bytes()}


def tiff_files(volume: Volume, folder: Path) -> dict[str, dict[str, bytes]]:
    """TIFF stacks with the patient in tags, in ImageJ's texts and in OME's XML."""
    folder.mkdir()
    tags = [(tag, "s", 0, TEXT.encode() + b"\0", True) for tag in (315, 316, 269, 285, 33432, 700, 65000)]
    tags.append((306, "s", 0, b"1957:03:12 13:47:59", True))
    texts = {"axes": "ZYX", "Info": TEXT, "Labels": [TEXT] * volume.shape[0]}
    tifffile.imwrite(folder / "j.tif", volume.voxels, imagej=True, metadata=texts, extratags=tags[:3], resolution=(1, 1))
    ome = {"axes": "ZYX", "Description": TEXT, "Name": f"{NAME} {DAY}", "AcquisitionDate": "1957-03-12T13:47:59"}
    tifffile.imwrite(folder / "o.tif", volume.voxels[:-1], ome=True, metadata=ome, extratags=tags[:1])
    tifffile.imwrite(folder / "p.tif", volume.voxels[:-2], description=f"{NAME} {DAY}", metadata=None, extratags=tags)
    return {path.stem: {f"{FOLDER}/{IDENTIFIER}.tif": path.read_bytes()} for path in sorted(folder.iterdir())}


def grid_files(volume: Volume, folder: Path) -> dict[str, dict[str, bytes]]:
    """NRRD and MetaImage with the patient in the texts of their headers."""
    folder.mkdir()
    told = {"content": f"{NAME} {IDENTIFIER}", "PatientName": NAME, "DICOM_0010_0030": DAY}  # pynrrd writes ASCII alone
    nrrd = write_nrrd(volume, folder / "a.nrrd", **told).read_bytes()
    other = replace(volume, voxels=volume.voxels[::-1])
    mha = write_metaimage(other, folder / "a.mha", Comment=TEXT, PatientID=IDENTIFIER, AcquisitionDate=DAY).read_bytes()
    return {"nrrd": {f"{FOLDER}.nrrd": nrrd}, "metaimage": {f"{FOLDER}.mha": mha}}


# --- the hunt ------------------------------------------------------------------------------------------------------------


def forms(secret: str) -> dict[str, bytes]:
    """A secret as it may lie in bytes."""
    found: dict[str, bytes] = {}
    for case, text in (("as it is", secret), ("upper", secret.upper()), ("lower", secret.lower())):
        raw = text.encode()
        found |= {
            f"utf-8 {case}": raw,
            f"utf-16 {case}": text.encode("utf-16-le"),
            f"utf-16 big-endian {case}": text.encode("utf-16-be"),
            f"latin-1 {case}": text.encode("latin-1", "ignore"),
            f"json {case}": json.dumps(text)[1:-1].encode(),
            f"percent {case}": urllib.parse.quote(text).encode(),
            f"hex {case}": raw.hex().encode(),
            f"HEX {case}": raw.hex().upper().encode(),
        }
        for shift in range(3):  # base64 looks different at each of three places; its ends depend on what is around
            whole = base64.b64encode(b"\0" * shift + raw)
            found[f"base64+{shift} {case}"] = whole[
                (0, 2, 3)[shift] : len(whole) - (0, 3, 2)[(shift + len(raw)) % 3] or None
            ]
    return found


PATTERNS = {(secret, form): data for secret in SECRETS for form, data in forms(secret).items()}


def hunted(data: bytes) -> set[str]:
    """The secrets that lie in bytes, packed ones included."""
    found = set()
    for layer in _layers(data):
        found |= {secret for (secret, _), pattern in PATTERNS.items() if pattern in layer}
    return found


def hunted_files(folders: Iterable[Path]) -> dict[str, set[str]]:
    """The secrets in each file below some folders, its path included; files without are left out."""
    found = {}
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            data = path.relative_to(folder).as_posix().encode() + b"\n" + (path.read_bytes() if path.is_file() else b"")
            if secrets := hunted(data) | (hunted(path.read_bytes()) if path.is_file() else set()):
                found[str(path)] = secrets
    return found


def _layers(data: bytes) -> Iterator[bytes]:
    yield data
    if data.startswith(b"PK\3\4"):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for entry in archive.infolist():
                yield entry.filename.encode()
                yield from _layers(archive.read(entry))
    elif data.startswith(b"\x1f\x8b"):
        yield from _layers(gzip.decompress(data))
    elif data[:1] == b"x":
        try:
            yield from _layers(zlib.decompress(data))
        except zlib.error:
            return
