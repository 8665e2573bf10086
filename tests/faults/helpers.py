"""What the tests of faults share: other supervisors, and what must be true whatever happened."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from fractal_jupyter import Fractal
from fractal_jupyter.client.jobs import Job
from fractal_jupyter.runner import launch
from fractal_jupyter.runner.users import current_user
from fractal_jupyter.schedulers.processes import alive
from fractal_jupyter.store.jobs import FINAL_JOBS, UNIT_COUNTERS
from fractal_jupyter.store.store import Store
from fractal_jupyter.store.tables import units
from fractal_jupyter.worker.records import decode_lines
from tests.toy import add_task_group, listed_tasks, wait_until

ROOT = Path(__file__).parents[2]
# A supervisor that is missed sooner, for tests in which one is silent.
IMPATIENT = {
    "fractal_jupyter.runner.supervisor:BEAT_SECONDS": 0.2,
    "fractal_jupyter.runner.supervisor:SILENCE_SECONDS": 2.0,
}


class Control:
    """What the units of scripted tasks do, from now on."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments of `submit` for the parallel task."""
        return {"args_parallel": {"control": str(self._folder)}}

    @property
    def compound_arguments(self) -> dict[str, Any]:
        """The arguments of `submit` for the compound task."""
        return {**self.arguments, "args_non_parallel": {"control": str(self._folder)}}

    def units(self, script: str) -> None:
        """Let the units on one image do `script`; it sees `zarr_url`, and may set `output`."""
        (self._folder / "unit.py").write_text(script)

    def init(self, script: str) -> None:
        """Let the first unit of a compound task do `script`; it sees `zarr_urls`."""
        (self._folder / "init.py").write_text(script)


def add_scripted_tasks(store: Store) -> None:
    """Register the scripted tasks as a task group of the first resource."""
    folder = Path(__file__).parent / "scripted_tasks"
    add_task_group(store, listed_tasks(folder), package="scripted-tasks", folder=str(folder))


@contextmanager
def other_supervisor(
    store: Store,
    point: str | None = None,
    moment: str = "before",
    *,
    call: int = 1,
    by: signal.Signals = signal.SIGKILL,
    error: str | None = None,
    settings: Mapping[str, Any] | None = None,
    idle_seconds: float = 60.0,
) -> Iterator[subprocess.Popen[bytes]]:
    """A supervisor that is not the client's child, and to which something happens at `point`.

    Args:
        store: The store that it drives.
        point: `module:Class.function`, without the package's name.
        moment: `before` or `after` that function.
        call: At which call; 1 is the first, 0 is every one.
        by: The signal.
        error: An exception that is raised there instead, `module:Class`.
        settings: Values of module-level names, by `module:NAME`.
        idle_seconds: How long it stays when there is nothing to do.
    """
    specification: dict[str, Any] = {"settings": dict(settings or {})}
    if point is not None:
        specification |= {
            "point": f"fractal_jupyter.{point}",
            "moment": moment,
            "call": call,
            **({"error": error} if error else {"signal": by.name}),
        }
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("saboteur.py")), json.dumps(specification)],
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            launch.STORE_VARIABLE: store.url,
            launch.LOG_VARIABLE: str(launch.log_path(store)),
            launch.IDLE_VARIABLE: str(idle_seconds),
        },
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)
            process.terminate()
            process.wait(30)


def leader(store: Store) -> int | None:
    """The process that holds the lease; None when nobody who lives does."""
    lease = store.leases.get(current_user())
    if lease is None or lease.released or not alive(lease.process):
        return None
    return int(lease.process["pid"])


def wait_for_leader(store: Store, process: subprocess.Popen[bytes]) -> None:
    """Wait until `process` is the supervisor."""
    wait_until(lambda: leader(store) == process.pid)


