"""Settings of the services: from the environment (``CALQUE_…``), over them the flags of the command line."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from platformdirs import user_data_path
from pydantic import BeforeValidator, Field, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

Service = Literal["volumes", "segmentation", "embedding"]


@dataclass(frozen=True)
class BucketName:
    """The name of a bucket, which is said as ``s3://name``."""

    name: str


def _place(said: object) -> object:
    """A bucket, or whatever else was said. Raises: ValueError: no bucket can have this name."""
    if not isinstance(said, str) or not said.startswith("s3:"):
        return said
    name = re.fullmatch(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/?", said)
    if name is None:
        raise ValueError("say s3://bucket, with the bucket's name alone")
    return BucketName(name[1])


StorePlace = Annotated[Path | BucketName, BeforeValidator(_place), NoDecode]


def _own_folder() -> Path:
    return user_data_path("calque", appauthor=False)


class Settings(BaseSettings):
    """Every setting, with its default; the README has a table of them."""

    model_config = SettingsConfigDict(env_prefix="CALQUE_", extra="forbid")

    listen: str = Field("127.0.0.1:50051", description="Address and port to serve on; port 0 takes a free one.")
    store: StorePlace = Field(
        default_factory=lambda: _own_folder() / "store",
        description="Folder of the store, or `s3://` and the bucket of one on an S3 server.",
    )
    s3_endpoint: str = Field("", description="Address of the S3 server: `https://host:port`.")
    s3_region: str = Field("us-east-1", description="Region of the bucket.")
    s3_credentials: Path | None = Field(
        None,
        description="File of the store's keys, as AWS' credentials file; none: `AWS_ACCESS_KEY_ID` and "
        "`AWS_SECRET_ACCESS_KEY` of the environment.",
    )
    s3_authority: Path | None = Field(
        None, description="PEM file of the authority that vouches for the S3 server; none: those that the system knows."
    )
    tls: Literal["on", "off"] = Field(
        "on", description="Whether connections are encrypted; `off` on loopback alone, and for clients that are told so."
    )
    certificate: Path | None = Field(
        None, description="PEM file of the server's certificate; none, on loopback: one of the development authority."
    )
    key: Path | None = Field(None, description="PEM file of the certificate's key.")
    client_authority: Path | None = Field(
        None, description="PEM file of the authority that must vouch for every client; none: clients need no certificate."
    )
    oidc_issuer: str = Field("", description="Address of the OpenID Connect issuer of users; empty: nobody is asked.")
    oidc_audience: str = Field("calque", min_length=1, description="Audience that an access token must be made for.")
    oidc_client_id: str = Field("calque", min_length=1, description="Who the issuer knows our clients as.")
    oidc_scope: str = Field("openid offline_access", description="What clients ask of the issuer.")
    oidc_roles_claim: str = Field(
        "roles", min_length=1, description="Where an access token lists the user's roles; dots lead into objects."
    )
    oidc_projects_claim: str = Field(
        "", description="Where it lists the user's projects; empty: everybody is of the project `default`."
    )
    oidc_leeway_seconds: float = Field(
        60.0, ge=0, le=300, description="By how much the clocks of issuer and service may differ."
    )
    users: Path | None = Field(
        None, description="File of this server's own users; none: `keys/users.json` beside the store, where it is there."
    )
    service_secret: Path | None = Field(
        None, description="File of the secret by which services know each other; none: those of one process alone do."
    )
    log: Literal["people", "json"] = Field("people", description="Form of the log lines on standard error.")
    metrics: str = Field("", description="Address and port to serve metrics on for Prometheus; empty: none.")
    deidentify: Literal["on", "off"] = Field("on", description="Whether imported volumes are de-identified.")
    pseudonym_key: Path | None = Field(
        None, description="File of the key of the pseudonyms, made when missing; none: `keys` beside the store."
    )
    new_pseudonym_key: bool = Field(False, description="Go on with another key than the store's volumes have.")
    audit_spool: Path | None = Field(
        None, description="Folder where records of the audit trail wait while the store is away; none: beside the store."
    )
    upload_hours: float = Field(24.0, gt=0, description="How long an upload is kept that nobody imports.")
    tidy_days: float = Field(7.0, ge=1, description="How long what nothing points to is kept after it was found.")
    streams_per_user: int = Field(32, ge=1, description="Most streams that one user may have open at once.")
    stream_idle_seconds: float = Field(3600.0, gt=0, description="How long a client may send nothing on a stream.")
    upload_idle_seconds: float = Field(60.0, gt=0, description="Time in which an upload must bring 64 KiB, or be whole.")
    strokes_per_second: float = Field(100.0, gt=0, description="Events a stream brings; who brings more has to wait.")
    upload_limit_bytes: int = Field(8 << 30, gt=0, description="Largest upload, all files together.")
    parser_memory_bytes: int = Field(8 << 30, gt=0, description="Most memory for the process that reads a file.")
    parser_seconds: int = Field(600, gt=0, description="Longest time for reading the files of one import.")
    compute_threads: int = Field(0, ge=0, description="Threads that compute; 0: one for each core.")
    workspaces: int = Field(4, ge=1, description="Annotations whose features are kept when nobody works on them.")
    features_memory_bytes: int = Field(2 << 30, ge=0, description="Most memory for features, of all volumes together.")
    model: Path | None = Field(
        None, description="ONNX file of the encoder to serve; none: the one that counts in the store."
    )
    model_sha256: str = Field("", description="Digest that the encoder's file must have; empty: any.")
    embedding_providers: str = Field(
        "tensorrt,cuda,openvino,cpu", description="What the encoder may run on, in order of preference."
    )
    embedding_memory_bytes: int = Field(256 << 20, ge=0, description="Most memory for kept answers of the encoder.")
    embedding_batch: int = Field(8, ge=1, description="Most slices in a run of the encoder; 1: each alone.")

    embedding: str = Field(
        "", description="Address of the embedding service that the segmentation asks; empty: that of the same process."
    )

    embedding_authority: Path | None = Field(
        None,
        description="PEM file of the authority that vouches for that service; none: on loopback the development "
        "authority, elsewhere those that are known everywhere.",
    )

    @field_validator("listen", "embedding")
    @classmethod
    def _is_an_address(cls, address: str, field: ValidationInfo) -> str:
        """gRPC would take a port of more than 16 bits for another one, without a word."""
        host, _, port = address.rpartition(":")
        if not address and field.field_name == "embedding":
            return address
        if not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
            raise ValueError("say host:port, with a port from 0 to 65535")
        return address

    @property
    def key_file(self) -> Path:
        """Where the key of the pseudonyms lies."""
        return self.pseudonym_key or self._beside_store / "keys" / "pseudonym.key"

    @property
    def users_file(self) -> Path:
        """Where this server's own users are, if it has any; the key of their tokens lies beside."""
        return self.users or self._beside_store / "keys" / "users.json"

    @property
    def audit_folder(self) -> Path:
        """Where records of the audit trail wait while the store is away."""
        return self.audit_spool or self._beside_store / "audit-spool"

    @property
    def _beside_store(self) -> Path:
        return self.store.absolute().parent if isinstance(self.store, Path) else _own_folder()
