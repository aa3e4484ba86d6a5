"""Where the application keeps what is its own, as each system wants it: Linux, Windows, macOS, Android, iOS."""

from __future__ import annotations

import sys
from pathlib import Path

import platformdirs

_NAME = "calque"


def data_folder() -> Path:
    """What must stay: strokes that the server does not have yet, and how things were left."""
    return Path(platformdirs.user_data_dir(_NAME, appauthor=False))


def machine_authority() -> Path:
    """File of the certificate that vouches for services of this machine, where such have made one."""
    return data_folder() / "certificates" / "authority.pem"


def settings_folder() -> Path:
    """Kivy's own settings."""
    return Path(platformdirs.user_config_dir(_NAME, appauthor=False))


def users_folder() -> Path:
    """Where the user's own files are looked for first; on iOS an application sees those alone that lie in its documents."""
    return Path(platformdirs.user_documents_dir()) if sys.platform == "ios" else Path.home()


def passing_folder() -> Path:
    """What lies there only as long as it is used, and may be deleted whenever the application does not run."""
    return Path(platformdirs.user_cache_dir(_NAME, appauthor=False)) / "passing"
