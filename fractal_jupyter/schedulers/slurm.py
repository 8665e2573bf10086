"""Batches as elements of SLURM job arrays: one `sbatch` for a phase, one `squeue` for all jobs."""

from __future__ import annotations

import contextlib
import json
import logging
import re
import secrets
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from fractal_jupyter.engine.slurm_options import UnitOptions
from fractal_jupyter.errors import (
    CommandTimeout,
    FractalError,
    HostError,
    HostUnreachable,
    SchedulerError,
    SchedulerUnreachable,
    SubmissionRejected,
)
from fractal_jupyter.hosts.base import Capability, CommandResult, Host
from fractal_jupyter.hosts.local import LocalHost
from fractal_jupyter.schedulers.base import BatchStatus, Handle, Submission
from fractal_jupyter.schedulers.slurm_output import (
    Accepted,
    QueueRow,
    Rejected,
    SiteConfig,
    Unreadable,
    parse_config,
    parse_sbatch,
)
from fractal_jupyter.schedulers.slurm_said import explain
from fractal_jupyter.schedulers.slurm_script import MARK, JobScript, pack_payload, render
from fractal_jupyter.schedulers.slurm_watch import ENDED, SlurmWatch, Watched
from fractal_jupyter.schedulers.slurm_words import rejection
from fractal_jupyter.worker.bundle import bundle

log = logging.getLogger(__name__)

# SLURM's commands give up by themselves after some tries of ten seconds each.
COMMAND_SECONDS = 120.0
# A submission whose answer was lost may be accepted that long afterwards.
INTENT_SECONDS = 15.0
INTENT_LOOK_SECONDS = 3.0
# So long is what a site has configured taken to be what it was: administrators change it.
SITE_SECONDS = 180.0
# `sbatch` takes what has arrived for all of a script when a connection is cut, or we are killed.
# What was not accepted leaves nothing behind: it may be offered again all night.
SUBMIT_WHOLE = (
    '(umask 077; cat >"$2") && test "$(wc -c <"$2")" -eq "$3" && "$0" "$1" "$2"'
    ' || { status=$?; rm -f "$2"; exit "$status"; }'
)
# Of the largest script that a site accepts, what we make use of.
SCRIPT_SHARE = 0.9
# Others find their way through it to what they know the name of, and see nothing else.
PASSABLE = 0o711
HIDDEN = (
    "The cluster shows nobody the jobs of other users (PrivateData=jobs in its slurm.conf), so "
    "jobs that are submitted through sudo cannot be watched: use a slurm_ssh resource, or ask the "
    "cluster's administrators to change that"
)


