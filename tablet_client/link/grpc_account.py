"""Signing in at services over gRPC, or at the issuer that they name, with tokens that are renewed in time."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from calque import issuer
from calque.issuer import Code, Grant, IssuerError, SignInRefused, Way
from calque.v1 import common_pb2, identity_grpc, identity_pb2
from grpclib.client import Channel
from grpclib.const import Status
from grpclib.events import RecvTrailingMetadata, SendRequest, listen

from tablet_client.link.account import Account, Rights, Signed
from tablet_client.link.port import LinkError
from tablet_client.link.status import translated

CALL_S = 15.0
"""Deadline of a call."""
AGAIN_S = 10.0
"""Seconds until it is tried again to renew a token."""


class GrpcAccount(Account):
    """An account of services behind a channel, whose calls it gives the token."""

    def __init__(self, channel: Channel) -> None:
        super().__init__()
        self._identity = identity_grpc.IdentityStub(channel)
        self._changed = asyncio.Event()
        listen(channel, SendRequest, self._carry)
        listen(channel, RecvTrailingMetadata, self._heard)

    def take(self, signed: Signed | None) -> None:
        super().take(signed)
        self._changed.set()

    async def way(self) -> Way | None:
        try:
            found = await _ask(self._identity.GetWay, identity_pb2.GetWayRequest())
        except LinkError as error:
            if error.status == Status.UNIMPLEMENTED.name:
                return None
            raise
        return Way(found.issuer, found.client_id, found.scope)

    async def known(self) -> bool:
        try:
            await _ask(self._identity.GetUser, identity_pb2.GetUserRequest())
        except LinkError as error:
            return error.reason != "NOT_SIGNED_IN"
        return True

    async def rights(self) -> Rights:
        try:
            found = await _ask(self._identity.GetUser, identity_pb2.GetUserRequest())
        except LinkError as error:
            if error.status == Status.UNIMPLEMENTED.name:  # nobody is asked
                return await super().rights()
            raise
        return Rights(found.role, tuple(found.projects))

    async def enter(self, user: str, password: str) -> Signed:
        request = identity_pb2.SignInRequest(user=user, password=password)
        response = await _ask(self._identity.SignIn, request)
        return Signed(user, user, _grant(response.token))

    async def begin(self, way: Way) -> Code:
        code: Code = await _issued(issuer.begin, way)
        return code

    async def confirmed(self, way: Way, code: Code) -> Signed:
        found: Code | Grant = code
        while isinstance(found, Code):
            await asyncio.sleep(found.interval_s)
            try:
                found = await _issued(issuer.ask, way, found)
            except LinkError as error:
                if not error.retry:
                    raise
        response = await _ask(self._identity.GetUser, identity_pb2.GetUserRequest(), _bearer(found))
        return Signed(response.user, found.name or response.user, found, way)

    async def run(self) -> None:
        while True:
            self._changed.clear()
            signed = self.signed
            pause = None if signed is None else (signed.grant.expires_s - time.time()) * 2 / 3
            try:
                async with asyncio.timeout(pause if pause is None else max(pause, 0.5)):
                    await self._changed.wait()
                continue
            except TimeoutError:
                pass
            if signed is not None and signed is self.signed:
                await self._renew(signed)

    async def _renew(self, signed: Signed) -> None:
        """Another token for the same user; streams go on with it once a call has carried it."""
        try:
            if signed.way is None:
                request, token = identity_pb2.RenewRequest(), _bearer(signed.grant)
                grant = _grant((await _ask(self._identity.Renew, request, token)).token)
            else:
                grant = await _issued(issuer.renew, signed.way, signed.grant)
            if signed is self.signed:
                self.take(Signed(signed.user, signed.name, grant, signed.way))
            await _ask(self._identity.GetUser, identity_pb2.GetUserRequest(), _bearer(grant))
        except LinkError:  # the token goes on to its end; a call is refused then, and who it is is asked
            await asyncio.sleep(AGAIN_S)

    async def _carry(self, event: SendRequest) -> None:
        """Before each call: the token goes along, unless the call has one."""
        if self.signed is not None and "authorization" not in event.metadata:
            event.metadata.update(_bearer(self.signed.grant))

    async def _heard(self, event: RecvTrailingMetadata) -> None:
        """After a call that ends as it begins; grpclib tells nothing of one that ends under way."""
        details = event.status_details
        refused = event.status is Status.UNAUTHENTICATED and isinstance(details, common_pb2.ErrorInfo)
        if refused and details.reason == common_pb2.NOT_SIGNED_IN:
            self.asked()


def _grant(token: identity_pb2.AccessToken) -> Grant:
    return Grant(token.token, "", token.expires_ms / 1000)


def _bearer(grant: Grant) -> dict[str, str]:
    return {"authorization": f"Bearer {grant.token}"}


async def _ask(method: Any, request: Any, metadata: dict[str, str] | None = None) -> Any:
    with translated():
        return await method(request, timeout=CALL_S, metadata=metadata)


async def _issued(call: Any, *arguments: Any) -> Any:
    """What the issuer answers. Raises: LinkError."""
    try:
        return await asyncio.to_thread(call, *arguments)
    except SignInRefused as error:
        raise LinkError("CODE_REFUSED") from error
    except IssuerError as error:
        raise LinkError("ISSUER_UNAVAILABLE", retry=True) from error
