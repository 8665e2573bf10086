"""What of a host's files its user can get to: one question, which every kind of host answers."""

from __future__ import annotations

import os
from collections.abc import Iterable

from fractal_jupyter.errors import CommandTimeout, HostUnreachable
from fractal_jupyter.hosts.base import Host
from fractal_jupyter.hosts.local import LocalHost

__all__ = ["first_out_of_reach"]

_PATIENCE = 60.0
# With these `ls` says that something was not found; with another status it has not worked.
_NOT_FOUND = (1, 2)


def first_out_of_reach(host: Host, paths: Iterable[str]) -> str | None:
    """Return the first of some paths that the user of a host cannot get to; None: there is none.

    Links are followed. A path that ends in `/.` is a folder that must be open to that user.

    Raises:
        HostUnreachable: the host, or its file system, does not answer.
    """
    asked = list(paths)
    if isinstance(host, LocalHost):
        # needs no process, and holds on Windows too; a Path would forget the "/."
        return next((path for path in asked if not os.path.exists(path)), None)  # noqa: PTH110
    try:
        result = host.run(["ls", "-d", "-L", "--", *asked], timeout=_PATIENCE)
    except CommandTimeout as error:
        raise HostUnreachable(f"The file system of {host.name} does not answer: {error}") from error
    if result.exit_code not in _NOT_FOUND:
        result.check()
        return None
    found = set(result.stdout.splitlines())
    return next((path for path in asked if os.fsencode(path) not in found), None)
