"""Who calls: known in every handler, and in the tasks and threads (`asyncio.to_thread`) that it starts."""

from __future__ import annotations

import math
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What a caller may do, from least to most: each role may do what those before it may."""

    VIEWER = "viewer"
    ANNOTATOR = "annotator"
    REVIEWER = "reviewer"
    TRAINER = "trainer"
    ADMINISTRATOR = "administrator"


@dataclass(frozen=True)
class Caller:
    """Who a call comes from.

    Attributes:
        user: identifier that whoever vouches for the user gives; "local" where nobody is asked who they are; empty for who
            only begins to sign in.
        peer: address that the call comes from, as gRPC writes it: ``ipv4:192.0.2.1:50123``; empty outside of a call.
        roles: that the user has.
        projects: whose volumes the user sees; None: all.
        bound_to: the client certificate that its token is bound to (see `services.serving.identity.binding`); empty: none.
        expires_s: seconds since 1970, UTC, until which this may be believed; infinite where it does not end.
    """

    user: str
    peer: str
    roles: frozenset[Role]
    projects: frozenset[str] | None = frozenset()
    expires_s: float = math.inf
    bound_to: str = ""

    def may(self, least: Role) -> bool:
        """Whether the caller has this role, or one above it."""
        order = list(Role)
        return any(order.index(role) >= order.index(least) for role in self.roles)

    def sees(self, project: str) -> bool:
        """Whether the volumes of a project are there for the caller."""
        return self.projects is None or project in self.projects


LOCAL_USER = "local"

_LOCAL = Caller(LOCAL_USER, "", frozenset(Role), None)
_CALLER: ContextVar[Caller] = ContextVar("caller", default=_LOCAL)


def caller() -> Caller:
    """Who made the call that is being answered; outside of a call, and where nobody signs in, the local user."""
    return _CALLER.get()


def caller_sees(project: str) -> bool:
    """Whether the volumes of a project are there for who made the call that is being answered."""
    return caller().sees(project)


def set_caller(who: Caller) -> None:
    """Have `caller` say so for the rest of the task, which is that of one call."""
    _CALLER.set(who)
