"""Access tokens against a real issuer, over real HTTP and gRPC: who is let in, who is not, and with what answer."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import jwt
import pytest
from calque.v1 import volumes_pb2
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.serving.identity.interceptor import Authenticate
from services.serving.identity.issuer import IssuerKeys
from services.serving.identity.tokens import AccessTokens
from tests.served import refusal, refused
from tests.serving.identity.asking import asked, bearer
from tests.serving.identity.issuer import AUDIENCE, Issuer, issuer

LEEWAY = 60.0
NOT_SIGNED_IN = ("UNAUTHENTICATED", "NOT_SIGNED_IN", 0)


@pytest.fixture(scope="module")
def one() -> Iterator[Issuer]:
    """An issuer with a key of each kind, a weak one, one of a curve that is not ours, and one for encryption."""
    with issuer() as served:
        for algorithm in ("RS256", "PS256", "ES256", "EdDSA"):
            served.add(f"{algorithm}-key", algorithm)
        served.add("weak", "RS256", rsa.generate_private_key(65537, 1024))
        served.add("other-curve", "ES256", ec.generate_private_key(ec.SECP384R1()))
        served.add("for-encryption", "ES256", use="enc")
        served.add("said", "RS256", served.private["RS256-key"][1], alg="RS256")
        yield served


def authenticate(
    one: Issuer, leeway_s: float = LEEWAY, roles_claim: str = "roles", projects_claim: str = ""
) -> Authenticate:
    keys = IssuerKeys(one.address)
    claims = {"roles_claim": roles_claim, "projects_claim": projects_claim}
    return AccessTokens(keys, audience=AUDIENCE, leeway_s=leeway_s, **claims).caller


def by_hand(header: dict[str, Any], claims: dict[str, Any], secret: bytes = b"") -> str:
    """A token as an attacker makes it: unsigned, or with HMAC under a key of the attacker's choice."""
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (header, claims)]
    signature = hmac.digest(secret, b".".join(parts), hashlib.sha256) if secret else b""
    return b".".join([*parts, base64.urlsafe_b64encode(signature).rstrip(b"=")]).decode()


def with_public_key_as_secret(one: Issuer) -> str:
    public = one.private["RS256-key"][1].public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return by_hand({"alg": "HS256", "kid": "RS256-key", "typ": "JWT"}, one.claims(), pem)


def with_one_letter_changed(one: Issuer) -> str:
    header, claims, signature = one.token("ES256-key").split(".")
    return ".".join([header, claims, ("A" if signature[0] != "A" else "B") + signature[1:]])


def of_another_with_the_same_name(one: Issuer) -> str:
    return jwt.encode(one.claims(), ec.generate_private_key(ec.SECP256R1()), "ES256", headers={"kid": "ES256-key"})


now = time.time

