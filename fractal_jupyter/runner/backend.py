"""What a resource and a profile are made of: a host, a scheduler, and how units are laid out."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fractal_jupyter.engine.batching import pack, split
from fractal_jupyter.engine.slurm_options import unit_options
from fractal_jupyter.errors import AccessDenied, CommandTimeout, HostUnreachable, NotAllowed
from fractal_jupyter.hosts.base import Host
from fractal_jupyter.hosts.local import LocalHost
from fractal_jupyter.hosts.sudo import SudoHost
from fractal_jupyter.hosts.sudo_check import check_sudo
from fractal_jupyter.models.profile import Profile, SlurmSSHProfile, SlurmSudoProfile
from fractal_jupyter.models.resource import (
    LocalResource,
    Resource,
    SlurmSSHResource,
    SlurmSudoResource,
)
from fractal_jupyter.runner.processors import usable_processors
from fractal_jupyter.runner.users import current_user
from fractal_jupyter.schedulers.base import Scheduler
from fractal_jupyter.schedulers.direct import DirectScheduler
from fractal_jupyter.schedulers.slurm import SlurmNeeds, SlurmScheduler

WORKERS_FOLDER = ".worker"
MEMORY_ADVICE = (
    "Let fewer units run side by side (`parallel_tasks_per_job` of the resource), or let it work "
    "on smaller pieces."
)
PAYLOADS_FOLDER = ".payloads"
# How often results are looked for: files of our own are read at once, others with a command.
OWN_ROUND_SECONDS = 1.0
OTHERS_ROUND_SECONDS = 3.0
# Network file systems may show what was written elsewhere that much later.
LATE_RESULTS_SECONDS = 30.0
# A login that takes longer is as good as none.
LOGIN_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Layout:
    """How the units of a phase are packed.

    Attributes:
        batches: The positions of the units of each batch.
        side_by_side: How many units of a batch run at the same time.
        cpus_per_unit: How many processors a unit is to use.
        memory_advice: What to tell people when a unit runs out of memory.
        needs: What each batch asks the scheduler for, in the scheduler's own form.
    """

    batches: tuple[range, ...]
    side_by_side: int
    cpus_per_unit: int
    memory_advice: str
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
        check_access: Raises when we may not act as the user of the jobs; a host that does not
            answer at the moment is no reason.
    """

    host: Host
    scheduler: Scheduler
    jobs_dir: str | None
    lay_out: Callable[[int, Mapping[str, Any], Mapping[str, Any]], Layout]
    round_seconds: float
    late_results_seconds: float = 0.0
    inherits: bool = False
    notifies: bool = False
    check_access: Callable[[], None] = lambda: None


def make_backend(resource: Resource, profile: Profile) -> Backend:
    """Compose the backend of a profile of a resource; nothing is run or connected yet."""
    match resource, profile:
        case LocalResource(), _:
            return _local(resource)
        case SlurmSudoResource(), SlurmSudoProfile(username=username):
            here = LocalHost()
            if username == current_user():
                return _slurm(
                    resource,
                    username=username,
                    host=here,
                    control=here,
                    jobs_dir=resource.jobs_local_dir,
                    round_seconds=OWN_ROUND_SECONDS,
                    check_access=lambda: None,
                )
            return _slurm(
                resource,
                username=username,
                host=SudoHost(username),
                control=here,
                jobs_dir=None,
                round_seconds=OTHERS_ROUND_SECONDS,
                check_access=lambda: _check_sudo(username),
            )
        case SlurmSSHResource(), SlurmSSHProfile():
            from fractal_jupyter.hosts.ssh import shared_host  # takes long to import

            host = shared_host(resource.host, profile.username, profile.ssh_key_path)
            return _slurm(
                resource,
                username=profile.username,
                host=host,
                control=host,
                jobs_dir=profile.jobs_remote_dir,
                round_seconds=OTHERS_ROUND_SECONDS,
                check_access=lambda: _check_login(host),
            )
        case _:
            raise NotAllowed(
                f"The profile {profile.name!r} is for resources of type "
                f"{profile.resource_type!r}, and {resource.name!r} is of type {resource.type!r}."
            )


def _slurm(
    resource: SlurmSudoResource | SlurmSSHResource,
    *,
    username: str,
    host: Host,
    control: Host,
    jobs_dir: str | None,
    round_seconds: float,
    check_access: Callable[[], None],
) -> Backend:
    config = resource.jobs_runner_config

    def lay_out(count: int, meta: Mapping[str, Any], request: Mapping[str, Any]) -> Layout:
        options = unit_options(config, meta, account=request.get("account"))
        packing = pack(
            count,
            cpus=options.cpus_per_task,
            mem_mb=options.mem_mb,
            batching=config.batching_config,
            tasks_per_job=options.tasks_per_job,
            parallel_tasks_per_job=options.parallel_tasks_per_job,
            gpu=options.needs_gpu,
        )
        side_by_side = max(1, min(packing.side_by_side, packing.units_per_batch, count))
        needs = SlurmNeeds(
            options=options, side_by_side=side_by_side, worker_init=request.get("worker_init")
        )
        advice = (
            f"Its SLURM job had asked for {options.mem_mb * side_by_side:,} MB for {side_by_side} "
            f"unit{'s' if side_by_side > 1 else ''} at a time: ask for more with `mem` in the "
            "step's meta."
        )
        batches = tuple(split(count, packing))
        return Layout(batches, side_by_side, options.cpus_per_task, advice, needs)

    return Backend(
        host=host,
        scheduler=SlurmScheduler(
            host=host,
            control=control,
            username=username,
            python=resource.jobs_slurm_python_worker,
            poll_seconds=float(resource.jobs_poll_interval),
            payloads_dir=f"{resource.jobs_local_dir}/{PAYLOADS_FOLDER}",
            foreign=host is not control,
        ),
        jobs_dir=jobs_dir,
        lay_out=lay_out,
        round_seconds=round_seconds,
        late_results_seconds=LATE_RESULTS_SECONDS,
        inherits=True,
        check_access=check_access,
    )


def _check_sudo(username: str) -> None:
    for check in check_sudo(username):
        if not check.ok:
            raise AccessDenied(check.words)


def _check_login(host: Host) -> None:
    # It may be the network: the job waits until it is there.
    with contextlib.suppress(HostUnreachable, CommandTimeout):
        host.run(["true"], timeout=LOGIN_SECONDS)


def _local(resource: LocalResource) -> Backend:
    limit = resource.jobs_runner_config.parallel_tasks_per_job

    def lay_out(count: int, meta: Mapping[str, Any], request: Mapping[str, Any]) -> Layout:
        del request
        cpus = int(meta.get("cpus_per_task") or 1)
        side_by_side = limit or max(1, usable_processors() // cpus)
        return Layout((range(count),), min(side_by_side, max(1, count)), cpus, MEMORY_ADVICE)

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
