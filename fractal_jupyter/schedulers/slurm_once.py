"""One command as one SLURM job, followed to its end: what needs no worker and has no units.

A folder is made for it, and removed when it is over:

    job.sh           the script; slurm_script has its `#SBATCH` lines
    input            the command's standard input
    slurm-<job>_0.out   what the command and SLURM write
    exit             the exit status, or `stopped`; there as soon as the script is over

What is in `exit` outranks whatever SLURM says of the job.
"""

from __future__ import annotations

import contextlib
import logging
import math
import secrets
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from fractal_jupyter.engine.slurm_options import UnitOptions
from fractal_jupyter.errors import (
    CommandTimeout,
    FractalError,
    HostUnreachable,
    SchedulerError,
    SchedulerUnreachable,
    SubmissionRejected,
)
from fractal_jupyter.hosts.base import CommandResult, Host, OnOutput, checked_argv
from fractal_jupyter.models.python_config import PixiSlurmConfig
from fractal_jupyter.schedulers.base import BatchState, BatchStatus
from fractal_jupyter.schedulers.slurm import COMMAND_SECONDS, INTENT_SECONDS, SUBMIT_WHOLE
from fractal_jupyter.schedulers.slurm_output import (
    Accepted,
    Rejected,
    SiteConfig,
    Unreadable,
    parse_config,
    parse_sbatch,
)
from fractal_jupyter.schedulers.slurm_said import explain
from fractal_jupyter.schedulers.slurm_script import JobScript, sbatch_lines
from fractal_jupyter.schedulers.slurm_watch import SlurmWatch, Watched

log = logging.getLogger(__name__)

# How often files are looked at, and who listens is given the chance to stop it all.
LOOK_SECONDS = 2.0
PULSE_SECONDS = 0.5
# What the script leaves when SLURM, which knows why, has told it to end.
STOPPED = b"stopped\n"
# Network file systems may show what was written elsewhere that much later.
LATE_SECONDS = 30.0
# For so long may the host be silent before we give up to follow the job.
PATIENCE_SECONDS = 900.0
# What is cancelled has that long to tidy up; SLURM may kill it before.
CANCEL_SECONDS = 60.0

# Of what SLURM shows no more there is nothing to wait for but its files.
_OVER = (BatchState.ENDED, BatchState.OUT_OF_SIGHT)
_MB_PER_UNIT = {"K": 1 / 1024, "M": 1, "G": 1024, "T": 1024 * 1024}


def once_options(config: PixiSlurmConfig) -> UnitOptions:
    """Return what a resource's `SLURM_CONFIG` asks for, as scripts are made of it."""
    asked = config.mem or config.mem_per_cpu or ""
    amount = math.ceil(int(asked[:-1]) * _MB_PER_UNIT[asked[-1]])
    return UnitOptions(
        partition=config.partition,
        cpus_per_task=config.cpus,
        mem_mb=amount if config.mem else amount * config.cpus,
        use_mem_per_cpu=config.mem is None,
        time=config.time,
        shebang_line="#!/bin/bash",
    )


@dataclass(frozen=True, slots=True)
class _Job:
    """A job that was submitted: its id, its folder, and what it asks for."""

    id: int
    folder: str
    options: UnitOptions

    @property
    def output(self) -> str:
        return f"{self.folder}/slurm-{self.id}_0.out"

    @property
    def exit(self) -> str:
        return f"{self.folder}/exit"

    @property
    def watched(self) -> Watched:
        # an array of one, so that what watches arrays can watch it
        return Watched(self.id, 0, self.options.mem_mb, self.options.time)


