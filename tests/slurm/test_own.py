"""Jobs on the real cluster, submitted as ourselves."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from fractal_jupyter.client.jobs import Job
from fractal_jupyter.errors import FractalError
from fractal_jupyter.runner.backend import LATE_RESULTS_SECONDS
from fractal_jupyter.runner.users import current_user
from tests.slurm.conftest import MakeFractal
from tests.slurm.fixtures import ToyEnvironment, skip_for_machine
from tests.slurm.machine import Cluster, run
from tests.slurm.ways import images
from tests.toy import wait_until


def arrays(job: Job) -> set[str]:
    """The ids of the arrays of a job."""
    batches = job._store.jobs.batches(job.id)
    return {str(batch.handle["job"]) for batch in batches if batch.handle}


def states(job: Job, cluster: Cluster) -> set[str]:
    """What SLURM says of the elements of a job's arrays."""
    ours = arrays(job)
    return {entry.state for entry in cluster.jobs() if entry.id.partition("_")[0] in ours}


def statuses(job: Job) -> list[str]:
    return [unit.status for unit in job.units()]


def test_a_step_is_one_array_and_all_its_units_are_done(
    own_fractal: MakeFractal, shared_folder: Path
) -> None:
    fractal = own_fractal()
    job = fractal.submit("Toy Parallel", images(fractal, shared_folder, 10)).wait(120)
    assert job.status == "done", job.error
    assert {unit.node for unit in job.units()} <= {"node1", "node2"}
    assert len(arrays(job)) == 1
    assert all(unit.peak_memory and unit.cpu_seconds is not None for unit in job.units())
    assert job.log(unit=3).startswith("working on ")


def test_both_phases_of_a_compound_task_are_one_array_each(
    own_fractal: MakeFractal, shared_folder: Path
) -> None:
    fractal = own_fractal()
    job = fractal.submit(
        "Toy Compound", images(fractal, shared_folder, 6), args={"label": "x"}
    ).wait(120)
    assert job.status == "done", job.error
    assert len(arrays(job)) == 2


def test_units_see_the_job_s_environment_and_ours_over_it(
    own_fractal: MakeFractal,
    shared_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And nothing of the notebook's own."""
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "secret")
    monkeypatch.setenv("SBATCH_PARTITION", "down")
    monkeypatch.setenv("SLURM_JOB_ID", "4711")
    fractal = own_fractal(exports={"CELLPOSE_LOCAL_MODELS_PATH": "models/cellpose"})
    job = fractal.submit(
        "Toy Parallel",
        images(fractal, shared_folder, 1),
        args={"behaviour": "environment"},
        worker_init="export FROM_INIT='a b'\n#SBATCH --partition=down\nexport OTHER=\"$HOME\"",
    ).wait(120)
    assert job.status == "done", job.error
    seen = json.loads(job.log(unit=0).splitlines()[-1])
    assert seen["FRACTAL_CACHE_DIR"] == f"{shared_folder}/.fractal_cache"
    assert seen["CELLPOSE_LOCAL_MODELS_PATH"] == f"{shared_folder}/.fractal_cache/models/cellpose"
    assert seen["FROM_INIT"] == "a b"
    assert seen["OTHER"] == seen["HOME"]
    assert seen["SLURM_JOB_ID"] != "4711"
    assert "secret" not in seen.values()
    assert "secret" not in run("scontrol", "show", "job", *arrays(job))


def test_what_fails_is_told_and_kept_apart_from_what_does_not(
    own_fractal: MakeFractal, shared_folder: Path
) -> None:
    fractal = own_fractal()
    job = fractal.submit(
        "Toy Parallel",
        images(fractal, shared_folder, 4),
        args={"behaviour": "raise", "only": "plate-2.zarr"},
    ).wait(120)
    assert statuses(job) == ["done", "done", "failed", "done"]
    assert "ValueError: the toy is broken" in (job.error or "")


