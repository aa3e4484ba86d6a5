"""A store in a bucket of an S3 server: MinIO and its forks, Ceph's RGW, a provider's.

An object is made by one PUT with ``If-None-Match: *``, which the server refuses (412) when the key is taken. The client
library's own call cannot carry that header, so the PUT goes to an address that it signs (a presigned URL). Objects are not
uploaded in parts: servers honour no condition when parts are put together. So one is at most 5 GiB, what S3 takes at once.

Every call is tried again a few times, then it is Unavailable. A PUT that is tried again may be refused since the first one
arrived, and only its answer was lost: then the object that lies there decides, by its digest.
"""

from __future__ import annotations

import base64
import hashlib
import io
import os
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from configparser import Error as ConfigParserError
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

import urllib3
from minio import Minio
from minio.credentials.providers import AWSConfigProvider, EnvAWSProvider, Provider
from minio.datatypes import Object
from minio.error import S3Error

from services.core.errors import CalqueError, InvalidInput, Reason, TooLarge, Unavailable
from services.core.scratch import scratch_folder
from services.store.failpoints import reached
from services.store.port import Store, check_key
from services.store.s3_answers import ANSWERS, as_ours, may_pass, refusal

OBJECT_LIMIT_BYTES = 5 << 30
_CHUNK_BYTES = 1 << 20
_SIGNED_FOR = timedelta(minutes=15)  # a PUT only has to begin within it
_PROBE = "probe"
_RACERS = 8

_T = TypeVar("_T")
_File = io.BytesIO | io.BufferedReader | io.BufferedRandom


@dataclass(frozen=True)
class Patience:
    """How long a server is waited for: seconds for a connection and for each read, tries, and seconds between them."""

    connect_s: float = 5.0
    read_s: float = 30.0
    tries: int = 4
    pause_s: float = 0.2


@dataclass(frozen=True)
class Bucket:
    """Where a store lies and who may use it.

    Attributes:
        name: of the bucket.
        endpoint: address of the server, ``https://host:port``.
        region: that requests are signed for.
        credentials: file of the keys in the form of AWS' credentials file; None: ``AWS_ACCESS_KEY_ID`` and
            ``AWS_SECRET_ACCESS_KEY`` of the environment.
        authority: PEM file of the authority that vouches for the server; None: those that the system knows.
    """

    name: str
    endpoint: str
    region: str = "us-east-1"
    credentials: Path | None = None
    authority: Path | None = None