class _ArrayTooLarge(SubmissionRejected):
    """The site does not allow arrays of that size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlurmNeeds:
    """What a batch asks SLURM for.

    Attributes:
        options: What one of its units needs.
        side_by_side: How many units run at a time.
        worker_init: Lines of the user's own that run before the worker.
    """

    options: UnitOptions
    side_by_side: int
    worker_init: str | None = None


class SlurmScheduler:
    """Submits and watches the jobs of one user on one cluster."""

    def __init__(
        self,
        *,
        host: Host,
        control: Host,
        username: str,
        python: str,
        poll_seconds: float,
        payloads_dir: str,
        foreign: bool,
    ) -> None:
        """Make the scheduler; nothing is asked of SLURM yet.

        Args:
            host: Where `sbatch` and `scancel` are run, as the user of the jobs.
            control: Where SLURM is asked questions: the same, or this machine as ourselves.
            username: The user of the jobs.
            python: The interpreter that runs workers, on compute nodes.
            poll_seconds: How often SLURM is asked what becomes of jobs, at most.
            payloads_dir: Folder of this machine for what is too large for a script and what the
                host cannot write; compute nodes can read it.
            foreign: Whether SLURM is asked by another user than that of the jobs.
        """
        self._host = host
        self._control = control
        self._python = python
        self._payloads_dir = payloads_dir
        self._foreign = foreign
        self._watch = SlurmWatch(
            control, username=username, seconds=poll_seconds, configure=self._look_again
        )
        self._lock = threading.Lock()
        self._site: tuple[SiteConfig, float] | None = None

    # submitting

    def submit(self, submission: Submission) -> dict[int, Handle]:
        """Submit batches, as one job array if the site allows it; see `Scheduler.submit`."""
        # Who could not watch them must not rely on what was so some minutes ago.
        site = self._site_config(again=self._foreign)
        if self._foreign and "jobs" in site.private_data:
            raise SchedulerError(HIDDEN)
        accepted: dict[int, Handle] = {}
        try:
            self._submit_blocks(submission, site, accepted)
        except _ArrayTooLarge as error:
            now = self._site_config(again=True)
            if now.max_array_size == site.max_array_size:
                self._refuse(submission, error, accepted)
                return accepted
            try:
                self._submit_blocks(submission, now, accepted)
            except SchedulerError as again:
                self._refuse(submission, again, accepted)
        except SchedulerError as error:
            self._refuse(submission, error, accepted)
        return accepted

    @staticmethod
    def _refuse(
        submission: Submission, error: SchedulerError, accepted: Mapping[int, Handle]
    ) -> None:
        """Raise what was said of the first batches; others are refused when it is their turn."""
        if not accepted:
            raise error
        log.error("%s: not all batches were accepted: %s", submission.name, error)

    def _submit_blocks(
        self, submission: Submission, site: SiteConfig, accepted: dict[int, Handle]
    ) -> None:
        """Submit batches that are not accepted yet, in arrays of the size that a site allows."""
        left = [number for number in submission.batches if number not in accepted]
        for first, numbers in _blocks(left, site.max_array_size):
            for some, job in self._submit_as_many(submission, first, numbers, site):
                accepted |= {n: _handle(submission, job, n - first) for n in some}
            if numbers[-1] not in accepted:
                break  # what comes next has to wait as well

    def _submit_as_many(
        self, submission: Submission, first: int, numbers: Sequence[int], site: SiteConfig
    ) -> Iterator[tuple[Sequence[int], int]]:
        """Submit some batches; half of them if that is too many at a time, and so on.

        Yields:
            The numbers of batches, and the id of the array that they are.
        """
        count = len(numbers)
        while count and numbers:
            some = numbers[:count]
            job = self._submit_array(submission, first, some, site)
            if job is None:
                count //= 2
                continue
            numbers = numbers[count:]
            yield some, job

    def _submit_array(
        self, submission: Submission, first: int, numbers: Sequence[int], site: SiteConfig
    ) -> int | None:
        """Submit one array; return the job's id, None if SLURM takes not so many at a time."""
        documents = {number: json.dumps(submission.batches[number]).encode() for number in numbers}
        payload = pack_payload(bundle(), documents)
        script = self._render(submission, first, numbers, payload)
        path = None
        if len(script) > site.max_script_bytes * SCRIPT_SHARE:
            path = self._put(submission, payload)
            script = self._render(submission, first, numbers, path)
        try:
            result = self._sbatch(submission.folder, script.encode())
        except CommandTimeout as error:
            raise SchedulerUnreachable(f"SLURM does not answer: {error}") from error
        said = parse_sbatch(result.exit_code, result.text, result.error_text)
        if path is not None and isinstance(said, Rejected) and said.kind != "unreachable":
            self._take_back(path)
        match said:
            case Accepted(job=job):
                self._watch.expect(job)
                return job
            case Rejected(kind="unreachable", words=words) | Unreadable(words=words):
                raise SchedulerUnreachable(
                    f"SLURM did not answer when {submission.name} was submitted: {words}"
                )
            case Rejected(kind="submit_limit", words=words):
                log.info("%s: %d batches are too many: %s", submission.name, len(numbers), words)
                return None
            case Rejected(kind="array") as rejected:
                raise _ArrayTooLarge(rejection(rejected).reason)
            case Rejected() as rejected:
                raise SubmissionRejected(rejection(rejected).reason)

    def _sbatch(self, folder: str, script: bytes) -> CommandResult:
        """Run `sbatch` on a script: on a file of it where the host can, so that it is whole."""
        argv = ["sbatch", "--parsable"]
        if Capability.RUN_ANY in self._host.capabilities:
            path = f"{folder}/job-{secrets.token_hex(4)}.sh"
            argv = ["/bin/sh", "-c", SUBMIT_WHOLE, *argv, path, str(len(script))]
        return self._host.run(argv, stdin=script, timeout=COMMAND_SECONDS)

    def _render(
        self,
        submission: Submission,
        first: int,
        numbers: Iterable[int],
        payload: bytes | str,
    ) -> str:
        needs: SlurmNeeds = submission.needs
        return render(
            JobScript(
                name=_array_name(submission.name, first),
                options=needs.options,
                side_by_side=needs.side_by_side,
                folder=submission.folder,
                python=self._python,
                elements=_elements(number - first for number in numbers),
                payload=payload,
                first_batch=first,
                worker_init=needs.worker_init,
            )
        )

    def _put(self, submission: Submission, payload: bytes) -> str:
        """Put what is too large for a script into a file that only our jobs find."""
        token = secrets.token_hex(16)
        if Capability.WRITE in self._host.capabilities:
            path = f"{submission.folder}/payload-{token}"
            self._host.write_many({path: payload})
            return path
        folder = f"{self._payloads_dir}/{submission.name}-{token}"
        here = LocalHost()
        for path in (str(PurePosixPath(self._payloads_dir).parent), self._payloads_dir, folder):
            here.mkdir(path, mode=PASSABLE)
        here.write_many({f"{folder}/payload": payload}, mode=0o644)
        return f"{folder}/payload"

    def _take_back(self, path: str) -> None:
        """Remove what was put into a file of a job that was not accepted."""
        if Capability.WRITE in self._host.capabilities:
            self._host.remove(path)
        else:
            LocalHost().remove(str(PurePosixPath(path).parent))

    def tidy(self, names: Iterable[str]) -> None:
        """Remove the payloads that lie where our host could not write; see `Scheduler.tidy`."""
        if Capability.WRITE in self._host.capabilities:
            return
        for name in names:
            for folder in Path(self._payloads_dir).glob(f"{name}-*"):
                try:
                    LocalHost().remove(str(folder))
                except HostError as error:  # no reason to hold up the job
                    log.warning("%s", error)

    def preview(self, submission: Submission) -> str | None:
        """The script that would be submitted, down to where the shell stops reading."""
        script = self._render(submission, 0, sorted(submission.batches), b"")
        # What starts the worker names the mark itself, in the line above it.
        lines = script[: script.index(f"\n{MARK}\n")].splitlines()[:-1]
        return "\n".join(
            [*lines, "# … what starts the worker, and the worker with its batches", ""]
        )

    def site_config(self) -> SiteConfig | Unreadable:
        """What the site has configured; for checks."""
        result = self._control.run(["scontrol", "show", "config"], timeout=COMMAND_SECONDS)
        return parse_config(result.exit_code, result.text, result.error_text)

    def _site_config(self, *, again: bool = False) -> SiteConfig:
        """What the site has configured, asked some minutes ago at most, or `again` right now."""
        with self._lock:
            now = time.monotonic()
            if self._site is not None and not again and now - self._site[1] < SITE_SECONDS:
                return self._site[0]
            try:
                site = self.site_config()
            except CommandTimeout as error:
                raise SchedulerUnreachable(f"SLURM does not answer: {error}") from error
            if isinstance(site, Unreadable):
                raise SchedulerUnreachable(f"SLURM does not answer: {site.words}")
            self._site = site, now
            self._watch.configure(site)
            return site

    def _look_again(self) -> None:
        """See whether the site is configured as it was; from time to time, while it is watched."""
        with contextlib.suppress(FractalError):
            self._site_config()

    # watching

    def poll(self, handles: Sequence[Handle]) -> list[BatchStatus]:
        """Say what has become of batches; SLURM is asked once per interval for all jobs."""
        return self._watch.statuses([_watched(handle) for handle in handles])

    def explain(self, handle: Handle, status: BatchStatus, said: str | None) -> BatchStatus:
        """Say why a batch has ended, with what SLURM has written into the job's output."""
        return explain(status, said, watched=_watched(handle), python=self._python)

    def find(
        self, name: str, folder: str, batches: Mapping[int, Handle | None], *, intended: bool
    ) -> dict[int, Handle]:
        """Find array elements by the name of their jobs; see `Scheduler.find`."""
        until = time.monotonic() + INTENT_SECONDS
        while True:
            found: dict[int, Handle] = {}
            newest = sorted(self._watch.find(ended=intended), key=lambda row: row.id.job)
            for row in newest:
                first = _first_of(row.name, name)
                if first is not None:
                    found |= {
                        number: _handle_in(folder, row.id.job, number - first)
                        for number, last in batches.items()
                        if row.id.names(number - first) and _is_later(row, last)
                    }
            if len(found) == len(batches) or not intended or time.monotonic() >= until:
                return found
            time.sleep(INTENT_LOOK_SECONDS)

    def cancel(self, handles: Sequence[Handle], *, at_once: bool = False) -> None:
        """Cancel array elements: SLURM tells their workers, and kills those that do not end.

        It does so by itself, after the site's `KillWait`, and goes on until nothing of the job is
        left. So `at_once` asks for nothing more: it only asks again, should SLURM not have heard.
        """
        del at_once
        by_job: dict[int, list[int]] = defaultdict(list)
        for handle in handles:
            by_job[handle["job"]].append(handle["element"])
        words = [f"{job}_[{_elements(elements)}]" for job, elements in by_job.items()]
        if not words:
            return
        try:
            result = self._host.run(["scancel", *words], timeout=COMMAND_SECONDS)
        except (CommandTimeout, HostUnreachable) as error:
            log.warning("scancel %s: %s", " ".join(words), error)
            return
        if result.exit_code:
            log.warning("scancel %s: %s", " ".join(words), result.error_text)


