"""Only so many jobs are driven at a time; the others wait, say so, and can be cancelled."""

from functools import partial
from pathlib import Path

from fractal_jupyter import Fractal
from fractal_jupyter.client.jobs import Job
from tests.faults.helpers import other_supervisor, wait_for_leader
from tests.toy import make_dataset, wait_until


def test_a_job_beyond_as_many_as_go_on_says_so(fractal: Fractal, tmp_path: Path) -> None:
    gate = {"gate": str(tmp_path / "gate")}
    settings = {"fractal_jupyter.runner.supervisor:MOST_JOBS_AT_ONCE": 1}

    def submit(name: str) -> Job:
        return fractal.submit("Toy Parallel", make_dataset(fractal, 1, name), args=gate)

    def waits(job: Job) -> bool:
        return bool(fractal.jobs.get(job.id).waiting_for)

    with other_supervisor(fractal._store, settings=settings) as process:
        wait_for_leader(fractal._store, process)
        first = submit("first")
        wait_until(lambda: fractal.jobs.get(first.id).status == "running")
        second, third = submit("second"), submit("third")
        for job in (second, third):
            wait_until(partial(waits, job))
            told = fractal.jobs.get(job.id)
            assert told.status == "submitted"
            assert told.waiting_for == "waits until another job of yours is over: 1 go on at a time"
        assert third.cancel().wait(30).status == "cancelled"
        assert fractal.jobs.get(first.id).status == "running"
        Path(gate["gate"]).touch()
        for job in (first, second):
            assert job.wait(60).status == "done"
