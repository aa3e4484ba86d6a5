"""Volumes in a store: their voxels (raw, little-endian, slice after slice), then a record that names them.

::

    volumes/<id>/voxels             or voxels-<random>, where something lay there already that no record named
    volumes/<id>/volume.json        the record

A volume is visible once its record is there, which is written last. Its identifier is made from its project and content, so
that the same volume imported twice into a project is one, and in two projects are two, which know nothing of each other.
"""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from uuid import uuid4

import numpy as np
import structlog
from numpy.typing import NDArray

from services.core.errors import Corrupt, NotFound, Reason
from services.core.projects import DEFAULT_PROJECT
from services.core.source import SourceSeries, source_from_json
from services.core.volume import GreyMap, Volume, voxel_ml
from services.store import records
from services.store.port import Store, is_identifier

log = structlog.get_logger()


@dataclass(frozen=True)
class VoxelFile:
    """Voxels that lie in a scratch folder of the store already, as they are to lie in it, and their sums.

    Attributes:
        path: the file.
        digest: SHA-256 of all, hexadecimal.
        slice_crc32: of each slice.
    """

    path: Path
    digest: str
    slice_crc32: tuple[int, ...]


@dataclass(frozen=True)
class VolumeRecord:
    """What the catalogue knows of a volume without its voxels; units and axes as in `Volume`.

    ``window`` is the volume's intensity window, ``voi`` the one that its source proposes for looking at it, ``digest`` the
    SHA-256 of the voxels, ``slice_crc32`` one CRC-32 a slice, ``imported_ms`` milliseconds since 1970 (UTC), ``thumbnail``
    a JPEG, ``grey`` how 16-bit greys are shown, ``source`` the series that the slices are images of, ``deidentified``
    whether nothing of it is as the files say it, ``key_check`` tells which key made its pseudonyms (empty: none),
    ``content`` is the name of the object with the voxels, ``project`` the one that it belongs to.
    """

    volume_id: str
    name: str
    imported_ms: int
    shape: tuple[int, int, int]
    dtype: str
    affine: tuple[tuple[float, ...], ...]
    slope: tuple[float, ...]
    intercept: tuple[float, ...]
    source_axes: tuple[int, int, int]
    modality: str
    description: str
    warnings: tuple[str, ...]
    window: tuple[float, float]
    voi: tuple[float, float] | None
    grey: GreyMap
    digest: str
    slice_crc32: tuple[int, ...]
    thumbnail: bytes
    source: SourceSeries | None = None
    deidentified: bool = False
    key_check: str = ""
    content: str = "voxels"
    project: str = DEFAULT_PROJECT

    @property
    def affine_array(self) -> NDArray[np.float64]:
        """``(4, 4)`` float64."""
        return np.array(self.affine, dtype=np.float64)

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel, in millilitres."""
        return voxel_ml(self.affine_array)


class Catalogue:
    """The volumes of a store, as somebody sees them: of other projects there are none.

    Args:
        store: where they lie.
        sees: whether the volumes of a project are there.
    """

    def __init__(self, store: Store, sees: Callable[[str], bool] = lambda _: True) -> None:
        self._store = store
        self._sees = sees

    def add(
        self,
        volume: Volume,
        *,
        name: str,
        imported_ms: int,
        window: tuple[float, float],
        grey: GreyMap,
        thumbnail: bytes,
        file: VoxelFile | None = None,
        deidentified: bool = False,
        key_check: str = "",
        project: str = DEFAULT_PROJECT,
    ) -> VolumeRecord:
        """Store a volume and return its record, or the record that is there for the same content.

        What is damaged is mended, and a record that tells of the patient gives way to one that does not. With ``file`` the
        store takes the voxels from there, and those of ``volume`` are not looked at.
        """
        little = volume.voxels.dtype.newbyteorder("<")
        if file is None:
            slices = [np.ascontiguousarray(image, dtype=little).tobytes() for image in volume.voxels]
            digest, crc32 = hashlib.sha256(b"".join(slices)).hexdigest(), tuple(zlib.crc32(part) for part in slices)
        else:
            digest, crc32 = file.digest, file.slice_crc32

        def put(key: str) -> bool:
            return self._store.create(key, slices) if file is None else self._store.adopt(key, file.path)

        geometry = [volume.shape, little.str, volume.affine.tolist(), volume.slope.tolist(), volume.intercept.tolist()]
        content = json.dumps([digest, geometry, *([] if project == DEFAULT_PROJECT else [project])])
        record = VolumeRecord(
            volume_id=hashlib.sha256(content.encode()).hexdigest()[:32],
            name=name,
            imported_ms=imported_ms,
            shape=volume.shape,
            dtype=volume.voxels.dtype.name,
            affine=tuple(tuple(row) for row in volume.affine.tolist()),
            slope=tuple(volume.slope.tolist()),
            intercept=tuple(volume.intercept.tolist()),
            source_axes=volume.source_axes,
            modality=volume.modality,
            description=volume.description,
            warnings=volume.warnings,
            window=window,
            voi=volume.voi,
            grey=grey,
            digest=digest,
            slice_crc32=crc32,
            thumbnail=thumbnail,
            source=volume.source,
            deidentified=deidentified,
            key_check=key_check,
            project=project,
        )
        record = replace(record, content=self._put(record, put))
        if not self._store.create(_record_key(record.volume_id), _to_json(record)):
            with suppress(Corrupt):
                there = self.get(record.volume_id)
                if there.deidentified or not deidentified:
                    return there
            self._store.delete(_record_key(record.volume_id))
            self._store.create(_record_key(record.volume_id), _to_json(record))
        return self.get(record.volume_id)

    def _put(self, record: VolumeRecord, put: Callable[[str], bool]) -> str:
        """Store the voxels of a record, mended where they are damaged. Returns the name of their object."""
        try:
            name, named = self.get(record.volume_id).content, True
        except (NotFound, Corrupt) as error:
            name, named = record.content, isinstance(error, Corrupt)
        key = _voxels_key(record.volume_id, name)
        if put(key):
            return name
        if not named:  # what an import left that broke off is about to go (services.store.tidy): it must not be named now
            name = f"{record.content}-{uuid4().hex[:12]}"
            put(_voxels_key(record.volume_id, name))
        elif not self._sound(replace(record, content=name)):
            self._store.delete(key)
            put(key)
        return name

    def get(self, volume_id: str) -> VolumeRecord:
        """A volume's record. Raises: NotFound, Corrupt."""
        missing = NotFound("There is no such volume.", Reason.VOLUME_NOT_FOUND)
        if not is_identifier(volume_id):
            raise missing
        try:
            record = _from_json(self._store.read(_record_key(volume_id)))
        except NotFound as error:
            raise missing from error
        if not self._sees(record.project):
            raise missing
        return record

    def list(self) -> list[VolumeRecord]:
        """All records that can be read, the newest first: a damaged one hides no other."""
        records = []
        for volume_id in self._store.folders("volumes"):
            try:
                records.append(self.get(volume_id))
            except NotFound:  # being written or being deleted
                continue
            except Corrupt:
                log.error("the record of a volume is damaged", volume=volume_id)
        return sorted(records, key=lambda record: (-record.imported_ms, record.volume_id))

    def slice(self, record: VolumeRecord, index: int) -> NDArray[np.generic]:
        """Stored values of acquisition slice ``index``: ``(rows, columns)``. Raises: NotFound, Corrupt."""
        _, rows, columns = record.shape
        dtype = np.dtype(record.dtype).newbyteorder("<")
        size = rows * columns * dtype.itemsize
        data = self._store.read(_voxels_key(record.volume_id, record.content), index * size, size)
        if zlib.crc32(data) != record.slice_crc32[index]:
            raise Corrupt("A stored slice of this volume is damaged; import the volume again.")
        return np.frombuffer(data, dtype=dtype).reshape(rows, columns).astype(record.dtype, copy=False)

    def load(self, record: VolumeRecord) -> Volume:
        """The whole volume. Raises: NotFound, Corrupt."""
        voxels: NDArray[np.generic] = np.empty(record.shape, dtype=record.dtype)
        for index in range(record.shape[0]):
            voxels[index] = self.slice(record, index)
        return Volume(
            voxels=voxels,
            affine=record.affine_array,
            slope=np.array(record.slope),
            intercept=np.array(record.intercept),
            source_axes=record.source_axes,
            modality=record.modality,
            description=record.description,
            warnings=record.warnings,
            voi=record.voi,
            source=record.source,
        )

    def _sound(self, record: VolumeRecord) -> bool:
        """Whether the stored voxels are those of a record."""
        try:
            for index in range(record.shape[0]):
                self.slice(record, index)
        except Corrupt:
            return False
        return True

    def delete(self, volume_id: str) -> None:
        """Remove a volume and everything that was made from it. Raises: NotFound."""
        self.get(volume_id)
        self._store.delete(_record_key(volume_id))
        for key in [*self._store.list(f"volumes/{volume_id}"), *self._store.list(f"annotations/{volume_id}")]:
            self._store.delete(key)


def _voxels_key(volume_id: str, name: str) -> str:
    return f"volumes/{volume_id}/{name}"


def _record_key(volume_id: str) -> str:
    return f"volumes/{volume_id}/volume.json"


def _to_json(record: VolumeRecord) -> bytes:
    fields = asdict(record) | {"layout": 1, "thumbnail": base64.b64encode(record.thumbnail).decode()}
    return records.encode(fields)


def _from_json(data: bytes) -> VolumeRecord:
    try:
        fields = records.decode(data)
        fields.pop("layout")
        fields["grey"] = GreyMap(**fields["grey"])
        fields["thumbnail"] = base64.b64decode(fields["thumbnail"])
        fields["source"] = source_from_json(fields["source"]) if fields.get("source") else None
        fields["affine"] = tuple(tuple(row) for row in fields["affine"])
        tuples = {key: tuple(value) for key, value in fields.items() if isinstance(value, list)}
        return VolumeRecord(**(fields | tuples))
    except (ValueError, KeyError, TypeError) as error:
        raise Corrupt("The record of a stored volume is damaged.") from error
