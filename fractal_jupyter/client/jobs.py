"""Jobs: what was submitted, what became of it, and why."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Generator, Mapping, Sequence
from typing import Any

from fractal_jupyter.client.environments import JobEnvironment
from fractal_jupyter.client.listing import Listing, Shown
from fractal_jupyter.display.log import LogText, log_text
from fractal_jupyter.display.page import Page
from fractal_jupyter.display.snapshot import JobSnapshot
from fractal_jupyter.display.words import moment
from fractal_jupyter.engine.slurm_options import unit_options
from fractal_jupyter.errors import HostError, InvalidArguments, JobFailed, NotFound
from fractal_jupyter.models.manifest import TaskEntry
from fractal_jupyter.models.resource import LocalResource, parse_resource
from fractal_jupyter.models.types import parse_memory_mb
from fractal_jupyter.runner.folders import JobFolder, job_folders, remove_job_folder
from fractal_jupyter.runner.launch import SupervisorCare, look_after, wake_supervisor
from fractal_jupyter.runner.logs import read_log
from fractal_jupyter.runner.step import PHASES
from fractal_jupyter.runner.submission import retry
from fractal_jupyter.runner.updating import steps_in_words
from fractal_jupyter.runner.users import current_user
from fractal_jupyter.store.jobs import FINAL_JOBS, JOB_STATUSES
from fractal_jupyter.store.records import JobRecord, StepRecord, UnitRecord
from fractal_jupyter.store.store import Store

UNIT_STATUSES = ("pending", "running", "done", "failed", "cancelled", "interrupted")
SHOWN_BAD_UNITS = 3
# How often one who waits looks for a change (SQLite: one counter is read), and how often it
# looks whether the job is still driven by somebody.
WATCH_SECONDS = 0.1
CARE_SECONDS = 2.0
SECONDS_PER_DAY = 86_400


class Job(Shown):
    """One job. Every attribute is read from the store when it is asked for."""

    def __init__(self, store: Store, key: int) -> None:
        self._store = store
        self.id = key

    @property
    def _record(self) -> JobRecord:
        record = self._store.jobs.get(self.id)
        if record.status not in FINAL_JOBS:
            look_after(self._store)
        return record

    @property
    def name(self) -> str:
        """The task's or workflow's name, or what `submit(name=…)` said."""
        return self._record.name

    @property
    def status(self) -> str:
        """`submitted`, `running`, `done`, `failed` or `cancelled`."""
        return self._record.status

    @property
    def error(self) -> str | None:
        """Why the job failed, in words."""
        return self._record.error

    @property
    def waiting_for(self) -> str | None:
        """What the job waits for, in words, if it waits."""
        return self._record.waiting_for

    @property
    def folder(self) -> str | None:
        """The folder of the job's files."""
        return self._record.folder

    @property
    def dataset(self) -> str:
        """The name of the dataset."""
        return self._record.dataset_name

    @property
    def profile(self) -> str:
        """The name of the profile."""
        return self._record.profile_name

    @property
    def steps(self) -> Listing[StepRecord]:
        """The steps, with the numbers of their units by status."""
        from fractal_jupyter.display.job import steps_page

        return Listing(self._store.jobs.steps(self.id), page=steps_page)

    def units(self, *, status: str | None = None, step: int | None = None) -> Listing[UnitRecord]:
        """The units, in the order of their indexes; all, or those of a status or a step.

        Args:
            status: `pending`, `running`, `done`, `failed`, `cancelled` or `interrupted`.
            step: Position of a step.
        """
        from fractal_jupyter.display.units import units_page

        if status is not None and status not in UNIT_STATUSES:
            raise InvalidArguments(
                f"status={status!r}: a unit is one of {', '.join(UNIT_STATUSES)}."
            )
        return Listing(
            self._store.jobs.units(self.id, status=status, step=step),
            page=lambda units: units_page(units, asked_mb=self._memory_asked()),
        )

    def log(self, unit: int | None = None) -> LogText:
        """What a unit has written to its standard output and error, so far: text, shown as such.

        Args:
            unit: Index of the unit; by default the first one that failed, or else the first.

        Raises:
            NotFound: The job has no such unit.
        """
        if unit is None:
            bad = self._bad_units(limit=1)
            unit = bad[0].index if bad else 0
        record = self._store.jobs.unit(self.id, unit)
        text = read_log(self._store, record)
        cleaned = self._record.cleaned
        if not text and record.log is not None and cleaned and (record.ended or 0) < cleaned:
            text = f"The log is gone: the files of the job were cleaned at {moment(cleaned)}.\n"
        return log_text(text, title=f"Log of unit {unit} of job {self.id}")

    def environment(self, step: int = 0) -> JobEnvironment:
        """What a step ran in, or is to run in, as it was at submission.

        Args:
            step: Position of the step in the workflow.

        Raises:
            NotFound: The job has no such step.
        """
        found = {record.position: record for record in self._store.jobs.steps(self.id)}
        if step not in found:
            raise NotFound(
                f"Job {self.id} has no step {step!r}; it has {steps_in_words(len(found))}."
            )
        return JobEnvironment.of(self._store.environments.get(str(found[step].environment)))

    def cancel(self) -> Job:
        """Stop the job; `wait` returns when it has stopped. Units that are done are kept."""
        self._store.jobs.request_cancel(self.id)
        wake_supervisor(self._store)
        return self

    def code(self) -> LogText:
        """The cell that submits the same: what a panel or a form has submitted, as Python."""
        from fractal_jupyter.client.code import job_code

        record = self._record
        return LogText(job_code(self._store, record), title=f"The cell of job {record.id}")

    def retry(self, *, meta: Mapping[str, Any] | None = None) -> Job:
        """Run again what of the job did not succeed, and then the steps that are left.

        Args:
            meta: What units need from now on, such as `{"mem": "8G"}`; laid over the meta of the
                steps that are left.

        Of a job that was retried, displays show how long all its runs took together; `started`
        and `ended` of its steps are those of the last run, and `seconds_before` is the time of
        those before.

        Raises:
            NotAllowed: The job is neither failed nor cancelled.
            InvalidDocument: The meta is wrong.
            PlanError: Nothing could hold a unit that needs so much.
        """
        retry(self._store, self.id, meta=meta or {})
        return self

    def wait(self, timeout: float | None = None) -> Job:
        """Wait until the job is over, whatever becomes of it, showing its progress.

        Interrupting the waiting does no harm to the job.

        Args:
            timeout: Most seconds to wait.

        Raises:
            TimeoutError: The job is not over yet; it goes on.
            SupervisorFailed: The process that drives jobs cannot be started; says why. The job
                waits until it can be.
        """
        from fractal_jupyter.display.live import wait_with_display

        watcher = _Watcher(self._store)
        if not wait_with_display(self._snapshot, watcher.wait_for_change, timeout):
            raise TimeoutError(
                f"Job {self.id} is not over after {timeout:g} s; it goes on. "
                "Wait again, or stop it with job.cancel()."
            )
        return self

    def __await__(self) -> Generator[Any, None, Job]:
        return self._wait_async().__await__()

    async def _wait_async(self) -> Job:
        watcher = _Watcher(self._store)
        while self.status not in FINAL_JOBS:
            watcher.take_care()
            await asyncio.sleep(WATCH_SECONDS)
        return self

    def raise_for_status(self) -> Job:
        """Return the job if it has not failed; raise `JobFailed` if it has, or was cancelled."""
        record = self._record
        if record.status in ("failed", "cancelled"):
            raise JobFailed(f"Job {self.id} ({record.name}) {record.status}: {record.error}")
        return self

    def show(self) -> None:
        """Show the job's progress live, without waiting for it."""
        from fractal_jupyter.display.live import LiveJob

        LiveJob(self._snapshot).show()

    def monitor(self) -> Any:
        """A widget that shows the job live: steps, units with their logs, cancel and retry."""
        from fractal_jupyter.client.opening import open_widget

        return open_widget("JobMonitor", self)

    def _ipython_display_(self) -> None:
        """What IPython calls for the last value of a cell: one living picture, not two."""
        self.show()

    def _bad_units(self, *, limit: int) -> list[UnitRecord]:
        bad: list[UnitRecord] = []
        for status in ("failed", "interrupted"):
            bad += self._store.jobs.units(self.id, status=status, limit=limit - len(bad))
            if len(bad) >= limit:
                break
        return bad

    def _memory_asked(self) -> dict[tuple[int, str], int]:
        """How much memory SLURM was asked for a unit, in MB, by step and phase."""
        resource = parse_resource(self._record.request["resource"])
        if isinstance(resource, LocalResource):
            return {}
        phases = [
            (step, phase)
            for step in self._store.jobs.steps(self.id)
            for phase in PHASES[TaskEntry.model_validate(step.request["entry"]).type]
        ]
        options = {
            (step.position, phase): unit_options(
                resource.jobs_runner_config, step.request[f"meta_{phase}"], account=None
            )
            for step, phase in phases
        }
        return {
            place: asked.mem_mb
            for place, asked in options.items()
            if not any(word.startswith("--mem") for word in asked.extra_words())
        }

    def _snapshot(self) -> JobSnapshot:
        steps = tuple(self._store.jobs.steps(self.id))
        any_bad = any(step.failed or step.interrupted for step in steps)
        return JobSnapshot(
            job=self._record,
            steps=steps,
            bad_units=tuple(self._bad_units(limit=SHOWN_BAD_UNITS)) if any_bad else (),
            now=time.time(),
        )

    def _page(self) -> Page:
        from fractal_jupyter.display.job import job_page

        return job_page(self._snapshot())


