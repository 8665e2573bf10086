from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fractal_jupyter.engine.batching import Packing, pack, split
from fractal_jupyter.errors import PlanError
from fractal_jupyter.models.runner_config import BatchingConfig

BATCHING = BatchingConfig(
    target_cpus_per_job=4,
    max_cpus_per_job=8,
    target_mem_per_job=16_000,
    max_mem_per_job=32_000,
    target_num_jobs=5,
    max_num_jobs=10,
)


def change(**fields: int) -> BatchingConfig:
    return BATCHING.model_copy(update=fields)


@pytest.mark.parametrize(
    ("n_units", "cpus", "mem_mb", "expected"),
    [
        # 2: as many side by side as fit the targets
        (1, 1, 1_000, Packing(4, 4)),
        (20, 1, 1_000, Packing(4, 4)),
        (20, 1, 4_000, Packing(4, 4)),
        (10, 1, 8_000, Packing(2, 2)),
        (5, 1, 9_000, Packing(1, 1)),
        (10, 2, 1_000, Packing(2, 2)),
        # a unit above the target runs alone
        (5, 5, 1_000, Packing(1, 1)),
        (5, 1, 20_000, Packing(1, 1)),
        # 3: as fit the maxima
        (21, 1, 1_000, Packing(8, 8)),
        (80, 1, 1_000, Packing(8, 8)),
        (21, 1, 8_000, Packing(4, 4)),
        (6, 5, 1_000, Packing(1, 1)),
        (10, 5, 1_000, Packing(1, 1)),
        # 4: and one after another
        (81, 1, 1_000, Packing(9, 8)),
        (1_000, 1, 1_000, Packing(100, 8)),
        (11, 5, 1_000, Packing(2, 1)),
        (1_001, 1, 8_000, Packing(101, 4)),
    ],
)
def test_the_first_way_with_few_enough_jobs(
    n_units: int, cpus: int, mem_mb: int, expected: Packing
) -> None:
    assert pack(n_units, cpus=cpus, mem_mb=mem_mb, batching=BATCHING) == expected


def test_gpu_units_run_one_at_a_time_in_the_same_batches() -> None:
    for n_units in (20, 80, 1_000):
        cold = pack(n_units, cpus=1, mem_mb=1_000, batching=BATCHING)
        hot = pack(n_units, cpus=1, mem_mb=1_000, batching=BATCHING, gpu=True)
        assert hot == Packing(cold.units_per_batch, 1)
    asked = pack(
        20,
        cpus=1,
        mem_mb=1_000,
        batching=BATCHING,
        tasks_per_job=6,
        parallel_tasks_per_job=3,
        gpu=True,
    )
    assert asked == Packing(6, 1)


@pytest.mark.parametrize(
    ("cpus", "mem_mb", "words"),
    [
        (9, 1, "9 CPUs where `max_cpus_per_job` allows 8"),
        (1, 32_001, "32001 MB of memory where `max_mem_per_job` allows 32000"),
        (9, 40_000, "9 CPUs .*; 40000 MB"),
    ],
)
def test_a_unit_larger_than_a_maximum_is_refused(cpus: int, mem_mb: int, words: str) -> None:
    for number in (None, 1):
        with pytest.raises(PlanError, match=f"One unit needs {words}"):
            asked(1, tasks=number, parallel=number, cpus=cpus, mem_mb=mem_mb)


def asked(
    n_units: int, *, tasks: int | None, parallel: int | None, cpus: int = 1, mem_mb: int = 1_000
) -> Packing:
    return pack(
        n_units,
        cpus=cpus,
        mem_mb=mem_mb,
        batching=BATCHING,
        tasks_per_job=tasks,
        parallel_tasks_per_job=parallel,
    )


def test_what_is_asked_for_is_taken() -> None:
    # above the targets is fine
    assert asked(80, tasks=8, parallel=8) == Packing(8, 8)
    assert asked(100, tasks=10, parallel=2, cpus=4, mem_mb=16_000) == Packing(10, 2)
    assert asked(3, tasks=2, parallel=7) == Packing(2, 2)


