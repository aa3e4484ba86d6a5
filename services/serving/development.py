"""The development authority: vouches for servers of this machine, to clients of the same user, without being told.

It is made on the first start, in the user's data folder. Its certificate says that it vouches for no other host name than
localhost (gRPC knows no such limits of addresses). Certificates are renewed before they end. Keys stay, so that certificate
and key always belong together, whoever else makes them at the same time.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from platformdirs import user_data_path

from services.core.errors import InvalidInput
from services.serving import secret_file

AUTHORITY_DAYS, AUTHORITY_RENEWED_DAYS = 3650, 365
"""How long the authority's certificate is valid, and how many days before that it is renewed."""
SERVER_DAYS, SERVER_RENEWED_DAYS = 90, 30
"""The same of the server's certificate."""

_AUTHORITY = "Calque on this machine"
_WHAT = "a key of the development authority"


def folder() -> Path:
    """Where the authority is kept; clients find it here, too (see `tablet_client.state.places`)."""
    return user_data_path("calque", appauthor=False) / "certificates"


def authority(place: Path | None = None) -> Path:
    """File of the authority's certificate, made or renewed where that is due. Raises: InvalidInput, Unavailable."""
    return _authority(place or folder())[0]


def server(place: Path | None = None) -> tuple[Path, Path]:
    """Files of a certificate for this machine and of its key, made or renewed where that is due.

    Raises:
        InvalidInput: a file is no such key, or everybody may read it.
        Unavailable: a file cannot be read or made.
    """
    place = place or folder()
    _, key = _authority(place)
    own = _key(place / "server.key")
    path = place / "server.pem"
    if not _good(path, own, key, SERVER_RENEWED_DAYS):
        numbers = [x509.IPAddress(ip_address(number)) for number in ("127.0.0.1", "::1")]
        names: list[x509.GeneralName] = [x509.DNSName("localhost"), *numbers]
        made = (
            _begun("localhost", key, own, SERVER_DAYS)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(_usage(signature=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .sign(key, SHA256())
        )
        _write(path, made)
    return path, place / "server.key"


def _authority(place: Path) -> tuple[Path, ec.EllipticCurvePrivateKey]:
    key = _key(place / "authority.key")
    path = place / "authority.pem"
    if not _good(path, key, key, AUTHORITY_RENEWED_DAYS):
        made = (
            _begun(_AUTHORITY, key, key, AUTHORITY_DAYS)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(x509.NameConstraints([x509.DNSName("localhost")], None), critical=True)
            .add_extension(_usage(signature=False), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, SHA256())
        )
        _write(path, made)
    return path, key


def _begun(
    subject: str, signed: ec.EllipticCurvePrivateKey, key: ec.EllipticCurvePrivateKey, days: int
) -> x509.CertificateBuilder:
    """What both certificates have: for a key, to be signed with the authority's."""
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_named(subject))
        .issuer_name(_named(_AUTHORITY))
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signed.public_key()), critical=False)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))  # a clock may have been set back
        .not_valid_after(now + timedelta(days=days))
    )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _usage(*, signature: bool) -> x509.KeyUsage:
    """A server signs handshakes, an authority certificates."""
    return x509.KeyUsage(
        digital_signature=signature,
        key_cert_sign=not signature,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def _key(path: Path) -> ec.EllipticCurvePrivateKey:
    if not path.exists():
        made = ec.generate_private_key(ec.SECP256R1())
        with secret_file.file_errors(path, _WHAT):
            secret_file.create(path, made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    try:
        found = load_pem_private_key(secret_file.read(path, _WHAT), None)
    except (ValueError, TypeError) as error:
        raise InvalidInput(f"The file {path} is no key; delete the folder, and it is made anew.") from error
    if not isinstance(found, ec.EllipticCurvePrivateKey):
        raise InvalidInput(f"The file {path} is no key of ours; delete the folder, and it is made anew.")
    return found


def _good(path: Path, key: ec.EllipticCurvePrivateKey, signed: ec.EllipticCurvePrivateKey, days: int) -> bool:
    """Whether a file is the certificate of a key, signed with the other one, and valid for more than so many days."""
    try:
        found = x509.load_pem_x509_certificate(path.read_bytes())
        signed.public_key().verify(found.signature, found.tbs_certificate_bytes, ec.ECDSA(SHA256()))
    except (OSError, ValueError, InvalidSignature):
        return False
    return found.public_key() == key.public_key() and found.not_valid_after_utc - datetime.now(UTC) > timedelta(days=days)


def _write(path: Path, certificate: x509.Certificate) -> None:
    with secret_file.file_errors(path, "a certificate of the development authority"):
        secret_file.replace(path, certificate.public_bytes(Encoding.PEM))
