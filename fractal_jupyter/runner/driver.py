"""Drives one job to its end, from wherever it was left."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from pathlib import PurePosixPath

from fractal_jupyter.errors import FractalError, HostError, StoreError
from fractal_jupyter.models.manifest import TaskEntry
from fractal_jupyter.models.profile import parse_profile
from fractal_jupyter.models.resource import parse_resource
from fractal_jupyter.runner.backend import Backend, make_backend
from fractal_jupyter.runner.context import JobContext, Waker
from fractal_jupyter.runner.paths import JobPaths
from fractal_jupyter.runner.step import StepOutcome, StepRun
from fractal_jupyter.store.records import JobRecord, StepRecord
from fractal_jupyter.store.running import Running
from fractal_jupyter.store.store import Store

log = logging.getLogger(__name__)


class Backends:
    """The backends of a supervisor, one for each resource and profile, shared by its jobs."""

    def __init__(self) -> None:
        self._made: dict[str, Backend] = {}
        self._lock = threading.Lock()

    def get(self, job: JobRecord) -> Backend:
        """The backend that the job was submitted to, as it was then."""
        key = repr((job.request["resource"], job.request["profile"]))
        with self._lock:
            if key not in self._made:
                self._made[key] = make_backend(
                    parse_resource(job.request["resource"]), parse_profile(job.request["profile"])
                )
            return self._made[key]


def drive(
    job: JobRecord,
    *,
    store: Store,
    running: Running,
    backends: Backends,
    waker: Waker,
    notify: str | None,
    patient: bool,
) -> None:
    """Run what is missing of a job and record how it ended.

    Args:
        job: The job.
        store: The store.
        running: What is written to the store.
        backends: Where jobs run.
        waker: Wakes and stops us.
        notify: Where workers may wake us.
        patient: Whether an error that nobody has foreseen is raised, for another attempt, and
            does not end the job.

    Raises:
        LeaseLost: The supervisor stops; the job is left as it is, for another one to go on.
        StoreError: The store does not work; the same.
        HostError: What runs cannot be followed; the same.
    """
    event = waker.subscribe()
    try:
        context = JobContext(
            job=job,
            running=running,
            backend=backends.get(job),
            paths=JobPaths(PurePosixPath(job.folder or "")),
            waker=waker,
            notify=notify,
            event=event,
        )
        if job.waiting_for:
            running.set_waiting(job.id, None)
        outcome = _run_steps(context, store)
    except (StoreError, HostError):
        raise
    except FractalError as error:
        outcome = StepOutcome("failed", str(error))
    except Exception as error:
        if patient:
            raise
        log.exception("job %s: internal error", job.id)
        outcome = _abandon(job, running, backends, error)
    finally:
        waker.unsubscribe(event)
    running.end_job(job.id, status=outcome.status, error=outcome.error)
    log.info("job %s is %s", job.id, outcome.status)


def _abandon(job: JobRecord, running: Running, backends: Backends, error: Exception) -> StepOutcome:
    """End what runs of a job that nobody knows how to drive: nothing may outlive its job."""
    why = (
        f"Internal error: {type(error).__name__}: {error}. The supervisor's log, supervisor.log "
        "beside the store, has the details; retry goes on from here."
    )
    running.check()
    handles = [batch.handle for batch in running.open_batches(job.id) if batch.handle]
    if handles:
        backends.get(job).scheduler.cancel(handles, at_once=True)
    running.abandon_job(job.id, why)
    return StepOutcome("failed", why)


def _run_steps(context: JobContext, store: Store) -> StepOutcome:
    job = context.job
    steps = store.jobs.steps(job.id)
    for number, step in enumerate(steps):
        if step.status == "done":
            continue
        if step.status == "pending" and context.cancelled():
            return _cancelled(context, steps[number:])
        if number and _closed(job, store):
            return StepOutcome(
                "failed",
                f"The resource {job.resource_name!r} takes no new work "
                "(prevent_new_submissions); retry the job when it does.",
            )
        outcome = _run_step(context, step, _running_filter(job, steps[:number]))
        if outcome.status == "cancelled":
            return _cancelled(context, steps[number:])
        if outcome.status != "done":
            return outcome
    return StepOutcome("done")


def _run_step(
    context: JobContext, step: StepRecord, running_filter: dict[str, bool]
) -> StepOutcome:
    running = context.running
    if step.status == "pending":
        running.begin_step(step)
    try:
        outcome = StepRun(context, step, running_filter).run()
    except (StoreError, HostError):
        raise
    except FractalError as error:
        outcome = StepOutcome("failed", f"Step {step.position} ({step.task_name}): {error}")
    running.end_step(step, status=outcome.status, error=outcome.error)
    return outcome


def _cancelled(context: JobContext, steps: Sequence[StepRecord]) -> StepOutcome:
    """Record that the remaining steps will not run."""
    for step in steps:
        context.running.cancel_step(step)
    return StepOutcome("cancelled", "The job was cancelled; retry runs what is missing.")


def _running_filter(job: JobRecord, before: Sequence[StepRecord]) -> dict[str, bool]:
    """The job's own type filter, overlaid by the output types of the steps before."""
    running_filter: dict[str, bool] = dict(job.request["type_filters"])
    for step in before:
        running_filter.update(TaskEntry.model_validate(step.request["entry"]).output_types)
    return running_filter


def _closed(job: JobRecord, store: Store) -> bool:
    record = store.resources.find(job.resource_name)
    return record is not None and bool(record.document.get("prevent_new_submissions", False))
