"""What an environment is installed with: uv, where there is one that runs, else pip."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from .messages import Failure, log


def kind_of_machine() -> list[str]:
    """Return what two machines must have in common to run the same programs."""
    return [sys.platform, platform.machine(), platform.libc_ver()[0]]


def platform_name() -> str:
    """Return the kind of machine as a name: "linux-x86_64-glibc"."""
    return "-".join(filter(None, kind_of_machine()))


def choose_uv(asked: str | Mapping[str, Any] | None) -> str | None:
    """Return the path of uv; None: pip it is.

    Args:
        asked: a path; null: pip; or `path` and `kind`: the uv of this machine, else the one that
            was brought along to `path`, which runs on machines of that kind.

    Raises:
        Failure: `bring-uv`: there is none yet, and the one that can be brought would run here.
    """
    if asked is None or isinstance(asked, str):
        return asked
    brought = asked["path"]
    for path in (shutil.which("uv"), brought):
        if path is not None and _runs(path):
            return path
    if asked["kind"] == kind_of_machine() and not os.path.exists(brought):  # noqa: PTH110
        raise Failure("bring-uv", brought)
    log("There is no uv that runs on this machine: installing with pip, which takes longer.")
    return None


def _runs(path: str) -> bool:
    try:
        done = subprocess.run(
            [path, "--version"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=30,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and done.stdout.startswith(b"uv ")
