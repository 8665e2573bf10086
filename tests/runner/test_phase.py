"""Phases on a scripted SLURM: what is asked of it, and when, whatever becomes of the batches."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from fractal_jupyter.errors import AccessDenied, SchedulerUnreachable
from fractal_jupyter.hosts.fake import FakeCall, FakeHost, FakeOutcome
from fractal_jupyter.models.profile import parse_profile
from fractal_jupyter.models.resource import parse_resource
from fractal_jupyter.runner.backend import make_backend
from fractal_jupyter.runner.batches import PhaseUnits
from fractal_jupyter.runner.context import JobContext, Waker
from fractal_jupyter.runner.paths import JobPaths
from fractal_jupyter.runner.phase import PhaseRun
from fractal_jupyter.runner.submitting import Submitter
from fractal_jupyter.runner.users import current_user
from fractal_jupyter.schedulers import slurm, slurm_watch
from fractal_jupyter.schedulers.slurm import SlurmScheduler
from fractal_jupyter.schedulers.slurm_bootstrap import read_script, unpack
from fractal_jupyter.schedulers.slurm_script import MARK
from fractal_jupyter.store.running import Running
from fractal_jupyter.store.store import Store
from fractal_jupyter.worker.records import encode
from tests.slurm.ways import profile_document, resource_document
from tests.store.test_leases import add_job, take

DATA = Path(__file__).parents[1] / "schedulers" / "data"
FOLDER = "/jobs/a-job"
TOO_MANY = (DATA / "sbatch" / "submit.txt").read_bytes()


@dataclass
class Element:
    """An element of an array: the number of its batch, and the document of that."""

    job: int
    number: int
    name: str
    document: dict[str, Any]
    state: str = "PENDING"

    @property
    def row(self) -> str:
        node = "" if self.state == "PENDING" else "node1"
        return f"{self.job}_{self.number}|{self.state}|None|N/A|N/A|{node}|alice|{self.name}\n"

    @property
    def units(self) -> list[int]:
        return [unit["index"] for unit in self.document["units"]]


@dataclass
class Slurm:
    """A SLURM whose jobs run when it is asked about them.

    Attributes:
        tmp_path: A folder for a script.
        limit: How many elements may be in the queue.
        elements: Everything that was ever submitted.
        commands: The names of SLURM's commands that were run, in order.
        ends: Does the work of an element whose turn it is to run, and says its final state.
        lose: Of the submissions, by number: `answer` (it was accepted), or `all`.
        denied: Whether nobody is let in who submits.
        late: How often `squeue` shows nothing of a submission whose answer was lost.
    """

    tmp_path: Path
    limit: int = 1_000
    elements: list[Element] = field(default_factory=list)
    scripts: list[str] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    ends: Callable[[Element], str] = lambda element: "COMPLETED"
    lose: dict[int, str] = field(default_factory=dict)
    denied: bool = False
    late: int = 0

    def __post_init__(self) -> None:
        config = (DATA / "scontrol" / "config.txt").read_bytes()
        self.host = FakeHost(
            commands={
                "env": self._squeue,
                "scontrol": lambda call: FakeOutcome(stdout=config),
                "/bin/sh": self._sbatch,
                "scancel": self._scancel,
            }
        )

    def _squeue(self, call: FakeCall) -> FakeOutcome:
        if "squeue" not in call.argv:
            return FakeOutcome(127)  # there is no accounting
        self.commands.append("squeue")
        hidden = self.elements[-1].job if self.late and self.elements else None
        self.late = max(0, self.late - 1)
        shown = [element for element in self.elements if element.job != hidden]
        for element in shown:
            if element.state == "PENDING":
                element.state = self.ends(element)
        return FakeOutcome(stdout="".join(element.row for element in shown).encode())

    def _sbatch(self, call: FakeCall) -> FakeOutcome:
        self.commands.append("sbatch")
        if self.denied:
            raise AccessDenied("the agent has no such key")
        text = call.stdin.decode()
        script = self.tmp_path / "script"
        script.write_text(text)
        _, payload = read_script(str(script), MARK)
        numbers = [int(number) for number in unpack(payload, _first(text))[0]["batches"]]
        if sum(e.state == "PENDING" for e in self.elements) + len(numbers) > self.limit:
            return FakeOutcome(1, stderr=TOO_MANY)
        self.scripts.append(text)
        lost = self.lose.get(len(self.scripts))
        job = 10 + len(self.scripts)
        if lost != "all":
            self.elements += [
                Element(job, n, _option(text, "job-name"), json.loads(unpack(payload, n)[2]))
                for n in numbers
            ]
        return FakeOutcome(stdout=b"%d\n" % job, seconds=10_000 if lost else 0.0)

    def _scancel(self, call: FakeCall) -> FakeOutcome:
        self.commands.append("scancel")
        return FakeOutcome()

    def work(self, element: Element, *, units: int | None = None) -> None:
        """Record, as the worker would, that the first few of its units were done, or all."""
        folder = f"{FOLDER}/step-0-t/parallel/batch-{element.number:04d}"
        attempt = sum(e.number == element.number and e.job <= element.job for e in self.elements)
        self.host.mkdir(f"{folder}/attempt-{attempt}")
        some = element.units[:units]
        records: list[dict[str, Any]] = [{"event": "attempt", "time": 1.0}]
        for slot, index in enumerate(some):
            records += [
                {"event": "start", "unit": index, "slot": slot, "time": 1.0},
                {"event": "end", "unit": index, "status": "done", "time": 2.0, "log": [0, 0, 0]},
            ]
        records += [{"event": "finished", "time": 2.0}] if len(some) == len(element.units) else []
        self.host.write_many(
            {
                f"{folder}/batch.json": b"{}",
                f"{folder}/attempt-{attempt}/results-0000": b"".join(map(encode, records)),
            }
        )


def _option(script: str, name: str) -> str:
    found = re.search(rf"^#SBATCH --{name}=(.*)$", script, re.MULTILINE)
    assert found is not None
    return found[1]


def _first(script: str) -> int:
    return int(re.split("[-,]", _option(script, "array"))[0])


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers are good for no time at all, and missing ones are not waited for long."""
    monkeypatch.setattr(slurm_watch, "SHORTEST_INTERVAL_SECONDS", 0.0)
    monkeypatch.setattr(slurm, "INTENT_SECONDS", 0.5)
    monkeypatch.setattr(slurm, "INTENT_LOOK_SECONDS", 0.01)


