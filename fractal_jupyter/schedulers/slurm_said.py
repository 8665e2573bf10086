"""What a job's own output says of its end, where SLURM's commands do not know: text in, words out.

The daemon of a node writes into the output of a job why it ends it. Without accounting that is all
that is left when the controller has forgotten the job; and where no control groups limit memory,
SLURM itself ends what needs too much, and calls it failed or cancelled.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from fractal_jupyter.schedulers.base import BatchState, BatchStatus
from fractal_jupyter.schedulers.slurm_bootstrap import COULD_NOT_START, STARTED_AGAIN, STARTS
from fractal_jupyter.schedulers.slurm_output import LastWords, parse_last_words, parse_requeue
from fractal_jupyter.schedulers.slurm_script import INIT_ENDED
from fractal_jupyter.schedulers.slurm_watch import Watched
from fractal_jupyter.schedulers.slurm_words import (
    BEFORE_THE_WORKER,
    LOOK,
    OTHER_INIT,
    OTHER_PYTHON,
    OTHER_SHELL,
    ending,
)

_UNSURE: Final = frozenset({"unknown_end", "worker_could_not_start"})
# What the script itself says of an interpreter that it does not find, and what shells say of one
# that is there and cannot be run.
_NOT_THERE: Final = re.compile("is not there")
# What the daemon of a node says of a script's first line, and the script of `worker_init`.
_NO_SHELL: Final = re.compile(r"^slurm.*execve\(\).*bad interpreter\((.*?)\)")
_INIT_ENDED: Final = re.compile(rf"^{re.escape(INIT_ENDED)} ([0-9]+)")
_NOT_USABLE: Final = re.compile(
    "permission denied|cannot execute|format error|bad interpreter|not found|no such file",
    re.IGNORECASE,
)


def explain(
    status: BatchStatus,
    said: str | None,
    *,
    watched: Watched,
    python: str,
) -> BatchStatus:
    """Say why a batch has ended, or waits again, given what its job has written.

    Args:
        status: What SLURM's commands say of it.
        said: The output of the job; None if there is none, or not yet.
        watched: Its job, and what that has asked for.
        python: The interpreter of its worker.
    """
    lines = (said or "").splitlines()
    ours = (STARTS, STARTED_AGAIN)
    status = replace(
        status, said="\n".join(line for line in lines if not line.startswith(ours)).strip()
    )
    if status.state is BatchState.PENDING:
        again = parse_requeue(said or "", watched.id)
        return status if again is None else _by_last_words(status, again, watched)
    # What has ended by itself, with nothing to be said of it, needs no reason.
    unsure = status.reason is not None and (status.problem is None or status.problem in _UNSURE)
    last = parse_last_words(said or "", watched.id)
    if last is not None and (
        unsure or (status.problem == "cancelled_from_outside" and last.certain)
    ):
        return _by_last_words(status, last, watched)
    if status.problem == "worker_could_not_start" and status.reason is not None:
        return _without_worker(status, lines, watched, python, there=said is not None)
    return status


def _by_last_words(status: BatchStatus, last: LastWords, watched: Watched) -> BatchStatus:
    end = ending(
        last,
        mem_mb=watched.mem_mb,
        time_limit=watched.time_limit,
        worker_ran=True,
        user_name=lambda _: None,
    )
    return replace(status, reason=end.reason, problem=end.problem)


def _without_worker(
    status: BatchStatus, lines: Sequence[str], watched: Watched, python: str, *, there: bool
) -> BatchStatus:
    """Say why a job never had a worker, if its output says so.

    That is whole when the job is over: whoever opens a file sees what was written before it was
    closed, on network file systems, too.
    """
    # It may have had one before it was queued again.
    if not there or any(line.startswith(STARTS) for line in lines):
        return status
    what, _, advice = (status.reason or "").partition("; ")
    why = _why_without(lines, python)
    # Lines of the user's own may send what comes behind them to elsewhere.
    began = status.began and why is None and watched.init is not False
    told = any(line.startswith(COULD_NOT_START) for line in lines)
    if why is None and advice == LOOK and not told and watched.init is not None:
        init = f"{OTHER_INIT}; or " if watched.init else ""
        why = f"{init}{python} may be no Python: {OTHER_PYTHON}"
    return replace(status, reason=f"{what}; {why or advice}", began=began)


def _why_without(lines: Sequence[str], python: str) -> str | None:
    """Why a job that has written this never had a worker, and what to change; None if unsure."""
    for line in lines:
        if found := _NO_SHELL.match(line):
            return f"the shell of its script, {found[1]}, is not there: {OTHER_SHELL}"
        if found := _INIT_ENDED.match(line):
            status = f"its lines of `worker_init` have ended the shell with status {found[1]}"
            return f"{status}: {OTHER_INIT}"
    code = _exit_code(lines, python)
    return None if code is None else BEFORE_THE_WORKER[code]


def _exit_code(lines: Sequence[str], python: str) -> int | None:
    """What the script of a job ended with that has said something of its interpreter."""
    lines = [line for line in lines if python in line]
    if any(_NOT_THERE.search(line) for line in lines):
        return 127
    return 126 if any(_NOT_USABLE.search(line) for line in lines) else None
