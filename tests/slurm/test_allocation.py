"""A Jupyter server that itself runs in a SLURM job, as batchspawner and Open OnDemand start it."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import psutil
import pytest

from fractal_jupyter import Fractal
from tests.hub.work import IMAGES, Gate, ended, submit_in, units
from tests.server.running import Server, running_server, server_command, started_in
from tests.slurm.conftest import MakeFractal
from tests.slurm.fixtures import ToyEnvironment
from tests.slurm.machine import Cluster, run
from tests.slurm.ways import PROFILE
from tests.toy import supervisor_pid, wait_until

pytestmark = pytest.mark.slurm_faults

HERE = "Local profile"
# Of the allocation; jobs that are submitted from it must not have any of it.
ALLOCATION = ("--cpus-per-task=3", "--mem=1500", "--time=00:20:00", "--nodelist=node1")
STEERING = {
    "SBATCH_PARTITION": "down",
    "SBATCH_TIMELIMIT": "00:01:00",
    "SBATCH_NODELIST": "node1",
    "SQUEUE_STATES": "suspended",
}


@pytest.fixture
def fractal(own_fractal: MakeFractal, toy_environment: ToyEnvironment) -> Fractal:
    """A store with a cluster, and with this machine."""
    fractal = own_fractal(options={"time": "00:07:00"})
    toy_environment.add(fractal._store, resource="Local resource")
    return fractal


def start_server(cluster: Cluster, folder: Path, fractal: Fractal, processor: int) -> str:
    """Submit a server that may use one processor of this machine; the id of its job."""
    folder.mkdir()
    exports = {**STEERING, "HOME": str(folder), "JUPYTER_RUNTIME_DIR": str(folder)}
    command = ["taskset", "--cpu-list", str(processor), *server_command(fractal.url)]
    script = [f"export {name}={shlex.quote(value)}" for name, value in exports.items()]
    script += [f"cd {folder}", f"exec {shlex.join(command)} >{folder}/server.log 2>&1"]
    return cluster.submit("\n".join(script), *ALLOCATION)


def test_what_a_server_in_an_allocation_starts(
    cluster: Cluster, fractal: Fractal, shared_folder: Path
) -> None:
    """Options are the resource's, processors the allocation's; and what is left of it."""
    processor = max(os.sched_getaffinity(0))
    allocation = start_server(cluster, shared_folder / "first", fractal, processor)
    server = started_in(shared_folder / "first")
    remote, remote_gate = submit(server, shared_folder, PROFILE)
    local, local_gate = submit(server, shared_folder, HERE)
    local_gate.wait_for(1)
    remote_gate.wait_for(1)

    for pid in remote_gate.waiting():
        seen = psutil.Process(pid).environ()
        shown = run("scontrol", "show", "job", seen["SLURM_JOB_ID"])
        assert seen["SLURM_JOB_ID"] != allocation
        for words in (
            "Partition=main ",
            "TimeLimit=00:07:00 ",
            "MinMemoryNode=",
            "ReqNodeList=(null)",
        ):
            assert words in shown
        assert not seen.keys() & STEERING.keys()
    for pid in local_gate.waiting():  # one at a time, on the one processor that there is
        process = psutil.Process(pid)
        assert process.cpu_affinity() == [processor]
        steering = {name for name in process.environ() if name.startswith(("SLURM_", "SBATCH_"))}
        assert steering <= {"SLURM_CONF"}  # where the cluster is

    supervisor = psutil.Process(supervisor_pid(fractal._store))
    run("scancel", allocation)
    psutil.wait_procs([supervisor], timeout=60)
    wait_until(lambda: not any(map(psutil.pid_exists, local_gate.waiting())), seconds=60)
    assert not supervisor.is_running()
    assert all(map(psutil.pid_exists, remote_gate.waiting()))
    for gate in (remote_gate, local_gate):
        gate.open()
    wait_until(lambda: not cluster.jobs(states="pending,running,completing"), seconds=90)

    with running_server(shared_folder / "second", fractal) as again:
        after = ended(again, remote)
        assert after["status"] == "done", after["error"]
        assert ended(again, local)["status"] == "failed"
        interrupted, *others = units(again, local)
        assert (interrupted["status"], interrupted["problem"]) == ("interrupted", "worker_gone")
        assert "running when its worker ended" in interrupted["error"]
        assert [unit["status"] for unit in others] == ["done"] * (IMAGES - 1)
        again.ask("POST", f"jobs/{local}/retry", {})
        assert ended(again, local)["status"] == "done"


def submit(server: Server, folder: Path, profile: str) -> tuple[int, Gate]:
    """A job that waits in the middle of its work: its id, and what it waits for."""
    gate = Gate(folder, profile)
    return submit_in(folder / profile, server, profile, profile, gate=str(gate.path)), gate
