"""A server that speaks S3 badly, on loopback: it ignores what it is told, or does to one request what a test says."""

from __future__ import annotations

import base64
import hashlib
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum, auto
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from services.store.s3 import Bucket

BUCKET = "calque"


class Habit(Enum):
    """What a server does with all requests."""

    OVERWRITES = auto()
    LOOKS_BEFORE_IT_WRITES = auto()
    """It does not overwrite, but two who create an object at once both do."""
    READS_WHOLE_OBJECTS = auto()
    LISTS_LATE = auto()
    LISTS_WHAT_IS_GONE = auto()
    KEEPS_NOTHING = auto()
    IS_NONE = auto()


class Trouble(Enum):
    """What happens to one request."""

    ERROR = auto()
    """500, and nothing done."""
    LOST_REQUEST = auto()
    """The connection breaks before anything is done."""
    LOST_REPLY = auto()
    """It is done, and the connection breaks."""
    CUT_REPLY = auto()
    """It is done, and the connection breaks in the middle of the answer."""
    SILENCE = auto()
    """Nothing comes until the server ends."""
    DAMAGE = auto()
    """A bit of what came is flipped."""
    QUOTA = auto()
    DISK_FULL = auto()
    NO_RIGHT = auto()
    CLOCK = auto()


REFUSALS = {
    Trouble.ERROR: (500, "InternalError"),
    Trouble.QUOTA: (403, "QuotaExceeded"),
    Trouble.DISK_FULL: (507, "XMinioStorageFull"),
    Trouble.NO_RIGHT: (403, "AccessDenied"),
    Trouble.CLOCK: (403, "RequestTimeTooSkewed"),
}


class BadS3:
    """The server's state: its objects, its habits, and ``trouble``, which is asked about each request for an object."""

    def __init__(self, *habits: Habit) -> None:
        self.objects: dict[str, bytes] = {}
        self.habits = habits
        self.trouble: Callable[[str], Trouble | None] = lambda method: None
        self.asked: list[str] = []
        """Methods of the requests for objects so far."""
        self.lock = threading.Lock()
        self.ended = threading.Event()
        self.meeting = threading.Barrier(2)

    def next(self, method: str, *troubles: Trouble) -> None:
        """Have the next requests of a method come to grief."""
        waiting = list(troubles)
        self.trouble = lambda asked: waiting.pop(0) if asked == method and waiting else None


@contextmanager
def served(state: BadS3, folder: Path, certificate: Path | None = None) -> Iterator[Bucket]:
    """Its bucket, while it is served, by TLS with a certificate (and its key); ``folder`` takes the file of the keys."""

    class Handler(_Handler):
        server_state = state

    keys = folder / "bad-keys"
    keys.write_text("[default]\naws_access_key_id = key\naws_secret_access_key = secret\n")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        scheme = "https" if certificate else "http"
        yield Bucket(BUCKET, f"{scheme}://127.0.0.1:{server.server_port}", credentials=keys)
    finally:
        state.ended.set()
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    server_state: BadS3
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # an answer goes out whole

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self._answer()

    do_PUT = do_HEAD = do_DELETE = do_GET  # noqa: N815

    def _answer(self) -> None:
        state, address = self.server_state, urlsplit(self.path)
        key = unquote(address.path).removeprefix(f"/{BUCKET}").lstrip("/")
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if Habit.IS_NONE in state.habits:
            return self._reply(200, b"<html>It works!</html>", "text/html")
        trouble = None
        if key:
            with state.lock:
                state.asked.append(self.command)
                trouble = state.trouble(self.command)
        if trouble is Trouble.SILENCE:
            state.ended.wait()
        if trouble in (Trouble.SILENCE, Trouble.LOST_REQUEST):
            self.close_connection = True
            return None
        if trouble in REFUSALS:
            return self._refuse(*REFUSALS[trouble])
        if trouble is Trouble.DAMAGE:
            body = bytes([body[0] ^ 1]) + body[1:]
        if self.command == "PUT" and key.endswith("/race") and Habit.LOOKS_BEFORE_IT_WRITES in state.habits:
            state.meeting.wait()
            state.objects.pop(key, None)
        with state.lock:
            status, content = self._do(key, body, parse_qs(address.query))
        if trouble is Trouble.LOST_REPLY:
            self.close_connection = True
            return None
        if isinstance(content, str):
            return self._refuse(status, content)
        return self._reply(status, content, "application/xml", cut=trouble is Trouble.CUT_REPLY)

    def _do(self, key: str, body: bytes, query: dict[str, list[str]]) -> tuple[int, bytes | str]:
        """Do what is asked. Returns status, and content or an error's code."""
        objects, habits = self.server_state.objects, self.server_state.habits
        if not key:
            return 200, self._listing(query) if self.command == "GET" else b""
        if self.command == "PUT":
            if self.headers["If-None-Match"] == "*" and key in objects and Habit.OVERWRITES not in habits:
                return 412, "PreconditionFailed"
            if base64.b64decode(self.headers["Content-MD5"]) != hashlib.md5(body).digest():
                return 400, "BadDigest"
            objects[key] = b"" if Habit.KEEPS_NOTHING in habits else body
            return 200, b""
        if self.command == "DELETE":
            if Habit.LISTS_WHAT_IS_GONE not in habits:
                objects.pop(key, None)
            return 204, b""
        if key not in objects:
            return 404, "NoSuchKey"
        asked = self.headers.get("Range")
        if asked is None or Habit.READS_WHOLE_OBJECTS in habits:
            return 200, objects[key]
        first, _, last = asked.removeprefix("bytes=").partition("-")
        if int(first) >= len(objects[key]):
            return 416, "InvalidRange"
        return 206, objects[key][int(first) : int(last) + 1 if last else None]

    def _listing(self, query: dict[str, list[str]]) -> bytes:
        keys = [] if Habit.LISTS_LATE in self.server_state.habits else sorted(self.server_state.objects)
        prefix, delimiter = query.get("prefix", [""])[0], query.get("delimiter", [""])[0]
        below = [key.removeprefix(prefix) for key in keys if key.startswith(prefix)]
        found = "".join(
            f"<Contents><Key>{prefix}{key}</Key></Contents>" for key in below if not (delimiter and delimiter in key)
        )
        for name in sorted({key.partition("/")[0] for key in below if delimiter and delimiter in key}):
            found += f"<CommonPrefixes><Prefix>{prefix}{name}/</Prefix></CommonPrefixes>"
        told = f"<Name>{BUCKET}</Name>{found}"
        return f'<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{told}</ListBucketResult>'.encode()

    def _refuse(self, status: int, code: str) -> None:
        self._reply(
            status,
            f"<Error><Code>{code}</Code><Message>about {escape(self.path)}</Message></Error>".encode(),
            "application/xml",
        )

    def _reply(self, status: int, content: bytes, kind: str, *, cut: bool = False) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content[: len(content) // 2] if cut else content)
        self.close_connection = self.close_connection or cut
