"""What people see of jobs on the real cluster."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fractal_jupyter import Fractal
from fractal_jupyter.runner.users import current_user
from tests.slurm.fixtures import ToyEnvironment
from tests.slurm.machine import Cluster
from tests.slurm.ways import PROFILE, RESOURCE, images, profile_document, resource_document
from tests.toy import end_everything, wait_until

MakeFractal = Callable[[str], Fractal]


@pytest.fixture
def make_fractal(
    cluster: Cluster,
    shared_folder: Path,
    toy_environment: ToyEnvironment,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[MakeFractal]:
    """Makes a client of the cluster whose workers run on the given interpreter."""
    del cluster
    monkeypatch.setenv("COLUMNS", "120")
    fractal = Fractal(f"sqlite:///{shared_folder}/store/fractal.db")

    def make(python: str) -> Fractal:
        fractal.resources.add(resource_document("slurm_sudo", shared_folder, python=python))
        fractal.profiles.add(profile_document("slurm_sudo", current_user()), resource=RESOURCE)
        fractal.use(PROFILE)
        toy_environment.add(fractal._store, resource=RESOURCE)
        return fractal

    yield make
    end_everything(fractal._store)
    fractal.close()


@pytest.fixture
def fractal(make_fractal: MakeFractal, toy_environment: ToyEnvironment) -> Fractal:
    return make_fractal(toy_environment.python)


def test_a_job_in_the_queue_says_why(fractal: Fractal, shared_folder: Path) -> None:
    job = fractal.submit(
        "Toy Parallel",
        images(fractal, shared_folder, 2),
        meta={"extra_lines": ["#SBATCH --hold"]},
    )
    wait_until(lambda: "JobHeldUser" in (job.waiting_for or ""))
    shown = repr(job)
    assert re.search(r"Held; `scontrol release \d+` lets it go on \(JobHeldUser\)\.", shown)
    assert "waits" in shown
    assert "JobHeldUser" in fractal.jobs._repr_html_()
    job.cancel().wait(120)
    assert "JobHeldUser" not in repr(job)


def test_units_show_their_node_and_their_memory_against_what_was_asked_for(
    fractal: Fractal, shared_folder: Path
) -> None:
    dataset = images(fractal, shared_folder, 2)
    job = fractal.submit("Toy Parallel", dataset, meta={"mem": 150}).wait(120)
    assert job.status == "done", job.error
    heads, *rows = repr(job.units()).splitlines()[2:]
    assert "Node" in heads
    assert all(" / 150 MB  node" in row for row in rows)
    said_otherwise = {"extra_lines": ["#SBATCH --mem-per-cpu=170"]}
    job = fractal.submit("Toy Parallel", dataset, meta=said_otherwise).wait(120)
    assert job.status == "done", job.error
    assert " / " not in repr(job.units()).splitlines()[3]


def test_what_a_job_has_written_itself_is_shown_as_it_is(
    make_fractal: MakeFractal, shared_folder: Path
) -> None:
    fractal = make_fractal("/no/such/python3")
    job = fractal.submit("Toy Parallel", images(fractal, shared_folder, 2)).wait(120)
    lines = repr(job).splitlines()
    head = next(k for k, line in enumerate(lines) if line.startswith("  Unit 0"))
    assert "It never started: its SLURM job" in lines[head]
    said = next(k for k, line in enumerate(lines) if line.startswith("      The worker could"))
    # What to do about it is a line of its own, and what was said stands below.
    advice = " ".join(line.strip() for line in lines[head + 1 : said])
    assert "to a Python of 3.8 or later that compute nodes have" in advice
    assert advice.endswith("a retry goes on with the resource as it was.")
    assert all(line.startswith("    ") for line in lines[head + 1 : said])
    assert "jobs_slurm_python_worker" in "".join(lines[said:])
    assert "The worker could not start: its interpreter, /no/such/python3" in job._repr_html_()
