"""Small questions about files of a host."""

from __future__ import annotations

from pathlib import PurePosixPath

from fractal_jupyter.errors import FileMissing
from fractal_jupyter.hosts.base import Capability, Host


def names(host: Host, folder: PurePosixPath) -> list[str]:
    """What a folder holds; nothing when there is no such folder."""
    try:
        return [entry.name for entry in host.list(str(folder))]
    except FileMissing:
        return []


def exists(host: Host, path: PurePosixPath) -> bool:
    """Whether there is something at `path`."""
    return path.name in names(host, path.parent)


def read_if_there(
    host: Host, path: PurePosixPath, offset: int = 0, limit: int | None = None
) -> bytes:
    """The content of a file, or of a part of it; nothing when there is no such file."""
    try:
        if Capability.READ_OFFSET in host.capabilities:
            return host.read(str(path), offset, limit)
        end = None if limit is None else offset + limit
        return host.read(str(path))[offset:end]
    except FileMissing:
        return b""
