"""What the tests of faults on the real cluster share: units that keep a diary, commands in front
of SLURM's own, and what must be true whatever happened.
"""

from __future__ import annotations

import shlex
import shutil
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import Any

from fractal_jupyter import Fractal
from fractal_jupyter.client.jobs import Job
from tests.faults.helpers import assert_consistent
from tests.slurm.machine import Cluster, run
from tests.slurm.ways import RESOURCE
from tests.toy import add_task_group, listed_tasks, wait_until

SCRIPTED = Path(__file__).parents[1] / "faults" / "scripted_tasks"
COMMANDS = ("sbatch", "scancel", "scontrol", "squeue", "sacct", "cat", "sudo")
# What is in the queue and has not ended.
ACTIVE_STATES = "pending,running,suspended,completing,configuring"

# The lock is held by the unit's process alone, and is gone with it, however that ends.
_UNIT = """
import fcntl, os, time

name = os.path.basename(zarr_url)

def note(word):
    with open(f"{control}/diary", "a") as file:
        file.write(f"{word} {name}\\n")

lock = open(f"{control}/{name}.lock", "a")
try:
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    note("met")
note("start")
while os.path.exists(f"{control}/hold") or os.path.exists(f"{control}/hold-{name}"):
    time.sleep(0.02)
note("end")
"""


class Diary:
    """Units that write down when they start and end, and wait where they are told to.

    The arguments of the task `Scripted`, which they run, are `arguments`.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir()
        folder.chmod(0o777)  # units of any user write here
        (folder / "unit.py").write_text(_UNIT)
        self._file = folder / "diary"
        self._file.touch()
        self._file.chmod(0o666)

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments of `submit`."""
        return {"args_parallel": {"control": str(self._folder)}}

    def hold(self, *names: str) -> None:
        """Let units wait in their middle: all of them, or those on images of these names."""
        for name in names:
            (self._folder / f"hold-{name}").touch()
        if not names:
            (self._folder / "hold").touch()

    def let_go(self, *, but: Collection[str] = ()) -> None:
        """Let all units go on, but those on images of these names."""
        kept = {self._folder / f"hold-{name}" for name in but}
        for path in kept:
            path.touch()
        for path in set(self._folder.glob("hold*")) - kept:
            path.unlink()

    def times(self, word: str) -> Counter[str]:
        """How often units noted `start`, `end` or `met` (another one on the same image)."""
        lines = (line.split() for line in self._file.read_text().splitlines())
        return Counter(name for noted, name in lines if noted == word)


class Commands:
    """Commands as they are found where this folder is in PATH: they can be made to do anything."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        folder.chmod(0o777)  # of any user, as these files
        self._calls = folder / "calls"
        self._calls.touch()
        self._calls.chmod(0o666)
        for name in COMMANDS:
            real = shutil.which(name)
            if real is None:
                continue
            path = folder / name
            path.write_text(
                "#!/bin/sh\n"
                f"real={shlex.quote(real)}\n"
                f'echo "{name} $*" >>{shlex.quote(str(self._calls))}\n'
                f"first={shlex.quote(str(self._first(name)))}\n"
                'test ! -e "$first" || . "$first"\n'
                'exec "$real" "$@"\n'
            )
            path.chmod(0o755)

    def calls(self, *names: str) -> int:
        """How often these commands were run."""
        lines = self._calls.read_text().splitlines()
        return sum(line.split()[0] in names for line in lines)

    def first(self, name: str, script: str, *, once: bool = False) -> None:
        """Have a command do something first, in words of the shell; `exit` keeps it from the rest.

        The real one is `$real`.
        """
        path = self._first(name)
        draft = path.with_suffix(".draft")
        draft.write_text(f"{'rm $first' if once else ':'}\n{script}\n")
        draft.rename(path)

    def says(self, name: str, *, stdout: str = "", stderr: str = "", exit_code: int = 0) -> None:
        """Have a command say this, and do nothing."""
        self.first(
            name,
            f"printf %s {shlex.quote(stdout)}\n"
            f"printf %s {shlex.quote(stderr)} >&2\n"
            f"exit {exit_code}",
        )

    def first_until_let_go(
        self, name: str, before: str = "", after: str = "", *, only: str = ""
    ) -> None:
        """Have a command do `before`, once, then wait for `let_go`, and then do `after`.

        With `only`, that is at the first call whose arguments have this word in them.
        """
        self.first(
            name,
            f'case "$*" in *{only}*)\nrm "$first"\n{before}\ntouch {self.folder}/waits\n'
            f"until test -e {self.folder}/go; do sleep 0.1; done\n{after}\nesac",
        )

    @property
    def waits(self) -> bool:
        """Whether a command has come to where it waits for `let_go`."""
        return (self.folder / "waits").exists()

    def let_go(self) -> None:
        """Let a command that waits go on."""
        (self.folder / "go").touch()

    def restore(self, name: str) -> None:
        """Have a command be what it is again."""
        self._first(name).unlink()

    def _first(self, name: str) -> Path:
        return self.folder / f"{name}.first"


def add_scripted_tasks(fractal: Fractal, folder: Path, python: str) -> None:
    """Register the task `Scripted` where the second user and compute nodes find it."""
    package = folder / "scripted_tasks"
    if not package.exists():
        shutil.copytree(SCRIPTED, package, ignore=shutil.ignore_patterns("__pycache__"))
    add_task_group(
        fractal._store,
        listed_tasks(package),
        package="scripted-tasks",
        folder=str(package),
        resource=RESOURCE,
        python=python,
    )


def queue(cluster: Cluster, job: Job) -> list[str]:
    """What is in SLURM's queue of a job and has not ended: ids and states."""
    found = cluster.jobs(states=ACTIVE_STATES)
    return [f"{entry.id} {entry.state}" for entry in found if _is_of(job, entry.name)]


def arrays_in_queue(job: Job) -> set[str]:
    """The ids of the arrays of a job that SLURM remembers, whether or not we do."""
    table = run("squeue", "--noheader", "--states=all", "--format=%F|%j")
    rows = (line.split("|", 1) for line in table.splitlines())
    return {array for array, name in rows if _is_of(job, name)}


def _is_of(job: Job, name: str) -> bool:
    batches = job._store.jobs.batches(job.id)
    return name.startswith(tuple({batch.name for batch in batches}))


def assert_survived(fractal: Fractal, job: Job, cluster: Cluster, diary: Diary) -> None:
    """Check what must be true of a job that is over, whatever happened to it.

    Each unit has ended, and has ended once; what was done is recorded as done and was not run
    again; at no time did two units work on the same image; nothing is left in the queue.
    """
    assert_consistent(fractal, job, before=[unit.zarr_url or "" for unit in job.units()])
    assert not diary.times("met")
    done = {Path(unit.zarr_url or "").name for unit in job.units() if unit.status == "done"}
    ends = diary.times("end")
    assert {name: ends[name] for name in done} == dict.fromkeys(done, 1)
    wait_until(lambda: not queue(cluster, job))


def assert_done_once(fractal: Fractal, job: Job, cluster: Cluster, diary: Diary) -> None:
    """Check the same, and that each unit is done and was started just once."""
    assert (job.status, job.error) == ("done", None)
    assert_survived(fractal, job, cluster, diary)
    assert set(diary.times("start").values()) == {1}
    assert len(diary.times("start")) == len(job.units())
