"""Tokens that are bound to a client's certificate (RFC 8705): captured, they are of no use without its key."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

_METHOD = "x5t#S256"


def thumbprint(context: Any) -> str:
    """SHA-256 of the certificate that the client proved itself with, base64url; empty: it has proved nothing."""
    found = context.auth_context().get("x509_pem_cert")
    if not found:
        return ""
    encoded = x509.load_pem_x509_certificate(found[0]).public_bytes(Encoding.DER)
    return base64.urlsafe_b64encode(hashlib.sha256(encoded).digest()).rstrip(b"=").decode()


def binding(certificate: str) -> dict[str, Any]:
    """The claims of a token that is bound to a certificate, by its thumbprint; none where it is empty."""
    return {"cnf": {_METHOD: certificate}} if certificate else {}


def bound_to(claims: dict[str, Any]) -> str:
    """The thumbprint that a token is bound to; empty: none. Bound in a way that is not ours, it fits no certificate."""
    confirmation = claims.get("cnf")
    if confirmation is None:
        return ""
    found = confirmation.get(_METHOD) if isinstance(confirmation, dict) else None
    return found if isinstance(found, str) and found else "?"
