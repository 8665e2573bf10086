"""How the units of a step are packed into batches: the `batching_config` of a SLURM resource."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from fractal_jupyter.errors import PlanError
from fractal_jupyter.models.runner_config import BatchingConfig


@dataclass(frozen=True, slots=True)
class Packing:
    """How many units a batch holds, and how many of them run at a time.

    Attributes:
        units_per_batch: At least 1; the last batch may hold fewer.
        side_by_side: At least 1; what a batch asks the scheduler for is this many times what a
            unit needs.
    """

    units_per_batch: int
    side_by_side: int


def pack(
    n_units: int,
    *,
    cpus: int,
    mem_mb: int,
    batching: BatchingConfig,
    tasks_per_job: int | None = None,
    parallel_tasks_per_job: int | None = None,
    gpu: bool = False,
) -> Packing:
    """Choose how to pack units into batches.

    What was asked for outright is taken if it keeps within the maxima. Otherwise, the first of
    these that gives few enough batches: as many units side by side as fit the targets; as fit
    the maxima; that many, and as many one after another as `max_num_jobs` demands.

    Args:
        n_units: Number of units of the step.
        cpus: CPUs that a unit needs.
        mem_mb: Memory that a unit needs, in MB.
        batching: Targets and maxima of the resource.
        tasks_per_job: Units per batch asked for in the step's meta.
        parallel_tasks_per_job: Units side by side asked for in the step's meta.
        gpu: Whether the units need a GPU: then they run one at a time, in the same batches.

    Raises:
        PlanError: A unit needs more than a batch may have, or the step's meta asks for more, or
            for one of the two numbers only.
    """
    _one_unit_fits(cpus=cpus, mem_mb=mem_mb, batching=batching)
    if tasks_per_job is not None or parallel_tasks_per_job is not None:
        packing = _as_asked(tasks_per_job, parallel_tasks_per_job)
        _check(packing, n_units, cpus=cpus, mem_mb=mem_mb, batching=batching)
    else:
        packing = _chosen(n_units, cpus=cpus, mem_mb=mem_mb, batching=batching)
    return Packing(packing.units_per_batch, 1) if gpu else packing


def split(n_units: int, packing: Packing) -> list[range]:
    """Return the indices of the units of each batch, in order; no batch is empty."""
    size = packing.units_per_batch
    return [range(start, min(start + size, n_units)) for start in range(0, n_units, size)]


def _chosen(n_units: int, *, cpus: int, mem_mb: int, batching: BatchingConfig) -> Packing:
    def fitting(max_cpus: int, max_mem: int) -> int:
        return max(1, min(max_cpus // cpus, max_mem // mem_mb))

    # a target above its maximum would make batches that the maximum forbids
    at_target = fitting(
        min(batching.target_cpus_per_job, batching.max_cpus_per_job),
        min(batching.target_mem_per_job, batching.max_mem_per_job),
    )
    if _batches(n_units, at_target) <= min(batching.target_num_jobs, batching.max_num_jobs):
        return Packing(at_target, at_target)
    at_most = fitting(batching.max_cpus_per_job, batching.max_mem_per_job)
    return Packing(max(at_most, _batches(n_units, batching.max_num_jobs)), at_most)


def _as_asked(tasks_per_job: int | None, parallel_tasks_per_job: int | None) -> Packing:
    if tasks_per_job is None or parallel_tasks_per_job is None:
        raise PlanError(
            "The step's meta gives one of `tasks_per_job` and `parallel_tasks_per_job` only; "
            "give both or neither."
        )
    if tasks_per_job < 1 or parallel_tasks_per_job < 1:
        raise PlanError(
            f"The step's meta gives `tasks_per_job` = {tasks_per_job} and "
            f"`parallel_tasks_per_job` = {parallel_tasks_per_job}; both are at least 1."
        )
    return Packing(tasks_per_job, min(parallel_tasks_per_job, tasks_per_job))


def _check(
    packing: Packing, n_units: int, *, cpus: int, mem_mb: int, batching: BatchingConfig
) -> None:
    side_by_side = packing.side_by_side
    wanted = (
        (side_by_side * cpus, "CPUs per job", "max_cpus_per_job"),
        (side_by_side * mem_mb, "MB of memory per job", "max_mem_per_job"),
        (_batches(n_units, packing.units_per_batch), "jobs", "max_num_jobs"),
    )
    excess = _excess(wanted, batching)
    if excess:
        raise PlanError(
            f"`tasks_per_job` = {packing.units_per_batch} and `parallel_tasks_per_job` = "
            f"{side_by_side} of the step's meta, for {n_units:,} units, come to "
            f"{excess}. Change them in the meta, or leave both out."
        )


def _one_unit_fits(*, cpus: int, mem_mb: int, batching: BatchingConfig) -> None:
    wanted = ((cpus, "CPUs", "max_cpus_per_job"), (mem_mb, "MB of memory", "max_mem_per_job"))
    excess = _excess(wanted, batching)
    if excess:
        raise PlanError(
            f"One unit needs {excess}. Lower `cpus_per_task` or `mem` in the "
            "step's meta, or raise the maximum in the resource's `batching_config`."
        )


def _excess(wanted: Iterable[tuple[int, str, str]], batching: BatchingConfig) -> str:
    """Say which of the amounts exceed their maximum; nothing if none does."""
    return "; ".join(
        f"{amount} {what} where `{maximum}` allows {getattr(batching, maximum)}"
        for amount, what, maximum in wanted
        if amount > getattr(batching, maximum)
    )


def _batches(n_units: int, per_batch: int) -> int:
    return -(-n_units // per_batch)
