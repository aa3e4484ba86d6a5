"""Sign-in with users of this server's own, over the real wire."""

from __future__ import annotations

import stat
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import jwt
import pytest
from calque.v1 import identity_pb2 as pb
from calque.v1 import identity_pb2_grpc, volumes_pb2, volumes_pb2_grpc
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from typer.testing import CliRunner

from services.cli.main import app
from services.core.audit import Action, Event
from services.core.errors import InvalidInput
from services.serving.audit import Recorder
from services.serving.caller import Role
from services.serving.identity import interceptor, local
from services.serving.identity.authentication import access
from services.serving.identity.local import IdentityServicer, LocalKey, LocalTokens
from services.serving.identity.users import User, Users, hashed
from services.serving.server import Server
from services.serving.settings import Settings
from services.serving.tls import server_credentials
from tests.processes import Serving
from tests.served import refused
from tests.serving.authority import Authority
from tests.serving.identity.asking import Asking, bearer

PASSWORD = "correct horse battery"
NOT_SIGNED_IN = ("UNAUTHENTICATED", "NOT_SIGNED_IN", 0)
WRONG = ("UNAUTHENTICATED", "SIGN_IN_REFUSED", 0)


@dataclass(frozen=True)
class Kept:
    """An audit trail in memory."""

    events: list[Event]

    def append(self, event: Event) -> None:
        self.events.append(event)


@dataclass(frozen=True)
class Site:
    """A server with one user of its own, "ada", and who talks to it."""

    users: Users
    identity: Any
    volumes: Any
    recorded: list[Event]

    async def sign_in(self, user: str = "ada", password: str = PASSWORD) -> pb.AccessToken:
        return (await self.identity.SignIn(pb.SignInRequest(user=user, password=password))).token

    def who(self, token: str) -> Any:
        return self.volumes.GetUpload(volumes_pb2.GetUploadRequest(), metadata=bearer(token))

    def renew(self, token: str) -> Any:
        return self.identity.Renew(pb.RenewRequest(), metadata=bearer(token))


@asynccontextmanager
async def site(folder: Path) -> AsyncIterator[Site]:
    settings = Settings(store=folder / "store")
    Users(settings.users_file).add("ada", Role.ANNOTATOR, PASSWORD)
    allowed = access(settings, "s" * 40)
    assert allowed.local is not None
    recorded: list[Event] = []
    identity = IdentityServicer(allowed.local, Recorder(Kept(recorded)))
    server = Server([identity, Asking()], listen="127.0.0.1:0", authenticate=allowed.authenticate)
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            stubs = identity_pb2_grpc.IdentityStub(channel), volumes_pb2_grpc.VolumesStub(channel)
            yield Site(Users(settings.users_file), *stubs, recorded)
    finally:
        await server.stop(0)


async def test_who_signs_in_is_let_in_as_long_as_the_user_is_there(tmp_path: Path) -> None:
    async with site(tmp_path) as one:
        assert await refused(one.who("x")) == NOT_SIGNED_IN
        given = await one.sign_in()
        assert given.role == "annotator"
        assert 0 < given.expires_ms / 1000 - time.time() <= local.TOKEN_SECONDS
        user, _, role = (await one.who(given.token)).files[0].name.split()
        assert (user, role) == ("ada", "annotator")

        later = (await one.renew(given.token)).token
        assert later.expires_ms >= given.expires_ms
        await one.who(later.token)
        one.users.set_projects("ada", ["neo", "fetus"])
        who = await one.identity.GetUser(pb.GetUserRequest(), metadata=bearer(later.token))
        assert (who.user, who.role, list(who.projects)) == ("ada", "annotator", ["fetus", "neo"])

        one.users.remove("ada")
        assert await refused(one.who(later.token)) == NOT_SIGNED_IN
        assert await refused(one.renew(later.token)) == NOT_SIGNED_IN
        one.users.add("ada", Role.VIEWER, PASSWORD)  # somebody else of that name
        assert await refused(one.who(later.token)) == NOT_SIGNED_IN
        assert await refused(one.who((await one.sign_in()).token)) == ("PERMISSION_DENIED", "NOT_ALLOWED", 0)


