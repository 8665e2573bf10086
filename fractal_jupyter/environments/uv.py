"""Where uv is, and how it gets to hosts that have none.

uv comes with this package (its wheel holds the program), takes its settings from the same places
as always (`UV_INDEX…`, `uv.toml` of the user), and does not read `pip.conf`.
"""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fractal_jupyter.environments.explain import last_lines
from fractal_jupyter.environments.on_host.tools import kind_of_machine
from fractal_jupyter.errors import CollectionError
from fractal_jupyter.hosts.base import Host

__all__ = ["CarriedUv", "find_uv"]


@dataclass(frozen=True, slots=True)
class CarriedUv:
    """The uv of a host, or else this machine's, brought there once.

    Attributes:
        program: path of uv on this machine.
        folder: the folder of the host that it is brought to.
    """

    program: str
    folder: str

    @property
    def path(self) -> str:
        """Where it is on the host: a new one does not take the place of one in use."""
        return f"{self.folder}/uv-{_digest(self.program)[:16]}"

    def document(self) -> dict[str, Any]:
        """Return what the program on the host has to know, see `on_host.tools`."""
        return {"path": self.path, "kind": kind_of_machine()}

    def bring(self, host: Host, *, python: str) -> None:
        """Copy it to a host, with an interpreter there that unpacks it.

        Raises:
            CollectionError: It cannot be written there.
            HostError: The host does not do what it should.
        """
        packed = zlib.compress(Path(self.program).read_bytes(), 1)
        result = host.run([python, "-I", "-c", _UNPACK, self.path], stdin=packed)
        if result.exit_code:
            raise CollectionError(
                f"uv cannot be copied to {self.path} on {host.name}: "
                f"{last_lines(result.error_text, 1)}. Check that you may write there, and that "
                "the disk is not full; or collect without it (uv=False)."
            )


# The program is 40 MB, and half of that when packed.
_UNPACK = """\
import os, sys, zlib
path = sys.argv[1]
content = zlib.decompress(sys.stdin.buffer.read())
os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
draft = "%s.%d.part" % (path, os.getpid())
try:
    with open(draft, "wb") as file:
        file.write(content)
    os.chmod(draft, 0o755)
    os.rename(draft, path)
except OSError:
    if os.path.exists(draft):
        os.unlink(draft)
    raise
"""


@functools.cache
def _digest(program: str) -> str:
    return hashlib.sha256(Path(program).read_bytes()).hexdigest()


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
