"""What the units of a step ask SLURM for: the resource's configuration and the step's meta, merged.

The `sbatch` script is made of it by `fractal_jupyter.schedulers.slurm_script`.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError

from fractal_jupyter.errors import InvalidDocument, PlanError
from fractal_jupyter.models.documents import problems_in
from fractal_jupyter.models.problems import Problem, listing
from fractal_jupyter.models.runner_config import SlurmOptions, SlurmRunnerConfig
from fractal_jupyter.models.workflow import StepMeta

# With these in a line, jobs run elsewhere than where they are looked for, or are none.
_REFUSED: Final = ("--clusters", "--gid", "--uid", "--wrap")
# Alone, or behind short options that take no value: -HMone is -H -M one.
_REFUSED_SHORT: Final = re.compile("-[hHIkOQsuvV]*M")
# `sbatch` takes any `#SBATCH` line with one of these words in it for the border of two jobs.
_BORDERS: Final = ("hetjob", "packjob")
_OF_META: Final = ("time", "gres", "gpus", "constraint", "nodelist", "nodes", "exclude")


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitOptions:
    """What one unit needs, and how its jobs are run.

    Attributes:
        cpus_per_task: CPUs of one unit.
        mem_mb: Memory of one unit, in MB.
        partition: Partition, or several with commas between them; None for the site's default.
        constraint: Features that a node must have.
        gres: Generic resources of a job, such as `gpu:v100:1`.
        gpus: GPUs of a job, such as `1` or `v100:1`.
        time: Time limit of a job.
        account: Account that is charged.
        nodelist: Nodes to run on.
        nodes: Number of nodes of a job; None for one.
        exclude: Nodes not to run on.
        extra_lines: Further `#SBATCH` lines, each once. They come after the options above in the
            script, and of an option that is given twice `sbatch` takes the last: so they win, as
            in the Fractal server.
        shebang_line: First line of the job script.
        use_mem_per_cpu: Whether memory is asked for per CPU instead of per node.
        tasks_per_job: Units in one job, where the meta says so.
        parallel_tasks_per_job: Units side by side, where the meta says so.
        needs_gpu: Whether units need a GPU.
    """

    cpus_per_task: int
    mem_mb: int
    partition: str | None = None
    constraint: str | None = None
    gres: str | None = None
    gpus: str | None = None
    time: str | None = None
    account: str | None = None
    nodelist: str | None = None
    nodes: int | None = None
    exclude: str | None = None
    extra_lines: tuple[str, ...] = ()
    shebang_line: str = "#!/bin/sh"
    use_mem_per_cpu: bool = False
    tasks_per_job: int | None = None
    parallel_tasks_per_job: int | None = None
    needs_gpu: bool = False

    def extra_words(self) -> list[str]:
        """Return the words of the extra lines: options, and values of options."""
        return [word for line in self.extra_lines for word in _words(line)]


def unit_options(
    config: SlurmRunnerConfig, meta: Mapping[str, Any], *, account: str | None
) -> UnitOptions:
    """Merge what the resource and a step's meta ask for.

    `default_slurm_config` comes first, `gpu_slurm_config` over it when the meta has `needs_gpu`,
    the meta over both, and over all of it the account of the submission. Extra lines of the
    meta are added to those of the resource; those of `gpu_slurm_config` replace those of
    `default_slurm_config`. One CPU is SLURM's own default; of memory there is none that would be
    right anywhere, so it must be given.

    Args:
        config: The resource's `jobs_runner_config`.
        meta: The meta of one part of a step; fields that mean nothing here are passed over.
        account: What the submission says is charged; None for what the resource says.

    Raises:
        InvalidDocument: The meta is wrong, or an extra line sets what only the runner may set.
        PlanError: Nobody says how much memory a unit needs.
    """
    asked = _checked(meta)
    merged: dict[str, Any] = config.default_slurm_config.model_dump(exclude_unset=True)
    if asked.needs_gpu and config.gpu_slurm_config is not None:
        _overlay(merged, config.gpu_slurm_config)
    for name in (*_OF_META, "cpus_per_task", "mem"):
        if (value := getattr(asked, name)) is not None:
            merged[name] = value
    merged["extra_lines"] = _extra_lines(merged.get("extra_lines", ()), asked.extra_lines)
    memory = merged.pop("mem", None)
    if memory is None:
        raise PlanError(
            'Nothing says how much memory a unit needs. Set `mem` (such as 4000 or "4G") in the '
            "step's meta, or in `default_slurm_config` of the resource's `jobs_runner_config`."
        )
    return UnitOptions(
        **{
            **merged,
            "cpus_per_task": merged.get("cpus_per_task") or 1,
            "mem_mb": memory,
            "account": account or merged.get("account"),
        },
        tasks_per_job=asked.tasks_per_job,
        parallel_tasks_per_job=asked.parallel_tasks_per_job,
        needs_gpu=asked.needs_gpu,
    )


def _checked(meta: Mapping[str, Any]) -> StepMeta:
    known = {name: value for name, value in meta.items() if name in StepMeta.model_fields}
    try:
        return StepMeta.model_validate(known)
    except ValidationError as error:
        problems = problems_in(error, StepMeta)
        raise InvalidDocument(f"The meta of the step is wrong:\n{listing(problems)}") from None


def _overlay(merged: dict[str, Any], gpu: SlurmOptions) -> None:
    given = gpu.model_dump(exclude_unset=True)
    for name in ("mem", "cpus_per_task"):  # null says nothing here: a job cannot go without
        if given.get(name, 0) is None:
            del given[name]
    merged.update(given)


def _extra_lines(*several: Iterable[str]) -> tuple[str, ...]:
    lines = tuple(dict.fromkeys(line for lines in several for line in lines))
    problems = [Problem("extra_lines", line, why) for line in lines for why in _objections(line)]
    if problems:
        raise InvalidDocument(
            f"Lines of SLURM options cannot be used, in the step's meta or in the resource's "
            f"`jobs_runner_config`:\n{listing(problems)}"
        )
    return lines


def _objections(line: str) -> Iterator[str]:
    """Say what is wrong with a line beyond what the documents refuse already."""
    if any(word in line.lower() for word in _BORDERS):
        yield f"lines without the words {' and '.join(_BORDERS)}, which divide jobs"
    if any(_is_refused(word) for word in _words(line)):
        yield f"options other than {', '.join(_REFUSED)} and -M"


def _is_refused(word: str) -> bool:
    if not word.startswith("--"):
        return _REFUSED_SHORT.match(word) is not None
    name = word.partition("=")[0]
    # SLURM takes `--wra` for `--wrap`
    return name != "--" and any(option.startswith(name) for option in _REFUSED)


def _words(line: str) -> list[str]:
    return shlex.split(line.removeprefix("#SBATCH"))