async def test_the_audit_trail_tells_who_signed_in_and_who_tried(tmp_path: Path) -> None:
    async with site(tmp_path) as one:
        await one.sign_in()
        for user, password in (("ada", "wrong password"), (PASSWORD, "typed into the wrong field")):
            assert await refused(one.identity.SignIn(pb.SignInRequest(user=user, password=password))) == WRONG
    assert [(event.action, event.user, event.peer, event.done) for event in one.recorded] == [
        (Action.SIGN_IN, "ada", "127.0.0.1", True),
        (Action.SIGN_IN, "ada", "127.0.0.1", False),
        (Action.SIGN_IN, "?", "127.0.0.1", False),
    ]


@pytest.mark.item(45)
async def test_who_is_removed_or_has_fewer_projects_is_out_also_in_mid_stream(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interceptor, "AGAIN_SECONDS", 0.05)
    async with site(tmp_path) as one:
        for revoke in (lambda: one.users.set_projects("ada", ["another"]), lambda: one.users.remove("ada")):
            given = await one.sign_in()
            stream = one.volumes.Import(volumes_pb2.ImportRequest(), metadata=bearer(given.token))
            for _ in range(2):
                await stream.read()
            revoke()
            assert await refused(stream.read()) == NOT_SIGNED_IN


@pytest.mark.item(47)
async def test_a_captured_token_is_of_no_use_without_the_clients_key(tmp_path: Path) -> None:
    """With client certificates; also after it was renewed, and to another client of the same authority."""
    authority = Authority(tmp_path / "authority")
    certificate, key = authority.certify("server")
    settings = Settings(store=tmp_path / "store", certificate=certificate, key=key, client_authority=authority.trusted)
    Users(settings.users_file).add("ada", Role.ANNOTATOR, PASSWORD)
    allowed = access(settings, "s" * 40)
    assert allowed.local is not None
    identity = IdentityServicer(allowed.local, Recorder(Kept([])))
    credentials = server_credentials(settings)
    server = Server([identity, Asking()], listen="127.0.0.1:0", authenticate=allowed.authenticate, credentials=credentials)
    await server.start()

    def channel(name: str) -> grpc.aio.Channel:
        certificate, key = authority.certify(name)
        pair = key.read_bytes(), certificate.read_bytes()
        trusting = grpc.ssl_channel_credentials(authority.trusted.read_bytes(), *pair)
        return grpc.aio.secure_channel(f"127.0.0.1:{server.port}", trusting)

    request = volumes_pb2.ListVolumesRequest()
    try:
        async with channel("tablet") as tablet, channel("thief") as thief:
            own, others = identity_pb2_grpc.IdentityStub(tablet), identity_pb2_grpc.IdentityStub(thief)
            first = (await own.SignIn(pb.SignInRequest(user="ada", password=PASSWORD))).token
            later = (await own.Renew(pb.RenewRequest(), metadata=bearer(first.token))).token
            for token in (first.token, later.token):
                await volumes_pb2_grpc.VolumesStub(tablet).ListVolumes(request, metadata=bearer(token))
                captured = volumes_pb2_grpc.VolumesStub(thief).ListVolumes(request, metadata=bearer(token))
                assert await refused(captured) == NOT_SIGNED_IN
                assert await refused(others.Renew(pb.RenewRequest(), metadata=bearer(token))) == NOT_SIGNED_IN
    finally:
        await server.stop(0)


async def test_another_password_ends_what_was_signed_in_with_the_old_one(tmp_path: Path) -> None:
    async with site(tmp_path) as one:
        given = await one.sign_in()
        one.users.set_password("ada", f"{PASSWORD} 2")
        assert await refused(one.who(given.token)) == NOT_SIGNED_IN
        assert await refused(one.renew(given.token)) == NOT_SIGNED_IN
        assert await refused(one.sign_in()) == WRONG
        assert await one.sign_in(password=f"{PASSWORD} 2")


