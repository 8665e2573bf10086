"""What the benchmarks on a cluster share: the cluster, a client of it, and what is compared with.

There is one cluster on a machine. It is held as tests hold it, and its one node declares the
processors that the machine has, so that what runs side by side really does.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from benchmarks.common import TASKS, bench_folder, end_supervisor, peer, say
from fractal_jupyter import Fractal
from fractal_jupyter.environment import job_environment
from fractal_jupyter.runner.processors import usable_processors
from fractal_jupyter.runner.submitting import thread_limits
from fractal_jupyter.runner.users import current_user
from tests.slurm.fixtures import LOCK
from tests.slurm.lock import held
from tests.slurm.machine import Cluster
from tests.slurm.ways import PROFILE, RESOURCE, profile_document, resource_document
from tests.sshd import Sshd

SUBMITIT = "submitit==1.5.4"
# Of the worker and of task environments: the one that made the environment we run in.
PYTHON = os.path.realpath(sys.executable)
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
BATCHES = 4
PROCESSORS = usable_processors()
# Of a node, and of what runs on it: memory is not what anything waits for here.
NODE_MB = 16_000
UNIT_MB = 1_000
# For a step whose jobs only wait in the queue.
HOLD = {"extra_lines": ["#SBATCH --hold"]}


@contextmanager
def cluster() -> Iterator[Cluster]:
    """The cluster, healthy, empty and for us alone."""
    machine = Cluster()
    if why := machine.why_not():
        raise SystemExit(f"This machine cannot have a cluster: {why}")
    say("waiting for the cluster")
    with held(LOCK):
        machine.up(nodes=1, cpus=PROCESSORS, mem=NODE_MB)
        machine.clear()
        try:
            yield machine
        finally:
            machine.clear()


@contextmanager
def slurm_fractal(
    kind: str = "slurm_sudo",
    *,
    batches: int = BATCHES,
    profile: Mapping[str, str] | None = None,
    poll_seconds: int = 1,
) -> Iterator[Fractal]:
    """A client of the cluster whose steps are cut into a few batches, as large as the node.

    Args:
        kind: The type of the resource.
        batches: How many batches a step is cut into.
        profile: Further fields of the profile.
        poll_seconds: How often SLURM is asked what becomes of jobs.
    """
    folder = bench_folder() / kind
    fractal = Fractal(f"sqlite:///{folder}/store/fractal.db")
    batching = {
        "target_cpus_per_job": PROCESSORS,
        "max_cpus_per_job": PROCESSORS,
        "target_mem_per_job": PROCESSORS * UNIT_MB,
        "max_mem_per_job": PROCESSORS * UNIT_MB,
        "target_num_jobs": batches,
        "max_num_jobs": batches,
    }
    document = {
        **resource_document(
            kind,
            folder,
            python=PYTHON,
            options={"mem": UNIT_MB},
            batching=batching,
            poll_seconds=poll_seconds,
        ),
        "tasks_python_config": {"default_version": VERSION, "versions": {VERSION: PYTHON}},
    }
    user = profile_document(kind, current_user(), **(profile or {}))
    if any(resource.name == RESOURCE for resource in fractal.resources.list()):
        fractal.resources.update(RESOURCE, document)
        fractal.profiles.update(PROFILE, user)
    else:
        fractal.resources.add(document)
        fractal.profiles.add(user, resource=RESOURCE)
    fractal.use(PROFILE)
    try:
        yield fractal
    finally:
        end_supervisor(fractal._store)
        fractal.close()


@contextmanager
def remote_fractal() -> Iterator[Fractal]:
    """A client of the cluster through SSH, as the same user."""
    with tempfile.TemporaryDirectory(dir=bench_folder()) as home:
        settings = Path(home, ".ssh")
        settings.mkdir(mode=0o700)
        with Sshd(settings, alias="login") as server, environment(HOME=home):
            profile = {
                "ssh_key_path": str(server.key),
                "jobs_remote_dir": str(bench_folder() / "remote" / "jobs"),
                "tasks_remote_dir": str(bench_folder() / "remote" / "tasks"),
            }
            with slurm_fractal("slurm_ssh", profile=profile) as fractal:
                yield fractal


@contextmanager
def counted_commands(*names: str) -> Iterator[Path]:
    """Have commands that are found on PATH write their name into a file, a line each."""
    folder = bench_folder() / "counted"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    calls = folder / "calls"
    calls.touch()
    for name in names:
        command = folder / name
        command.write_text(f'#!/bin/sh\necho {name} >> {calls}\nexec {shutil.which(name)} "$@"\n')
        command.chmod(0o755)
    with environment(PATH=f"{folder}:{os.environ['PATH']}"):
        yield calls


@contextmanager
def environment(**variables: str) -> Iterator[None]:
    """Have these environment variables for a while."""
    before = {name: os.environ[name] for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.update(before)


# what is compared with


class Peer:
    """What a peer did: seconds from the beginning to each unit's result, in order."""

    def __init__(self, said: str) -> None:
        document = json.loads(said)
        self.ends: list[float] = sorted(end - document["began"] for end in document["ends"])

    def seconds(self, units: int | None = None) -> float:
        """Seconds to the last result; of so many units, at the pace that it had after the first."""
        first, last = self.ends[0], self.ends[-1]
        if units is None:
            return last
        return first + (last - first) * (units - 1) / (len(self.ends) - 1)


def submitit_map(
    python: str, target: str, urls: Sequence[str], *, folder: Path, chunks: int = 0
) -> Peer:
    """Have submitit call `MODULE:FUNCTION` with each URL; see `peers/submitit_map.py`."""
    mem_mb = UNIT_MB * (PROCESSORS if chunks else 1)
    words = (folder, target, chunks, PROCESSORS, mem_mb)
    script = peer("submitit_map.py")
    path = f"{submitit_folder()}:{Path(script).parent}:{TASKS}"
    return _run([python, script, *map(str, words)], urls, {"PYTHONPATH": path})


def sbatch_array(python: str, script: str, urls: Sequence[str], *, folder: Path) -> Peer:
    """Start a process of a task for each URL; see `peers/sbatch_array.py`."""
    return _run([python, peer("sbatch_array.py"), str(folder), script, str(UNIT_MB)], urls, {})


@cache
def submitit_folder() -> Path:
    """Where submitit and what it needs are, for whatever interpreter finds them."""
    folder = bench_folder() / SUBMITIT
    if not folder.exists():
        say(f"installing {SUBMITIT}")
        partial = folder.with_suffix(".partial")
        uv = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", sys.executable]
        subprocess.run([*uv, "--target", str(partial), SUBMITIT], check=True)
        partial.rename(folder)
    return folder


def _run(command: Sequence[str], urls: Sequence[str], environment: Mapping[str, str]) -> Peer:
    result = subprocess.run(
        command,
        input="\n".join(urls),
        env={**job_environment(), **thread_limits(1), **environment},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return Peer(result.stdout)