class S3Store(Store):
    """Objects in a bucket."""

    def __init__(self, bucket: Bucket, patience: Patience = Patience()) -> None:
        """Nothing is asked of the server yet. Raises: InvalidInput: the address or the keys cannot be used."""
        self._bucket = bucket.name
        self._patience = patience
        timeout = urllib3.Timeout(connect=patience.connect_s, read=patience.read_s)
        # It must not try again by itself: a refused PUT would not tell whether another one went before.
        self._http = urllib3.PoolManager(
            timeout=timeout,
            retries=False,
            maxsize=16,
            cert_reqs="CERT_REQUIRED",
            ca_certs=str(bucket.authority) if bucket.authority else None,
        )
        self._client = _client(bucket, self._http)

    def create(self, key: str, data: bytes | Iterable[bytes]) -> bool:
        check_key(key)
        if isinstance(data, bytes):
            return self._create(key, io.BytesIO(data))
        with self.scratch() as folder, open(folder / "object", "w+b") as file:  # its size and digest go before it
            for chunk in data:
                file.write(chunk)
            return self._create(key, file)

    def adopt(self, key: str, path: Path) -> bool:
        check_key(key)
        with open(path, "rb") as file:
            return self._create(key, file)

    def scratch(self) -> AbstractContextManager[Path]:
        return scratch_folder()

    def file(self, key: str) -> Path | None:
        self.size(key)
        return None

    def read(self, key: str, start: int = 0, size: int | None = None) -> bytes:
        check_key(key)
        if size == 0:
            self.size(key)
            return b""

        def found() -> bytes:
            try:
                return b"".join(self._chunks(key, start, size))
            except S3Error as error:
                if error.code == "InvalidRange":  # it begins at the end or after it
                    return b""
                raise

        return self._ask(found)

    def size(self, key: str) -> int:
        check_key(key)
        return self._ask(lambda: self._client.stat_object(self._bucket, key).size) or 0

    def list(self, prefix: str) -> Iterator[str]:
        yield from (key for key, _ in self.written(prefix))

    def written(self, prefix: str) -> Iterator[tuple[str, int]]:
        found = self._below(prefix, deep=True)
        yield from sorted((one.object_name or "", _milliseconds(one.last_modified)) for one in found if not one.is_dir)

    def folders(self, prefix: str) -> Iterator[str]:
        found = (one.object_name or "" for one in self._below(prefix, deep=False) if one.is_dir)
        yield from sorted(name.rstrip("/").rpartition("/")[2] for name in found)

    def delete(self, key: str) -> None:
        check_key(key)
        self._ask(lambda: self._client.remove_object(self._bucket, key))

    def check(self) -> None:
        """Try all that the store must do, and make the bucket when it is missing.

        Raises:
            Unavailable: it does not answer, refuses the keys, or would lose data; the message names what it lacks.
        """
        self._ask(self._make_bucket)
        name, content = uuid4().hex, secrets.token_bytes(64)
        key = f"{_PROBE}/{name}/object"
        try:
            if not self.create(key, content) or self.read(key) != content:
                raise _unfit("does not give back what was written")
            if self.create(key, content[::-1]) or self.read(key) != content:
                raise _unfit("overwrites an object although it is told not to (it ignores If-None-Match)")
            if self.read(key, 16, 8) != content[16:24] or self.size(key) != len(content):
                raise _unfit("does not read a part of an object (it ignores Range)")
            if list(self.list(f"{_PROBE}/{name}")) != [key] or name not in self.folders(_PROBE):
                raise _unfit("does not list an object that was just written")
            self.delete(key)
            if list(self.list(f"{_PROBE}/{name}")):
                raise _unfit("still lists an object that was just deleted")
            self._race(f"{_PROBE}/{name}/race")
        except CalqueError:
            with suppress(CalqueError):
                self.delete(key)
            raise

    def _race(self, key: str) -> None:
        """Have several create one object at once. Raises: Unavailable: not one of them alone did."""
        with ThreadPoolExecutor(_RACERS) as pool:
            won = list(pool.map(lambda number: self.create(key, b"%d" % number), range(_RACERS)))
        found = self.read(key)
        self.delete(key)
        if won.count(True) != 1 or found != b"%d" % won.index(True):
            raise _unfit("lets several create the same object at once")

    def _make_bucket(self) -> None:
        """Make the bucket, unless it is there or another service makes it in this moment."""
        if self._client.bucket_exists(self._bucket):
            return
        try:
            self._client.make_bucket(self._bucket)
        except S3Error as error:
            if error.code != "BucketAlreadyOwnedByYou":
                raise

    def _create(self, key: str, file: _File) -> bool:
        """Make an object of a whole file, unless the key is taken."""
        size = file.seek(0, os.SEEK_END)
        if size > OBJECT_LIMIT_BYTES:
            raise TooLarge(f"An object in an S3 store has at most {OBJECT_LIMIT_BYTES >> 30} GiB; nothing was written.")
        headers = {"If-None-Match": "*", "Content-Length": str(size), "Content-MD5": _md5(file)}
        tries = 0

        def put() -> bool:
            nonlocal tries
            tries += 1
            file.seek(0)
            address = self._client.presigned_put_object(self._bucket, key, _SIGNED_FOR)
            reached("begun", key)
            reply = self._http.request("PUT", address, body=file, headers=headers)
            if reply.status == 412:
                return tries > 1 and self._holds(key, file)
            if reply.status != 200:
                raise refusal(reply)
            reached("durable", key)
            return True

        return self._ask(put)

    def _holds(self, key: str, file: _File) -> bool:
        """Whether an object is what a file is."""
        digest = hashlib.sha256()
        try:
            for chunk in self._chunks(key):
                digest.update(chunk)
        except S3Error as error:
            if error.code == "NoSuchKey":  # deleted in this moment
                return False
            raise
        file.seek(0)
        return digest.digest() == hashlib.file_digest(file, "sha256").digest()

    def _chunks(self, key: str, start: int = 0, size: int | None = None) -> Iterator[bytes]:
        """An object's bytes from ``start`` on, at most ``size``; 0 is not a size."""
        reply = self._client.get_object(self._bucket, key, start, size or 0)
        try:
            yield from reply.stream(_CHUNK_BYTES)
        finally:
            reply.close()
            reply.release_conn()

    def _below(self, prefix: str, *, deep: bool) -> Sequence[Object]:
        """What is below a folder; not ``deep``, only what is directly below, folders among it."""
        start = f"{check_key(prefix)}/"
        return self._ask(lambda: tuple(self._client.list_objects(self._bucket, start, recursive=deep)))

    def _ask(self, call: Callable[[], _T]) -> _T:
        """The result of a call that is tried again while the server may only be busy. Raises: CalqueError."""
        for pause in range(self._patience.tries - 1):
            try:
                return call()
            except ANSWERS as error:
                if not may_pass(error):
                    raise as_ours(error) from error
            time.sleep(self._patience.pause_s * 2**pause)
        try:
            return call()
        except ANSWERS as error:
            raise as_ours(error) from error


def _client(bucket: Bucket, http: urllib3.PoolManager) -> Minio:
    """The library's side of a server. Raises: InvalidInput: the address or the keys cannot be used."""
    keys = _keys(bucket.credentials)
    scheme, _, host = bucket.endpoint.partition("://")
    try:
        if scheme not in ("http", "https") or not host:
            raise ValueError
        return Minio(host, secure=scheme == "https", region=bucket.region, credentials=keys, http_client=http)
    except ValueError as error:
        raise InvalidInput("The address of the S3 server must be https://host or https://host:port.") from error


def _keys(file: Path | None) -> Provider:
    """Who gives the keys, asked anew for every request. Raises: InvalidInput: there are none."""
    keys = EnvAWSProvider() if file is None else AWSConfigProvider(str(file))
    try:
        keys.retrieve()
    except (ValueError, OSError, ConfigParserError) as error:  # their texts may quote the file
        where = "the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY)" if file is None else str(file)
        raise InvalidInput(f"The keys of the S3 store are not in {where}.") from error
    return keys


def _md5(file: _File) -> str:
    """The digest by which the server notices that an object was damaged on its way."""
    file.seek(0)
    return base64.b64encode(hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).digest()).decode()


def _milliseconds(time: datetime | None) -> int:
    """A time since 1970; what is not told is new."""
    return int((time or datetime.now(UTC)).timestamp() * 1000)


def _unfit(why: str) -> Unavailable:
    return Unavailable(f"This S3 store would lose data: it {why}.", Reason.STORE_UNAVAILABLE)
