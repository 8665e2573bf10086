"""Where uv is.

uv comes with this package (its wheel holds the program), takes its settings from the same places
as always (`UV_INDEX…`, `uv.toml` of the user), and does not read `pip.conf`.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

__all__ = ["find_uv"]


def find_uv(explicit: str | None = None) -> str | None:
    """Return the path of uv on this machine.

    Args:
        explicit: a path that somebody configured; it comes first.

    Returns:
        That path, else the uv that was installed with this package, else the one that the shell
        would find; None: there is none that can be run.
    """
    candidates = (explicit, _installed_with_us(), shutil.which("uv"))
    return next((path for path in candidates if path and _is_program(path)), None)


def _installed_with_us() -> str | None:
    try:
        import uv
    except ImportError:
        return None
    try:
        return os.fspath(uv.find_uv_bin())
    except FileNotFoundError:
        return None


def _is_program(path: str) -> bool:
    return Path(path).is_file() and os.access(path, os.X_OK)
