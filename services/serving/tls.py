"""Encrypted connections: the server's certificate, and that of an authority whose clients alone are let in."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

import grpc
import structlog

from services.core.errors import CalqueError, InvalidInput
from services.serving import development, secret_file
from services.serving.settings import Settings

log = structlog.get_logger()


def server_credentials(settings: Settings) -> grpc.ServerCredentials | None:
    """What the server proves itself with; None: connections are not encrypted.

    That is the certificate of the settings, or, on loopback, one of the development authority. Files that are renewed count
    from the next connection on, without a restart.

    Raises:
        InvalidInput: certificate and key do not go together, everybody may read the key, or encryption is both off and on.
        Unavailable: the key cannot be read.
    """
    none = settings.certificate is None and settings.key is None and settings.client_authority is None
    if settings.tls == "off":
        if not none:
            raise InvalidInput("Without encryption (CALQUE_TLS) a certificate is for nothing; leave one away.")
        return None
    renew: Callable[[], object] | None = None
    if none and is_loopback(settings.listen):
        files, renew = _Files(*development.server(), None), development.server
    elif none:
        return None
    elif settings.certificate is None or settings.key is None:
        raise InvalidInput("Encrypted connections need a certificate and its key; set CALQUE_CERTIFICATE and CALQUE_KEY.")
    else:
        files = _Files(settings.certificate, settings.key, settings.client_authority)
    return grpc.dynamic_ssl_server_credentials(
        files.read(),
        _Renewal(files, renew),  # type: ignore[arg-type]  # it may return None, as grpc's documentation says
        require_client_authentication=files.client_authority is not None,
    )


def client_credentials(settings: Settings) -> grpc.ChannelCredentials | None:
    """What the embedding service is asked with: the authority that vouches for it, and our own certificate, if we have one.

    None: the connection is not encrypted, or there is none. Raises: InvalidInput, Unavailable, as `server_credentials`.
    """
    if not settings.embedding:
        return None
    if settings.tls == "off":
        if not is_loopback(settings.embedding) or settings.embedding_authority:
            raise InvalidInput("Only a service on loopback may be asked without encryption (CALQUE_TLS).")
        return None
    return credentials_for(settings.embedding, settings.embedding_authority, settings)


def credentials_for(address: str, authority: Path | None, settings: Settings) -> grpc.ChannelCredentials:
    """Trust in the server at an address (see `vouching`), with the certificate of the settings as our own, if there is one.

    Raises: InvalidInput, Unavailable.
    """
    pair = _pair(settings.certificate, settings.key) if settings.certificate and settings.key else (None, None)
    return grpc.ssl_channel_credentials(vouching(address, authority), *pair)


def vouching(address: str, authority: Path | None) -> bytes | None:
    """Certificates that vouch for the server at an address, as PEM; None: of those authorities that are known everywhere.

    Args:
        address: ``host:port``.
        authority: file of the certificates, where one is named; else, on loopback, those of the development authority.

    Raises:
        InvalidInput: a file holds no certificates, or no key.
        Unavailable: it cannot be read or made.
    """
    if authority is None and not is_loopback(address):
        return None
    return _checked(authority or development.authority())


def is_loopback(listen: str) -> bool:
    """Whether only this machine reaches ``host:port``."""
    host = listen.rpartition(":")[0].strip("[]")
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def check_reach(listen: str, *, encrypted: bool, asked: bool) -> None:
    """Refuse an address that others reach, unless connections are encrypted and callers are asked. Raises: InvalidInput."""
    if not is_loopback(listen) and not (encrypted and asked):
        raise InvalidInput(
            f"Others reach {listen}: that needs a certificate (CALQUE_CERTIFICATE, CALQUE_KEY) and users "
            "(CALQUE_OIDC_ISSUER, or calque users add). Without them, listen on 127.0.0.1."
        )


@dataclass(frozen=True)
class _Files:
    certificate: Path
    key: Path
    client_authority: Path | None

    def read(self) -> grpc.ServerCertificateConfiguration:
        """What they hold. Raises: InvalidInput, Unavailable."""
        authority = _checked(self.client_authority) if self.client_authority else None
        return grpc.ssl_server_certificate_configuration([_pair(self.certificate, self.key)], authority)

    def state(self) -> tuple[tuple[int, int, int], ...]:
        """Differs when a file was changed. Raises: OSError."""
        found = [path.stat() for path in (self.certificate, self.key, self.client_authority) if path]
        return tuple((one.st_ino, one.st_mtime_ns, one.st_size) for one in found)


class _Renewal:
    """Asked by gRPC, from its threads, before each handshake: what the files hold, where they were changed since.

    Args:
        files: that the server proves itself with.
        renew: renews them where that is due; None: somebody else does.
    """

    def __init__(self, files: _Files, renew: Callable[[], object] | None = None) -> None:
        self._files, self._renew = files, renew
        self._state = files.state()

    def __call__(self) -> grpc.ServerCertificateConfiguration | None:
        try:
            if self._renew is not None:
                self._renew()
            state = self._files.state()
            if state == self._state:
                return None
            renewed = self._files.read()
        except (OSError, CalqueError) as error:  # as while a file of the two is still the old one
            log.warning("the renewed certificate cannot be used; the one before goes on", why=type(error).__name__)
            return None
        self._state = state
        return renewed


def _pair(certificate: Path, key: Path) -> tuple[bytes, bytes]:
    """Key and certificates. Raises: InvalidInput, Unavailable."""
    private = secret_file.read(key, "the key of the certificate")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password="")
        return private, certificate.read_bytes()
    except (OSError, ValueError) as error:  # an SSLError is an OSError
        message = f"The certificate ({certificate}) and its key ({key}) cannot be read, or do not belong together."
        raise InvalidInput(message) from error


def _checked(authority: Path) -> bytes:
    """Certificates of an authority. Raises: InvalidInput."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(authority)
        return authority.read_bytes()
    except (OSError, ValueError) as error:
        raise InvalidInput(f"The file {authority} holds no certificates that can be read.") from error