LET_IN: dict[str, Callable[[Issuer], str]] = {
    "RS256": lambda one: one.token("RS256-key"),
    "PS256": lambda one: one.token("PS256-key"),
    "ES256": lambda one: one.token("ES256-key"),
    "EdDSA": lambda one: one.token("EdDSA-key"),
    "several audiences": lambda one: one.token("ES256-key", aud=["another", AUDIENCE]),
    "expired within the leeway": lambda one: one.token("ES256-key", exp=int(now()) - 30),
    "not yet valid within the leeway": lambda one: one.token("ES256-key", nbf=int(now()) + 30, iat=int(now()) + 30),
}
REFUSED: dict[str, Callable[[Issuer], str]] = {
    "expired": lambda one: one.token("ES256-key", exp=int(now()) - 61),
    "ten minutes behind": lambda one: one.token("ES256-key", exp=int(now()) - 600),
    "ten minutes ahead": lambda one: one.token("ES256-key", iat=int(now()) + 600, exp=int(now()) + 900),
    "not yet valid": lambda one: one.token("ES256-key", nbf=int(now()) + 600),
    "for ever": lambda one: one.token("ES256-key", exp=None),
    "expiry that is no number": lambda one: one.token("ES256-key", exp="soon"),
    "another audience": lambda one: one.token("ES256-key", aud="another"),
    "no audience": lambda one: one.token("ES256-key", aud=None),
    "another issuer": lambda one: one.token("ES256-key", iss="https://issuer.example"),
    "issuer with a slash more": lambda one: one.token("ES256-key", iss=f"{one.address}/"),
    "no issuer": lambda one: one.token("ES256-key", iss=None),
    "nobody": lambda one: one.token("ES256-key", sub=None),
    "empty user": lambda one: one.token("ES256-key", sub=""),
    "user with a line break": lambda one: one.token("ES256-key", sub="a\nsigned in b"),
    "long user": lambda one: one.token("ES256-key", sub="a" * 256),
    "none": lambda one: by_hand({"alg": "none"}, one.claims()),
    "nOnE": lambda one: by_hand({"alg": "nOnE", "kid": "ES256-key"}, one.claims()),
    "no algorithm": lambda one: by_hand({"kid": "ES256-key"}, one.claims()),
    "algorithm that is no word": lambda one: by_hand({"alg": ["ES256"], "kid": "ES256-key"}, one.claims()),
    "HS256 with the public key": with_public_key_as_secret,
    "another algorithm of the key": lambda one: one.token("ES256-key", kid="RS256-key"),
    "another algorithm than the key is for": lambda one: one.token("said", algorithm="PS256"),
    "an algorithm that is not ours": lambda one: one.token("RS256-key", algorithm="RS512"),
    "a weak key": lambda one: one.token("weak"),
    "a curve that is not ours": lambda one: one.token("other-curve", algorithm="ES384"),
    "a key for encryption": lambda one: one.token("for-encryption"),
    "a key that is not known": lambda one: one.token("ES256-key", kid="unheard-of"),
    "no key, of several": lambda one: one.token("ES256-key", kid=""),
    "a key that is no name": lambda one: by_hand({"alg": "ES256", "kid": 7}, one.claims()),
    "another's signature": of_another_with_the_same_name,
    "a changed signature": with_one_letter_changed,
    "an extension that must be understood": lambda one: by_hand(
        {"alg": "ES256", "kid": "ES256-key", "crit": ["x"]}, one.claims()
    ),
    "no token": lambda _: "...",
    "not ours at all": lambda _: "x",
    "bound to a key, without that key": lambda one: one.token("ES256-key", cnf={"x5t#S256": "A" * 43}),
    "bound in a way that is not ours": lambda one: one.token("ES256-key", cnf={"jkt": "A" * 43}),
    "deep": lambda _: base64.urlsafe_b64encode(b"[" * 5000).decode() + ".e30.e30",
}


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
@pytest.mark.item(45, 46, 48)
async def test_who_has_a_good_token_is_let_in_and_nobody_else(one: Issuer) -> None:
    async with asked(authenticate(one)) as (_, stub, _):
        request = volumes_pb2.GetUploadRequest()
        for what, make in LET_IN.items():
            answer = await stub.GetUpload(request, metadata=bearer(make(one)))
            user, peer, roles = answer.files[0].name.split()
            assert (user, roles) == ("u-7", "annotator"), what
            assert peer.startswith("ipv4:127.0.0.1:"), what
        for what, make in REFUSED.items():
            found = await refused(stub.GetUpload(request, metadata=bearer(make(one))))
            assert found == NOT_SIGNED_IN, what


@pytest.mark.parametrize("metadata", [(), (("authorization", ""),), (("authorization", "Basic dTpw"),), bearer("")])
@pytest.mark.item(45)
async def test_a_call_without_a_token_is_refused_however_it_is_made(one: Issuer, metadata: Any) -> None:
    async with asked(authenticate(one)) as (_, stub, _):
        assert await refused(stub.ListVolumes(volumes_pb2.ListVolumesRequest(), metadata=metadata)) == NOT_SIGNED_IN
        assert await refused(stub.Import(volumes_pb2.ImportRequest(), metadata=metadata)) == NOT_SIGNED_IN
        assert await refused(stub.Upload(iter([]), metadata=metadata)) == NOT_SIGNED_IN


async def test_two_tokens_are_none(one: Issuer) -> None:
    async with asked(authenticate(one)) as (_, stub, _):
        both = bearer(one.token("ES256-key")) + bearer(one.token("RS256-key"))
        assert await refused(stub.ListVolumes(volumes_pb2.ListVolumesRequest(), metadata=both)) == NOT_SIGNED_IN


