"""What SLURM says of jobs, in words: why one ended early, is not accepted, or waits."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from fractal_jupyter.schedulers.slurm_output import (
    AccountingRow,
    JobId,
    LastWords,
    QueueRow,
    Rejected,
)

Row = QueueRow | AccountingRow | LastWords

_MB: Final = 1024 * 1024
_SIGNALS: Final = {
    1: "SIGHUP",
    2: "SIGINT",
    6: "SIGABRT",
    7: "SIGBUS",
    9: "SIGKILL",
    11: "SIGSEGV",
    15: "SIGTERM",
    24: "SIGXCPU",
}
_KILLED: Final = 9
# What SLURM says instead of a signal when it cannot open the output file of a job.
_NO_OUTPUT_FILE: Final = 53

_RETRY: Final = "retry runs what is missing"
_MORE_MEMORY: Final = (
    "ask for more with `mem` in the step's meta, or let fewer units run side by side with "
    "`parallel_tasks_per_job` and `tasks_per_job`"
)
_MORE_TIME: Final = (
    "raise `time` in the step's meta, or put fewer units into a job with `tasks_per_job` and "
    f"`parallel_tasks_per_job`; {_RETRY}"
)
_GAVE_UP: Final = "SLURM gave it up before it began"
_TOO_LATE: Final = "it could not have ended by its deadline any more"
_OTHER_DEADLINE: Final = (
    "set a later `--deadline` in `extra_lines`, or none, or lower `time`, and submit again"
)
_SUBMIT_AGAIN: Final = "and submit again: a retry goes on with the resource as it was"
OTHER_PYTHON: Final = (
    "set `jobs_slurm_python_worker` of the resource to a Python of 3.8 or later that compute "
    f"nodes have, {_SUBMIT_AGAIN}"
)
OTHER_SHELL: Final = (
    f"set `shebang_line` in the resource's `jobs_runner_config` to a shell that is there, "
    f"{_SUBMIT_AGAIN}"
)
OTHER_INIT: Final = (
    "look at `worker_init`, which must not end the shell nor leave quotes open, and submit again "
    "with other lines"
)

LOOK: Final = "look at what the job has written"
BEFORE_THE_WORKER: Final = {
    66: "its job script, or the file with its batches, was damaged or removed",
    74: "its folder cannot be written from there: see that compute nodes reach it, and that there "
    "is space",
    126: f"the interpreter of the worker cannot be used there: {OTHER_PYTHON}",
    127: f"the interpreter of the worker is not there: {OTHER_PYTHON}",
}
"""What a job script that ends with such a status has met, before the worker ran."""
OF_THE_SHELL: Final = frozenset({126, 127})
"""Those of them that no worker ever ends with: there was none."""


@dataclass(frozen=True, slots=True)
class Ending:
    """Why a job is over.

    Attributes:
        problem: `out_of_memory`, `time_limit`, `node_failure`, `preempted`, `requeued`,
            `cancelled_from_outside`, `worker_could_not_start`, `rejected`, `never_started` or
            `unknown_end`.
        reason: In words that complete "The unit was running when …" and "It never started: …",
            with what to change; without a full stop.
    """

    problem: str
    reason: str


def ending(
    row: Row,
    *,
    mem_mb: int,
    time_limit: str | None,
    worker_ran: bool,
    user_name: Callable[[int], str | None],
) -> Ending:
    """Say why a job has ended.

    Args:
        row: What `sacct` says of it, or else `squeue`, which knows less, or its own output.
        mem_mb: The memory that the job asked for, in MB as SLURM counts them.
        time_limit: The time that it asked for; None for what the site grants.
        worker_ran: Whether its worker has recorded anything.
        user_name: The name of a user by number, where it is known.
    """
    job = f"its SLURM job {_written(row.id)}"
    where = f" on {row.nodes}" if row.nodes else ""
    if _ran_out_of_memory(row, mem_mb):
        return Ending("out_of_memory", f"{job} ran out of memory{where} {_memory(row, mem_mb)}")
    match row.state:
        case "TIMEOUT":
            limit = time_limit or (row.time_limit if isinstance(row, AccountingRow) else None)
            of = f" of {limit}" if limit else ""
            return Ending("time_limit", f"{job} reached its time limit{of}{where}; {_MORE_TIME}")
        case "DEADLINE" if row.nodes:
            return Ending("time_limit", f"{job} reached its deadline{where}; {_OTHER_DEADLINE}")
        case "DEADLINE":
            return Ending("never_started", f"{_GAVE_UP}: {_TOO_LATE}; {_OTHER_DEADLINE}")
        case "NODE_FAIL" | "BOOT_FAIL":
            node = f"the node of {job}{f', {row.nodes},' if row.nodes else ''}"
            failed = "failed" if row.state == "NODE_FAIL" else "did not boot"
            return Ending("node_failure", f"{node} {failed}; {_RETRY}")
        case "PREEMPTED":
            return Ending(
                "preempted",
                f"{job} had to make room for another of higher priority{where}; {_RETRY}",
            )
        case "REQUEUED":
            return Ending("requeued", f"{job} was put back into the queue{where}; {_RETRY}")
        case "CANCELLED" if was_given_up(row):
            return _gave_up(row)
        case "CANCELLED":
            by = _by_whom(row, user_name)
            before = "" if row.nodes else " before it began"
            return Ending("cancelled_from_outside", f"{job} was cancelled{by}{before}; {_RETRY}")
        case "FAILED" | "COMPLETED" if not worker_ran:
            return _without_worker(row, job, where)
        case "LAUNCH_FAILED" | "RECONFIG_FAIL":
            return Ending("never_started", f"{job} could not be launched{where}; {_RETRY}")
        case _:
            return Ending("unknown_end", f"{job} {_how_it_ended(row)}{where}; {_RETRY}")


def was_given_up(row: Row) -> bool:
    """Whether SLURM itself has ended a job that waited, and says why, which accounting does not."""
    reason = row.reason if isinstance(row, QueueRow) else None
    if reason is None or row.nodes:
        return False
    return row.state == "FAILED" or reason == "DependencyNeverSatisfied"


def rejection(rejected: Rejected) -> Ending:
    """Say that a submission was not accepted, and what to change."""
    advice = _ADVICE.get(rejected.kind)
    words = rejected.words.rstrip(".")
    return Ending("rejected", f"SLURM did not accept it: {words}{f'; {advice}' if advice else ''}")


_ADVICE: Final = {
    "submit_limit": "as many jobs as you may have are waiting or running; wait for them to end",
    "policy": "a limit of your account or quality of service forbids it: ask for less (`time`, "
    "`mem`, `cpus_per_task` in the step's meta), or ask the cluster's administrators",
    "array": "the job array is larger than the site allows",
    "size": "the job script is larger than the site allows",
    "partition": "set `partition` in the resource's `jobs_runner_config` to one that `sinfo` "
    f"lists, {_SUBMIT_AGAIN}",
    "account": "give an account that you may use: submit(…, account=…)",
    "qos": "set another `--qos` in `extra_lines`, or none",
    "memory": "no node has that much memory: lower `mem` in the step's meta, or the memory per "
    "job in the resource's `batching_config`",
    "time_limit": "lower `time` in the step's meta, or choose a partition that allows it",
    "permission": "choose a partition or an account that you may use",
    "nodes": "no node of the partition is like that: look at `gres`, `gpus`, `constraint`, "
    "`nodelist`, `nodes` and `cpus_per_task`",
    "option": "look at `extra_lines` in the step's meta and in the resource's `jobs_runner_config`",
    "unreachable": "the controller does not answer; that is tried again",
}


def pending_words(
    reason: str | None, expected_start: str | None = None, *, job: int | None = None
) -> str:
    """Say what a job waits for, and when SLURM expects it to begin.

    Args:
        reason: SLURM's word for it; what is not known here is passed on as it is.
        expected_start: The time of `squeue` in UTC, such as `2026-11-23T04:02:30`; it is told in
            the time of this machine, since that of the cluster may be another one.
        job: The id of the job, or of its whole array.
    """
    words = _waits_for(reason) if reason else "waiting"
    known = reason is None or words == reason
    text = words if known else f"{words} ({reason})"
    held = _RELEASE in words
    if held and job is not None:
        text = text.replace(_RELEASE, f"{_RELEASE} {job}")
    # SLURM has a time for what is held, too, at which nothing happens.
    if expected_start is None or held:
        return text
    try:
        start = datetime.fromisoformat(expected_start).replace(tzinfo=UTC).astimezone()
    except ValueError:
        return text
    return f"{text}; expected to start at {start:%Y-%m-%d %H:%M:%S %Z}"


def _waits_for(reason: str) -> str:
    if words := _WAITS.get(_compact(reason)):
        return words
    return next((w for pattern, w in _PATTERNS if re.search(pattern, reason)), reason)


def _compact(reason: str) -> str:
    return re.sub("[^a-z]", "", reason.casefold())


_RELEASE: Final = "`scontrol release"
_HELD: Final = f"held; {_RELEASE}` lets it go on"
_WAITS: Final = {
    "resources": "waiting for processors, memory or nodes to become free",
    "priority": "waiting behind jobs of higher priority",
    "dependency": "waiting for another job to end",
    "dependencyneversatisfied": "another job that it was to wait for has failed, so it will never "
    "start: cancel it, look at `--dependency` in `extra_lines`, and submit again",
    "jobarraytasklimit": "waiting for other elements of its array: only so many run at a time",
    "jobhelduser": _HELD,
    "jobheldadmin": "held by an administrator of the cluster: ask them",
    "begintime": "not before its begin time; SLURM starts a job that was requeued some two minutes "
    "later",
    "partitiondown": "waiting for its partition, which is down",
    "partitioninactive": "waiting for its partition, which takes no jobs now",
    "partitionnodelimit": "it asks for more nodes than its partition allows: it will not start",
    "partitiontimelimit": "it asks for more time than its partition allows: lower `time`",
    "partitionconfig": "its partition does not allow what it asks for: look at `mem`, "
    "`cpus_per_task` and `nodes`",
    "nodedown": "waiting for a node that is down",
    "badconstraints": "no node is like what it asks for: look at `constraint`, `mem` and "
    "`cpus_per_task`",
    "reservation": "waiting for its reservation",
    "licenses": "waiting for a licence",
    "invalidaccount": "its account is not valid: give another with submit(…, account=…)",
    "invalidqos": "its quality of service is not valid",
    "cleaning": "waiting for what is left of its last run to be cleaned up",
    "prolog": "its node is being prepared",
    "frontenddown": "waiting for a front end that is down",
    "maxrequeuelimit": f"it was requeued too often, and is {_HELD}",
    "jobholdmaxrequeue": f"it was requeued too often, and is {_HELD}",
    "none": "waiting to be looked at by SLURM",
}
_PATTERNS: Final = (
    ("^ReqNodeNotAvail", "waiting for a node that is down, reserved or being drained"),
    ("^Nodes required for job are DOWN", "waiting for nodes that are down, drained or reserved"),
    (
        "launch failed requeued held",
        f"a node could not launch it, and it was {_HELD} when the node is well again, which the "
        "cluster's administrators know",
    ),
    ("job requeued in held state", f"it was requeued and is {_HELD}"),
    ("^QOS.*(Jobs|Submit)", "waiting for other jobs: your quality of service has a limit on jobs"),
    ("^Assoc.*(Jobs|Submit)", "waiting for other jobs: your account has a limit on jobs"),
    (
        "^(QOS|Assoc)\\w*(PerJob|MinutesPer|WallDuration)",
        "it asks for more than a job may: lower `time`, `mem` or `cpus_per_task`",
    ),
    ("^QOS\\w+", "waiting: a limit of your quality of service is reached"),
    ("^Assoc\\w+", "waiting: a limit of your account is reached"),
)


def _written(job: JobId) -> str:
    if job.elements and len(job.elements) == 1 and len(job.elements[0]) == 1:
        return f"{job.job}_{job.elements[0][0]}"
    return str(job.job)


def _ran_out_of_memory(row: Row, mem_mb: int) -> bool:
    """Whether it did; where no control groups limit memory, SLURM only says it was killed."""
    if row.state == "OUT_OF_MEMORY":
        return True
    return (
        isinstance(row, AccountingRow)
        and row.state in ("FAILED", "CANCELLED")
        and row.signal == _KILLED
        and (row.peak_memory or 0) > mem_mb * _MB
    )


def _memory(row: Row, mem_mb: int) -> str:
    peak = None if isinstance(row, QueueRow) else row.peak_memory
    # What was sampled last may be long before the end.
    used = f", and had at least {-(-peak // _MB):,} MB when last measured" if peak else ""
    asked = f"it had asked for {mem_mb:,} MB" if mem_mb else "it had asked for less"
    return f"({asked}{used}); {_MORE_MEMORY}"


def _by_whom(row: Row, user_name: Callable[[int], str | None]) -> str:
    if not isinstance(row, AccountingRow) or row.cancelled_by is None:
        return ""
    uid = row.cancelled_by
    return f" by {user_name(uid) or ('root' if uid == 0 else f'the user with number {uid}')}"


def _without_worker(row: Row, job: str, where: str) -> Ending:
    if not row.nodes:
        return _gave_up(row)
    how, advice = f"{_how_it_ended(row)}{where} before its worker ran", LOOK
    if isinstance(row, AccountingRow) and row.signal == _NO_OUTPUT_FILE:
        how = f"could not open its output file{where}"
        advice = "see that the folder of jobs is there on compute nodes and can be written"
    elif isinstance(row, AccountingRow) and row.exit_code:
        advice = BEFORE_THE_WORKER.get(row.exit_code, LOOK)
    return Ending("worker_could_not_start", f"{job} {how}; {advice}")


def _gave_up(row: Row) -> Ending:
    reason = row.reason if isinstance(row, QueueRow) else None
    return Ending("never_started", f"{_GAVE_UP}{f': {pending_words(reason)}' if reason else ''}")


def _how_it_ended(row: Row) -> str:
    if isinstance(row, AccountingRow) and row.signal:
        name = _SIGNALS.get(row.signal)
        return f"was ended by signal {row.signal}{f' ({name})' if name else ''}"
    if isinstance(row, AccountingRow) and row.exit_code:
        return f"ended with exit status {row.exit_code}"
    if row.state in ("COMPLETED", "FAILED"):
        return "ended"
    return f"ended as {row.state}"
