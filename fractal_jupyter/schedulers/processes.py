"""Processes of this machine, known again by more than a number that is reused.

An identity is a JSON object: `host`, `boot` (changes with every boot), `namespace` (of process
ids: containers on one host have different ones), `pid`, and `started` (clock ticks after boot).
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

# How long the kernel is given for loading a program.
LOADING_SECONDS = 0.5


@cache
def machine() -> dict[str, str | None]:
    """What distinguishes this machine, boot and container from others."""
    return {
        "host": socket.gethostname(),
        "boot": _read("/proc/sys/kernel/random/boot_id"),
        "namespace": _link("/proc/self/ns/pid"),
    }


def identity(pid: int | None = None) -> dict[str, Any]:
    """The identity of a process of this machine; by default of the caller."""
    pid = os.getpid() if pid is None else pid
    return {**machine(), "pid": pid, "started": start_ticks(pid)}


def start_ticks(pid: int) -> int | None:
    """When a process started, in clock ticks after boot; None when it is over or a zombie."""
    text = _read(f"/proc/{pid}/stat")
    if text is None:
        return _exists_without_proc(pid)
    # The command's name, in parentheses, may itself hold spaces and parentheses.
    fields = text[text.rindex(")") + 2 :].split()
    return None if fields[0] in "ZX" else int(fields[19])


def alive(process: dict[str, Any]) -> bool | None:
    """Whether the process with that identity lives; None when it cannot be known from here."""
    here = machine()
    if not here["boot"] or process.get("boot") != here["boot"]:
        if process.get("host") != here["host"]:
            return None
        if process.get("boot") != here["boot"]:
            # The same name with another boot: rebooted since, or another machine of that name.
            return False if here["boot"] and process.get("boot") else None
    # From here on it is this machine: a boot has one, but a machine may change its name.
    if process.get("namespace") != here["namespace"]:
        return None
    started = start_ticks(int(process["pid"]))
    return started is not None and started == process.get("started")


def running_command(argv: Sequence[str]) -> int | None:
    """The process that runs exactly that command, if one lives and there is a /proc to ask.

    Of several the oldest: what a process forks has its command until it runs another.
    """
    wanted = b"".join(os.fsencode(word) + b"\0" for word in argv)
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        pid = int(entry.name)
        started = start_ticks(pid) if _command_line(entry) == wanted else None
        if started is not None:
            found.append((started, pid))
    return min(found)[1] if found else None


def _command_line(process: Path) -> bytes | None:
    """The command of a process, by its folder in /proc; None when it has ended.

    While a program is being loaded there is none for an instant, when whoever has started it goes
    on already; threads of the kernel, which have none ever, have no program either.
    """
    patience = time.monotonic() + LOADING_SECONDS
    try:
        while not (command := (process / "cmdline").read_bytes()):
            if _link(f"{process}/exe") is None or time.monotonic() > patience:
                break
            time.sleep(0.001)
    except OSError:
        return None
    return command


def _exists_without_proc(pid: int) -> int | None:
    """Where there is no /proc: 0 for a process that exists, since its start is not known."""
    if Path("/proc/self/stat").exists():
        return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        return 0
    return 0


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None


def _link(path: str) -> str | None:
    try:
        return str(Path(path).readlink())
    except OSError:
        return None
