"""Trying out whether `sudo` lets us do as another user what has to be done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fractal_jupyter.errors import AccessDenied, HostError
from fractal_jupyter.hosts.sudo import SudoHost
from fractal_jupyter.hosts.sudo_words import COMMANDS

__all__ = ["SudoCheck", "check_sudo"]

# What each command can be asked without any effect.
_HARMLESS: Mapping[str, Sequence[str]] = {
    "sbatch": ("sbatch", "--version"),
    "scancel": ("scancel", "--version"),
    "cat": ("cat", "/dev/null"),
    "ls": ("ls", "-d", "/"),
    "mkdir": ("mkdir", "-p", "/"),
}


@dataclass(frozen=True, slots=True)
class SudoCheck:
    """Whether a command can be run as the other user, and in words why not."""

    command: str
    ok: bool
    words: str


def check_sudo(username: str, *, sudo: Sequence[str] = ("sudo",)) -> tuple[SudoCheck, ...]:
    """Run each of the five commands as another user, in a way that changes nothing.

    Args:
        username: the other user.
        sudo: the command that is `sudo`.

    Returns:
        What became of each; a refusal that is about the user, or about sudo itself, is the same
        for all.
    """
    host = SudoHost(username, sudo=sudo)
    return tuple(_check(host, command) for command in COMMANDS)


def _check(host: SudoHost, command: str) -> SudoCheck:
    try:
        host.run(_HARMLESS[command], timeout=30).check()
    except (AccessDenied, HostError) as error:
        return SudoCheck(command, ok=False, words=str(error))
    return SudoCheck(command, ok=True, words=f"{command} can be run as {host.username}")
