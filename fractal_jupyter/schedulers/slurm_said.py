"""What a job's own output says of its end, where SLURM's commands do not know: text in, words out.

The daemon of a node writes into the output of a job why it ends it. Without accounting that is all
that is left when the controller has forgotten the job; and where no control groups limit memory,
SLURM itself ends what needs too much, and calls it failed or cancelled.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from fractal_jupyter.schedulers.base import BatchStatus
from fractal_jupyter.schedulers.slurm_output import parse_last_words
from fractal_jupyter.schedulers.slurm_watch import Watched
from fractal_jupyter.schedulers.slurm_words import BEFORE_THE_WORKER, LOOK, ending

_UNSURE: Final = frozenset({"unknown_end", "worker_could_not_start"})
# What the script itself says of an interpreter that it does not find, and what shells say of one
# that is there and cannot be run.
_NOT_THERE: Final = re.compile("is not there")
_NOT_USABLE: Final = re.compile(
    "permission denied|cannot execute|format error|bad interpreter|not found|no such file",
    re.IGNORECASE,
)


def explain(
    status: BatchStatus,
    said: str,
    *,
    watched: Watched,
    python: str,
) -> BatchStatus:
    """Say why a batch has ended, given what its job has written.

    Args:
        status: What SLURM's commands say of it.
        said: The output of the job.
        watched: Its job, and what that has asked for.
        python: The interpreter of its worker.
    """
    # What has ended by itself, with nothing to be said of it, needs no reason.
    unsure = status.reason is not None and (status.problem is None or status.problem in _UNSURE)
    last = parse_last_words(said, watched.id)
    if last is not None and (
        unsure or (status.problem == "cancelled_from_outside" and last.certain)
    ):
        end = ending(
            last,
            mem_mb=watched.mem_mb,
            time_limit=watched.time_limit,
            worker_ran=True,
            user_name=lambda _: None,
        )
        return replace(status, reason=end.reason, problem=end.problem)
    if status.problem == "worker_could_not_start" and status.reason is not None:
        code = _exit_code(said, python)
        if code is not None:
            advice = BEFORE_THE_WORKER[code]
            reason = status.reason
            if reason.endswith(LOOK):
                reason = f"{reason.removesuffix(LOOK)}{advice}"
            return replace(status, reason=reason, began=False)
    return status


def _exit_code(said: str, python: str) -> int | None:
    """What the script of a job ended with that has said something of its interpreter."""
    lines = [line for line in said.splitlines() if python in line]
    if any(_NOT_THERE.search(line) for line in lines):
        return 127
    return 126 if any(_NOT_USABLE.search(line) for line in lines) else None
