"""A user stops waiting, or loses the kernel: the job goes on."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fractal_jupyter import Fractal
from fractal_jupyter.client.jobs import Job
from tests.display.kernels import running_kernel
from tests.faults.helpers import assert_consistent, starts
from tests.toy import make_dataset, wait_until

FOUR = [f"/data/plate-{i}.zarr" for i in range(4)]


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    return tmp_path / "gate"


def code(fractal: Fractal, gate: Path) -> str:
    """What a user runs: submits four units that wait at the gate, and waits for them."""
    return (
        "from fractal_jupyter import Fractal\n"
        f"fractal = Fractal({fractal.url!r})\n"
        f"job = fractal.submit('Toy Parallel', 'plate', args={{'gate': {str(gate)!r}}})\n"
        "job.wait()"
    )


def running_job(fractal: Fractal) -> Job:
    """The job of another client, once two of its units run."""
    wait_until(lambda: fractal.jobs.list())
    (job,) = fractal.jobs.list()
    wait_until(lambda: job.steps[0].running == 2)
    return job


def assert_goes_on(fractal: Fractal, job: Job, gate: Path) -> None:
    assert job.status == "running"
    gate.touch()
    wait_until(lambda: job.status != "running")
    assert (job.status, job.error) == ("done", None)
    assert set(starts(fractal._store, job).values()) == {1}
    assert_consistent(fractal, job, before=FOUR)


def test_waiting_in_a_script_is_interrupted(fractal: Fractal, gate: Path) -> None:
    make_dataset(fractal, 4)
    script = subprocess.Popen(
        [sys.executable, "-c", code(fractal, gate)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    job = running_job(fractal)
    # As a terminal does: to the whole process group of the script.
    os.killpg(script.pid, signal.SIGINT)
    _, said = script.communicate(timeout=30)
    assert f"Stopped waiting for job {job.id}, which goes on" in said.decode()
    assert_goes_on(fractal, job, gate)


@pytest.mark.slow
def test_waiting_in_a_notebook_is_interrupted(fractal: Fractal, gate: Path) -> None:
    make_dataset(fractal, 4)
    with running_kernel() as kernel:
        cell = kernel.send(code(fractal, gate))
        job = running_job(fractal)
        kernel.manager.interrupt_kernel()
        reply = kernel.reply(cell)
        assert (reply["status"], reply["ename"]) == ("error", "WaitInterrupted")
        assert "goes on" in reply["evalue"]
        assert job.status == "running"
        gate.touch()
        assert kernel.reply(kernel.send("assert job.wait().status == 'done'"))["status"] == "ok"
    assert_consistent(fractal, job, before=FOUR)


@pytest.mark.slow
def test_the_kernel_is_killed(fractal: Fractal, gate: Path) -> None:
    make_dataset(fractal, 4)
    with running_kernel() as kernel:
        kernel.send(code(fractal, gate))
        job = running_job(fractal)
        kernel.manager.shutdown_kernel(now=True)
        assert not kernel.manager.is_alive()
        assert_goes_on(fractal, job, gate)