async def test_health_is_told_to_everybody(one: Issuer) -> None:
    async with asked(authenticate(one)) as (_, _, channel):
        health = health_pb2_grpc.HealthStub(channel)
        answer = await health.Check(health_pb2.HealthCheckRequest(service="calque.v1.Volumes"))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING


@pytest.mark.parametrize(
    ("roles", "may"),
    [
        (["viewer"], {"ListVolumes": True, "GetUpload": False}),
        (["annotator"], {"ListVolumes": True, "GetUpload": True}),
        (["administrator", "unheard-of"], {"ListVolumes": True, "GetUpload": True}),
        ([], {"ListVolumes": False}),
        ("administrator", {"ListVolumes": False}),
        (None, {"ListVolumes": False}),
        ([["administrator"], 7], {"ListVolumes": False}),
    ],
)
async def test_a_call_needs_its_role(one: Issuer, roles: Any, may: dict[str, bool]) -> None:
    async with asked(authenticate(one)) as (_, stub, _):
        metadata = bearer(one.token("ES256-key", roles=roles))
        for call, allowed in may.items():
            made = getattr(stub, call)(getattr(volumes_pb2, f"{call}Request")(), metadata=metadata)
            if allowed:
                await made
            else:
                assert await refused(made) == ("PERMISSION_DENIED", "NOT_ALLOWED", 0)


@pytest.mark.parametrize(
    ("claim", "said"),
    [
        ("realm_access.roles", {"realm_access": {"roles": ["reviewer"]}}),
        ("https://calque.example/roles", {"https://calque.example/roles": ["reviewer"]}),
    ],
)
async def test_roles_may_stand_elsewhere(one: Issuer, claim: str, said: dict[str, Any]) -> None:
    who = await authenticate(one, roles_claim=claim)(one.token("ES256-key", **said), "")
    assert who.roles == {"reviewer"}


@pytest.mark.parametrize(
    ("claims", "goes_on"),
    [({}, True), ({"sub": "u-8"}, False), ({"roles": ["viewer"]}, False), ({"projects": ["b"]}, False)],
)
async def test_a_stream_goes_on_with_a_later_token_of_its_user(one: Issuer, claims: dict[str, Any], goes_on: bool) -> None:
    """Any call on the same connection that carries it is enough; that of another user, or with less rights, is not."""
    exp = int(now()) - 5
    leeway_s = now() - exp + 0.5  # so that the token has half a second left
    async with asked(authenticate(one, leeway_s, projects_claim="projects")) as (servicer, stub, _):
        call = stub.Import(volumes_pb2.ImportRequest(), metadata=bearer(one.token("ES256-key", exp=exp, projects=["a"])))
        for _ in range(2):
            await call.read()
        later = one.token("ES256-key", exp=exp + 60, **{"projects": ["a"], **claims})
        await stub.ListVolumes(volumes_pb2.ListVolumesRequest(), metadata=bearer(later))
        if goes_on:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(servicer.ended.wait(), 1)
            call.cancel()
        else:
            refusal_now = await asyncio.wait_for(refused(call.read()), 20)  # long before the later one ends
            assert refusal_now[0] == "UNAUTHENTICATED"


@pytest.mark.item(45)
async def test_a_stream_ends_when_its_token_has_expired(one: Issuer) -> None:
    exp = int(now()) - 5
    leeway_s = now() - exp + 0.5  # so that the token has half a second left
    async with asked(authenticate(one, leeway_s)) as (servicer, stub, _):
        metadata = bearer(one.token("ES256-key", exp=exp))
        streamed = stub.Import(volumes_pb2.ImportRequest(), metadata=metadata)
        sent = stub.Upload(metadata=metadata)
        await sent.write(volumes_pb2.UploadRequest())
        for _ in range(2):
            assert (await streamed.read()).volume.name.startswith("u-7")
        with pytest.raises(grpc.aio.AioRpcError) as ended:
            await streamed.read()
        assert refusal(ended.value) == NOT_SIGNED_IN
        assert "expired" in (ended.value.details() or "")
        assert await refused(sent) == NOT_SIGNED_IN
        assert servicer.ended.is_set()
