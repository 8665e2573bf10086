"""How jobs are run on a resource: its `jobs_runner_config`.

The fields are those of fractal-server 2.26.
"""

from __future__ import annotations

import posixpath
import re
from typing import Annotated, Final

from pydantic import AfterValidator, Field, WrapValidator

from fractal_jupyter.models.documents import Section, no_twins
from fractal_jupyter.models.types import (
    EnvironmentName,
    MemoryMB,
    OneLine,
    PositiveInt,
    SbatchLine,
    ShebangLine,
    SlurmTime,
    SlurmValue,
)

_EXPORT_NAME: Final = (
    "the name of a variable that steers neither programs as such, nor SLURM, nor us: not PATH, "
    "PYTHONPATH, LD_PRELOAD, SLURM_…, FRACTAL_… and the like"
)
_EXPORT_PATH: Final = (
    'a path relative to <project_dir>/.fractal_cache, without "..", such as "models/cellpose"'
)
_STEERING: Final = re.compile(
    "PATH|IFS|ENV|BASH_ENV|SHELLOPTS|BASHOPTS|PYTHON(PATH|HOME|STARTUP)"
    "|(LD|DYLD|SLURM|SBATCH|SQUEUE|FRACTAL)_.*"
)


def _export_name(name: str) -> str:
    if _STEERING.fullmatch(name):
        raise ValueError(_EXPORT_NAME)
    return name


def _export_path(path: str) -> str:
    if posixpath.isabs(path) or path.startswith("~") or ".." in path.split("/"):
        raise ValueError(_EXPORT_PATH)
    return path


class LocalRunnerConfig(Section):
    """How jobs are run on this machine.

    Attributes:
        parallel_tasks_per_job: Most of them at a time; None for as many as there are processors to
            use.
    """

    parallel_tasks_per_job: PositiveInt | None = None


class SlurmOptions(Section):
    """Options of SLURM jobs; those not given are SLURM's own defaults.

    Attributes:
        partition: Partition, or several with commas between them.
        cpus_per_task: CPUs of one unit.
        mem: Memory of one unit, in MB.
        constraint: Features that a node must have.
        gres: Generic resources, such as `gpu:v100:1`.
        gpus: GPUs, such as `1` or `v100:1`.
        time: Time limit of a job.
        account: Account that is charged, unless the submission names one.
        nodelist: Nodes to run on.
        nodes: Number of nodes of a job.
        exclude: Nodes not to run on.
        extra_lines: Further `#SBATCH` lines.
        shebang_line: First line of the job script.
        use_mem_per_cpu: Whether memory is asked for per CPU instead of per node.
    """

    partition: SlurmValue | None = None
    cpus_per_task: PositiveInt | None = None
    mem: MemoryMB | None = None
    constraint: SlurmValue | None = None
    gres: SlurmValue | None = None
    gpus: SlurmValue | None = None
    time: SlurmTime | None = None
    account: SlurmValue | None = None
    nodelist: SlurmValue | None = None
    nodes: PositiveInt | None = None
    exclude: SlurmValue | None = None
    extra_lines: tuple[SbatchLine, ...] = ()
    shebang_line: ShebangLine = "#!/bin/sh"
    use_mem_per_cpu: bool = False


class BatchingConfig(Section):
    """How units are packed into SLURM jobs: what to aim at, and what never to exceed.

    Attributes:
        target_cpus_per_job: CPUs of a job to aim at.
        max_cpus_per_job: CPUs that no job exceeds.
        target_mem_per_job: Memory of a job to aim at, in MB.
        max_mem_per_job: Memory that no job exceeds, in MB.
        target_num_jobs: Number of jobs of a step to aim at.
        max_num_jobs: Number of jobs that no step exceeds.
    """

    target_cpus_per_job: PositiveInt
    max_cpus_per_job: PositiveInt
    target_mem_per_job: MemoryMB
    max_mem_per_job: MemoryMB
    target_num_jobs: PositiveInt
    max_num_jobs: PositiveInt


class SlurmRunnerConfig(Section):
    """How jobs are run on a SLURM cluster.

    Attributes:
        default_slurm_config: Options of all jobs.
        gpu_slurm_config: Options that replace them for tasks that need a GPU.
        batching_config: How units are packed into jobs.
        user_local_exports: Environment variables of all units; each value is a path relative to
            `<project_dir>/.fractal_cache`.
    """

    default_slurm_config: SlurmOptions
    gpu_slurm_config: SlurmOptions | None = None
    batching_config: BatchingConfig
    user_local_exports: Annotated[
        dict[
            Annotated[EnvironmentName, AfterValidator(_export_name)],
            Annotated[OneLine, AfterValidator(_export_path)],
        ],
        WrapValidator(no_twins),
    ] = Field(default_factory=dict)
