"""What becomes of SLURM jobs: one `squeue` for all that is watched, and `sacct` for what is over.

SLURM is asked by a thread of its own, so that a controller that hangs holds up nobody: who asks
meanwhile is told that nothing is known.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from fractal_jupyter.errors import FractalError, SchedulerUnreachable
from fractal_jupyter.hosts.base import CommandResult, Host
from fractal_jupyter.schedulers.base import BatchState, BatchStatus
from fractal_jupyter.schedulers.slurm_output import (
    ACCOUNTING_COMMAND,
    ENVIRONMENT,
    QUEUE_COMMAND,
    AccountingRow,
    JobId,
    LastWords,
    QueueRow,
    SiteConfig,
    Unreadable,
    parse_accounting,
    parse_queue,
)
from fractal_jupyter.schedulers.slurm_words import (
    OF_THE_SHELL,
    Row,
    ending,
    pending_words,
    was_given_up,
)

log = logging.getLogger(__name__)

COMMAND_SECONDS = 60.0
# So long does who asks wait for SLURM to answer, before it is told that nothing is known.
PATIENCE_SECONDS = 5.0
# What nobody has asked for so long is not watched any more.
FORGET_SECONDS = 600.0
SHORTEST_INTERVAL_SECONDS = 1.0
# Accounting that says nothing for that long is not waited for any more: it may be configured, and
# never answer.
ACCOUNTING_PATIENCE_SECONDS = 900.0

PENDING = frozenset(
    {"PENDING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "SPECIAL_EXIT", "RESV_DEL_HOLD"}
)
RUNNING = frozenset(
    {
        *("RUNNING", "CONFIGURING", "COMPLETING", "SUSPENDED", "STOPPED", "RESIZING"),
        *("SIGNALING", "STAGE_OUT"),
    }
)
ENDED = frozenset(
    {
        *("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY"),
        *("PREEMPTED", "BOOT_FAIL", "DEADLINE", "LAUNCH_FAILED", "RECONFIG_FAIL", "REVOKED"),
    }
)

# The ids of a job and of an element of it.
Key = tuple[int, int]


class Watched(NamedTuple):
    """An element of a job array, and what it has asked for.

    `init` says whether lines of the user's own run before the worker; None when that is not known.
    """

    job: int
    element: int
    mem_mb: int
    time_limit: str | None
    init: bool | None = None

    @property
    def id(self) -> JobId:
        """Its name, as SLURM's commands have it."""
        return JobId(job=self.job, elements=(range(self.element, self.element + 1),))

    def __str__(self) -> str:
        return f"{self.job}_{self.element}"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What SLURM said at a time.

    Attributes:
        asked: When it was asked (`time.monotonic()`).
        rows: The rows of `squeue` by id of the job; or why there are none.
        accounting: What `sacct` said of elements that are over.
        silent: Why accounting says nothing, as long as it is waited for.
        vanished: Elements that were cancelled before they began: of these SLURM keeps no record.
        users: Names of the cluster's users who have cancelled something, by number.
    """

    asked: float
    rows: Mapping[int, Sequence[QueueRow]] | Unreadable
    accounting: Mapping[Key, AccountingRow] = field(default_factory=dict)
    silent: str | None = None
    vanished: frozenset[Key] = frozenset()
    users: Mapping[int, str] = field(default_factory=dict)

    def names(self, job: int) -> bool:
        """Whether `squeue` said anything of a job."""
        return not isinstance(self.rows, Unreadable) and job in self.rows

    def row(self, job: int, element: int) -> QueueRow | None:
        """What `squeue` said of an element."""
        if isinstance(self.rows, Unreadable):
            return None
        rows = self.rows.get(job, ())
        named = [row for row in rows if row.id.names(element)]
        # A row without elements is of all that no other row names.
        rest = [row for row in rows if row.id.elements is None or not row.id.complete]
        return next(iter((*named, *rest)), None)


class SlurmWatch:
    """Watches jobs of one user."""

    def __init__(
        self,
        host: Host,
        *,
        username: str,
        seconds: float,
        configure: Callable[[], None] = lambda: None,
    ) -> None:
        """Make the watch; nothing is asked yet.

        Args:
            host: Where SLURM is asked.
            username: Whose jobs.
            seconds: For how long an answer is good.
            configure: Called when SLURM answers; says with `configure` what has changed.
        """
        self._configure = configure
        self._host = host
        self._username = username
        self._seconds = max(seconds, SHORTEST_INTERVAL_SECONDS)
        self._accounting = True
        self._remembers = 0.0
        self._asking = "SLURM"
        self._silent_since: float | None = None
        self._waiting: dict[Key, float] = {}
        self._vanished: frozenset[Key] = frozenset()
        self._users: dict[int, str] = {}
        self._condition = threading.Condition()
        self._snapshot: Snapshot | None = None
        self._asking_since: float | None = None
        self._watched: dict[Key, float] = {}
        self._submitted: dict[int, float] = {}

    def configure(self, site: SiteConfig) -> None:
        """Say what the site has configured: whether `sacct` knows anything, and the like."""
        self._accounting = site.accounting
        # Zero is for ever.
        self._remembers = site.min_job_age or math.inf

    def expect(self, job: int) -> None:
        """Say that a job was submitted right now: answers that are older know nothing of it."""
        with self._condition:
            self._submitted[job] = time.monotonic()

    def statuses(self, watched: Sequence[Watched]) -> list[BatchStatus]:
        """Say what has become of array elements."""
        if not watched:
            return []
        with self._condition:
            now = time.monotonic()
            self._watched |= {(element.job, element.element): now for element in watched}
            self._refresh(now)
            snapshot = self._snapshot
            return [self._status(element, snapshot) for element in watched]

    def find(self, *, ended: bool) -> list[QueueRow]:
        """The jobs of the user, as SLURM says right now.

        Args:
            ended: Whether those count that have ended.

        Raises:
            SchedulerUnreachable: It does not say.
        """
        rows = self._queue()
        if isinstance(rows, Unreadable):
            raise SchedulerUnreachable(f"SLURM does not answer: {rows.words}")
        return [row for row in rows if ended or row.state not in ENDED]

    # asking

    def _refresh(self, now: float) -> None:
        """Have SLURM asked if its last answer is too old, and wait a little for the answer."""
        if self._snapshot is not None and now - self._snapshot.asked < self._seconds:
            return
        if self._asking_since is None:
            self._asking_since = now
            threading.Thread(target=self._ask, daemon=True).start()
        self._condition.wait_for(
            lambda: self._asking_since is None,
            timeout=max(0.0, self._asking_since + PATIENCE_SECONDS - now),
        )

    def _ask(self) -> None:
        asked = time.monotonic()
        try:
            snapshot = self._take(asked)
        except Exception as error:
            log.exception("SLURM could not be asked")
            snapshot = Snapshot(asked, Unreadable(str(error)))
        with self._condition:
            if isinstance(snapshot.rows, Unreadable):
                log.warning("SLURM does not answer: %s", snapshot.rows.words)
            self._snapshot = snapshot
            self._asking_since = None
            self._forget(asked)
            self._condition.notify_all()

    def _take(self, asked: float) -> Snapshot:
        self._asking = "SLURM"
        rows = self._queue()
        if isinstance(rows, Unreadable):
            return Snapshot(asked, rows)
        self._configure()
        by_job: dict[int, list[QueueRow]] = {}
        for row in rows:
            by_job.setdefault(row.id.job, []).append(row)
        snapshot = Snapshot(asked, by_job, dict(self._known_accounting()))
        with self._condition:
            watched = list(self._watched)
        vanished = self._find_vanished(snapshot, watched)
        over = [
            key
            for key in watched
            if key not in snapshot.accounting
            and key not in vanished
            and _is_over(snapshot.row(*key))
        ]
        told = self._ask_accounting(over)
        known = dict(snapshot.accounting)
        if not isinstance(told, Unreadable):
            known |= told
        return Snapshot(
            asked,
            by_job,
            known,
            silent=self._silence(told),
            vanished=vanished,
            users=self._named(known.values()),
        )

    def _find_vanished(self, snapshot: Snapshot, watched: Sequence[Key]) -> frozenset[Key]:
        """Find elements that were waiting a moment ago, and are not there any more.

        What has begun is shown until some time after its end. So they never did: SLURM drops what
        is cancelled of an array that waits, and tells neither `squeue` nor `sacct`. Others of the
        array are still there; of one that is gone as a whole nothing is known.
        """
        now = time.monotonic()
        rows = {key: snapshot.row(*key) for key in watched}
        self._vanished = frozenset(
            key
            for key, row in rows.items()
            if row is None
            and snapshot.names(key[0])
            and (key in self._vanished or now - self._waiting.get(key, -math.inf) < self._remembers)
        )
        self._waiting = {
            key: snapshot.asked for key, row in rows.items() if row and row.state in PENDING
        }
        return self._vanished

    def _queue(self) -> tuple[QueueRow, ...] | Unreadable:
        result = self._run([*QUEUE_COMMAND, "--user", self._username])
        if isinstance(result, Unreadable):
            return result
        return parse_queue(result.exit_code, result.text, result.error_text)

    def _silence(self, told: Mapping[Key, AccountingRow] | Unreadable) -> str | None:
        """Why accounting has said nothing; None if it has, or has not for too long."""
        if not isinstance(told, Unreadable):
            self._silent_since = None
            return None
        log.warning("sacct: %s", told.words)
        now = time.monotonic()
        self._silent_since = self._silent_since or now
        return told.words if now - self._silent_since < ACCOUNTING_PATIENCE_SECONDS else None

    def _ask_accounting(self, over: Sequence[Key]) -> dict[Key, AccountingRow] | Unreadable:
        """What `sacct` says of elements that have ended; nothing of those it does not know yet."""
        if not over or not self._accounting:
            return {}
        jobs = ",".join(sorted({str(job) for job, _ in over}))
        self._asking = "SLURM's accounting"
        result = self._run([*ACCOUNTING_COMMAND, "--jobs", jobs])
        if isinstance(result, Unreadable):
            return result
        if result.exit_code in (126, 127):
            self._accounting = False
            return {}
        rows = parse_accounting(result.exit_code, result.text, result.error_text)
        if isinstance(rows, Unreadable):
            return rows
        return {
            (job, element): row
            for job, element in over
            for row in rows
            if row.id.job == job and row.id.names(element) and row.state in ENDED
        }

    def _named(self, rows: Iterable[AccountingRow]) -> Mapping[int, str]:
        """Ask for the names of those who have cancelled something: a cluster's users are its own.

        Who has no name there, or none that can be asked for, is left out.
        """
        uids = {row.cancelled_by for row in rows if row.cancelled_by is not None}
        for uid in uids - self._users.keys():
            result = self._run(["id", "-nu", str(uid)])
            if isinstance(result, CommandResult) and result.exit_code == 0:
                self._users[uid] = result.text.strip()
        return dict(self._users)

    def _run(self, argv: Iterable[str]) -> CommandResult | Unreadable:
        words = ["env", *(f"{name}={value}" for name, value in ENVIRONMENT.items()), *argv]
        try:
            return self._host.run(words, timeout=COMMAND_SECONDS)
        except FractalError as error:
            return Unreadable(str(error))

    def _known_accounting(self) -> Mapping[Key, AccountingRow]:
        with self._condition:
            known = {} if self._snapshot is None else self._snapshot.accounting
            return {key: row for key, row in known.items() if key in self._watched}

    def _forget(self, now: float) -> None:
        self._watched = {
            key: asked for key, asked in self._watched.items() if now - asked < FORGET_SECONDS
        }
        watched = {job for job, _ in self._watched}
        self._submitted = {
            job: when
            for job, when in self._submitted.items()
            if job in watched or now - when < FORGET_SECONDS
        }

    # telling

    def _status(self, watched: Watched, snapshot: Snapshot | None) -> BatchStatus:
        submitted = self._submitted.get(watched.job)
        if snapshot is None or (submitted is not None and snapshot.asked < submitted):
            if snapshot is not None and not isinstance(snapshot.rows, Unreadable):
                return BatchStatus(BatchState.PENDING)
            return BatchStatus(BatchState.UNKNOWN, "SLURM has not answered yet")
        if self._asking_since is not None:
            silent = time.monotonic() - self._asking_since
            if silent >= PATIENCE_SECONDS:
                return BatchStatus(
                    BatchState.UNKNOWN, f"{self._asking} has not answered for {silent:.0f} s"
                )
        if isinstance(snapshot.rows, Unreadable):
            return BatchStatus(BatchState.UNKNOWN, f"SLURM does not answer: {snapshot.rows.words}")
        return _told(watched, snapshot, accounting=self._accounting)


def _told(watched: Watched, snapshot: Snapshot, *, accounting: bool) -> BatchStatus:
    """What an answer of SLURM says of an element; `accounting` may say more a moment later."""
    key = watched.job, watched.element
    row = snapshot.row(*key)
    over = snapshot.accounting.get(key)
    if row is None:
        if key in snapshot.vanished:
            return _ended(watched, LastWords(id=watched.id, state="CANCELLED"), snapshot.users)
        if over is None and snapshot.silent is not None:
            return BatchStatus(
                BatchState.UNKNOWN,
                f"SLURM's accounting does not answer, which alone may know what has become of job "
                f"{watched}: {snapshot.silent}",
            )
        if over is None:
            return BatchStatus(
                BatchState.OUT_OF_SIGHT, f"SLURM knows nothing of job {watched} any more"
            )
        return _ended(watched, over, snapshot.users)
    if row.state in PENDING:
        words = pending_words(row.reason, row.start, job=watched.job)
        return BatchStatus(BatchState.PENDING, words)
    if row.state in RUNNING:
        return BatchStatus(BatchState.RUNNING)
    if row.state in ENDED:
        if was_given_up(row):
            return _ended(watched, row, snapshot.users)
        end = _ended(watched, over or row, snapshot.users)
        return replace(end, began=True) if accounting and over is None else end
    return BatchStatus(BatchState.UNKNOWN, f"SLURM says of job {watched} that it is {row.state}")


def _ended(watched: Watched, row: Row, users: Mapping[int, str]) -> BatchStatus:
    began = bool(row.nodes) or row.state not in ("CANCELLED", "FAILED", "DEADLINE")
    if isinstance(row, AccountingRow) and row.exit_code in OF_THE_SHELL:
        began = False

    def status(*, worker_ran: bool) -> BatchStatus:
        end = ending(
            row,
            mem_mb=watched.mem_mb,
            time_limit=watched.time_limit,
            worker_ran=worker_ran,
            user_name=users.get,
        )
        return BatchStatus(BatchState.ENDED, end.reason, end.problem, began=began)

    before_start = status(worker_ran=False)
    ran = status(worker_ran=True)
    if row.state == "COMPLETED":
        return BatchStatus(BatchState.ENDED, before_start=before_start)
    return replace(ran, before_start=before_start)


def _is_over(row: QueueRow | None) -> bool:
    """Whether accounting can tell more than the queue does."""
    return row is None or (row.state in ENDED and row.state != "COMPLETED")
