"""Settings of the services: from the environment (``CALQUE_…``), over them the flags of the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from platformdirs import user_data_path
from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

Service = Literal["volumes", "segmentation", "embedding"]


class Settings(BaseSettings):
    """Every setting, with its default; the README has a table of them."""

    model_config = SettingsConfigDict(env_prefix="CALQUE_", extra="forbid")

    listen: str = Field("127.0.0.1:50051", description="Address and port to serve on; port 0 takes a free one.")
    store: Path = Field(
        default_factory=lambda: user_data_path("calque", appauthor=False) / "store",
        description="Folder of the directory store.",
    )
    log: Literal["people", "json"] = Field("people", description="Form of the log lines on standard error.")
    metrics: str = Field("", description="Address and port to serve metrics on for Prometheus; empty: none.")
    deidentify: Literal["on", "off"] = Field("on", description="Whether imported volumes are de-identified.")
    pseudonym_key: Path | None = Field(
        None, description="File of the key of the pseudonyms, made when missing; none: `keys` beside the store."
    )
    new_pseudonym_key: bool = Field(False, description="Go on with another key than the store's volumes have.")
    upload_hours: float = Field(24.0, gt=0, description="How long an upload is kept that nobody imports.")
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

    @field_validator("listen")
    @classmethod
    def _is_an_address(cls, listen: str) -> str:
        """gRPC would take a port of more than 16 bits for another one, without a word."""
        host, _, port = listen.rpartition(":")
        if not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
            raise ValueError("say host:port, with a port from 0 to 65535")
        return listen

    @property
    def key_file(self) -> Path:
        """Where the key of the pseudonyms lies."""
        return self.pseudonym_key or self.store.absolute().parent / "keys" / "pseudonym.key"