async def test_nobody_learns_who_there_is(tmp_path: Path) -> None:
    """Neither by the answer nor by how soon it comes."""
    async with site(tmp_path) as one:

        async def seconds(user: str) -> float:
            began = time.perf_counter()
            assert await refused(one.sign_in(user, "a wrong password")) == WRONG
            return time.perf_counter() - began

        known = [await seconds("ada") for _ in range(3)]
        unknown = [await seconds("eve") for _ in range(3)]
        assert min(unknown) > min(known) / 3


async def test_too_many_attempts_are_not_even_decided(tmp_path: Path) -> None:
    async with site(tmp_path) as one:
        for _ in range(5):
            assert await refused(one.sign_in(password="a wrong password")) == WRONG
        assert await refused(one.sign_in()) == ("RESOURCE_EXHAUSTED", "TOO_MANY_ATTEMPTS", 0)


@pytest.mark.parametrize(("user", "password"), [("a" * 65, PASSWORD), ("ada", "x" * 1025)])
async def test_what_is_too_long_is_not_looked_at(tmp_path: Path, user: str, password: str) -> None:
    async with site(tmp_path) as one:
        assert await refused(one.sign_in(user, password)) == ("INVALID_ARGUMENT", "REQUEST_INVALID", 0)


async def test_a_token_of_another_key_is_none(tmp_path: Path) -> None:
    async with site(tmp_path) as one:
        given = await one.sign_in()
        header, claims = (
            jwt.get_unverified_header(given.token),
            jwt.decode(given.token, options={"verify_signature": False}),
        )
        forged = jwt.encode({**claims, "sub": "ada"}, Ed25519PrivateKey.generate(), "EdDSA", headers={"kid": header["kid"]})
        assert await refused(one.who(forged)) == NOT_SIGNED_IN


async def test_no_token_outlives_the_session(tmp_path: Path) -> None:
    tokens = LocalTokens(Users(tmp_path / "users.json"), LocalKey(tmp_path / "tokens.key"))
    user = User(name="ada", role=Role.VIEWER, password_hash=hashed(PASSWORD), changed_s=0)
    signed_in_s = time.time() - local.SESSION_SECONDS + 60
    assert tokens.give(user, signed_in_s).expires_ms == (int(signed_in_s) + local.SESSION_SECONDS) * 1000


def test_the_key_is_made_once_and_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "tokens.key"
    token = LocalKey(path).sign({"sub": "ada"})
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert LocalKey(path).sign({"sub": "ada"}) == token
    path.chmod(0o644)
    with pytest.raises(InvalidInput, match="chmod 600"):
        LocalKey(path)
    path.chmod(0o600)
    path.write_text("no key")
    with pytest.raises(InvalidInput, match="no key"):
        LocalKey(path)


def test_calque_serve_asks_who_calls_from_the_first_user_on(tmp_path: Path) -> None:
    store = ("--store", str(tmp_path / "store"))
    users = ["users", "add", "ada", "--role", "viewer", "--users", str(tmp_path / "keys" / "users.json")]
    assert CliRunner().invoke(app, users, input=PASSWORD).exit_code == 0
    with (
        Serving(tmp_path, "volumes", "--listen", "127.0.0.1:0", *store) as serving,
        grpc.insecure_channel(serving.address()) as channel,
    ):
        volumes = volumes_pb2_grpc.VolumesStub(channel)
        with pytest.raises(grpc.RpcError, match="UNAUTHENTICATED"):
            volumes.ListVolumes(volumes_pb2.ListVolumesRequest(), timeout=30)
        request = pb.SignInRequest(user="ada", password=PASSWORD)
        token = identity_pb2_grpc.IdentityStub(channel).SignIn(request, timeout=30).token.token
        assert not volumes.ListVolumes(volumes_pb2.ListVolumesRequest(), timeout=30, metadata=bearer(token)).volumes
        assert PASSWORD not in serving.errors()
        assert token not in serving.errors()