def test_what_is_asked_for_keeps_within_the_maxima() -> None:
    with pytest.raises(PlanError, match="9 CPUs per job where `max_cpus_per_job` allows 8"):
        asked(9, tasks=9, parallel=9)
    with pytest.raises(
        PlanError, match="40000 MB of memory per job where `max_mem_per_job` allows 32000"
    ):
        asked(9, tasks=5, parallel=5, mem_mb=8_000)
    with pytest.raises(PlanError, match="11 jobs where `max_num_jobs` allows 10"):
        asked(11, tasks=1, parallel=1)
    with pytest.raises(PlanError, match=r"CPUs.*; .*memory.*; .*jobs"):
        asked(1_000, tasks=9, parallel=9, mem_mb=8_000)
    # the GPU's turn comes after the check, as in the reference server
    with pytest.raises(PlanError, match="CPUs"):
        pack(
            9,
            cpus=1,
            mem_mb=1,
            batching=BATCHING,
            tasks_per_job=9,
            parallel_tasks_per_job=9,
            gpu=True,
        )


@pytest.mark.parametrize(("tasks", "parallel"), [(3, None), (None, 3)])
def test_both_or_neither(tasks: int | None, parallel: int | None) -> None:
    with pytest.raises(PlanError, match="both or neither"):
        asked(9, tasks=tasks, parallel=parallel)


@pytest.mark.parametrize(("tasks", "parallel"), [(0, 1), (1, 0), (-1, -1), (0, 0)])
def test_at_least_one(tasks: int, parallel: int) -> None:
    with pytest.raises(PlanError, match="at least 1"):
        asked(9, tasks=tasks, parallel=parallel)


def test_targets_above_the_maxima_do_not_count() -> None:
    greedy = change(target_cpus_per_job=100, target_mem_per_job=10**6, target_num_jobs=100)
    assert pack(80, cpus=1, mem_mb=1_000, batching=greedy) == Packing(8, 8)
    assert pack(81, cpus=1, mem_mb=1_000, batching=greedy) == Packing(9, 8)


@pytest.mark.parametrize(
    ("n_units", "per_batch", "batches"),
    [
        (0, 4, []),
        (1, 4, [range(1)]),
        (4, 4, [range(4)]),
        (9, 4, [range(4), range(4, 8), range(8, 9)]),
    ],
)
def test_splitting(n_units: int, per_batch: int, batches: list[range]) -> None:
    assert split(n_units, Packing(per_batch, 1)) == batches


@settings(deadline=None)
@given(st.integers(0, 500), st.integers(1, 60))
def test_splitting_covers_each_unit_once(n_units: int, per_batch: int) -> None:
    batches = split(n_units, Packing(per_batch, 1))
    assert [index for batch in batches for index in batch] == list(range(n_units))
    assert all(0 < len(batch) <= per_batch for batch in batches)


SMALL = st.integers(1, 12)


@settings(deadline=None)
@given(
    st.integers(1, 2_000),
    SMALL,
    SMALL,
    st.builds(
        BatchingConfig,
        target_cpus_per_job=SMALL,
        max_cpus_per_job=SMALL,
        target_mem_per_job=SMALL,
        max_mem_per_job=SMALL,
        target_num_jobs=SMALL,
        max_num_jobs=SMALL,
    ),
    st.booleans(),
)
def test_packing_keeps_its_promises(
    n_units: int, cpus: int, mem_mb: int, batching: BatchingConfig, gpu: bool
) -> None:
    assume(cpus <= batching.max_cpus_per_job)
    assume(mem_mb <= batching.max_mem_per_job)
    packing = pack(n_units, cpus=cpus, mem_mb=mem_mb, batching=batching, gpu=gpu)
    batches = split(n_units, packing)
    assert 1 <= packing.side_by_side <= packing.units_per_batch
    assert packing.side_by_side * cpus <= batching.max_cpus_per_job
    assert packing.side_by_side * mem_mb <= batching.max_mem_per_job
    assert len(batches) <= batching.max_num_jobs
    if gpu:
        assert packing.side_by_side == 1
        return
    # one after another only if there is no other way
    if packing.units_per_batch > packing.side_by_side:
        assert -(-n_units // packing.side_by_side) > batching.max_num_jobs
        one_more = packing.side_by_side + 1
        assert (
            one_more * cpus > batching.max_cpus_per_job
            or one_more * mem_mb > batching.max_mem_per_job
        )
