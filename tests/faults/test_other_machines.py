"""After a reboot, and with workers of another machine: what the store says is all there is."""

import os
import signal
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from fractal_jupyter import Fractal
from fractal_jupyter.client.jobs import Job
from fractal_jupyter.runner.users import current_user
from fractal_jupyter.schedulers.processes import machine
from fractal_jupyter.store.store import Store
from fractal_jupyter.store.tables import batches, leases
from tests.faults.helpers import (
    IMPATIENT,
    assert_consistent,
    other_supervisor,
    starts,
    wait_for_leader,
)
from tests.toy import make_dataset, supervisor_pid, wait_until, worker_pids

FOUR = [f"/data/plate-{i}.zarr" for i in range(4)]
SETTINGS = {**IMPATIENT, "fractal_jupyter.runner.phase:SILENCE_SECONDS": 3.0}


def move_processes(store: Store, **elsewhere: str) -> None:
    """Pretend that the supervisor and the workers that are known run, or ran, elsewhere."""
    with store.database.write() as connection:
        for table, column in ((leases, leases.c.process), (batches, batches.c.handle)):
            key = table.primary_key.columns[0]
            for name, identity in connection.execute(sa.select(key, column)).all():
                connection.execute(
                    sa.update(table)
                    .where(key == name)
                    .values({column.name: {**(identity or {}), **elsewhere}})
                )


def running_job(fractal: Fractal, gate: Path) -> Job:
    """Submit four units, two of which run, and kill the supervisor."""
    make_dataset(fractal, 4)
    job = fractal.submit("Toy Parallel", "plate", args={"gate": str(gate)})
    wait_until(lambda: job.steps[0].running == 2)
    os.kill(supervisor_pid(fractal._store), signal.SIGKILL)
    return job


def kill_workers(store: Store) -> None:
    for pid in worker_pids(store):
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not worker_pids(store))


def lease_of(store: Store) -> Any:
    return store.leases.get(current_user())


def test_the_machine_was_rebooted(fractal: Fractal, tmp_path: Path) -> None:
    store = fractal._store
    job = running_job(fractal, tmp_path / "gate")
    kill_workers(store)
    move_processes(store, boot="before the reboot")
    (tmp_path / "gate").touch()
    job.wait(60)
    assert lease_of(store).process["boot"] == machine()["boot"]
    assert [unit.status for unit in job.units()] == ["interrupted", "interrupted", "done", "done"]
    assert_consistent(fractal, job, before=FOUR)
    assert job.retry().wait(60).status == "done"
    assert_consistent(fractal, job, before=FOUR)


def test_a_pid_was_given_to_another_process(fractal: Fractal, tmp_path: Path) -> None:
    store = fractal._store
    job = running_job(fractal, tmp_path / "gate")
    kill_workers(store)
    # What has these numbers now is neither a supervisor nor a worker, and must not be harmed.
    move_processes(store, pid=os.getpid())  # type: ignore[arg-type]
    (tmp_path / "gate").touch()
    job.wait(60)
    assert [unit.status for unit in job.units()] == ["interrupted", "interrupted", "done", "done"]
    assert_consistent(fractal, job, before=FOUR)


def test_a_worker_of_another_machine_is_followed(fractal: Fractal, tmp_path: Path) -> None:
    store = fractal._store
    job = running_job(fractal, tmp_path / "gate")
    move_processes(store, host="elsewhere", boot="another")
    with other_supervisor(store, settings=SETTINGS) as process:
        wait_for_leader(store, process)
        (tmp_path / "gate").touch()
        job.wait(60)
    assert (job.status, job.error) == ("done", None)
    assert set(starts(store, job).values()) == {1}
    assert_consistent(fractal, job, before=FOUR)


def test_a_worker_of_another_machine_is_cancelled(fractal: Fractal, tmp_path: Path) -> None:
    store = fractal._store
    job = running_job(fractal, tmp_path / "gate")
    (worker,) = worker_pids(store)
    move_processes(store, host="elsewhere", boot="another")
    with other_supervisor(store, settings=SETTINGS) as process:
        wait_for_leader(store, process)
        job.cancel().wait(60)
    assert [unit.status for unit in job.units()] == ["cancelled"] * 4
    assert_consistent(fractal, job, before=FOUR)
    # The worker has ended by itself: no signal of ours could have reached it.
    wait_until(lambda: not Path(f"/proc/{worker}").exists())


def test_a_worker_of_another_machine_is_dead(fractal: Fractal, tmp_path: Path) -> None:
    """As when a container is started anew: its name changes, its files stay."""
    store = fractal._store
    job = running_job(fractal, tmp_path / "gate")
    kill_workers(store)
    move_processes(store, host="elsewhere", boot="another")
    (tmp_path / "gate").touch()
    with other_supervisor(store, settings=SETTINGS) as process:
        wait_for_leader(store, process)
        job.wait(60)
    assert [unit.status for unit in job.units()] == ["interrupted", "interrupted", "done", "done"]
    assert "elsewhere" in (job.error or "")
    assert_consistent(fractal, job, before=FOUR)