def test_a_unit_that_needs_too_much_memory_is_told_how_much_there_was(
    own_fractal: MakeFractal, cluster: Cluster, shared_folder: Path
) -> None:
    if not cluster.has_cgroups:
        skip_for_machine("memory limits by the kernel", "no cgroups that may be changed")
    fractal = own_fractal()
    job = fractal.submit(
        "Toy Parallel",
        images(fractal, shared_folder, 3),
        args={"behaviour": "much memory", "only": "plate-1.zarr"},
    ).wait(120)
    assert statuses(job) == ["done", "failed", "done"]
    (unit,) = job.units(status="failed")
    assert unit.problem == "out_of_memory"
    assert "memory ran out" in (unit.error or "")
    assert "asked for" in (unit.error or "")
    assert "`mem`" in (unit.error or "")
    # It was on its way to 400 MB when it met the limit of its job.
    used = re.search("when it used ([0-9]+) MB", unit.error or "")
    assert used, unit.error
    assert 60 < int(used[1]) < 400
    assert unit.peak_memory is not None
    assert 60 < unit.peak_memory / 1e6 < 400
    # With what it says, it works.
    assert job.retry(meta={"mem": 1000}).wait(150).status == "done", job.error


@pytest.mark.slurm_faults
def test_the_time_limit_is_told(own_fractal: MakeFractal, shared_folder: Path) -> None:
    """A minute is the shortest that SLURM has."""
    fractal = own_fractal()
    job = fractal.submit(
        "Toy Parallel",
        images(fractal, shared_folder, 2),
        args={"behaviour": "forever", "only": "plate-1.zarr"},
        meta={"time": "00:01:00"},
    )
    wait_until(lambda: job.steps[0].running == 1 and job.steps[0].done == 1)
    job.wait(150)
    assert statuses(job) == ["done", "failed"]
    (unit,) = job.units(status="failed")
    assert unit.problem == "time_limit"
    assert "time limit of 00:01:00" in (unit.error or "")
    assert "`time` in the step's meta" in (unit.error or "")


def test_cancel_leaves_nothing_in_the_queue(
    own_fractal: MakeFractal, cluster: Cluster, shared_folder: Path
) -> None:
    fractal = own_fractal(options={"cpus_per_task": 4})
    job = fractal.submit(
        "Toy Parallel", images(fractal, shared_folder, 8), args={"behaviour": "forever"}
    )
    wait_until(lambda: job.steps[0].running)
    job.cancel().wait(120)
    assert job.status == "cancelled"
    assert set(statuses(job)) == {"cancelled"}
    assert states(job, cluster) <= {"CANCELLED", "COMPLETING"}


def test_who_cancels_by_hand_is_told(own_fractal: MakeFractal, shared_folder: Path) -> None:
    fractal = own_fractal()
    job = fractal.submit(
        "Toy Parallel", images(fractal, shared_folder, 1), args={"behaviour": "forever"}
    )
    wait_until(lambda: job.steps[0].running == 1)
    run("scancel", *arrays(job))
    job.wait(120)
    assert statuses(job) == ["interrupted"]
    (unit,) = job.units()
    assert unit.problem == "cancelled_from_outside"
    assert "was cancelled" in (unit.error or "")


def test_what_slurm_refuses_is_told_in_its_words(
    own_fractal: MakeFractal, shared_folder: Path
) -> None:
    fractal = own_fractal(options={"partition": "nowhere"})
    job = fractal.submit("Toy Parallel", images(fractal, shared_folder, 1)).wait(60)
    assert statuses(job) == ["failed"]
    assert "invalid partition specified: nowhere" in (job.error or "")
    assert "sinfo" in (job.error or "")


def test_a_missing_interpreter_is_told(own_fractal: MakeFractal, shared_folder: Path) -> None:
    fractal = own_fractal(python="/no/such/python3")
    job = fractal.submit("Toy Parallel", images(fractal, shared_folder, 1)).wait(120)
    assert statuses(job) == ["failed"]
    assert "/no/such/python3" in (job.error or "")
    assert "jobs_slurm_python_worker" in (job.error or "")


