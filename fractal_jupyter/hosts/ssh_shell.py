r"""The one place where commands become shell text; pure.

A login shell may be any (csh, fish), and may write whatever it likes before it gets to work. So all
that it is ever given is a fixed line without anything to quote, `launcher`, which makes a
`/bin/sh` take its script from the first bytes of its standard input; what follows them is the
command's own input. The script writes a line with random words before and after the command to
both outputs. What stands between the two is what the command has written, to the byte.
"""

from __future__ import annotations

import re
import secrets
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

__all__ = ["Framed", "Script", "command_body", "launcher", "quoted"]

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

# What SLURM's commands would take as orders. SLURM_CONF says where the cluster is.
_DROP_SLURM = r"""
for fractal_name in $(env | sed -n 's/^\(S[A-Z]*_[A-Za-z0-9_]*\)=.*/\1/p'); do
case $fractal_name in
SLURM_CONF) ;;
SLURM_*|SBATCH_*|SQUEUE_*|SACCT_*|SCANCEL_*) unset "$fractal_name" ;;
esac
done
unset fractal_name
"""


@dataclass(frozen=True)
class Script:
    """A script for `/bin/sh`: what runs, between marks.

    Attributes:
        body: shell text; its exit status is that of the whole.
        env: the complete environment, if it is not to be that of the login.
    """

    body: str
    env: Mapping[str, str] | None = None
    mark: str = field(default_factory=lambda: secrets.token_hex(16))

    def encoded(self) -> bytes:
        """Return the whole text.

        It says first in which process group it runs. The body is a subshell's, so that it may end
        itself as it likes.
        """
        lines = [
            # ps is not everywhere; field 5 of stat is the group, and the name of a shell is a word
            "fractal_group=$$",
            '{ read -r _ _ _ _ fractal_group _ <"/proc/$$/stat"; } 2>/dev/null',
            f"printf '%s\\n' \"{self.mark} $fractal_group\"",
            f"printf '%s\\n' '{self.mark} 0' >&2",
            "unset fractal_group",
            _DROP_SLURM if self.env is None else _exports(self.env),
            f"(\n{self.body}\n)",
            f"printf '%s\\n' '{self.mark} '$?",
            f"printf '%s\\n' '{self.mark} 0' >&2",
        ]
        return "\n".join(lines).encode(errors="surrogateescape")


def launcher(script: Script) -> str:
    """Return the line for the login shell: the same for sh, csh and fish."""
    start = "exec /bin/sh" if script.env is None else "exec /usr/bin/env -i /bin/sh"
    return f"{start} -c 'eval \"$(head -c {len(script.encoded())})\"'"


def command_body(argv: Sequence[str], cwd: str | None) -> str:
    """Return shell text that runs a command in a folder; never a builtin of the shell."""
    go = "" if cwd is None else f"cd {quoted(_not_an_option(cwd))} || exit 1\n"
    return f"{go}exec {quoted(*argv)}"


def quoted(*words: str) -> str:
    """Return words as shell text that means exactly them."""
    return shlex.join(words)


def _exports(env: Mapping[str, str]) -> str:
    wrong = [name for name in env if not _VARIABLE.fullmatch(name)]
    if wrong:
        raise ValueError(f"no name for an environment variable: {', '.join(map(repr, wrong))}")
    return "\n".join(f"export {name}={quoted(value)}" for name, value in env.items())


def _not_an_option(path: str) -> str:
    return f"./{path}" if path.startswith("-") else path


class Framed:
    """Takes apart one output of a script: what is between its marks, while it arrives.

    Attributes:
        first: the number that the first mark came with; None until it has come.
        last: that of the last one.
        noise: what was written before the first mark.
        pending: what has arrived and may be a part of a mark.
    """

    def __init__(self, mark: str) -> None:
        self._mark = f"{mark} ".encode()
        self.pending = b""
        self.first: int | None = None
        self.last: int | None = None
        self.noise = b""

    def feed(self, piece: bytes) -> bytes:
        """Take what has arrived; return what of it the command has certainly written."""
        if self.last is not None:
            return b""
        self.pending += piece
        if self.first is None:
            self.first = self._take_mark()
            if self.first is None:
                return b""
        written = b""
        before = self.pending
        self.last = self._take_mark(keep_before=True)
        if self.last is not None:
            return before[: before.index(self._mark)]
        length = len(self.pending) - self._held_back()
        written, self.pending = self.pending[:length], self.pending[length:]
        return written

    def _take_mark(self, *, keep_before: bool = False) -> int | None:
        """Return the number of a mark that is complete, and drop all up to its end."""
        start = self.pending.find(self._mark)
        end = self.pending.find(b"\n", start)
        if start < 0 or end < 0:
            return None
        if not keep_before:
            self.noise = self.pending[:start]
        number = int(self.pending[start + len(self._mark) : end])
        self.pending = self.pending[end + 1 :]
        return number

    def _held_back(self) -> int:
        """Return how many of the last bytes may be the beginning of a mark."""
        start = self.pending.find(self._mark)
        if start >= 0:
            return len(self.pending) - start
        longest = min(len(self._mark) - 1, len(self.pending))
        return next((n for n in range(longest, 0, -1) if self.pending.endswith(self._mark[:n])), 0)
