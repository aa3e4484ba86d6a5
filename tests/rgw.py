"""A real S3 server on loopback: Ceph's RGW from Debian's packages, in memory, for as long as tests use it.

``python -m tests.rgw FOLDER`` runs a monitor, an object store daemon in memory and a gateway as an ordinary user, writes
``server.json`` into the folder once they answer, and ends when nobody holds the lock ``users`` any more (`shared_server`):
the processes of a test run share one server, and none outlives them, however they end.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

ROOT = Path(__file__).resolve().parents[1]
PROGRAMS = ("ceph", "ceph-mon", "ceph-osd", "monmaptool", "radosgw", "radosgw-admin")
PACKAGES = ("radosgw", "ceph-mon", "ceph-osd", "ceph-common")
SECONDS = 30.0
NOBODY = 65534
PAGE = 5
"""Keys in a page of a listing: few, so that listings have pages."""

CONFIGURATION = """
[global]
fsid = {cluster}
mon host = [v1:127.0.0.1:{mon_port}]
ms bind msgr2 = false
public addr = 127.0.0.1
auth cluster required = none
auth service required = none
auth client required = none
paxos propose interval = 0.02
paxos min wait = 0.01
objecter tick interval = 0.2
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pg autoscale mode = off
mon allow pool size one = true
osd crush chooseleaf type = 0
run dir = {folder}
admin socket =
mon cluster log file = {folder}/cluster.log
log to stderr = false
log file = {folder}/$name.log
[mon.a]
mon data = {folder}/mon
[osd]
osd data = {folder}/osd
osd objectstore = memstore
osd class update on start = false
osd crush update on start = false
memstore device bytes = 2147483648
[client.rgw]
rgw frontends = beast endpoint=127.0.0.1:{port} tcp_nodelay=1
rgw dns name = localhost
rgw max listing results = {page}
"""


@dataclass(frozen=True)
class Server:
    """An S3 server: its address, the keys of a user who may make buckets, and what it is, for people."""

    endpoint: str
    access_key: str
    secret_key: str
    name: str


def installed() -> bool:
    """Whether the programs are there."""
    return all(shutil.which(program) for program in PROGRAMS)


@contextmanager
def shared_server(folder: Path) -> Iterator[Server]:
    """The server of a folder that the processes of a test run have in common; it is started by the first of them."""
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        users = stack.enter_context(open(folder / "users", "a"))
        with open(folder / "starting", "a") as starting:
            fcntl.flock(starting, fcntl.LOCK_EX)
            fcntl.flock(users, fcntl.LOCK_SH)  # waits while the one before is ending
            found = folder / "server.json"
            if not found.exists():
                _start(folder)
            server = Server(**json.loads(found.read_text()))
        yield server


def _start(folder: Path) -> None:
    """Start the server and wait for it. Raises: RuntimeError, with the last lines of its log."""
    with open(folder / "rgw.log", "ab") as log:
        command = [sys.executable, "-m", "tests.rgw", str(folder)]
        started = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=ROOT, check=False)
    if started.returncode:
        raise RuntimeError("Ceph's RGW did not start:\n" + (folder / "rgw.log").read_text()[-2000:])


def main(folder: Path) -> int:
    """Start the server in a process of its own, which ends when nobody uses it. Returns an exit status once it answers."""
    ready, tell = os.pipe()
    if os.fork():
        os.close(tell)
        return 0 if os.read(ready, 1) else 1
    os.close(ready)
    os.setsid()
    with tempfile.TemporaryDirectory(prefix="calque-rgw-") as place, ExitStack() as stack:
        server = run(Path(place), stack).server
        (folder / "server.json").write_text(json.dumps(asdict(server)))
        os.write(tell, b"1")
        with open(folder / "users", "a") as users:
            fcntl.flock(users, fcntl.LOCK_EX)
            (folder / "server.json").unlink()
    return 0


@dataclass(frozen=True)
class Running:
    """A server whose gateway can be killed: what it has answered for lies with the object store daemon."""

    server: Server
    kill_gateway: Callable[[], None]
    start_gateway: Callable[[], None]


def run(place: Path, stack: ExitStack) -> Running:
    """Start the daemons in a folder, and wait until they answer; they end with the stack."""
    mon_port, port = _free_port(), _free_port()
    conf, cluster = place / "ceph.conf", str(uuid4())
    conf.write_text(CONFIGURATION.format(cluster=cluster, folder=place, mon_port=mon_port, port=port, page=PAGE))
    (place / "mon").mkdir()
    (place / "osd").mkdir()
    user: dict[str, Any] = {}
    if os.getuid() == 0:  # the daemons need no rights
        user = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        for made in (place, *place.iterdir()):
            os.chown(made, NOBODY, NOBODY)
    environment = {**os.environ, "CEPH_CONF": str(conf), "HOME": str(place)}

    def call(*command: str, lines: str = "") -> str:
        how = {"env": environment, "cwd": place, "capture_output": True, "text": True, "timeout": SECONDS, **user}
        return subprocess.run(command, check=True, input=lines, **how).stdout

    def daemon(program: str, *arguments: str) -> subprocess.Popen[bytes]:
        command = [program, "--foreground", *arguments]
        process = subprocess.Popen(command, env=environment, cwd=place, stdin=subprocess.DEVNULL, **user)
        stack.callback(process.wait)
        stack.callback(process.kill)
        return process

    monitors, identity = str(place / "monitors"), str(uuid4())
    call("monmaptool", "--create", "--fsid", cluster, "--addv", "a", f"[v1:127.0.0.1:{mon_port}]", monitors)
    call("ceph-mon", "--mkfs", "-i", "a", "--monmap", monitors)
    daemon("ceph-mon", "-i", "a")
    # By itself it would ask for its place when it starts, before it knows which cluster it belongs to, and be refused.
    call("ceph", lines=f"osd new {identity}\nosd crush add osd.0 1.0 root=default\n")
    call("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", identity)
    daemon("ceph-osd", "-i", "0")
    access_key, secret_key = uuid4().hex[:20], uuid4().hex
    who = ["--uid", "calque", "--display-name", "Calque", "--max-buckets", "0"]
    keys = ["--access-key", access_key, "--secret-key", secret_key]
    call("radosgw-admin", "-n", "client.rgw", "user", "create", *who, *keys)  # it makes the pools; not both at once
    gateway = daemon("radosgw", "-n", "client.rgw")

    def kill_gateway() -> None:
        gateway.kill()
        gateway.wait()

    def start_gateway() -> None:
        nonlocal gateway
        gateway = daemon("radosgw", "-n", "client.rgw")
        _answers(port)

    _answers(port)
    version = call("radosgw", "--version").split()[2]
    server = Server(f"http://localhost:{port}", access_key, secret_key, f"Ceph RGW {version}")
    return Running(server, kill_gateway, start_gateway)


def _answers(port: int) -> None:
    """Wait until a gateway answers. Raises: OSError: it does not."""
    end = time.monotonic() + SECONDS
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5).close()
            return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.02)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