@pytest.fixture
def cluster(tmp_path: Path) -> Slurm:
    return Slurm(tmp_path)


# Of 20 units 5 are a batch, and 4 of these run at a time; 5 units alone would be 3 batches of 2.
BATCHING = {"target_num_jobs": 3}


@pytest.fixture
def phase(cluster: Slurm, tmp_path: Path) -> Iterator[Callable[[], PhaseRun]]:
    """Takes up a phase of 20 units from where it was left, as each supervisor does."""
    store = Store(f"sqlite:///{tmp_path}/fractal.db")
    lease = take(store)
    assert lease is not None
    running, job = Running(store.database, lease), add_job(store)
    (step,) = store.jobs.steps(job.id)
    planned = [(f"/data/{number}.zarr", {"number": number}) for number in range(20)]
    running.add_units(step, phase="parallel", planned=planned, type_filter={})
    resource = resource_document(
        "slurm_sudo", tmp_path, python="/usr/bin/python3", batching=BATCHING
    )
    backend = replace(
        make_backend(
            parse_resource(resource), parse_profile(profile_document("slurm_sudo", current_user()))
        ),
        host=cluster.host,
        late_results_seconds=0.0,
        round_seconds=0.01,
    )

    def take_up() -> PhaseRun:
        context = JobContext(
            job=replace(job, request={"environment": {}}),
            running=running,
            backend=replace(backend, scheduler=scheduler(cluster)),
            paths=JobPaths(PurePosixPath(FOLDER)),
            waker=Waker(),
            notify=None,
            event=threading.Event(),
        )
        units = PhaseUnits(context=context, step=step, phase="parallel", is_init=False)
        command = ("python", "task.py")
        submitter = Submitter(units=units, command=command, common_args={}, meta={}, cold=None)
        return PhaseRun(units=units, submitter=submitter)

    yield take_up
    store.close()


def scheduler(cluster: Slurm) -> SlurmScheduler:
    return SlurmScheduler(
        host=cluster.host,
        control=cluster.host,
        username="alice",
        python="/usr/bin/python3",
        poll_seconds=0.0,
        payloads_dir="/payloads",
        foreign=False,
    )


def all_done(cluster: Slurm, element: Element) -> str:
    cluster.work(element)
    return "COMPLETED"


def two_done_at_first(cluster: Slurm, element: Element) -> str:
    """The first array reaches its time limit when two units of each batch are done."""
    first = element.job == cluster.elements[0].job
    cluster.work(element, units=2 if first else None)
    return "TIMEOUT" if first else "COMPLETED"


def test_what_has_to_wait_or_is_started_again_runs_as_it_was_planned(
    cluster: Slurm, phase: Callable[[], PhaseRun]
) -> None:
    cluster.limit = 3
    cluster.ends = lambda element: two_done_at_first(cluster, element)
    assert set(phase().run().values()) == {"done"}
    assert len(cluster.scripts) > 2
    for name, value in (("cpus-per-task", "4"), ("mem", "400M")):
        assert {_option(script, name) for script in cluster.scripts} == {value}
    assert {e.number: e.document["concurrency"] for e in cluster.elements if len(e.units) == 5} == (
        dict.fromkeys(range(4), 4)
    )


def test_batches_that_end_together_are_looked_for_and_started_again_together(
    cluster: Slurm, phase: Callable[[], PhaseRun]
) -> None:
    cluster.ends = lambda element: two_done_at_first(cluster, element)
    assert set(phase().run().values()) == {"done"}
    # They run and have ended; no other has started them; they are started again, and have ended.
    assert cluster.commands == ["sbatch", "squeue", "squeue", "sbatch", "squeue"]


def test_who_is_not_let_in_any_more_waits_for_it(
    cluster: Slurm, phase: Callable[[], PhaseRun]
) -> None:
    cluster.ends = lambda element: all_done(cluster, element)
    cluster.denied = True
    for _ in range(2):
        with pytest.raises(AccessDenied):
            phase().run()
    cluster.denied = False
    assert set(phase().run().values()) == {"done"}
    assert len(cluster.scripts) == 1


@pytest.mark.parametrize(
    ("lost", "late"), [("answer", 0), ("answer", 5), ("all", 0)], ids=["accepted", "late", "lost"]
)
def test_what_was_started_again_when_the_supervisor_died_is_found(
    cluster: Slurm, phase: Callable[[], PhaseRun], lost: str, late: int
) -> None:
    cluster.ends = lambda element: two_done_at_first(cluster, element)
    cluster.lose = {2: lost}
    with pytest.raises(SchedulerUnreachable):
        phase().run()
    cluster.late = late
    assert set(phase().run().values()) == {"done"}
    assert len(cluster.scripts) == (3 if lost == "all" else 2)
    assert [len(element.units) for element in cluster.elements] == [5] * 4 + [3] * 4
