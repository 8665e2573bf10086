"""The toy task package, registered without being installed: its environment is this one."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from fractal_jupyter import Fractal
from fractal_jupyter.client.datasets import Dataset
from fractal_jupyter.runner import launch
from fractal_jupyter.runner.activities import process
from fractal_jupyter.runner.users import current_user
from fractal_jupyter.schedulers.processes import alive
from fractal_jupyter.store.store import Store

ROOT = Path(__file__).parent / "toy_tasks"


def add_toy_tasks(
    store: Store,
    *,
    version: str = "1.0",
    folder: str = str(ROOT),
    resource: str | None = None,
    python: str = sys.executable,
    package_root: str = str(ROOT),
) -> None:
    """Register the toy tasks as a task group of a resource, the first one if none is named."""
    add_task_group(
        store,
        listed_tasks(ROOT),
        package="toy-tasks",
        version=version,
        folder=folder,
        resource=resource,
        python=python,
        package_root=package_root,
    )


def listed_tasks(package: Path) -> list[dict[str, Any]]:
    """The tasks of a package, as its manifest lists them."""
    manifest = json.loads((package / "__FRACTAL_MANIFEST__.json").read_text())
    return list(manifest["task_list"])


def add_task_group(
    store: Store,
    tasks: list[dict[str, Any]],
    *,
    package: str,
    folder: str,
    version: str = "1.0",
    resource: str | None = None,
    python: str = sys.executable,
    package_root: str | None = None,
) -> None:
    """Register tasks that nobody has installed; of the first resource if none is named.

    `package_root` is where their scripts are, `folder` if it is not given.
    """
    store.task_groups.add(
        entries=tasks,
        resource_id=next(
            record.id for record in store.resources.all() if resource in (None, record.name)
        ),
        package=package,
        version=version,
        origin="wheel",
        request={},
        folder=folder,
        python_version="3.11",
        python=python,
        package_root=package_root or folder,
    )


@contextmanager
def toy_fractal(folder: Path, *, url: str | None = None) -> Iterator[Fractal]:
    """A client of a new store with the toy tasks; all its processes are ended afterwards."""
    fractal = Fractal(url or f"sqlite:///{folder}/store/fractal.db")
    try:
        add_toy_tasks(fractal._store)
        yield fractal
    finally:
        end_everything(fractal._store)
        fractal.close()


def make_dataset(fractal: Fractal, count: int, name: str = "plate") -> Dataset:
    """A dataset of `count` images that exist by name only: toy tasks do not open them."""
    dataset = fractal.datasets.create(name, zarr_dir="/data")
    dataset.add_images([{"zarr_url": f"/data/{name}-{i}.zarr"} for i in range(count)])
    return dataset


def supervisor_pid(store: Store) -> int:
    """The process that holds the lease; fails when nobody does."""
    lease = store.leases.get(current_user())
    assert lease is not None
    assert not lease.released
    assert alive(lease.process)
    return int(lease.process["pid"])


def worker_pids(store: Store) -> list[int]:
    """The workers that live."""
    return [
        int(batch.handle["pid"])
        for job in store.jobs.all()
        for batch in store.jobs.batches(job.id)
        if batch.handle and alive(batch.handle)
    ]


def end_everything(store: Store) -> None:
    """End the supervisor and all workers of a store."""
    child = launch._started.pop(store.url, None)
    if child is not None:
        child.terminate()
        child.wait(30)
    lease = store.leases.get(current_user())
    if lease is not None and alive(lease.process):
        os.kill(lease.process["pid"], signal.SIGTERM)
        wait_until(lambda: not alive(lease.process))
    for pid in worker_pids(store):
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
    for activity in store.activities.active():
        if alive(activity.process) and activity.process["pid"] != os.getpid():
            os.kill(activity.process["pid"], signal.SIGTERM)
    for activity_process in process._started:
        activity_process.wait(30)
    process._started.clear()


def wait_until(condition: Callable[[], object], *, seconds: float = 30.0) -> None:
    """Wait until `condition` holds; fail when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not so after {seconds} s"
        time.sleep(0.02)
