"""A job: its steps with their progress, the first errors in words, and what to do about them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from fractal_jupyter.display.messages import Message, taken_apart
from fractal_jupyter.display.pace import Estimate, Pace, average, ended, run_seconds
from fractal_jupyter.display.page import (
    STATUS_TONES,
    Bar,
    Cell,
    Column,
    Hint,
    Item,
    Note,
    Page,
    Row,
    Segment,
    Span,
    Table,
    Tone,
    cell,
    clipped,
    pill,
    status_cell,
)
from fractal_jupyter.display.snapshot import JobSnapshot
from fractal_jupyter.display.words import (
    below,
    clock,
    counted,
    document_text,
    duration,
    moment,
    number,
    shorten,
    shorten_middle,
    size,
    time_left,
    types_text,
)
from fractal_jupyter.display.words import pace as pace_text
from fractal_jupyter.runner.folders import JobFolder
from fractal_jupyter.store.records import JobRecord, StepRecord, UnitRecord

SHOWN_ERRORS = 3
MESSAGE_LIMIT = 300
# Of what a worker, or SLURM, has written itself: the end.
SAID_LINES, SAID_LIMIT = 6, 600
_COUNTERS: tuple[tuple[str, Tone], ...] = (
    ("done", "good"),
    ("failed", "bad"),
    ("interrupted", "warn"),
    ("cancelled", "warn"),
    ("running", "busy"),
)
_WITH_TWO_PHASES = ("compound", "converter_compound")
_STEP_COLUMNS = (
    Column(width=3),
    Column(width=30, grows=True),
    Column(width=19),
    Column(width=14, right=True),
    Column(width=18, grows=True),
    Column(width=16),
)


def job_page(snapshot: JobSnapshot, *, pace: Pace | None = None) -> Page:
    """A job at one moment.

    Args:
        snapshot: The job.
        pace: How fast it went lately, where somebody watched.
    """
    job = snapshot.job
    estimates = {
        step.position: pace.estimate(step, snapshot.now) if pace else average(step, snapshot.now)
        for step in snapshot.steps
    }
    return Page(
        title=f"Job {job.id}: {job.name}",
        pill=pill(shown_status(job)),
        corner=_elapsed(job, snapshot.now),
        facts=(
            Span(f"dataset {job.dataset_name}"),
            Span(f"{job.profile_name} on {job.resource_name}"),
            Span(f"submitted {moment(job.created)}"),
        ),
        blocks=tuple(
            block
            for block in (
                _steps_table(snapshot.steps, estimates, snapshot.now, waits=bool(waiting_for(job))),
                _waiting(job),
                _errors(snapshot),
                _job_error(snapshot),
                _next(job),
            )
            if block is not None
        ),
    )


def steps_page(steps: Sequence[StepRecord]) -> Page:
    """The steps of a job, by themselves."""
    table = _steps_table(steps, {step.position: None for step in steps}, None)
    return Page(title=counted(len(steps), "step"), blocks=(table,))


def step_page(step: StepRecord) -> Page:
    """One step of a job: its progress, what it was asked, and why it failed."""
    package = " ".join(filter(None, (step.package, step.version)))
    seconds = run_seconds(step) if step.ended else None
    known: dict[str, tuple[Span, ...]] = {
        "package": (Span(package),),
        "mode": (Span(step.mode or ""),),
        "images": (Span(types_text(step.type_filter or {})),),
        "units": (Span(counted(step.total, "unit") if step.total else ""), *_counts(step)),
        "began": (Span(moment(step.started) if step.started else ""),),
        "took": (Span("" if seconds is None else duration(seconds)),),
    }
    rows = []
    for name, spans in known.items():
        shown = tuple(span for span in spans if span.text)
        if shown:
            rows.append((cell(name, tone="soft"), Cell(spans=shown)))
    return Page(
        title=f"Step {step.position} of job {step.job_id}: {step.task_name}",
        pill=pill(step.status),
        blocks=(
            *((Note(text=step.error, tone="bad"),) if step.error else ()),
            Table(columns=(Column(), Column(grows=True)), rows=tuple(rows)),
            *(
                Note(title=name, text=document_text(asked), look="code")
                for part in ("non_parallel", "parallel")
                for name in (f"args_{part}", f"meta_{part}")
                if (asked := step.request.get(name))
            ),
        ),
    )


def jobs_page(jobs: Sequence[JobRecord], steps_by_job: Mapping[int, Sequence[StepRecord]]) -> Page:
    """Several jobs, in the order given."""
    shown, left_out = clipped(jobs, head=40)
    return Page(
        title=counted(len(jobs), "job"),
        blocks=(
            Table(
                columns=(
                    Column(title="Job", right=True),
                    Column(title="Name", grows=True),
                    Column(title="Status"),
                    Column(title="Progress", in_text=False),
                    Column(title="Units", right=True),
                    Column(title="Dataset", grows=True),
                    Column(title="Submitted", line=True),
                    Column(title="Took", right=True),
                ),
                rows=tuple(_job_row(job, steps_by_job.get(job.id, ())) for job in shown),
                gap_after=len(shown),
                gap=f"and {counted(left_out, 'older job')}" if left_out else "",
                empty="No jobs yet: fractal.submit(task, dataset) makes one.",
            ),
            *([Note(hints=(_OPEN_HINT,))] if jobs else []),
        ),
    )


_OPEN_HINT = Hint(code="fractal.jobs.get(id)", words="shows one of them, with its steps and errors")


def folders_page(folders: Sequence[JobFolder], *, removed: bool) -> Page:
    """Folders of jobs that were removed, or would be."""
    shown, left_out = clipped(folders, head=40)
    total = size(sum(folder.size for folder in folders))
    hint = Hint(code="fractal.jobs.clean(…, dry_run=False)", words=f"removes them: {total}")
    return Page(
        title=f"{counted(len(folders), 'job folder')}, {total}",
        pill=Span("removed" if removed else "nothing was removed", "soft", "pill"),
        blocks=(
            Table(
                columns=(
                    Column(title="Job", right=True),
                    Column(title="Name", grows=True),
                    Column(title="Status"),
                    Column(title="Ended", line=True),
                    Column(title="Size", right=True),
                    Column(title="Folder", grows=True, below=True),
                ),
                rows=tuple(
                    (
                        cell(folder.job),
                        cell(folder.name, look="strong"),
                        status_cell(folder.status),
                        cell(moment(folder.ended) if folder.ended else "", tone="soft"),
                        cell(size(folder.size)),
                        cell(folder.folder, look="path", tone="soft"),
                    )
                    for folder in shown
                ),
                gap_after=len(shown),
                gap=f"and {number(left_out)} smaller ones" if left_out else "",
                empty="No folder of a job that is over is that old and that large.",
            ),
            *([Note(hints=(hint,))] if folders and not removed else []),
        ),
    )


def job_line(snapshot: JobSnapshot) -> str:
    """A job in one line, for logs."""
    job = snapshot.job
    parts = [f"Job {job.id} ({job.name}): {shown_status(job)}"]
    if waiting_for(job):
        parts.append(waiting_for(job))
    current = [step for step in snapshot.steps if step.status != "pending"][-1:]
    for step in current:
        counts = ", ".join(span.text for span in _counts(step))
        parts.append(
            f"step {step.position}, {step.task_name}: "
            + (f"{counts} of {number(step.total)}" if counts else step.status)
        )
    if len(snapshot.steps) > 1:
        parts.append(_steps_done(snapshot.steps))
    if snapshot.over and (seconds := run_seconds(job)) is not None:
        parts.append(f"took {duration(seconds)}")
    return "; ".join(parts)


def shown_status(job: JobRecord) -> str:
    """The status, or `cancelling` for an active job that is to be cancelled."""
    active = job.status in ("submitted", "running")
    return "cancelling" if job.cancel_requested and active else job.status


def waiting_for(job: JobRecord) -> str:
    """What an active job waits for, on one line; empty when it does not wait."""
    active = job.status in ("submitted", "running")
    return " ".join((job.waiting_for or "").split()) if active else ""


def unit_place(unit: UnitRecord, zarr_dir: str) -> str:
    """What a unit works on, in a few characters."""
    return below(unit.zarr_url, zarr_dir) if unit.zarr_url else "the whole dataset"


# steps


def _steps_done(steps: Sequence[StepRecord]) -> str:
    done = sum(step.status == "done" for step in steps)
    return f"{done} of {counted(len(steps), 'step')} done"


def _steps_table(
    steps: Sequence[StepRecord],
    estimates: Mapping[int, Estimate | None],
    now: float | None,
    *,
    waits: bool = False,
) -> Table:
    return Table(
        columns=_STEP_COLUMNS,
        rows=tuple(_step_row(step, estimates[step.position], now, waits=waits) for step in steps),
        fixed=True,
        empty="This job has no steps.",
    )


def _step_row(
    step: StepRecord, estimate: Estimate | None, now: float | None, *, waits: bool
) -> Row:
    version = f" {step.version}" if step.version else ""
    # `warm` or `cold`; the reason follows the colon.
    mode = (step.mode or "").partition(":")[0]
    return (
        cell(step.position, tone="soft"),
        cell(
            step.task_name,
            look="strong",
            note=f"{step.package}{version}{mode and f' · {mode}'}",
            more=step.mode or "",
        ),
        Cell(bar=step_bar(step), note=" "),
        cell(_ended_of_total(step)),
        Cell(spans=_state(step, waits=waits)),
        cell(_time(step, estimate, now), note=_speed(step, estimate)),
    )


def step_bar(step: StepRecord) -> Bar:
    """The progress of a step as a bar."""
    total = max(1, step.total)
    return Bar(
        tuple(Segment(getattr(step, name) / total, tone) for name, tone in _COUNTERS)
        if _known(step)
        else (),
        ", ".join(span.text for span in _counts(step)) or step.status,
    )


def _known(step: StepRecord) -> bool:
    """Whether it is known how many units the step has (the first part of a task may tell)."""
    two = step.request.get("entry", {}).get("type") in _WITH_TWO_PHASES
    return step.phases_planned >= (2 if two else 1) or step.status not in ("pending", "running")


def _counts(step: StepRecord) -> list[Span]:
    return [
        Span(f"{number(count)} {name}", tone)
        for name, tone in _COUNTERS
        if (count := getattr(step, name))
    ]


def _ended_of_total(step: StepRecord) -> str:
    if not _known(step) or not step.total:
        return ""
    total = number(step.total)
    # Figure spaces are as wide as digits: the numbers do not move while they grow.
    return f"{number(ended(step)).rjust(len(total), chr(0x2007))} / {total}"


def _state(step: StepRecord, *, waits: bool) -> tuple[Span, ...]:
    counts = [span for span in _counts(step) if not span.text.endswith(" done")]
    match step.status:
        case "pending":
            return (Span("waits", "soft"),)
        case "running" if not _known(step):
            return (Span("finds out what there is to do", "busy"),)
        case "running":
            idle = Span("waits", "soft") if waits else Span("starts", "busy")
            return tuple(counts) or (idle,)
    ended_well = step.status == "done" or not counts
    return (*((Span(step.status, STATUS_TONES.get(step.status, "")),) * ended_well), *counts)


def _time(step: StepRecord, estimate: Estimate | None, now: float | None) -> str:
    if step.status != "running":
        return _elapsed(step, now)
    return time_left(estimate.seconds_left) if estimate and _known(step) else ""


def _speed(step: StepRecord, estimate: Estimate | None) -> str:
    if step.status == "running":
        return pace_text(estimate.per_second) if estimate and _known(step) else " "
    if step.ended and step.done > 1 and (seconds := run_seconds(step)) is not None:
        return pace_text(step.done / max(1e-3, seconds))
    return " "


def _elapsed(record: JobRecord | StepRecord, now: float | None) -> str:
    """How long it took, or the running time of what has not ended; of all runs together."""
    seconds = run_seconds(record, now)
    if seconds is None:
        return ""
    running = record.started is not None and record.ended is None
    return clock(seconds) if running else duration(seconds)


# what is wrong, and what to do


def _waiting(job: JobRecord) -> Note | None:
    if not waiting_for(job):
        return None
    text = (job.waiting_for or "").strip().rstrip(".")
    # Several lines may be a command to copy.
    end = "" if "\n" in text else "."
    return Note(text=f"{text[:1].upper()}{text[1:]}{end}", tone="soft")


def _errors(snapshot: JobSnapshot) -> Note | None:
    steps, units = snapshot.steps, snapshot.bad_units
    failed = sum(step.failed for step in steps)
    interrupted = sum(step.interrupted for step in steps)
    bad = failed + interrupted
    if not bad or not units:
        return None
    zarr_dir = str(snapshot.job.request.get("zarr_dir", ""))
    names = {step.position: step.task_name for step in steps}
    shown = units[:SHOWN_ERRORS]
    hints = [
        Hint(
            code=f"job.log(unit={shown[0].index})",
            words="shows all that the first of them wrote",
        )
    ]
    if bad > len(shown):
        status = "failed" if failed else "interrupted"
        words = f"shows the {number(bad - len(shown))} others, too"
        hints.append(Hint(code=f"job.units(status='{status}')", words=words))
    if snapshot.over:
        hints.append(Hint(code="job.retry()", words="runs again only what is missing"))
    what = [
        counted(count, f"unit {status}", f"units {status}")
        for count, status in ((failed, "failed"), (interrupted, "interrupted"))
        if count
    ]
    done = sum(step.done for step in steps)
    kept = f"; what the {number(done)} others did is kept" if done and snapshot.over else ""
    return Note(
        title=", ".join(what) + kept,
        items=tuple(_unit_errors(shown, zarr_dir, names if len(steps) > 1 else {})),
        tone="bad" if failed else "warn",
        hints=tuple(hints),
    )


def _unit_errors(
    units: Sequence[UnitRecord], zarr_dir: str, names: Mapping[int, str]
) -> Iterator[Item]:
    """The errors of units; what several have in common is said once."""
    said: dict[Message, int] = {}
    for unit in units:
        place = shorten_middle(unit_place(unit, zarr_dir), 90)
        step = f", {names[unit.step]}" if unit.step in names else ""
        message = taken_apart(unit.error or unit.problem or unit.status)
        first = said.setdefault(message, unit.index)
        head = f"Unit {unit.index} ({place}{step})"
        yield (
            _unit_error(head, message)
            if first == unit.index
            else Item(head=head, text=f"The same as unit {first}.")
        )


def _unit_error(head: str, message: Message) -> Item:
    lines = (shorten(message.what, MESSAGE_LIMIT), message.advice)
    said = "\n".join(message.said.splitlines()[-SAID_LINES:])
    return Item(head=head, text="\n".join(filter(None, lines)), code=said[-SAID_LIMIT:])


def _job_error(snapshot: JobSnapshot) -> Note | None:
    """Why the job failed, unless the units above have said it."""
    error = snapshot.job.error
    if not error or snapshot.job.status not in ("failed", "cancelled"):
        return None
    if any(unit.error and unit.error in error for unit in snapshot.bad_units):
        return None
    failed = snapshot.job.status == "failed"
    words = "goes on from here, when the reason is mended" if failed else "goes on from here"
    hint = Hint(code="job.retry()", words=words)
    return Note(
        text=shorten(error, 4_000),
        tone="bad" if failed else "warn",
        # Where units have failed, it was said beside them.
        hints=() if snapshot.bad_units else (hint,),
    )


def _next(job: JobRecord) -> Note | None:
    if job.status == "cancelled" and not job.error:
        hint = Hint(code="job.retry()", words="goes on from here")
        return Note(text="What was done until then is kept.", tone="warn", hints=(hint,))
    return None


# lists of jobs


def _job_row(job: JobRecord, steps: Sequence[StepRecord]) -> Row:
    note = waiting_for(job) or job.error
    total, done = sum(step.total for step in steps), sum(step.done for step in steps)
    took = run_seconds(job) if job.ended else None
    return (
        cell(job.id),
        cell(job.name, look="strong", note=shorten(" ".join((note or "").split()), 160)),
        status_cell(shown_status(job)),
        Cell(bar=_job_bar(steps), note=_job_progress(job, steps)),
        cell(f"{number(done)} / {number(total)}" if total else ""),
        cell(job.dataset_name),
        cell(moment(job.created), tone="soft"),
        cell("" if took is None else duration(took)),
    )


def _job_bar(steps: Sequence[StepRecord]) -> Bar:
    """All steps side by side, each with the same share of the bar."""
    count = max(1, len(steps))
    segments = tuple(
        Segment(segment.share / count, segment.tone)
        for step in steps
        for segment in step_bar(step).segments
    )
    return Bar(segments, _steps_done(steps))


def _job_progress(job: JobRecord, steps: Sequence[StepRecord]) -> str:
    current = [step for step in steps if step.status in ("running", "failed", "cancelled")]
    if current and len(steps) > 1:
        return f"step {current[0].position}: {current[0].task_name} · {_steps_done(steps)}"
    return counted(len(steps), "step") if job.status == "done" else ""
