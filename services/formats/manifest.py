"""Lists of volumes in TOML files: tables ``[[volume]]``, whose fields are for the reader to say."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from services.core.errors import InvalidInput

One = TypeVar("One", bound=BaseModel)


class _Manifest(BaseModel, Generic[One]):
    model_config = ConfigDict(extra="forbid")

    volume: list[One] = Field(min_length=1)


def read_volumes(path: Path, kind: type[One]) -> list[One]:
    """The tables of a manifest, at least one.

    Args:
        path: of the TOML file.
        kind: what a table is.

    Raises:
        InvalidInput: it cannot be read, or something in it is missing or not known.
    """
    try:
        with open(path, "rb") as file:
            return _Manifest[kind].model_validate(tomllib.load(file)).volume  # type: ignore[valid-type]
    except OSError as error:
        raise InvalidInput(f"The manifest {path.name} cannot be opened.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"The manifest {path.name} is not TOML: {error}.") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = " ".join(str(part + 1) if isinstance(part, int) else part for part in first["loc"])
        raise InvalidInput(f"The manifest {path.name} is not usable at “{place}”: {first['msg']}.") from error