class SlurmOnce:
    """Runs commands as SLURM jobs of one user, each to its end."""

    def __init__(
        self,
        host: Host,
        *,
        username: str,
        options: UnitOptions,
        folder: str,
        preamble: Sequence[str] = (),
        poll_seconds: float = 5.0,
        name: str = "fractal",
        advice: str = "",
        say: Callable[[str], object] = log.info,
    ) -> None:
        """Make it; nothing is asked of SLURM yet.

        Args:
            host: where `sbatch` is run, as the user of the jobs; it can run and write anything.
            username: that user.
            options: what a job asks for.
            folder: where the folders of jobs are made; compute nodes reach it.
            preamble: shell lines that come before the command; when one fails, so does the job.
            poll_seconds: how often SLURM is asked, at most.
            name: how names of jobs begin.
            advice: what to tell people when a job is refused, or ends before its command does.
            say: told when a job waits, and for what, and when it runs.
        """
        self._host = host
        self._options = options
        self._folder = folder
        self._preamble = tuple(preamble)
        self._name = name
        self._advice = advice
        self._say = say
        self._watch = SlurmWatch(host, username=username, seconds=poll_seconds)

    def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        on_output: OnOutput | None = None,
    ) -> CommandResult:
        """Run a command in a job of its own and return how it ended, whatever its exit status.

        Whatever ends the wait (an error in `on_output`, an interrupt) cancels the job. If this
        process dies, the job goes on.

        Args:
            argv: the command and its arguments.
            stdin: its standard input.
            on_output: called with each piece of output as it is found, and with nothing now and
                then, so that it can stop the job; what it raises is raised.

        Returns:
            How it ended; `stdout` is all that was written, by SLURM too.

        Raises:
            SubmissionRejected: SLURM does not accept the job.
            SchedulerError: the job has ended before the command did; the message says why.
            HostUnreachable: the host has not answered for long; the job may go on.
        """
        words = checked_argv(argv)
        began = time.monotonic()
        name = f"{self._name}-{secrets.token_hex(6)}"
        folder = f"{self._folder}/{name}"
        self._host.mkdir(folder)
        output = bytearray()

        def hear(chunk: bytes) -> None:
            output.extend(chunk)
            if on_output is not None:
                on_output(chunk)

        try:
            self._host.write_many({f"{folder}/input": stdin})
            job = self._submit(name, folder, self._script(name, folder, words))
        except FractalError:
            self._remove(folder)
            raise
        try:
            code = self._follow(job, hear)
        except BaseException:
            self._cancel(job)
            raise
        if isinstance(code, HostUnreachable):
            raise code  # the job goes on, and needs its folder
        self._remove(folder)
        if isinstance(code, SchedulerError):
            raise code
        return CommandResult(words, code, bytes(output), b"", time.monotonic() - began)

    def _script(self, name: str, folder: str, argv: Sequence[str]) -> bytes:
        wanted = JobScript(
            name=name,
            options=self._options,
            side_by_side=1,
            folder=folder,
            python=argv[0],
            elements="0",
            payload=b"",
        )
        place = shlex.quote(folder)
        lines = [
            self._options.shebang_line,
            *sbatch_lines(wanted),
            # What stopped in the middle is told, not begun again behind our back.
            "#SBATCH --no-requeue",
            # The first command: what follows is not for SLURM, whatever it looks like.
            f"folder={place} told=",
            "end() { code=$?",
            '[ -z "$told" ] || code=stopped',
            'rm -f "$folder/input"',
            'echo $code >"$folder/exit.part" && mv "$folder/exit.part" "$folder/exit"; }',
            "trap end EXIT",
            # The command is told as well, and we wait until it has tidied up.
            "trap told=1 HUP INT TERM",
            "set -e",
            *self._preamble,
            "set +e",
            f'{shlex.join(argv)} <"$folder/input" 2>&1',
        ]
        return ("\n".join(lines) + "\n").encode()

    # submitting

    def _submit(self, name: str, folder: str, script: bytes) -> _Job:
        path = f"{folder}/job.sh"
        argv = ["/bin/sh", "-c", SUBMIT_WHOLE, "sbatch", "--parsable", path, str(len(script))]
        self._learn_the_site()
        try:
            result = self._host.run(argv, stdin=script, timeout=COMMAND_SECONDS)
        except (CommandTimeout, HostUnreachable) as error:
            return _Job(self._find(name, str(error)), folder, self._options)
        match parse_sbatch(result.exit_code, result.text, result.error_text):
            case Accepted(job=number):
                self._watch.expect(number)
            case Rejected(kind="unreachable", words=said) | Unreadable(words=said):
                number = self._find(name, said)
            case Rejected(words=said):
                raise SubmissionRejected(
                    f"SLURM did not accept the job: {said.rstrip('.')}. {self._advice}".rstrip()
                )
        self._say(f"Submitted as SLURM job {number}")
        return _Job(number, folder, self._options)

    def _learn_the_site(self) -> None:
        try:
            result = self._host.run(["scontrol", "show", "config"], timeout=COMMAND_SECONDS)
        except CommandTimeout as error:
            raise SchedulerUnreachable(f"SLURM does not answer: {error}") from error
        site = parse_config(result.exit_code, result.text, result.error_text)
        if not isinstance(site, SiteConfig):
            raise SchedulerUnreachable(f"SLURM does not answer: {site.words}")
        self._watch.configure(site)

    def _find(self, name: str, why: str) -> int:
        """Find a job that may have been accepted although the answer was lost."""
        until = time.monotonic() + INTENT_SECONDS
        while True:
            with contextlib.suppress(SchedulerUnreachable):
                found = [row.id.job for row in self._watch.find(ended=True) if row.name == name]
                if found:
                    return found[0]
            if time.monotonic() >= until:
                raise SchedulerUnreachable(
                    f"SLURM did not answer when the job {name} was submitted: {why}. Try again."
                )
            time.sleep(PULSE_SECONDS)

    # following

    def _follow(
        self, job: _Job, hear: Callable[[bytes], None]
    ) -> int | HostUnreachable | SchedulerError:
        """Pass on what a job writes until it is over.

        Returns:
            The exit status of its command, or why there is none. What is raised comes from who
            listens.
        """
        offset = 0
        ended = b""
        said: str | None = None
        over_since: float | None = None
        answered = time.monotonic()
        while True:
            found = self._look({job.output: offset, job.exit: 0})
            if found is not None:
                answered = time.monotonic()
                chunk = found.get(job.output, b"")
                offset += len(chunk)
                hear(chunk)
                ended = found.get(job.exit, b"")
                if ended.endswith(b"\n") and ended != STOPPED:
                    # What it wrote between our look at the one file and that at the other.
                    hear((self._look({job.output: offset}) or {}).get(job.output, b""))
                    return int(ended)
            elif time.monotonic() - answered > PATIENCE_SECONDS:
                return HostUnreachable(
                    f"{self._host.name} has not answered for {PATIENCE_SECONDS / 60:.0f} minutes. "
                    f"SLURM job {job.id} goes on there; try again when it can be reached."
                )
            status = self._watch.statuses([job.watched])[0]
            if (words := _in_words(job, status)) not in (None, said):
                said = words
                self._say(str(words))
            if status.state in _OVER:
                over_since = over_since or time.monotonic()
                patience = 0.0 if ended == STOPPED else LATE_SECONDS
                if found is not None and time.monotonic() - over_since >= patience:
                    return self._ended_early(job, status)
            else:
                over_since = None
            _pause(hear)

    def _look(self, offsets: Mapping[str, int]) -> dict[str, bytes] | None:
        """Read on in files of a job; None when the host does not answer."""
        try:
            return self._host.read_many(offsets)
        except (HostUnreachable, CommandTimeout) as error:
            log.warning("%s does not answer: %s", self._host.name, error)
            return None

    def _ended_early(self, job: _Job, status: BatchStatus) -> SchedulerError:
        written = (self._look({job.output: 0}) or {}).get(job.output, b"")
        text = written.decode(errors="replace")
        status = explain(status, text, watched=job.watched, python=job.output)
        reason = status.reason or f"SLURM job {job.id} left no result"
        # What to change there is about steps; who made this job knows better.
        reason = reason.partition("; ")[0]
        return SchedulerError(f"The job did not get to its end: {reason}. {self._advice}".rstrip())

    # ending

    def _cancel(self, job: _Job) -> None:
        """Cancel a job, and wait for its end as long as that may take.

        By itself, `scancel` says nothing to a script and to what that runs, and kills them a
        little later (`KillWait`). So they are told first.
        """
        until = time.monotonic() + CANCEL_SECONDS
        try:
            for how in (["--full", "--signal=TERM"], []):
                self._host.run(["scancel", *how, str(job.id)], timeout=COMMAND_SECONDS)
            while time.monotonic() < until:
                state = self._watch.statuses([job.watched])[0].state
                if self._host.read_many({job.exit: 0}) or state in _OVER:
                    self._remove(job.folder)
                    return
                time.sleep(PULSE_SECONDS)
        except FractalError as error:
            log.warning("SLURM job %d: %s", job.id, error)

    def _remove(self, folder: str) -> None:
        with contextlib.suppress(FractalError):
            self._host.remove(folder)


def _in_words(job: _Job, status: BatchStatus) -> str | None:
    """What there is to tell of a job that goes on."""
    if status.state is BatchState.PENDING and status.reason:
        return f"SLURM job {job.id} is {status.reason}"
    if status.state is BatchState.RUNNING:
        return f"SLURM job {job.id} runs"
    return None


def _pause(hear: Callable[[bytes], None]) -> None:
    until = time.monotonic() + LOOK_SECONDS
    while time.monotonic() < until:
        time.sleep(min(PULSE_SECONDS, LOOK_SECONDS))
        hear(b"")
