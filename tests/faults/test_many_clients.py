"""Several clients and a supervisor use one store at once, and as hard as they can."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from fractal_jupyter import Fractal
from tests.faults.helpers import assert_consistent
from tests.toy import make_dataset, wait_until

SECONDS = 4

WRITER = """
import json, random, sys, time
from fractal_jupyter import Fractal
from fractal_jupyter.errors import NotAllowed
url, name, seconds = sys.argv[1:]
random.seed(name)
fractal = Fractal(url)
dataset = fractal.datasets.create(name, zarr_dir="/data")
dataset.add_images([{"zarr_url": f"/data/{name}-{i}.zarr"} for i in range(3)])
bad = {"behaviour": "raise", "only": "-1.zarr"}
jobs, retried = [], []
until = time.monotonic() + float(seconds)
while time.monotonic() < until:
    args = random.choice([{}, {}, bad])
    jobs.append(fractal.submit("Toy Parallel", dataset, args=args))
    job = random.choice(jobs)
    if random.random() < 0.2:
        job.cancel()
    elif random.random() < 0.5:
        try:
            job.retry()
            retried.append(job.id)
        except NotAllowed:
            pass
    dataset.add_images([{"zarr_url": f"/data/{name}-late-{len(jobs)}.zarr"}])
    dataset.update_images([{"zarr_url": f"/data/{name}-0.zarr", "attributes": {"n": len(jobs)}}])
print(json.dumps({"jobs": [job.id for job in jobs], "retried": retried}))
"""

READER = """
import json, sys, time
from fractal_jupyter import Fractal
url, name, seconds = sys.argv[1:]
fractal = Fractal(url)
until = time.monotonic() + float(seconds)
looks = 0
while time.monotonic() < until:
    for job in fractal.jobs.list(limit=20):
        for step in job.steps:
            counted = step.running + step.done + step.failed + step.cancelled + step.interrupted
            assert 0 <= counted <= step.total, step
            assert min(step.running, step.done, step.failed, step.cancelled) >= 0, step
        job.units()
        looks += 1
    len(fractal.datasets.list())
print(json.dumps({"looks": looks}))
"""


def start(code: str, fractal: Fractal, name: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, fractal.url, name, str(SECONDS)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def result(process: subprocess.Popen[str]) -> dict[str, list[int]]:
    """What a process printed at its end; fails with what it complained about."""
    said, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    found: dict[str, list[int]] = json.loads(said.splitlines()[-1])
    return found


@pytest.mark.slow
def test_no_lock_error_and_no_lost_update(fractal: Fractal) -> None:
    writers = {name: start(WRITER, fractal, name) for name in ("ann", "bob")}
    reader = start(READER, fractal, "eve")
    submitted = {name: result(process)["jobs"] for name, process in writers.items()}
    assert result(reader)["looks"]
    # Each job has a number of its own, and none is missing.
    numbers = sorted(number for jobs in submitted.values() for number in jobs)
    assert numbers == list(range(1, len(numbers) + 1))
    assert {job.id for job in fractal.jobs.list(limit=None)} == set(numbers)
    for name, jobs in submitted.items():
        images = fractal.datasets.get(name).images
        assert len(images) == 3 + len(jobs)
        assert images[0].attributes["n"] == len(jobs)
    for job in fractal.jobs.list(limit=None):
        job.cancel()
    for job in fractal.jobs.list(limit=None):
        job.wait(120)
        before = [image.zarr_url for image in fractal.datasets.get(job.dataset).images]
        assert_consistent(fractal, job, before=before)
    log = (Path(fractal.url.removeprefix("sqlite:///")).parent / "supervisor.log").read_text()
    assert "ERROR" not in log, log
    assert Counter(job.status for job in fractal.jobs.list(limit=None))["done"]


def test_a_new_store_is_opened_by_many_at_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/new/fractal.db"
    code = (
        "import os, pathlib, sys\n"
        "from fractal_jupyter import Fractal\n"
        "gate = pathlib.Path(sys.argv[2])\n"
        "pathlib.Path(f'{gate}.{os.getpid()}').touch()\n"
        "while not gate.exists(): pass\n"
        "fractal = Fractal(sys.argv[1])\n"
        "print(fractal.resources.list()[0].name, fractal.profile)"
    )
    gate = tmp_path / "gate"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, url, str(gate)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for _ in range(4)
    ]
    wait_until(lambda: len(list(tmp_path.glob("gate.*"))) == 4)
    gate.touch()
    said = [process.communicate(timeout=60)[0] for process in processes]
    assert said == ["Local resource Local profile\n"] * 4


def test_many_jobs_at_once(fractal: Fractal) -> None:
    """More threads of the supervisor than a pool of connections has by default."""
    names = [f"d{n}" for n in range(24)]
    for name in names:
        make_dataset(fractal, 1, name=name)
    jobs = [fractal.submit("Toy Parallel", name) for name in names]
    for job, name in zip(jobs, names, strict=True):
        job.wait(120)
        assert (job.status, job.error) == ("done", None)
        assert_consistent(fractal, job, before=[f"/data/{name}-0.zarr"])
    log = (Path(fractal.url.removeprefix("sqlite:///")).parent / "supervisor.log").read_text()
    assert "ERROR" not in log, log
