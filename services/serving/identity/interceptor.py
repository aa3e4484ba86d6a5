"""Before a call is answered: who makes it, and whether they may."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from functools import partial
from typing import Any

import grpc

from services.core.errors import CalqueError, Forbidden, Unauthenticated
from services.serving.caller import LOCAL_USER, Caller, Role, set_caller
from services.serving.handlers import Continuation, Streaming, Unary, is_stream, wrapped
from services.serving.identity.binding import thumbprint
from services.serving.identity.leases import Lease, Leases
from services.serving.identity.roles import FOR_ANYBODY, LEAST_ROLE

_HEALTH = "/grpc.health.v1.Health/"
AGAIN_SECONDS = 10.0
"""So often it is asked again who a stream's token is, since it may have been revoked."""

Authenticate = Callable[[str, str], Awaitable[Caller]]
"""Says who a token and a peer's address are; raises Unauthenticated or Unavailable."""


class CallerInterceptor(grpc.aio.ServerInterceptor):
    """Tells every handler who calls, by `services.serving.caller.caller`, and refuses those who may not make a call.

    Health may be asked by anybody. A stream also ends when its caller is no longer believed (see `leases`).

    Args:
        authenticate: says who a token is; None: nobody is asked, and everybody is the local user.
    """

    def __init__(self, authenticate: Authenticate | None = None) -> None:
        self._authenticate = authenticate
        self._leases = Leases()

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None or method.startswith(_HEALTH):
            return handler
        admit, lease = partial(self._admit, method), partial(self._lease, method)
        return wrapped(
            handler, partial(_unary, admit, lease if is_stream(handler) else None), partial(_streaming, admit, lease)
        )

    async def _admit(self, method: str, context: Any) -> Caller:
        """Who calls, known from now on. Raises: Unauthenticated, Forbidden, Unavailable."""
        if method in FOR_ANYBODY:
            who = Caller("", context.peer(), frozenset())
        elif self._authenticate is None:
            who = Caller(LOCAL_USER, context.peer(), frozenset(Role), None)
        else:
            token = token_of(context)
            who = await self._authenticate(token, context.peer())
            if who.bound_to and who.bound_to != thumbprint(context):
                raise Unauthenticated("This sign-in belongs to another device; sign in on this one.")
            if not who.may(LEAST_ROLE[method]):
                raise Forbidden(f"This needs the role {LEAST_ROLE[method]}, which you do not have; ask the administrator.")
            self._leases.prolong(who, token)
        set_caller(who)
        return who

    @asynccontextmanager
    async def _lease(self, method: str, context: Any, who: Caller) -> AsyncGenerator[Lease, None]:
        """A stream's time, which also ends, soon after, when its caller's token is revoked."""
        asked = self._authenticate is not None and method not in FOR_ANYBODY
        with self._leases.of(who, token_of(context) if asked else "") as lease:
            watching = asyncio.create_task(self._watch(lease)) if asked else None
            try:
                yield lease
            finally:
                if watching is not None:
                    watching.cancel()

    async def _watch(self, lease: Lease) -> None:
        assert self._authenticate is not None
        while True:
            await asyncio.sleep(AGAIN_SECONDS)
            try:
                believed = lease.fits(await self._authenticate(lease.token, lease.who.peer))
            except Unauthenticated:
                believed = False
            except CalqueError:  # who could say so is away
                continue
            if not believed:
                lease.end()
                return


def token_of(context: Any) -> str:
    """The token that a call carries. Raises: Unauthenticated."""
    carried = [value for name, value in context.invocation_metadata() or () if name == "authorization"]
    scheme, _, token = carried[0].partition(" ") if len(carried) == 1 else ("", "", "")
    if scheme.lower() != "bearer" or not token:
        raise Unauthenticated("Nobody is signed in; sign in first.")
    return token.strip()


Admit = Callable[[Any], Awaitable[Caller]]
Leased = Callable[[Any, Caller], AbstractAsyncContextManager[Lease]]


def _unary(admit: Admit, leased: Leased | None, behaviour: Unary) -> Unary:
    async def call(request: Any, context: Any) -> Any:
        who = await admit(context)
        if leased is None:
            return await behaviour(request, context)
        async with leased(context, who) as lease, lease.held():
            return await behaviour(request, context)

    return call


def _streaming(admit: Admit, leased: Leased, behaviour: Streaming) -> Streaming:
    async def call(request: Any, context: Any) -> AsyncGenerator[Any, None]:
        who = await admit(context)
        async with leased(context, who) as lease, aclosing(behaviour(request, context)) as responses:
            while True:
                async with lease.held():  # not around the yield: what is sent meanwhile is not ours to cancel
                    response = await anext(responses, None)
                if response is None:
                    return
                yield response

    return call
