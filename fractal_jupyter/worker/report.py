"""The records of a worker's life, as lines; those of units are put together by hand for speed."""

from __future__ import annotations

import json
import os
import platform
import time
from typing import Any, Dict, Optional

from . import linux
from .outcome import Outcome
from .processes import Exit
from .records import frame
from .slots import Kept

_SCHEDULER_IDS = (
    "SLURM_JOB_ID",
    "SLURM_ARRAY_JOB_ID",
    "SLURM_ARRAY_TASK_ID",
    "SLURM_RESTART_COUNT",
)
# SLURM may call a node otherwise than it calls itself.
_NODE = json.dumps(os.environ.get("SLURMD_NODENAME") or platform.node()).encode()

_START = b'{"event":"start","unit":%d,"slot":%d,"warm":%b,"time":%.6f}'
_END = (
    b'{"event":"end","unit":%d,"status":"%b","exit_code":%b,"signal":%b,"problem":%b,"message":%b,'
    b'"output":%b,"node":' + _NODE.replace(b"%", b"%%") + b',"pid":%d,"started":%b,"ended":%.6f,'
    b'"peak_memory":%b,"cpu_seconds":%b,"log":[%d,%d,%d],"log_dropped":%d}'
)


def attempt(number: int) -> Dict[str, Any]:
    """What is to be known of a worker: where it runs, and what names its process for good."""
    pid = os.getpid()
    ids = {name: os.environ[name] for name in _SCHEDULER_IDS if name in os.environ}
    return {
        "attempt": number,
        "node": json.loads(_NODE),
        "machine": linux.machine(),
        "pid": pid,
        "start_time": linux.start_ticks(pid),
        "time": time.time(),
        "scheduler_id": ids or None,
        "python": platform.python_version(),
    }


def start_line(unit: int, slot: int, *, warm: bool, now: float) -> bytes:
    """The line that says that a unit is about to be started."""
    return frame(_START % (unit, slot, b"true" if warm else b"false", now))


def end_line(
    unit: int, outcome: Outcome, *, exit_: Optional[Exit], started: Optional[float], log: Kept
) -> bytes:
    """The line that says what became of a unit.

    Args:
        unit: Its index.
        outcome: What became of it.
        exit_: How its process ended; None if there was none, or nobody saw it.
        started: When it was started, as Unix time; None if that was an earlier attempt.
        log: Where its log is.
    """
    if exit_ is None:
        pid, ended, memory, cpu = 0, time.time(), b"null", b"null"
    else:
        pid, started, ended = exit_.pid, exit_.started, exit_.ended
        memory, cpu = b"%d" % exit_.peak_memory, b"%.6f" % exit_.cpu_seconds
    return frame(
        _END
        % (
            unit,
            outcome.status.encode(),
            _number(outcome.exit_code),
            _number(outcome.signal),
            b'"%b"' % outcome.problem.encode() if outcome.problem else b"null",
            json.dumps(outcome.message).encode() if outcome.message else b'""',
            outcome.output,
            pid,
            b"null" if started is None else b"%.6f" % started,
            ended,
            memory,
            cpu,
            log.segment,
            log.offset,
            log.length,
            log.dropped,
        )
    )


def _number(value: Optional[int]) -> bytes:
    return b"null" if value is None else b"%d" % value
