"""The S3 server that the tests run on: the one that ``CALQUE_TEST_S3`` names, else Ceph's RGW, where it is installed."""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit
from uuid import uuid4

from minio import Minio

from services.store.s3 import Bucket, S3Store
from tests.rgw import Server, installed, shared_server

VARIABLE = "CALQUE_TEST_S3"


@contextmanager
def s3_server(folder: Path) -> Iterator[Server | None]:
    """A server to test on, or None: there is none to be had. ``folder`` is one that all processes of a test run have."""
    if named := os.environ.get(VARIABLE):
        yield _named(named)
    elif installed():
        with shared_server(folder) as server:
            yield server
    else:
        yield None


def new_bucket(server: Server, folder: Path) -> Bucket:
    """A bucket of its own, made by the store itself; its keys lie in ``folder``."""
    keys = folder / "s3-keys"
    keys.write_text(f"[default]\naws_access_key_id = {server.access_key}\naws_secret_access_key = {server.secret_key}\n")
    bucket = Bucket(f"calque-test-{uuid4().hex}", server.endpoint, credentials=keys)
    S3Store(bucket).check()
    return bucket


@contextmanager
def bucket_of(server: Server, folder: Path) -> Iterator[Bucket]:
    """A new bucket for a test, which goes with the context."""
    bucket = new_bucket(server, folder)
    try:
        yield bucket
    finally:
        address = urlsplit(server.endpoint)
        https = address.scheme == "https"
        client = Minio(address.netloc, server.access_key, server.secret_key, secure=https, region=bucket.region)
        for one in list(client.list_objects(bucket.name, recursive=True)):
            client.remove_object(bucket.name, one.object_name)
        client.remove_bucket(bucket.name)


def _named(address: str) -> Server:
    """The server of ``https://KEY:SECRET@host:port``."""
    parts = urlsplit(address)
    assert parts.username and parts.password, f"{VARIABLE} must be like https://KEY:SECRET@host:port"  # noqa: PT018
    endpoint = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    try:
        with urllib.request.urlopen(endpoint, timeout=30) as page:
            name = page.headers.get("Server")
    except urllib.error.HTTPError as error:
        name = error.headers.get("Server")
    return Server(endpoint, unquote(parts.username), unquote(parts.password), f"{name or 'a server'} at {endpoint}")
