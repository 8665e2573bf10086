"""What SLURM is asked for: priority of configuration and meta, and what nobody may set."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from fractal_jupyter.engine.slurm_options import UnitOptions, unit_options
from fractal_jupyter.errors import InvalidDocument, PlanError
from fractal_jupyter.models.runner_config import SlurmRunnerConfig

BATCHING = {
    "target_cpus_per_job": 4,
    "max_cpus_per_job": 8,
    "target_mem_per_job": "16G",
    "max_mem_per_job": "32G",
    "target_num_jobs": 5,
    "max_num_jobs": 10,
}


def config(gpu: dict[str, Any] | None = None, **default: Any) -> SlurmRunnerConfig:
    return SlurmRunnerConfig.model_validate(
        {
            "default_slurm_config": default,
            "batching_config": BATCHING,
            **({} if gpu is None else {"gpu_slurm_config": gpu}),
        }
    )


def parse(**default: Any) -> SlurmRunnerConfig:
    """The configuration as it comes with a resource: what is wrong is told as an error of ours."""
    try:
        return config(**default)
    except ValidationError as error:
        raise InvalidDocument(str(error)) from error


def options(
    resource: SlurmRunnerConfig, meta: dict[str, Any] | None = None, account: str | None = None
) -> UnitOptions:
    return unit_options(resource, meta or {}, account=account)


EVERYTHING: dict[str, Any] = {
    "partition": "main",
    "cpus_per_task": 2,
    "mem": "3G",
    "constraint": "avx2",
    "gres": "disk:1",
    "gpus": "1",
    "time": "1:00:00",
    "account": "lab",
    "nodelist": "node[1-4]",
    "nodes": 1,
    "exclude": "node3",
    "extra_lines": ["#SBATCH --qos=low"],
    "shebang_line": "#!/bin/bash -l",
    "use_mem_per_cpu": True,
}


def test_the_resource_says_everything() -> None:
    mem = {name: value for name, value in EVERYTHING.items() if name != "mem"}
    expected = UnitOptions(**{**mem, "mem_mb": 3000, "extra_lines": ("#SBATCH --qos=low",)})
    assert options(config(**EVERYTHING)) == expected


def test_as_little_as_possible() -> None:
    assert options(config(mem=200)) == UnitOptions(cpus_per_task=1, mem_mb=200)
    assert options(config(), {"mem": "4G"}) == UnitOptions(cpus_per_task=1, mem_mb=4000)


@pytest.mark.parametrize("default", [{}, {"mem": None}, {"cpus_per_task": 4}])
def test_memory_must_be_said(default: dict[str, Any]) -> None:
    with pytest.raises(PlanError, match=r"how much memory.*`mem`.*default_slurm_config"):
        options(config(**default), {"mem": None})


def test_the_meta_outranks_the_resource() -> None:
    meta = {
        "cpus_per_task": 4,
        "mem": "8G",
        "constraint": "avx512",
        "gres": "disk:2",
        "gpus": "2",
        "time": "2:00:00",
        "nodelist": "node1",
        "nodes": 2,
        "exclude": "node2",
        "extra_lines": ["#SBATCH --nice", "#SBATCH --qos=low"],
        "tasks_per_job": 10,
        "parallel_tasks_per_job": 2,
        "needs_gpu": True,
    }
    assert options(config(**EVERYTHING), meta) == UnitOptions(
        partition="main",
        cpus_per_task=4,
        mem_mb=8000,
        constraint="avx512",
        gres="disk:2",
        gpus="2",
        time="2:00:00",
        account="lab",
        nodelist="node1",
        nodes=2,
        exclude="node2",
        extra_lines=("#SBATCH --qos=low", "#SBATCH --nice"),
        shebang_line="#!/bin/bash -l",
        use_mem_per_cpu=True,
        tasks_per_job=10,
        parallel_tasks_per_job=2,
        needs_gpu=True,
    )


def test_nothing_in_the_meta_changes_nothing() -> None:
    meta = dict.fromkeys(("mem", "cpus_per_task", "time", "gres", "gpus", "nodes", "account"))
    assert options(config(**EVERYTHING), {**meta, "colour": "red"}) == options(config(**EVERYTHING))


def test_gpu_configuration_comes_between() -> None:
    gpu = {
        "partition": "gpu",
        "gres": "gpu:1",
        "extra_lines": ["#SBATCH --nice"],
        "time": None,
        "mem": None,
    }
    resource = config(gpu, **EVERYTHING)
    assert options(resource).partition == "main"
    chosen = options(resource, {"needs_gpu": True, "gres": "gpu:v100:1"})
    assert (chosen.partition, chosen.gres) == ("gpu", "gpu:v100:1")
    assert chosen.extra_lines == ("#SBATCH --nice",)
    assert chosen.time is None
    assert (chosen.mem_mb, chosen.cpus_per_task, chosen.constraint) == (3000, 2, "avx2")


def test_gpu_configuration_may_say_memory() -> None:
    resource = config({"mem": "5G", "cpus_per_task": 3}, **EVERYTHING)
    chosen = options(resource, {"needs_gpu": True})
    assert (chosen.mem_mb, chosen.cpus_per_task) == (5000, 3)
    assert options(resource, {"needs_gpu": True, "mem": 1}).mem_mb == 1


def test_the_account_comes_with_the_submission() -> None:
    resource = config(**EVERYTHING)
    assert options(resource, account="mine").account == "mine"
    assert options(resource).account == "lab"
    with pytest.raises(InvalidDocument, match=r"account.*comes with the submission"):
        options(resource, {"account": "theirs"})


@pytest.mark.parametrize(
    "words",
    [
        "--array=1-9",
        "--arr 1-9",
        "-a1",
        "-J name",
        "--job-n=x",
        "-o out",
        "--err=x",
        "-n 4",
        "--nt=4",
        "--no-requeue",
        "--export=NONE",
        "--wait",
        "--gres=gpu:1 --output=x",
        # what the documents let pass
        "--clusters=other",
        "--clu other",
        "-M other",
        "-HMother",
        "--wrap=hostname",
        "--wr=hostname",
        "--uid=root",
        "--comment=hetjob",
        "--comment=my-PackJob",
    ],
)
def test_lines_that_are_the_runners_are_refused(words: str) -> None:
    line = f"#SBATCH {words}"
    with pytest.raises(InvalidDocument, match="extra_lines"):
        options(config(mem=1), {"extra_lines": [line]})
    with pytest.raises(InvalidDocument, match="extra_lines"):
        options(parse(mem=1, extra_lines=[line]))


@pytest.mark.parametrize(
    "line",
    [
        "#SBATCH --mem-per-gpu=4G",
        "#SBATCH --cluster-constraint=fast",
        "#SBATCH --mail-user me@example.org --mail-type=END",
        '#SBATCH --comment="two words"',
        "#SBATCH -H",
        "#SBATCH -p long -C avx",
    ],
)
def test_other_lines_are_kept(line: str) -> None:
    assert options(config(mem=1), {"extra_lines": [line, line]}).extra_lines == (line,)


def test_words_of_extra_lines() -> None:
    lines = ["#SBATCH --mem-per-gpu=4G --nice", '#SBATCH --comment="two words"']
    chosen = options(config(mem=1, extra_lines=lines))
    assert chosen.extra_words() == ["--mem-per-gpu=4G", "--nice", "--comment=two words"]


@given(
    st.dictionaries(
        st.sampled_from(["cpus_per_task", "mem", "time", "nodes", "extra_lines", "x"]),
        st.none() | st.integers() | st.text() | st.lists(st.text()),
    )
)
def test_any_meta_is_taken_or_refused(meta: dict[str, Any]) -> None:
    with suppress(InvalidDocument):
        chosen = options(config(mem=1), meta)
        assert chosen.cpus_per_task >= 1
        assert chosen.mem_mb >= 1