class _Watcher:
    """Waits for the store to change, and sees that active jobs are driven by somebody."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._version = store.database.data_version()
        self._care = SupervisorCare(store)
        self._next_care = 0.0

    def wait_for_change(self, seconds: float) -> None:
        """Return when the store has changed (or may have), after `seconds` at the latest."""
        deadline = time.monotonic() + seconds
        while True:
            self.take_care()
            version = self._store.database.data_version()
            if version is None or version != self._version:
                self._version = version
                time.sleep(min(WATCH_SECONDS, seconds) if version is None else 0)
                return
            left = deadline - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(WATCH_SECONDS, left))

    def take_care(self) -> None:
        """Now and then, see that somebody drives the jobs: the supervisor may have died."""
        if time.monotonic() >= self._next_care:
            self._next_care = time.monotonic() + CARE_SECONDS
            self._care.take()


class Jobs:
    """All jobs of this user."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def list(self, *, status: str | None = None, limit: int | None = 100) -> Listing[Job]:
        """Jobs, the newest first.

        Args:
            status: Only jobs that are `submitted`, `running`, `done`, `failed` or `cancelled`.
            limit: At most so many; None for all.

        Raises:
            InvalidArguments: There is no such status.
        """
        from fractal_jupyter.display.job import jobs_page

        if status is not None and status not in JOB_STATUSES:
            raise InvalidArguments(f"status={status!r}: a job is one of {', '.join(JOB_STATUSES)}.")

        def rows(items: Sequence[Job]) -> tuple[list[JobRecord], dict[int, list[StepRecord]]]:
            records = [item._record for item in items]
            return records, self._store.jobs.steps_of([record.id for record in records])

        records = self._store.jobs.all(owner=current_user(), status=status, limit=limit)
        return Listing(
            (Job(self._store, record.id) for record in records),
            page=lambda items: jobs_page(*rows(items)),
        )

    def get(self, key: int) -> Job:
        """The job with that id; raises `NotFound`."""
        return Job(self._store, self._store.jobs.get(key).id)

    def clean(
        self,
        *,
        older_than: float | None = None,
        larger_than: str | int | None = None,
        dry_run: bool = True,
    ) -> Listing[JobFolder]:
        """Remove the folders, with all logs, of jobs that are over; the jobs stay with results.

        Args:
            older_than: Only of jobs that ended more than so many days ago.
            larger_than: Only folders that take more than that on the disk: `"500M"`, `"2G"`. A
                plain number counts bytes here, other than in `memory_limit` and `mem`.
            dry_run: False to remove them; otherwise they are only listed.

        Returns:
            The folders, the largest first, and what they take. Those of another user, which sudo
            does not let us remove, are not among them.

        Raises:
            InvalidArguments: `larger_than` is no size.
            HostError: A folder cannot be removed; those before it are.
        """
        from fractal_jupyter.display.job import folders_page

        least = _bytes(larger_than)
        latest = None if older_than is None else time.time() - older_than * SECONDS_PER_DAY
        over = {
            record.id: record
            for status in FINAL_JOBS
            for record in self._store.jobs.all(owner=current_user(), status=status)
            if latest is None or (record.ended or record.created) < latest
        }
        found = sorted(
            (folder for folder in job_folders(over.values()) if folder.size > least),
            key=lambda folder: folder.size,
            reverse=True,
        )
        if not dry_run:
            found = [folder for folder in found if self._store.jobs.mark_cleaned(folder.job)]
            for folder in found:
                remove_job_folder(over[folder.job])
        return Listing(
            found,
            page=lambda items: folders_page(items, removed=not dry_run),
        )

    def remove(self, key: int) -> None:
        """Forget a job that is over, and remove its folder with all logs.

        What belongs to another user, through sudo, cannot be removed: a warning says so.

        Raises:
            NotAllowed: The job is not over.
        """
        record = self._store.jobs.remove(key)
        try:
            remove_job_folder(record)
        except HostError as error:
            import warnings

            stays = f"The folder of job {key}, {record.folder}, stays: {error}"
            warnings.warn(stays, stacklevel=2)

    def __repr__(self) -> str:
        return repr(self.list())

    def _repr_html_(self) -> str:
        return self.list()._repr_html_()


def _bytes(size: str | int | None) -> int:
    if not isinstance(size, str):
        return size or 0
    try:
        return parse_memory_mb(size) * 1_000_000
    except ValueError as error:
        raise InvalidArguments(f"larger_than={size!r}: {error}") from error