@pytest.mark.parametrize(
    ("python", "shebang", "init", "words"),
    [
        (None, "#!/bin/sh", "exit 3", "`worker_init` have ended the shell with status 3"),
        (None, "#!/nope/sh", None, "the shell of its script, /nope/sh, is not there"),
        ("/bin/true", "#!/bin/sh", None, "/bin/true may be no Python"),
        ("/bin/cat", "#!/bin/sh", None, "invalid option"),
    ],
)
def test_what_never_had_a_worker_is_told_at_once(
    own_fractal: MakeFractal,
    toy_environment: ToyEnvironment,
    shared_folder: Path,
    python: str | None,
    shebang: str,
    init: str | None,
    words: str,
) -> None:
    """Without accounting, and without waiting for results that may be late."""
    fractal = own_fractal(
        python=python or toy_environment.python, options={"shebang_line": shebang}
    )
    begun = time.monotonic()
    job = fractal.submit("Toy Parallel", images(fractal, shared_folder, 1), worker_init=init)
    job.wait(120)
    assert time.monotonic() - begun < LATE_RESULTS_SECONDS
    (unit,) = job.units()
    assert (unit.status, unit.problem) == ("failed", "worker_could_not_start")
    assert words in (unit.error or "")


def test_lines_of_worker_init_that_fail_are_in_the_logs_of_units_that_do(
    own_fractal: MakeFractal, shared_folder: Path
) -> None:
    fractal = own_fractal()
    job = fractal.submit(
        "Toy Parallel",
        images(fractal, shared_folder, 2),
        args={"behaviour": "raise", "only": "plate-1.zarr"},
        worker_init="module-of-nowhere load cuda",
    ).wait(120)
    assert statuses(job) == ["done", "failed"]
    log = job.log(unit=1)
    assert log.startswith("working on ")
    assert "module-of-nowhere: not found" in log.splitlines()[-1]
    assert "module-of-nowhere" not in job.log(unit=0)
    job = fractal.submit(
        "Toy Parallel", images(fractal, shared_folder, 1, "other"), worker_init="exit 3"
    ).wait(120)
    assert "exit status 3" in job.log(unit=0)


def test_nothing_is_submitted_that_no_job_could_hold(
    own_fractal: MakeFractal, cluster: Cluster, shared_folder: Path
) -> None:
    fractal = own_fractal()
    dataset = images(fractal, shared_folder, 1)
    before = cluster.jobs()
    with pytest.raises(FractalError, match="max_mem_per_job"):
        fractal.submit("Toy Parallel", dataset, meta={"mem": "100G"})
    with pytest.raises(FractalError, match="array"):
        fractal.submit("Toy Parallel", dataset, meta={"extra_lines": ["#SBATCH --array=1-9"]})
    assert cluster.jobs() == before
    assert not (shared_folder / "jobs").exists()


@pytest.fixture
def fast_node(cluster: Cluster) -> Iterator[str]:
    """A feature that only the first node has."""
    run("scontrol", "update", "NodeName=node1", "AvailableFeatures=fast")
    yield "fast"
    run("scontrol", "update", "NodeName=node1", "ActiveFeatures=", "AvailableFeatures=")


@pytest.fixture
def second_account(cluster: Cluster) -> Iterator[str]:
    """An account that is not the default one."""
    run("sacctmgr", "-iQ", "add", "account", "toys")
    run("sacctmgr", "-iQ", "add", "user", current_user(), "account=toys")
    yield "toys"
    run("sacctmgr", "-iQ", "remove", "user", current_user(), "account=toys")
    run("sacctmgr", "-iQ", "remove", "account", "toys")


@pytest.mark.cluster_options(accounting=True)
def test_what_a_resource_may_ask_for_is_what_slurm_is_asked(
    own_fractal: MakeFractal, shared_folder: Path, fast_node: str, second_account: str
) -> None:
    asked = {"constraint": fast_node, "nodelist": "node1", "exclude": "node2", "nodes": 1}
    fractal = own_fractal(options={**asked, "use_mem_per_cpu": True})
    dataset = images(fractal, shared_folder, 2)
    job = fractal.submit("Toy Parallel", dataset, account=second_account).wait(120)
    assert job.status == "done", job.error
    (array,) = arrays(job)
    shown = run("scontrol", "show", "job", array)
    told = ("Features=fast ", "ReqNodeList=node1 ", "ExcNodeList=node2", "NumNodes=1 ")
    # Two units side by side, a processor each.
    for words in (f"Account={second_account} ", *told, "CPUs/Task=2 ", "MinMemoryCPU=100M "):
        assert words in shown