def wait_until_stopped(process: subprocess.Popen[bytes]) -> None:
    """Wait until a signal has stopped `process`."""
    stat = Path(f"/proc/{process.pid}/stat")
    wait_until(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T")


def records_of(store: Store, job: Job) -> list[tuple[str, str, dict[str, Any]]]:
    """All records of all attempts at all batches of a job, as (batch, attempt, record)."""
    return [
        (batch.name, file.parent.name, record)
        for batch in store.jobs.batches(job.id)
        for file in sorted(Path(batch.folder).glob("attempt-*/results-*"))
        for record in decode_lines(file.read_bytes())[0]
    ]


def starts(store: Store, job: Job) -> Counter[int]:
    """How often each unit was started, by index."""
    return Counter(r["unit"] for _, _, r in records_of(store, job) if r["event"] == "start")


def assert_consistent(
    fractal: Fractal, job: Job, *, before: Collection[str], removed: Collection[str] = ()
) -> None:
    """Check that a job that is over left nothing half done.

    Args:
        fractal: A client.
        job: The job.
        before: The URLs of the images that the dataset had when the job was submitted, and of
            those that the user has added since.
        removed: The URLs of those that the user has taken off since.
    """
    store = fractal._store
    assert job.status in FINAL_JOBS
    assert (job.error is None) == (job.status == "done"), job.error
    _assert_units_are_final(store, job)
    _assert_counters_are_right(store, job)
    _assert_each_result_counts_once(store, job)
    _assert_nothing_runs(store, job)
    _assert_images_are_what_units_said(fractal, job, before, removed)


def _assert_units_are_final(store: Store, job: Job) -> None:
    all_units = store.jobs.units(job.id)
    assert [unit.index for unit in all_units] == list(range(len(all_units)))
    for unit in all_units:
        assert unit.status in ("done", "failed", "cancelled", "interrupted"), unit
        assert unit.status == "done" or unit.error, f"no reason given: {unit}"


def _assert_counters_are_right(store: Store, job: Job) -> None:
    all_units = store.jobs.units(job.id)
    for step in store.jobs.steps(job.id):
        counts = Counter(unit.status for unit in all_units if unit.step == step.position)
        counts["total"] = counts.total()
        assert {name: getattr(step, name) for name in UNIT_COUNTERS} == {
            name: counts[name] for name in UNIT_COUNTERS
        }
        assert step.status != "running"


def _assert_each_result_counts_once(store: Store, job: Job) -> None:
    results: dict[int, list[str]] = {}
    for _, _, record in records_of(store, job):
        if record["event"] == "end" and record["status"] == "done":
            results.setdefault(record["unit"], []).append(record["status"])
    for unit in store.jobs.units(job.id):
        done = results.get(unit.index, [])
        assert len(done) <= 1, f"unit {unit.index} was done {len(done)} times"
        # a unit that the worker found done may have failed for its output
        assert (unit.status == "done") == bool(done) or unit.problem == "invalid_output", unit


def _assert_nothing_runs(store: Store, job: Job) -> None:
    for batch in store.jobs.batches(job.id):
        assert batch.status == "ended", batch
        if batch.handle is not None:
            wait_until(lambda handle=batch.handle: not alive(handle))  # type: ignore[misc]


def _assert_images_are_what_units_said(
    fractal: Fractal, job: Job, before: Collection[str], removed: Collection[str]
) -> None:
    expected: dict[str, dict[str, Any]] = {url: {} for url in before}
    query = sa.select(units.c.output).where(units.c.job_id == job.id, units.c.status == "done")
    with fractal._store.database.read() as connection:
        outputs = connection.execute(query.order_by(units.c.index)).scalars().all()
    for output in filter(None, outputs):
        for update in output.get("image_list_updates", []):
            expected.setdefault(update["zarr_url"], {}).update(update.get("attributes", {}))
        for url in output.get("image_list_removals", []):
            expected.pop(url, None)
    found = {
        image.zarr_url: dict(image.attributes) for image in fractal.datasets.get(job.dataset).images
    }
    assert found.keys() == expected.keys() - set(removed)
    for url, attributes in found.items():
        assert attributes.items() >= expected[url].items()


def urls(fractal: Fractal, dataset: str = "plate") -> list[str]:
    """The URLs of the images of a dataset."""
    return [image.zarr_url for image in fractal.datasets.get(dataset).images]
