"""What a resource and a profile are made of: a host, a scheduler, and how units are laid out."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fractal_jupyter.errors import NotAllowed
from fractal_jupyter.hosts.base import Host
from fractal_jupyter.hosts.local import LocalHost
from fractal_jupyter.models.profile import Profile
from fractal_jupyter.models.resource import LocalResource, Resource
from fractal_jupyter.schedulers.base import Scheduler
from fractal_jupyter.schedulers.direct import DirectScheduler

WORKERS_FOLDER = ".worker"


@dataclass(frozen=True, slots=True)
class Layout:
    """How the units of a phase are packed.

    Attributes:
        batches: The positions of the units of each batch.
        side_by_side: How many units of a batch run at the same time.
        needs: What each batch asks the scheduler for, in the scheduler's own form.
    """

    batches: tuple[range, ...]
    side_by_side: int
    needs: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """Where and how the batches of a profile run.

    Attributes:
        host: Where commands run and files live, as the user of the jobs.
        scheduler: Starts, watches and cancels batches.
        jobs_dir: Below which the folders of jobs are, as the compute side sees it; None for a
            folder of the dataset's own.
        lay_out: From a number of units, a step's meta and a job's request to a layout.
        round_seconds: How often results are read when nothing else wakes the runner.
        late_results_seconds: How long results of a batch that has ended may take to appear.
        inherits: Whether units get the environment of the worker, with the job's own laid over it;
            otherwise they get the job's alone.
        notifies: Whether workers run on this machine, so that they can wake the runner.
    """

    host: Host
    scheduler: Scheduler
    jobs_dir: str | None
    lay_out: Callable[[int, Mapping[str, Any], Mapping[str, Any]], Layout]
    round_seconds: float
    late_results_seconds: float = 0.0
    inherits: bool = False
    notifies: bool = False


def make_backend(resource: Resource, profile: Profile) -> Backend:
    """Compose the backend of a profile of a resource."""
    del profile  # a local resource runs as the current user
    if isinstance(resource, LocalResource):
        return _local(resource)
    raise NotAllowed(
        f"The resource {resource.name!r} is of type {resource.type!r}; this version runs jobs on "
        "resources of type 'local' only."
    )


def _local(resource: LocalResource) -> Backend:
    limit = resource.jobs_runner_config.parallel_tasks_per_job

    def lay_out(count: int, meta: Mapping[str, Any], request: Mapping[str, Any]) -> Layout:
        del request
        side_by_side = limit or max(1, usable_processors() // int(meta.get("cpus_per_task") or 1))
        return Layout((range(count),), min(side_by_side, max(1, count)))

    return Backend(
        host=LocalHost(),
        scheduler=DirectScheduler(
            python=sys.executable, workers_dir=f"{resource.jobs_local_dir}/{WORKERS_FOLDER}"
        ),
        jobs_dir=resource.jobs_local_dir,
        lay_out=lay_out,
        round_seconds=max(1.0, float(resource.jobs_poll_interval)),
        notifies=True,
    )


def usable_processors() -> int:
    """How many processors this process may use: its affinity and its control group's quota."""
    try:
        usable = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS, Windows
        usable = os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        if quota != "max":
            usable = min(usable, max(1, int(quota) // int(period)))
    except (OSError, ValueError):
        pass  # no control groups of version 2, or no quota
    return usable