@pytest.mark.slurm_faults
@pytest.mark.parametrize(
    ("gpu_options", "meta", "asked"),
    [
        ({"gres": "gpu:1"}, {"needs_gpu": True}, "TresPerNode=gres:gpu:1"),
        (None, {"gres": "gpu:1"}, "TresPerNode=gres:gpu:1"),
        ({"partition": "short", "gres": "gpu:9"}, {"needs_gpu": True, "gres": "gpu:2"}, "gpu:2"),
        (None, {"needs_gpu": True, "gpus": "2"}, "TresPerJob=gres:gpu:2"),
    ],
)
def test_a_gpu_that_is_asked_for_is_given(
    own_fractal: MakeFractal,
    cluster: Cluster,
    shared_folder: Path,
    gpu_options: dict[str, Any] | None,
    meta: dict[str, Any],
    asked: str,
) -> None:
    fractal = own_fractal(gpu_options=gpu_options)
    dataset = images(fractal, shared_folder, 1)
    arguments = {"behaviour": "environment"}
    job = fractal.submit("Toy Parallel", dataset, args=arguments, meta=meta).wait(120)
    assert job.status == "done", job.error
    (array,) = arrays(job)
    shown = run("scontrol", "show", "job", array)
    assert f"{asked}\n" in f"{shown}\n"
    partition = (gpu_options or {}).get("partition", "main")
    assert f"Partition={partition} " in shown
    seen = json.loads(job.log(unit=0).splitlines()[-1])
    count = asked.rpartition(":")[2]
    assert seen["SLURM_GPUS_ON_NODE"] == count
    if cluster.has_devices:
        assert len(seen["CUDA_VISIBLE_DEVICES"].split(",")) == int(count)


@pytest.mark.slurm_faults
@pytest.mark.parametrize(
    ("meta", "words", "advice"),
    [
        ({"gres": "gpu:3"}, "Requested node configuration is not available", "look at `gres`"),
        ({"gpus": "v100:1"}, "Requested node configuration is not available", "`gpus`"),
        ({"gres": "fpga:1"}, "Invalid generic resource (gres) specification", "look at `gres`"),
    ],
)
def test_more_gpus_than_a_node_has_are_refused_in_slurm_s_words(
    own_fractal: MakeFractal,
    cluster: Cluster,
    shared_folder: Path,
    meta: dict[str, str],
    words: str,
    advice: str,
) -> None:
    fractal = own_fractal()
    job = fractal.submit("Toy Parallel", images(fractal, shared_folder, 1), meta=meta).wait(60)
    (unit,) = job.units()
    assert (unit.status, unit.problem) == ("failed", "rejected")
    assert words in (unit.error or "")
    assert advice in (unit.error or "")
    assert states(job, cluster) == set()


def test_the_plan_shows_the_very_script_that_is_submitted(
    own_fractal: MakeFractal, shared_folder: Path
) -> None:
    """As SLURM has it, down to where the worker is started; but for what is unique to a job."""
    fractal = own_fractal(options={"extra_lines": ["#SBATCH --comment=toys"]})
    dataset = images(fractal, shared_folder, 10)
    asked: dict[str, Any] = {
        "meta": {"mem": 150, "time": "00:10:00", "extra_lines": ["#SBATCH --nice=7"]},
        "worker_init": "export A='b c'\n# of the user's own",
    }
    (phase,) = fractal.plan("Toy Parallel", dataset, **asked).steps[0].phases
    assert phase.script is not None
    *planned, rest = phase.script.splitlines()
    assert rest.startswith("# … what starts the worker")
    assert "#SBATCH --nice=7" in planned
    job = fractal.submit("Toy Parallel", dataset, **asked).wait(120)
    assert job.status == "done", job.error
    (array,) = arrays(job)
    script = run("scontrol", "write", "batch_script", array, "-").splitlines()
    assert script[len(planned)].startswith("exec ")
    (name,) = {batch.name for batch in job._store.jobs.batches(job.id)}
    (chdir,) = (line for line in planned if line.startswith("#SBATCH --chdir="))
    folder = PurePosixPath(chdir.partition("=")[2]).parents[1]
    unique = {"fractal-JOB-0-TOKEN": name, str(folder): str(job.folder)}
    for here, there in unique.items():
        planned = [line.replace(here, there) for line in planned]
    assert script[: len(planned)] == planned