def _blocks(numbers: Iterable[int], size: int) -> Iterator[tuple[int, list[int]]]:
    """Split numbers of batches into arrays: yield the number of element 0, and the numbers."""
    blocks: Mapping[int, list[int]] = defaultdict(list)
    for number in sorted(numbers):
        blocks[number // size].append(number)
    for block, members in sorted(blocks.items()):
        yield block * size, members


def _array_name(name: str, first: int) -> str:
    """What the array is called whose element 0 is that batch: elements do not say which it is."""
    return f"{name}-{first}" if first else name


def _first_of(array: str, name: str) -> int | None:
    """Which batch element 0 of an array is, by what that is called; None if it is another's.

    The site may have allowed arrays of another size when it was submitted.
    """
    rest = re.fullmatch(re.escape(name) + "(?:-([0-9]{1,9}))?", array)
    return None if rest is None else int(rest[1] or 0)


def _is_later(row: QueueRow, last: Handle | None) -> bool:
    """Whether it is not the start of a batch that is known to have ended, nor an earlier one."""
    return last is None or row.state not in ENDED or row.id.job > last["job"]


def _elements(elements: Iterable[int]) -> str:
    """Write elements as SLURM does: `0-9,11`."""
    parts: list[tuple[int, int]] = []
    for element in sorted(elements):
        if parts and parts[-1][1] == element - 1:
            parts[-1] = parts[-1][0], element
        else:
            parts.append((element, element))
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in parts)


def _watched(handle: Handle) -> Watched:
    asked = handle.get("mem_mb") or 0, handle.get("time"), handle.get("init")
    return Watched(handle["job"], handle["element"], *asked)


def _handle(submission: Submission, job: int, element: int) -> Handle:
    needs: SlurmNeeds = submission.needs
    asked = {
        "mem_mb": needs.options.mem_mb * needs.side_by_side,
        "time": needs.options.time,
        "init": bool(needs.worker_init and needs.worker_init.strip()),
    }
    return {**_handle_in(submission.folder, job, element), **asked}


def _handle_in(folder: str, job: int, element: int) -> Handle:
    return {"job": job, "element": element, "output": f"{folder}/slurm-{job}_{element}.out"}
