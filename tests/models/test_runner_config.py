from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fractal_jupyter.models.runner_config import (
    BatchingConfig,
    LocalRunnerConfig,
    SlurmOptions,
    SlurmRunnerConfig,
)

COUNTS = st.integers(1, 10**6)
MEMORY = COUNTS | st.builds("{}{}".format, COUNTS, st.sampled_from("MGT"))
BATCHING = st.fixed_dictionaries(
    {name: MEMORY if "mem" in name else COUNTS for name in BatchingConfig.model_fields}
)
WORDS = st.from_regex(r"[a-z0-9][a-z0-9_.:,\[\]-]{0,8}", fullmatch=True)
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "partition": st.none() | WORDS,
        "cpus_per_task": st.none() | COUNTS,
        "mem": st.none() | MEMORY,
        "constraint": WORDS,
        "gres": WORDS,
        "gpus": WORDS,
        "time": st.from_regex("([0-9]-)?[0-9]{1,2}(:[0-5][0-9]){0,2}", fullmatch=True),
        "account": WORDS,
        "nodelist": WORDS,
        "nodes": COUNTS,
        "exclude": WORDS,
        "extra_lines": st.lists(WORDS.map("#SBATCH --qos={}".format), max_size=2),
        "shebang_line": st.sampled_from(["#!/bin/sh", "#!/bin/bash -l"]),
        "use_mem_per_cpu": st.booleans(),
    },
)
MB = {"M": 1, "G": 1_000, "T": 1_000_000}


def in_mb(memory: int | str) -> int:
    return memory if isinstance(memory, int) else int(memory[:-1]) * MB[memory[-1]]


@given(OPTIONS)
def test_options_are_what_was_given_with_memory_in_mb(document: dict[str, Any]) -> None:
    options = SlurmOptions.model_validate(document).model_dump(exclude_unset=True, mode="json")
    if document.get("mem") is not None:
        document = {**document, "mem": in_mb(document["mem"])}
    assert options == document


@given(BATCHING, st.none() | OPTIONS)
def test_a_runner_config(batching: dict[str, Any], gpu: dict[str, Any] | None) -> None:
    config = SlurmRunnerConfig.model_validate(
        {"default_slurm_config": {}, "gpu_slurm_config": gpu, "batching_config": batching}
    )
    assert (config.gpu_slurm_config is None) == (gpu is None)
    assert config.batching_config.max_mem_per_job == in_mb(batching["max_mem_per_job"])
    assert config.batching_config.max_num_jobs == batching["max_num_jobs"]


def test_defaults() -> None:
    assert LocalRunnerConfig().parallel_tasks_per_job is None
    options = SlurmOptions()
    assert options.shebang_line == "#!/bin/sh"
    assert options.extra_lines == ()
    assert not options.use_mem_per_cpu
    assert options.mem is None


def test_exports_have_their_names_without_white_space() -> None:
    config = SlurmRunnerConfig.model_validate(
        {
            "default_slurm_config": {},
            "batching_config": dict.fromkeys(BatchingConfig.model_fields, 1),
            "user_local_exports": {" NAME ": " below/it "},
        }
    )
    assert config.user_local_exports == {"NAME": "below/it"}
