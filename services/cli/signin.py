"""``calque sign-in`` and ``calque sign-out``: commands call services as a user who has signed in."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated

import typer
from calque.issuer import Code, Grant, IssuerError, SignInRefused, Way, ask, begin

DEFAULT_SERVER = "127.0.0.1:50051"

Server = Annotated[str, typer.Option(help="Address of the services.")]


def sign_in(
    server: Server = DEFAULT_SERVER,
    certificate: Annotated[Path | None, typer.Option(help="Certificates (PEM) that vouch for this server.")] = None,
    user: Annotated[str, typer.Option(help="Name of a user of the server's own; none: it is asked for.")] = "",
) -> None:
    """Sign in at services, for the commands that talk to them.

    As the server wants it, that is with a password, asked for or read from standard input, or by a code that is confirmed
    in a browser. What was given is kept in the user's configuration folder, and renewed as long as it can be.
    """
    import grpc
    from calque.v1 import identity_pb2, identity_pb2_grpc

    from services.bench.client import refusals
    from services.cli import kept
    from services.cli.reach import credentials_of

    credentials = credentials_of(server, certificate)
    with grpc.secure_channel(server, credentials) as channel, refusals():
        identity = identity_pb2_grpc.IdentityStub(channel)
        try:
            way = identity.GetWay(identity_pb2.GetWayRequest(), timeout=30)
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.UNIMPLEMENTED:
                print("Nobody is asked there who they are.")
                return
            raise
        if way.issuer:
            found = kept.SignedIn.there(*_confirmed(way.issuer, way.client_id, way.scope))
        else:
            request = identity_pb2.SignInRequest(user=user or _typed("User"), password=_typed("Password", hidden=True))
            found = kept.SignedIn.here(identity.SignIn(request, timeout=60).token)
    kept.keep(server, found)
    print(f"Signed in at {server}.")


def sign_out(server: Server = DEFAULT_SERVER) -> None:
    """Forget the sign-in at services."""
    from services.cli import kept

    print(f"Signed out at {server}." if kept.keep(server, None) else f"Nobody is signed in at {server}.")


def _confirmed(*way: str) -> tuple[Way, Grant]:
    """Have a code confirmed in a browser, and wait for what it gives. Raises: Unauthenticated, Unavailable."""
    from services.cli.words import printable
    from services.core.errors import Reason, Unauthenticated, Unavailable

    asked = Way(*way)
    try:
        code = begin(asked)
        print(f"Open {printable(code.address)} in a browser, and type the code {printable(code.code)}", flush=True)
        found: Code | Grant = code
        while isinstance(found, Code):
            time.sleep(found.interval_s)
            found = ask(asked, found)
    except SignInRefused as error:
        raise Unauthenticated(f"Nobody was signed in: {error}.", Reason.SIGN_IN_REFUSED) from error
    except IssuerError as error:
        raise Unavailable(f"The sign-in service cannot be used: {error}.") from error
    return asked, found


def _typed(what: str, *, hidden: bool = False) -> str:
    """What is typed when it is asked for, or the next line of standard input."""
    if sys.stdin.isatty():
        return str(typer.prompt(what, hide_input=hidden))
    return sys.stdin.readline().rstrip("\r\n")
