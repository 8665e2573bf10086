"""What `sudo` refuses, in words; and whether it lets us do what has to be done."""

from __future__ import annotations

import getpass
import re
from collections.abc import Callable
from dataclasses import dataclass

from fractal_jupyter.errors import AccessDenied
from fractal_jupyter.hosts.base import CommandResult

__all__ = ["COMMANDS", "raise_refusal", "sudoers_line"]

# What may be run as another user: as little as possible.
COMMANDS = ("sbatch", "scancel", "cat", "ls", "mkdir")


def sudoers_line(username: str) -> str:
    """Return the line of a sudoers file that allows all that is needed."""
    commands = ", ".join(f"/usr/bin/{command}" for command in COMMANDS)
    return f"{getpass.getuser()} ALL=({username}) NOPASSWD: {commands}"


def raise_refusal(result: CommandResult, *, username: str, command: str) -> None:
    """Raise an error in words when it was sudo that failed, not the command that it ran.

    Args:
        result: how `sudo … COMMAND …` ended.
        username: the user that the command was to run as.
        command: its name.

    Raises:
        AccessDenied: sudo did not run it.
    """
    said = result.error_text.strip()
    if result.exit_code == 127 and said.startswith("cannot run"):
        raise AccessDenied(
            f"Cannot act as {username}: {said.removeprefix('cannot run ')}. Ask the administrator"
            " to install sudo, or use a profile with your own username."
        )
    if result.exit_code != 1 or result.stdout or not _SUDO_SAYS.search(said):
        return
    for refusal in _REFUSALS:
        if refusal.pattern.search(said):
            raise AccessDenied(f"{refusal.words(username, command)} (sudo says: {said})")
    raise AccessDenied(f"Cannot run {command} as {username}: sudo says: {said}")


@dataclass(frozen=True, slots=True)
class _Refusal:
    pattern: re.Pattern[str]
    words: Callable[[str, str], str]


_SUDO_SAYS = re.compile(r"^(sudo:|Sorry, user |\S+ is not in the sudoers file)", re.MULTILINE)


def _not_allowed(username: str, command: str) -> str:
    return (
        f"sudo does not let {getpass.getuser()} run {command} as {username} without a password."
        f" The administrator has to add this line to a sudoers file (with the paths that the"
        f" programs have here):\n    {sudoers_line(username)}\n"
    )


_REFUSALS = (
    _Refusal(
        re.compile(r"unknown user"),
        lambda username, _: (
            f"There is no user {username} on this machine. Correct the username of the profile."
        ),
    ),
    _Refusal(
        re.compile(r"command not found"),
        lambda username, command: (
            f"{username} has no program {command} on this machine: sudo looks for it in the"
            " folders of secure_path in its sudoers file. Is SLURM installed here?"
        ),
    ),
    _Refusal(
        re.compile(r"no new privileges|effective uid|must be owned by uid 0|nosuid"),
        lambda username, _: (
            f"Cannot act as {username}: this process may not use sudo, because of how the service"
            " or the container that it runs in is set up. Ask the administrator to allow it."
        ),
    ),
    _Refusal(
        re.compile(r"must have a tty"),
        lambda username, _: (
            f"Cannot act as {username}: the sudoers file asks for a terminal. The administrator"
            f" has to add the line\n    Defaults:{getpass.getuser()} !requiretty\n"
        ),
    ),
    _Refusal(re.compile(r"password|not allowed|not in the sudoers|may not run"), _not_allowed),
)
