"""Disks that are full, and a store that somebody else has locked: nothing is lost by it."""

import os
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from fractal_jupyter import Fractal
from fractal_jupyter.errors import StoreError
from fractal_jupyter.runner.checks import Check
from tests.faults.helpers import Control, assert_consistent, starts
from tests.slurm.fixtures import skip_for_machine
from tests.toy import make_dataset, toy_fractal, wait_until, worker_pids

THREE = [f"/data/plate-{i}.zarr" for i in range(3)]


class SmallDisk:
    """A file system of a few MB, in memory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fill(self) -> None:
        """Leave no room at all."""
        with (self.folder / "filler").open("wb", buffering=0) as file:
            for size in (65536, 4096, 1):
                try:
                    while True:
                        file.write(b"x" * size)
                except OSError:
                    continue

    def free(self) -> None:
        """Make room again."""
        (self.folder / "filler").unlink()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    if os.geteuid() != 0:
        skip_for_machine("full disks", "needs root")
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=6m,mode=0700", "small-disk", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        skip_for_machine("full disks", "no file system can be mounted")
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_store_that_is_locked_for_a_while(fractal: Fractal, tmp_path: Path) -> None:
    make_dataset(fractal, 3)
    gate = tmp_path / "gate"
    job = fractal.submit("Toy Parallel", "plate", args={"gate": str(gate)})
    wait_until(lambda: job.steps[0].running == 2)
    workers = worker_pids(fractal._store)
    with closing(sqlite3.connect(tmp_path / "store" / "fractal.db")) as other:
        other.execute("BEGIN EXCLUSIVE")
        gate.touch()
        wait_until(lambda: not worker_pids(fractal._store))
        assert job.steps[0].done == 0
        other.rollback()
    job.wait(60)
    assert workers
    assert (job.status, job.error) == ("done", None)
    assert_consistent(fractal, job, before=THREE)


def test_a_store_on_a_full_disk(disk: SmallDisk, tmp_path: Path) -> None:
    with toy_fractal(disk.folder) as fractal:
        fractal.resources.update("Local resource", jobs_local_dir=str(tmp_path / "jobs"))
        make_dataset(fractal, 3)
        gate = tmp_path / "gate"
        job = fractal.submit("Toy Parallel", "plate", args={"gate": str(gate)})
        wait_until(lambda: job.steps[0].running == 2)
        disk.fill()
        with pytest.raises(StoreError, match="full"):
            fractal.submit("Toy Copy", "plate", name="x" * 100_000)
        gate.touch()
        wait_until(lambda: not worker_pids(fractal._store))
        assert job.status == "running"
        disk.free()
        job.wait(60)
        assert (job.status, job.error) == ("done", None)
        assert set(starts(fractal._store, job).values()) == {1}
        assert_consistent(fractal, job, before=THREE)


def test_a_folder_of_jobs_on_a_full_disk(fractal: Fractal, disk: SmallDisk) -> None:
    fractal.resources.update("Local resource", jobs_local_dir=str(disk.folder))
    make_dataset(fractal, 3)
    disk.fill()
    job = fractal.submit("Toy Parallel", "plate").wait(60)
    assert job.status == "failed"
    assert "never started" in (job.error or "")
    assert "No space left on device" in (job.error or "")
    assert_consistent(fractal, job, before=THREE)
    disk.free()
    job.retry().wait(60)
    assert (job.status, job.error) == ("done", None)
    assert_consistent(fractal, job, before=THREE)


def test_a_disk_that_fills_up_while_units_run(
    fractal: Fractal, control: Control, disk: SmallDisk, tmp_path: Path
) -> None:
    fractal.resources.update("Local resource", jobs_local_dir=str(disk.folder))
    make_dataset(fractal, 3)
    # There was room for what the units wrote, but there is none for the worker to record it.
    control.units(
        "import json, os, pathlib, sys, time\n"
        "update = {'zarr_url': zarr_url, 'attributes': {'long': 'x' * 300_000}}\n"
        "out = sys.argv[sys.argv.index('--out-json') + 1]\n"
        "pathlib.Path(out).write_text(json.dumps({'image_list_updates': [update]}))\n"
        f"pathlib.Path('{tmp_path}/written-' + os.path.basename(zarr_url)).touch()\n"
        f"while not os.path.exists('{tmp_path}/gate'):\n"
        "    time.sleep(0.01)\n"
        "os._exit(0)"
    )
    job = fractal.submit("Scripted", "plate", **control.arguments)
    wait_until(lambda: len(list(tmp_path.glob("written-*"))) == 2)
    disk.fill()
    (tmp_path / "gate").touch()
    job.wait(60)
    assert job.status == "failed"
    assert "disk full" in (job.error or "")
    assert_consistent(fractal, job, before=THREE)
    disk.free()
    job.retry().wait(60)
    assert (job.status, job.error) == ("done", None)
    assert_consistent(fractal, job, before=THREE)


def test_a_check_tells_of_little_room_and_what_to_do(disk: SmallDisk, fractal: Fractal) -> None:
    fractal.resources.update("Local resource", jobs_local_dir=str(disk.folder / "jobs"))

    def checks() -> dict[str, Check]:
        return {check.subject: check for check in fractal.resources.check("Local resource")}

    space = checks()["space in jobs_local_dir"]
    assert not space.ok
    assert space.found == "0.0 GB are free"
    assert space.cure.startswith("free some, or move jobs_local_dir")
    disk.fill()
    with (disk.folder / "filler").open("r+b") as file:
        file.truncate(file.seek(0, os.SEEK_END) - 20_000)  # room for a small file only
    worker = checks()["worker"]
    assert not worker.ok
    assert "No space left on device. Free some space there" in worker.found
    assert str(worker).count("→") == 0  # it says so itself
