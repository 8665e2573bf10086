"""What several processes do to one store at the same moment, on both databases."""

from __future__ import annotations

import subprocess
import sys
from typing import Protocol

import pytest

from fractal_jupyter.store.store import Store
from tests.store.test_leases import add_job

PROCESSES = 4
# Each process waits for a line, so that all begin together.
BEFORE = """
import sys
import sqlalchemy as sa
from fractal_jupyter.errors import AlreadyExists
from fractal_jupyter.models.images import Image
from fractal_jupyter.store.running import Running
from fractal_jupyter.store.store import Store
from fractal_jupyter.store.tables import datasets
store, me = Store(sys.argv[1]), int(sys.argv[2])
"""
GO = """
print("ready", flush=True)
sys.stdin.readline()
"""


class Racing(Protocol):
    """Runs a program in several processes at once; returns what each has printed."""

    def __call__(self, program: str, *, before: str = "") -> list[str]: ...


@pytest.fixture
def race(store: Store) -> Racing:
    """Run a program in several processes at once; return what each has printed."""

    def run(program: str, *, before: str = "") -> list[str]:
        racers = [
            subprocess.Popen(
                [sys.executable, "-c", BEFORE + before + GO + program, store.url, str(number)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for number in range(PROCESSES)
        ]
        for racer in racers:
            assert racer.stdout is not None
            assert racer.stdout.readline() == "ready\n"
        for racer in racers:
            assert racer.stdin is not None
            racer.stdin.write("go\n")
            racer.stdin.flush()
        said = [racer.communicate()[0].strip() for racer in racers]
        assert [racer.returncode for racer in racers] == [0] * PROCESSES
        return said

    return run


def test_no_update_is_lost_between_reading_and_writing(store: Store, race: Racing) -> None:
    key = store.datasets.add("d", zarr_dir="/d", project_dir="/d").id
    race(f"""
of_dataset = datasets.c.id == {key}
for _ in range(100):
    with store.database.write() as connection:
        revision = connection.execute(sa.select(datasets.c.revision).where(of_dataset)).scalar()
        connection.execute(sa.update(datasets).where(of_dataset).values(revision=revision + 1))
""")
    assert store.datasets.get("d").revision == 100 * PROCESSES


def test_one_takes_a_lease(store: Store, race: Racing) -> None:
    said = race('print(store.leases.take("me", process={}, address=None) is not None)')
    assert sorted(said) == ["False"] * (PROCESSES - 1) + ["True"]


def test_one_replaces_a_silent_holder(store: Store, race: Racing) -> None:
    assert store.leases.take("me", process={}, address=None) is not None
    # All have seen the same holder before they begin.
    said = race(
        "print(store.leases.take('me', process={}, address=None, silent=seen) is not None)",
        before="seen = store.leases.get('me')",
    )
    assert sorted(said) == ["False"] * (PROCESSES - 1) + ["True"]


def test_one_job_at_a_time_begins_on_a_dataset(store: Store, race: Racing) -> None:
    for _ in range(PROCESSES):
        add_job(store)
    lease = store.leases.take("me", process={}, address=None)
    assert lease is not None
    said = race(f"""
from fractal_jupyter.store.leases import Lease
running = Running(store.database, Lease("me", {lease.token!r}, {lease.epoch}))
job = store.jobs.all()[me]
print(running.start_job(job) is None)
""")
    assert sorted(said) == ["False"] * (PROCESSES - 1) + ["True"]
    assert store.jobs.counts("me")["running"] == 1


def test_a_new_store_gets_one_first_resource(store: Store, race: Racing) -> None:
    race('store.add_first_resource({"name": "r"}, {"name": "p"})')
    assert [record.name for record in store.resources.all()] == ["r"]
    assert [record.name for record in store.profiles.all()] == ["p"]


def test_an_image_is_added_once(store: Store, race: Racing) -> None:
    key = store.datasets.add("d", zarr_dir="/d", project_dir="/d").id
    said = race(f"""
try:
    store.datasets.add_images({key}, [Image(f"/d/{{n}}.zarr") for n in range(500)])
    print("added")
except AlreadyExists:
    print("known")
""")
    assert sorted(said) == ["added", *["known"] * (PROCESSES - 1)]
    assert store.datasets.count_images(key) == 500


def test_changes_of_one_workflow_are_all_kept(store: Store, race: Racing) -> None:
    workflow = store.workflows.add("w", [{"task": str(number)} for number in range(PROCESSES)])
    race(
        f"""
for turn in range(20):
    store.workflows.change(
        {workflow.id},
        lambda steps: [
            {{**step, "turn": step.get("turn", 0) + 1}} if place == me else step
            for place, step in enumerate(steps)
        ],
    )
"""
    )
    assert [step["turn"] for step in store.workflows.get("w").steps] == [20] * PROCESSES
