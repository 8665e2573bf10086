"""Reads what SLURM's commands print: text in, dataclasses out.

What cannot be read is `Unreadable`, as a whole: an answer with something left out would say of
jobs that they are gone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from fractal_jupyter.schedulers.slurm_bootstrap import STARTED_AGAIN

QUEUE_COMMAND: Final = (
    *("squeue", "--noheader", "--states=all"),
    *("-o", "%i|%T|%r|%S|%V|%N|%u|%j"),
)
"""`squeue` as `parse_queue` reads it, without which jobs; the name is last, it may be any text."""

ACCOUNTING_COMMAND: Final = (
    *("sacct", "--parsable2", "--noheader", "--noconvert", "--format"),
    "JobID,State,ExitCode,Start,End,ElapsedRaw,ReqMem,MaxRSS,Timelimit,NodeList,User,JobName",
)
"""`sacct` as `parse_accounting` reads it, without which jobs."""

ENVIRONMENT: Final[Mapping[str, str]] = {
    "SLURM_BITSTR_LEN": "0",
    "SLURM_TIME_FORMAT": "standard",
    "TZ": "UTC0",
    "LC_ALL": "C.UTF-8",
}
"""What both need: else lists of elements are cut, and times have any form, and no zone."""

_DEFAULT_SCRIPT_BYTES: Final = 4 * 1024 * 1024
_DEFAULT_ARRAY_SIZE: Final = 1001
_TROUBLE: Final = re.compile(
    "error|fatal|unable|timed out|failed|refused|denied|disabled", re.IGNORECASE
)
_JOB_START: Final = re.compile(r"[0-9]+([+_.|]|$)")
_JOB: Final = re.compile(
    r"(?P<job>[0-9]{1,18})(?:\+[0-9]+)?"
    r"(?:_(?P<element>[0-9]{1,18})|_\[(?P<list>[^]%]*)(?:%(?P<throttle>[0-9]{1,18}))?(?P<end>\]?))?"
)
_RANGE: Final = re.compile(r"([0-9]{1,18})(?:-([0-9]{1,18})(?::([1-9][0-9]{,17}))?)?")
_MEMORY: Final = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,18})?)([KMGTP]?)n?")
_EXPONENTS: Final = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4, "P": 5}
_NO_TIME: Final = frozenset({"", "N/A", "None", "Unknown"})


@dataclass(frozen=True, slots=True)
class Unreadable:
    """No answer, or one that makes no sense: nothing is known. `words` is what was said."""

    words: str


# --- sbatch --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Accepted:
    """A submission was accepted: the id of the job, and the cluster where it was named."""

    job: int
    cluster: str | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """A submission was not accepted.

    Attributes:
        words: What SLURM says, without the name of the command.
        kind: `unreachable` (try again, but look first: it may have been accepted),
            `submit_limit` (try again when jobs have ended), or what is wrong with it: `policy`,
            `array`, `size`, `partition`, `account`, `qos`, `memory`, `time_limit`, `permission`,
            `nodes`, `option`, `other`.
    """

    words: str
    kind: str


# The first that is found says the kind; in small letters.
_KINDS: Final[tuple[tuple[str, str], ...]] = (
    (
        "unreachable",
        "unable to contact slurm controller|timed out|connection refused|connect failure"
        "|zero bytes were transmitted|communication (connection|shutdown) failure"
        "|standby mode|no route to host|host is down|message (send|receive) failure"
        "|unable to establish control|authentication error|munge|configuration source",
    ),
    ("submit_limit", "submit[a-z]*limit|temporarily unable to accept|resource temporarily"),
    ("policy", "job violates accounting"),
    ("array", "invalid job array"),
    ("size", "parameter too long|script.*(exceeds|too large)"),
    ("partition", "partition (specified|name)|partition configuration"),
    ("account", "invalid account"),
    ("qos", "invalid qos"),
    ("memory", "memory specification|--mem"),
    ("time_limit", "time limit|--time"),
    ("permission", "permission denied|not permitted|access denied|not allowed"),
    (
        "nodes",
        "node configuration|node count|nodes? not available|invalid node name|generic resource"
        "|feature specification|reservation",
    ),
    ("option", 'unrecognized option|invalid directive|invalid option|specification|try "sbatch'),
)
_SAID_BY: Final = re.compile(
    r"^sbatch: (?:(?:error|fatal): )?(?:batch job submission failed: )?", re.IGNORECASE
)


def parse_sbatch(exit_code: int, stdout: str, stderr: str) -> Accepted | Rejected | Unreadable:
    """Read what `sbatch --parsable` says."""
    lines = [line.strip() for line in stdout.splitlines() if line.strip()]
    match = re.fullmatch(r"([0-9]{1,18})(?:;(\S+))?", lines[-1], re.ASCII) if lines else None
    if exit_code == 0 and match:
        return Accepted(int(match[1]), match[2])
    words = "; ".join(
        dict.fromkeys(
            _SAID_BY.sub("", line).strip() for line in stderr.splitlines() if line.strip()
        )
    )
    if exit_code == 0 or match or not words:
        return Unreadable(words or stdout.strip() or f"sbatch ended with status {exit_code}")
    return Rejected(words, _kind(words))


def _kind(words: str) -> str:
    text = words.casefold()
    return next((kind for kind, pattern in _KINDS if re.search(pattern, text)), "other")


# --- squeue --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class JobId:
    """A job, an element of an array, or several.

    Attributes:
        job: The id of the job or of the array.
        elements: Ranges of elements; None for a job without, and for whatever is not named of an
            array in another row (SLURM says so of what was cancelled before it began).
        complete: Whether all elements are named; False when SLURM has cut the list.
        throttle: How many elements may run at a time.
    """

    job: int
    elements: tuple[range, ...] | None = None
    complete: bool = True
    throttle: int | None = None

    def names(self, element: int) -> bool:
        """Whether this element is named."""
        return self.elements is not None and any(element in part for part in self.elements)


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueRow:
    """A row of `squeue`; times are in UTC, `2026-11-23T04:02:30`."""

    id: JobId
    state: str
    reason: str | None
    start: str | None
    submitted: str | None
    nodes: str
    user: str
    name: str


def parse_queue(exit_code: int, stdout: str, stderr: str) -> tuple[QueueRow, ...] | Unreadable:
    """Read what `QUEUE_COMMAND` says. `squeue` ends with 0 after some errors, too."""
    return _rows(exit_code, stdout, stderr, _queue_row)


def _queue_row(line: str) -> QueueRow | None:
    cells = line.split("|", 7)
    if len(cells) < 8 or (job := parse_job_id(cells[0])) is None or not _is_state(cells[1]):
        return None
    return QueueRow(
        id=job,
        state=cells[1],
        reason=None if cells[2] in ("", "None") else cells[2],
        start=_time(cells[3]),
        submitted=_time(cells[4]),
        nodes=cells[5],
        user=cells[6],
        name=cells[7],
    )


def parse_job_id(text: str) -> JobId | None:
    """Read `12`, `12_4` or `12_[4-9,11%2]`; None when it is something else."""
    match = _JOB.fullmatch(text)
    if match is None:
        return None
    if match["element"]:
        first = int(match["element"])
        return JobId(job=int(match["job"]), elements=(range(first, first + 1),))
    if match["list"] is None:
        return JobId(job=int(match["job"]))
    parts = match["list"].split(",")
    complete = bool(match["end"]) and parts[-1] != "..."
    named = parts if complete else parts[:-1]  # the last may be half a number
    ranges = [_RANGE.fullmatch(part) for part in named]
    elements = tuple(
        range(int(found[1]), int(found[2] or found[1]) + 1, int(found[3] or 1))
        for found in ranges
        if found
    )
    if len(elements) < len(named):
        return None
    throttle = int(match["throttle"]) if match["throttle"] else None
    return JobId(job=int(match["job"]), elements=elements, complete=complete, throttle=throttle)


# --- sacct ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountingRow:
    """What accounting knows of one run of a job or of an element of an array.

    Attributes:
        id: Which.
        state: Such as `COMPLETED` or `CANCELLED`, without by whom.
        cancelled_by: The number of the user who cancelled it.
        exit_code: Of the job script; None when there is none.
        signal: That ended the job script; None when there is none.
        start: When it began, in UTC.
        end: When it ended.
        seconds: How long it ran.
        requested_memory: Bytes per node; None when it is not known.
        peak_memory: Bytes, as SLURM has sampled it.
        time_limit: `1-00:00:00`, `UNLIMITED`, or another word of SLURM.
        nodes: Where it ran.
        user: Whose it is.
        name: Its name.
    """

    id: JobId
    state: str
    cancelled_by: int | None
    exit_code: int | None
    signal: int | None
    start: str | None
    end: str | None
    seconds: int | None
    requested_memory: int | None
    peak_memory: int | None
    time_limit: str
    nodes: str
    user: str
    name: str


@dataclass(frozen=True, slots=True)
class _AccountingLine:
    step: str
    row: AccountingRow


def parse_accounting(
    exit_code: int, stdout: str, stderr: str
) -> tuple[AccountingRow, ...] | Unreadable:
    """Read what `ACCOUNTING_COMMAND` says; peaks are those of the steps of a job.

    A job that was requeued comes once per run, if `--duplicates` was asked for.
    """
    lines = _rows(exit_code, stdout, stderr, _accounting_line)
    return lines if isinstance(lines, Unreadable) else tuple(_with_peaks(lines))


def _accounting_line(line: str) -> _AccountingLine | None:
    cells = line.split("|", 11)
    if len(cells) < 12:
        return None
    number, _, step = cells[0].partition(".")
    job, state = parse_job_id(number), re.fullmatch(r"([A-Z_]+)(?: by ([0-9]{1,18}))?\+?", cells[1])
    codes = re.fullmatch(r"(?:([0-9]{1,9}):([0-9]{1,9}))?", cells[2])
    if job is None or state is None or codes is None:
        return None
    row = AccountingRow(
        id=job,
        state=state[1],
        cancelled_by=int(state[2]) if state[2] else None,
        exit_code=int(codes[1]) if codes[1] else None,
        signal=int(codes[2]) or None if codes[2] else None,
        start=_time(cells[3]),
        end=_time(cells[4]),
        seconds=int(cells[5]) if re.fullmatch("[0-9]{1,18}", cells[5]) else None,
        requested_memory=parse_memory(cells[6]),
        peak_memory=parse_memory(cells[7]),
        time_limit=cells[8],
        nodes="" if cells[9] == "None assigned" else cells[9],
        user=cells[10],
        name=cells[11],
    )
    return _AccountingLine(step, row)


def _with_peaks(lines: Iterable[_AccountingLine]) -> Iterator[AccountingRow]:
    current: AccountingRow | None = None
    for line in lines:
        if not line.step:
            if current is not None:
                yield current
            current = line.row
        elif current is not None and current.id == line.row.id and line.row.peak_memory:
            current = replace(
                current, peak_memory=max(current.peak_memory or 0, line.row.peak_memory)
            )
    if current is not None:
        yield current


def parse_memory(text: str) -> int | None:
    """Return the bytes of `12345`, `10M`, `1.5G` or `4Gn`; None of what is nothing of this."""
    match = _MEMORY.fullmatch(text)
    return int(float(match[1]) * 1024 ** _EXPONENTS[match[2]]) if match else None


# --- the output of a job -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class LastWords:
    """What the daemon of a node has written into the output of a job of why it ended.

    Attributes:
        id: Which job.
        state: What SLURM calls such an end: `OUT_OF_MEMORY`, `TIMEOUT`, `PREEMPTED` or `NODE_FAIL`.
        nodes: Where it ran; empty when that is not said.
        peak_memory: Bytes that it had when it was killed for them.
        certain: Whether it was ended for that; else it has only happened to one of its processes.
    """

    id: JobId
    state: str
    nodes: str = ""
    peak_memory: int | None = None
    certain: bool = True


# `slurmstepd: error: …`, `slurmd[node1]: error: …`, `[2024-09-25T13:35:20.340] error: …`
_DAEMON: Final = re.compile(r"^(?:\[[^]]+\] |slurm(?:step)?d[^ :]*: )(?:error: )?(.*)")
_ENDED: Final = re.compile(
    r"\*\*\* (?:JOB|STEP) \S+(?: ON (?P<node>\S+))? "
    r"(?:CANCELLED AT \S+ DUE TO (?P<why>TIME LIMIT|PREEMPTION|NODE FAILURE|JOB REQUEUE)"
    r"|UNCORRECTABLE MEMORY ERROR)"
)
_END_STATES: Final = {
    "TIME LIMIT": "TIMEOUT",
    "PREEMPTION": "PREEMPTED",
    "NODE FAILURE": "NODE_FAIL",
    "JOB REQUEUE": "REQUEUED",
    None: "NODE_FAIL",  # its memory is broken
}
_TOO_MUCH: Final = re.compile(
    r"exceeded (?:virtual )?memory limit \((?P<used>[0-9]{1,18}) > [0-9]{1,18}\), being killed"
    r"|Exceeded (?:job|step) memory limit$"
)
_SOME_TOO_MUCH: Final = re.compile(r"oom[-_]kill event|memory limit at some point")


def parse_last_words(text: str, job: JobId) -> LastWords | None:
    """Read why a job was ended from its output; None when nothing of that is there.

    What is said last counts, since a job that is queued again goes on with the same file. But a
    job that is ended for its memory may be said to be cancelled after that.
    """
    last: LastWords | None = None
    for line in text.splitlines():
        if line.startswith(STARTED_AGAIN):
            last = None
        if (said := _DAEMON.match(line)) is None:
            continue
        if found := _TOO_MUCH.search(said[1]):
            # Before there were such ids, it was counted in other units.
            used = found["used"] if "StepId=" in said[1] else None
            peak = int(used) if used else last.peak_memory if last else None
            last = LastWords(id=job, state="OUT_OF_MEMORY", peak_memory=peak)
        elif found := _ENDED.match(said[1]):
            if found["why"] == "JOB REQUEUE":
                last = None
            else:
                state = _END_STATES[found["why"]]
                last = LastWords(id=job, state=state, nodes=found["node"] or "")
        elif _SOME_TOO_MUCH.search(said[1]) and last is None:
            last = LastWords(id=job, state="OUT_OF_MEMORY", certain=False)
    return last


def parse_requeue(text: str, job: JobId) -> LastWords | None:
    """Read from the output of a job that waits again why it was ended; None if that is not said."""
    last: LastWords | None = None
    for line in text.splitlines():
        if line.startswith(STARTED_AGAIN):
            last = None
        said = _DAEMON.match(line)
        if said is not None and (found := _ENDED.match(said[1])):
            last = LastWords(id=job, state=_END_STATES[found["why"]], nodes=found["node"] or "")
    return last


# --- scontrol show config ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteConfig:
    """What a site has configured.

    Attributes:
        version: SLURM's version, such as `22.05.8`.
        cluster: The cluster's name.
        max_array_size: Indexes of array elements are smaller than this.
        max_script_bytes: Job scripts are not larger than this.
        private_data: What users do not see of each other, such as `jobs`.
        min_job_age: Seconds for which `squeue --states=all` shows jobs that have ended.
        accounting: Whether `sacct` knows of jobs.
    """

    version: str
    cluster: str
    max_array_size: int
    max_script_bytes: int
    private_data: frozenset[str]
    min_job_age: int
    accounting: bool


def parse_config(exit_code: int, stdout: str, stderr: str) -> SiteConfig | Unreadable:
    """Read what `scontrol show config` says."""
    pairs = (line.split("=", 1) for line in stdout.splitlines() if "=" in line)
    found = {name.strip(): value.strip() for name, value in pairs}
    if exit_code or "SLURM_VERSION" not in found:
        return Unreadable((stderr or stdout).strip() or "scontrol says nothing")
    private = found.get("PrivateData", "none")
    script = re.search(r"max_script_size=([0-9]{1,18})", found.get("SchedulerParameters", ""))
    return SiteConfig(
        version=found["SLURM_VERSION"],
        cluster=found.get("ClusterName", ""),
        max_array_size=_number(found.get("MaxArraySize"), _DEFAULT_ARRAY_SIZE),
        max_script_bytes=int(script[1]) if script else _DEFAULT_SCRIPT_BYTES,
        private_data=frozenset(part for part in private.split(",") if part not in ("", "none")),
        min_job_age=_number(found.get("MinJobAge"), 0),
        accounting=found.get("AccountingStorageType", "").endswith("/slurmdbd"),
    )


# --- all of them ---------------------------------------------------------------------------------

_R = TypeVar("_R", QueueRow, _AccountingLine)


def _rows(
    exit_code: int, stdout: str, stderr: str, read: Callable[[str], _R | None]
) -> tuple[_R, ...] | Unreadable:
    if exit_code or _TROUBLE.search(stderr):
        return Unreadable(stderr.strip() or stdout.strip() or f"exit status {exit_code}")
    if stdout and not stdout.endswith("\n"):
        return Unreadable(f"the answer is cut: …{stdout[-80:]}")
    rows: list[_R] = []
    for line in stdout.split("\n")[:-1]:
        if (row := read(line)) is not None:
            rows.append(row)
        elif not rows or _JOB_START.match(line):
            return Unreadable(line)
        # else the name of somebody's job goes on behind a line break
    return tuple(rows)


def _is_state(text: str) -> bool:
    return re.fullmatch("[A-Z_]+", text) is not None


def _time(text: str) -> str | None:
    return None if text in _NO_TIME else text


def _number(text: str | None, default: int) -> int:
    match = re.match("[0-9]{1,18}", text or "")
    return int(match[0]) if match else default
