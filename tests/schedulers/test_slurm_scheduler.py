"""The scheduler on a host that is scripted with what a real SLURM said."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fractal_jupyter.engine.slurm_options import UnitOptions
from fractal_jupyter.errors import SchedulerError, SchedulerUnreachable, SubmissionRejected
from fractal_jupyter.hosts.fake import FakeCall, FakeHost, FakeOutcome
from fractal_jupyter.schedulers import slurm, slurm_watch
from fractal_jupyter.schedulers.base import BatchState, Submission
from fractal_jupyter.schedulers.slurm import SlurmNeeds, SlurmScheduler
from fractal_jupyter.schedulers.slurm_output import Unreadable, parse_config
from fractal_jupyter.schedulers.slurm_watch import SlurmWatch, Watched

DATA = Path(__file__).parent / "data"


class Cluster:
    """A scripted SLURM: what its commands say next, and how often they were run."""

    def __init__(self) -> None:
        self.queue = FakeOutcome()
        self.accounting = FakeOutcome()
        self.users = {"0": "root"}
        self.config = (DATA / "scontrol" / "config.txt").read_bytes()
        self.submit: Callable[[FakeCall], FakeOutcome] = lambda call: FakeOutcome(stdout=b"7\n")
        self.host = FakeHost(
            commands={
                "env": self._env,
                "scontrol": lambda call: FakeOutcome(stdout=self.config),
                # which writes the script into a file first, and gives it to sbatch
                "/bin/sh": lambda call: self.submit(call),
                "scancel": lambda call: FakeOutcome(),
            }
        )

    def _env(self, call: FakeCall) -> FakeOutcome:
        if "id" in call.argv:
            name = self.users.get(call.argv[-1])
            return FakeOutcome(stdout=f"{name}\n".encode()) if name else FakeOutcome(1)
        return self.queue if "squeue" in call.argv else self.accounting

    def count(self, program: str) -> int:
        return sum(program in call.argv for call in self.host.calls)

    def scripts(self) -> list[str]:
        return [call.stdin.decode() for call in self.host.calls if "sbatch" in call.argv]

    def queued(self, *lines: str) -> None:
        self.queue = FakeOutcome(stdout="".join(f"{line}\n" for line in lines).encode())


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers are good for no time at all, and missing ones are not waited for."""
    monkeypatch.setattr(slurm_watch, "SHORTEST_INTERVAL_SECONDS", 0.0)
    monkeypatch.setattr(slurm, "INTENT_SECONDS", 0.05)
    monkeypatch.setattr(slurm, "INTENT_LOOK_SECONDS", 0.01)


def scheduler(cluster: Cluster, **settings: Any) -> SlurmScheduler:
    return SlurmScheduler(
        **{
            "host": cluster.host,
            "control": cluster.host,
            "username": "alice",
            "python": "/usr/bin/python3",
            "poll_seconds": 0,
            "payloads_dir": "/payloads",
            "foreign": False,
            **settings,
        }
    )


def submission(*numbers: int, **options: Any) -> Submission:
    needs = SlurmNeeds(
        options=UnitOptions(**{"cpus_per_task": 1, "mem_mb": 100, **options}), side_by_side=2
    )
    return Submission(
        name="fractal-1-0-abcd",
        folder="/jobs/phase",
        batches={number: {"units": [number]} for number in numbers},
        needs=needs,
    )


def watched(job: int, element: int) -> Watched:
    return Watched(job, element, 200, "01:00:00")


def watch(cluster: Cluster, seconds: float = 0.0) -> SlurmWatch:
    return SlurmWatch(cluster.host, username="alice", seconds=seconds)


# submitting


def test_batches_are_one_array_whose_elements_have_their_numbers(cluster: Cluster) -> None:
    handles = scheduler(cluster).submit(submission(0, 1, 2, 7))
    assert {number: handle["element"] for number, handle in handles.items()} == {
        number: number for number in (0, 1, 2, 7)
    }
    assert {handle["job"] for handle in handles.values()} == {7}
    assert handles[7]["output"] == "/jobs/phase/slurm-7_7.out"
    assert handles[7]["mem_mb"] == 200
    (script,) = cluster.scripts()
    assert "#SBATCH --array=0-2,7\n" in script


def test_more_batches_than_an_array_may_have_are_several(cluster: Cluster) -> None:
    cluster.config = re.sub(rb"MaxArraySize +=.*", b"MaxArraySize = 3", cluster.config)
    jobs = iter((7, 8, 9))
    cluster.submit = lambda call: FakeOutcome(stdout=f"{next(jobs)}\n".encode())
    handles = scheduler(cluster).submit(submission(*range(8)))
    assert [(h["job"], h["element"]) for h in handles.values()] == [
        *((7, 0), (7, 1), (7, 2)),
        *((8, 0), (8, 1), (8, 2)),
        *((9, 0), (9, 1)),
    ]
    assert ['"first_batch": 3' in script for script in cluster.scripts()] == [False, True, False]


def test_as_many_batches_are_submitted_as_may_be(cluster: Cluster) -> None:
    room = 5

    def submit(call: FakeCall) -> FakeOutcome:
        nonlocal room
        line = next(n for n in call.stdin.decode().splitlines() if "--array=" in n)
        first, _, last = line.partition("=")[2].partition("-")
        wanted = int(last or first) - int(first) + 1
        if wanted > room:
            words = b"sbatch: error: AssocMaxSubmitJobLimit\nsbatch: error: Batch job submission "
            return FakeOutcome(1, stderr=words + b"failed: Job violates accounting/QOS policy\n")
        room -= wanted
        return FakeOutcome(stdout=b"%d\n" % (20 + room))

    cluster.submit = submit
    handles = scheduler(cluster).submit(submission(*range(12)))
    assert list(handles) == [0, 1, 2, 3, 4]
    assert scheduler(cluster).submit(submission(5, 6)) == {}


def test_what_is_refused_for_good_says_why(cluster: Cluster) -> None:
    refusal = (DATA / "sbatch" / "partition.txt").read_bytes()
    cluster.submit = lambda call: FakeOutcome(1, stderr=refusal)
    with pytest.raises(SubmissionRejected, match="invalid partition"):
        scheduler(cluster).submit(submission(0))


@pytest.mark.parametrize(
    "outcome",
    [
        FakeOutcome(1, stderr=(DATA / "sbatch" / "dead.txt").read_bytes()),
        FakeOutcome(1, stderr=(DATA / "sbatch" / "hang.txt").read_bytes()),
        FakeOutcome(0, stdout=b"who knows\n"),
        FakeOutcome(seconds=10_000),
    ],
    ids=["dead", "hangs", "unreadable", "too late"],
)
def test_an_answer_that_is_missing_is_not_a_refusal(cluster: Cluster, outcome: FakeOutcome) -> None:
    cluster.submit = lambda call: outcome
    with pytest.raises(SchedulerUnreachable):
        scheduler(cluster).submit(submission(0))


def test_a_large_payload_travels_in_a_file(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slurm, "SCRIPT_SHARE", 0.001)
    cluster.host.mkdir("/jobs/phase")
    scheduler(cluster).submit(submission(0))
    (script,) = cluster.scripts()
    assert len(script) < 10_000
    (entry,) = [e for e in cluster.host.list("/jobs/phase") if e.name.startswith("payload-")]
    assert f'"payload": "/jobs/phase/{entry.name}"' in script


def foreign(cluster: Cluster) -> FakeHost:
    """A host that can do little more than submit, as one through sudo."""
    return FakeHost(
        capabilities=frozenset(), commands={"sbatch": lambda call: cluster.submit(call)}
    )


@pytest.mark.parametrize(
    ("said", "kept"), [("submit", False), ("partition", False), ("dead", True)]
)
def test_a_payload_of_what_is_refused_is_not_kept(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, kept: bool
) -> None:
    """Unless it may have been accepted."""
    monkeypatch.setattr(slurm, "SCRIPT_SHARE", 0.001)
    refusal = (DATA / "sbatch" / f"{said}.txt").read_bytes()
    cluster.submit = lambda call: FakeOutcome(1, stderr=refusal)
    cluster.host.mkdir("/jobs/phase")
    for host in (cluster.host, foreign(cluster)):
        with suppress(SubmissionRejected, SchedulerUnreachable):
            scheduler(cluster, host=host, payloads_dir=str(tmp_path)).submit(submission(0))
    assert bool(cluster.host.list("/jobs/phase")) is kept
    assert bool([*tmp_path.iterdir()]) is kept


def test_what_travels_in_a_file_can_be_read_by_other_users(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slurm, "SCRIPT_SHARE", 0.001)
    jobs = tmp_path / "jobs"
    before = os.umask(0o077)
    try:
        scheduler(cluster, host=foreign(cluster), payloads_dir=f"{jobs}/.payloads").submit(
            submission(0)
        )
    finally:
        os.umask(before)
    (payload,) = jobs.glob(".payloads/*/payload")
    folders = [jobs, jobs / ".payloads", payload.parent]
    assert [path.stat().st_mode & 0o777 for path in (*folders, payload)] == [0o711] * 3 + [0o644]


def test_payloads_of_other_users_are_removed_when_no_batch_needs_them(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slurm, "SCRIPT_SHARE", 0.001)
    asked = scheduler(cluster, host=foreign(cluster), payloads_dir=str(tmp_path))
    for name in ("fractal-1-0-abcd", "fractal-1-0-abcd", "fractal-1-0-dcba"):
        asked.submit(replace(submission(0), name=name))
    asked.tidy({"fractal-1-0-abcd", "fractal-1-0-none"})
    (left,) = tmp_path.iterdir()
    assert left.name.startswith("fractal-1-0-dcba-")


def test_through_sudo_jobs_must_be_seen_by_others(cluster: Cluster) -> None:
    cluster.config = (DATA / "scontrol" / "config-private.txt").read_bytes()
    with pytest.raises(SchedulerError, match="PrivateData"):
        scheduler(cluster, foreign=True).submit(submission(0))
    assert scheduler(cluster).submit(submission(0))


def set_array_size(cluster: Cluster, size: int) -> None:
    line = b"MaxArraySize = %d" % size
    cluster.config = re.sub(rb"MaxArraySize +=.*", line, cluster.config)


def test_arrays_that_became_too_large_are_submitted_smaller(cluster: Cluster) -> None:
    asked = scheduler(cluster)
    asked.submit(submission(0))
    set_array_size(cluster, 3)
    jobs = iter((8, 9))

    def submit(call: FakeCall) -> FakeOutcome:
        if "--array=0-3" in call.stdin.decode():
            return FakeOutcome(1, stderr=(DATA / "sbatch" / "array.txt").read_bytes())
        return FakeOutcome(stdout=b"%d\n" % next(jobs))

    cluster.submit = submit
    handles = asked.submit(submission(*range(4)))
    assert [(h["job"], h["element"]) for h in handles.values()] == [(8, 0), (8, 1), (8, 2), (9, 0)]


def test_an_array_that_is_refused_at_any_size_is_refused(cluster: Cluster) -> None:
    refusal = (DATA / "sbatch" / "array.txt").read_bytes()
    cluster.submit = lambda call: FakeOutcome(1, stderr=refusal)
    with pytest.raises(SubmissionRejected, match="array"):
        scheduler(cluster).submit(submission(*range(4)))
    assert len(cluster.scripts()) == 1


def test_what_is_configured_is_asked_again_after_a_while(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = scheduler(cluster)
    for _ in range(3):
        asked.submit(submission(0))
    assert cluster.count("scontrol") == 1
    monkeypatch.setattr(slurm, "SITE_SECONDS", 0.0)
    set_array_size(cluster, 1)
    asked.submit(submission(0, 1))
    assert len(cluster.scripts()) == 5


def test_accounting_that_is_switched_on_is_noticed_by_who_watches(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = b"AccountingStorageType = accounting_storage/%s"
    without, with_it = (
        re.sub(rb"AccountingStorageType +=.*", line % kind, cluster.config)
        for kind in (b"none", b"slurmdbd")
    )
    cluster.config = without
    asked = scheduler(cluster)
    (handle,) = asked.submit(submission(0)).values()
    cluster.queued("7_0|FAILED|NonZeroExitCode|N/A|N/A|node1|alice|x")
    asked.poll([handle])
    assert cluster.count("sacct") == 0
    cluster.config = with_it
    monkeypatch.setattr(slurm, "SITE_SECONDS", 0.0)
    asked.poll([handle])
    assert cluster.count("sacct") == 1


def test_through_sudo_it_is_seen_at_once_that_jobs_are_hidden(cluster: Cluster) -> None:
    asked = scheduler(cluster, foreign=True)
    asked.submit(submission(0))
    cluster.config = (DATA / "scontrol" / "config-private.txt").read_bytes()
    with pytest.raises(SchedulerError, match="PrivateData"):
        asked.submit(submission(0))


# finding again


def never(count: int) -> dict[int, None]:
    """The first few batches, which were never started before."""
    return dict.fromkeys(range(count))


def test_batches_are_found_in_arrays_of_another_size(cluster: Cluster) -> None:
    set_array_size(cluster, 3)
    cluster.queued(
        "7_[0-3]|PENDING|None|N/A|N/A||alice|fractal-1-0-abcd",
        "8_[0-1]|PENDING|None|N/A|N/A||alice|fractal-1-0-abcd-4",
        "9_[0-9]|PENDING|None|N/A|N/A||alice|fractal-1-0-abcde",
    )
    found = scheduler(cluster).find("fractal-1-0-abcd", "/jobs/phase", never(9), intended=False)
    assert {n: (h["job"], h["element"]) for n, h in found.items()} == {
        **{n: (7, n) for n in range(4)},
        4: (8, 0),
        5: (8, 1),
    }


def test_batches_are_found_by_the_name_of_their_jobs(cluster: Cluster) -> None:
    cluster.queued(
        "5_[0-3]|PENDING|Resources|N/A|2026-11-23T04:06:14||alice|fractal-1-0-other",
        "7_0|COMPLETED|None|N/A|2026-11-23T04:06:14|node1|alice|fractal-1-0-abcd",
        "7_1|RUNNING|None|N/A|2026-11-23T04:06:14|node1|alice|fractal-1-0-abcd",
        "9_[2-4,6%1]|PENDING|Resources|N/A|2026-11-23T04:06:14||alice|fractal-1-0-abcd",
    )
    found = scheduler(cluster).find("fractal-1-0-abcd", "/jobs/phase", never(8), intended=True)
    assert {n: (h["job"], h["element"]) for n, h in found.items()} == {
        0: (7, 0),
        1: (7, 1),
        2: (9, 2),
        3: (9, 3),
        4: (9, 4),
        6: (9, 6),
    }
    # What has ended was not lost on the way, but does not run either.
    found = scheduler(cluster).find("fractal-1-0-abcd", "/jobs/phase", never(8), intended=False)
    assert list(found) == [1, 2, 3, 4, 6]


def test_a_start_that_is_known_to_have_ended_is_not_found(cluster: Cluster) -> None:
    cluster.queued(
        "6_0|TIMEOUT|None|N/A|N/A|node1|alice|fractal-1-0-abcd",
        "7_0|TIMEOUT|None|N/A|N/A|node1|alice|fractal-1-0-abcd",
        "7_1|TIMEOUT|None|N/A|N/A|node1|alice|fractal-1-0-abcd",
        "7_2|PENDING|None|N/A|N/A||alice|fractal-1-0-abcd",
        "9_1|COMPLETED|None|N/A|N/A|node1|alice|fractal-1-0-abcd",
    )
    last = {number: {"job": 7} for number in range(3)}
    found = scheduler(cluster).find("fractal-1-0-abcd", "/jobs/phase", last, intended=True)
    # What was queued again is known by the same number.
    assert {number: handle["job"] for number, handle in found.items()} == {1: 9, 2: 7}


def test_what_was_intended_is_looked_for_until_it_must_be_there(cluster: Cluster) -> None:
    asked = scheduler(cluster)
    assert asked.find("fractal-1-0-abcd", "/jobs/phase", never(1), intended=False) == {}
    assert cluster.count("squeue") == 1
    assert asked.find("fractal-1-0-abcd", "/jobs/phase", never(1), intended=True) == {}
    assert cluster.count("squeue") > 2


def test_who_does_not_answer_has_not_said_that_there_is_nothing(cluster: Cluster) -> None:
    # as it was recorded: with exit status 0
    cluster.queue = FakeOutcome(0, stderr=(DATA / "squeue" / "hang-stderr.txt").read_bytes())
    with pytest.raises(SchedulerUnreachable):
        scheduler(cluster).find("fractal-1-0-abcd", "/jobs/phase", never(1), intended=False)


# watching


def test_one_question_is_asked_for_all_jobs_in_an_interval(cluster: Cluster) -> None:
    cluster.queued(*(f"{job}_0|RUNNING|None|N/A|N/A|node1|alice|x" for job in range(20)))
    many = watch(cluster, seconds=1000.0)
    for _ in range(10):
        statuses = many.statuses([watched(job, 0) for job in range(20)])
        assert {status.state for status in statuses} == {BatchState.RUNNING}
    assert cluster.count("squeue") == 1
    assert cluster.count("sacct") == 0


@pytest.mark.parametrize(
    "outcome",
    [
        FakeOutcome(1, stderr=(DATA / "squeue" / "dead-stderr.txt").read_bytes()),
        FakeOutcome(0, stderr=(DATA / "squeue" / "hang-stderr.txt").read_bytes()),
        FakeOutcome(0, stdout=b"7_0|RUNNING|None|N/"),
        FakeOutcome(seconds=10_000),
    ],
    ids=["dead", "hangs", "cut", "too late"],
)
def test_nothing_has_ended_because_nobody_answers(cluster: Cluster, outcome: FakeOutcome) -> None:
    cluster.queue = outcome
    (status,) = watch(cluster).statuses([watched(7, 0)])
    assert status.state is BatchState.UNKNOWN
    assert "SLURM" in (status.reason or "")


def test_a_host_that_is_not_reached_says_nothing_either(cluster: Cluster) -> None:
    cluster.host.reachable = False
    (status,) = watch(cluster).statuses([watched(7, 0)])
    assert status.state is BatchState.UNKNOWN


def test_a_controller_that_hangs_holds_up_nobody(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slurm_watch, "PATIENCE_SECONDS", 0.05)
    gate = threading.Event()

    def hang(call: FakeCall) -> FakeOutcome:
        gate.wait(30)
        return FakeOutcome(stdout=b"7_0|RUNNING|None|N/A|N/A|node1|alice|x\n")

    cluster.host.commands["env"] = hang
    asked = watch(cluster)
    for _ in range(3):
        (status,) = asked.statuses([watched(7, 0)])
        assert status.state is BatchState.UNKNOWN
        assert (status.reason or "").startswith("SLURM has not answered")
    assert cluster.count("squeue") == 1
    monkeypatch.setattr(slurm_watch, "PATIENCE_SECONDS", 30.0)
    gate.set()
    (status,) = asked.statuses([watched(7, 0)])
    assert status.state is BatchState.RUNNING


def test_accounting_that_hangs_is_what_is_waited_for(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slurm_watch, "PATIENCE_SECONDS", 0.5)
    gate = threading.Event()

    def hang(call: FakeCall) -> FakeOutcome:
        if "sacct" in call.argv:
            gate.wait(30)
        return FakeOutcome()

    asked = watch(cluster)
    cluster.queued("7_0|RUNNING|None|N/A|N/A|node1|alice|x")
    asked.statuses([watched(7, 0)])
    cluster.host.commands["env"] = hang
    (status,) = asked.statuses([watched(7, 0)])
    gate.set()
    assert status.state is BatchState.UNKNOWN
    assert (status.reason or "").startswith("SLURM's accounting has not answered")


def test_what_waits_says_why(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cluster is asked for UTC, and may be anywhere: told is the time of this machine."""
    monkeypatch.setenv("TZ", "CET-1")
    time.tzset()
    cluster.queued("7_[0-3]|PENDING|Resources|2026-11-24T10:00:00|N/A||alice|x")
    (status,) = watch(cluster).statuses([watched(7, 2)])
    assert status.state is BatchState.PENDING
    assert status.reason == (
        "waiting for processors, memory or nodes to become free (Resources); expected to start at "
        "2026-11-24 11:00:00 CET"
    )
    assert "TZ=UTC0" in cluster.host.calls[-1].argv
    monkeypatch.undo()
    time.tzset()


def test_who_cancels_is_named_as_the_cluster_names_them(cluster: Cluster) -> None:
    """Numbers of users mean others on this machine than behind SSH."""
    cluster.users = {"1": "anna"}
    row = "CANCELLED by {}|0:15|2026-11-23T04:06:14|2026-11-23T04:06:24|10|200M||60|node1|alice|x"
    cells = [f"7_{element}|{row.format(uid)}\n" for element, uid in enumerate((1, 1, 7, 0))]
    cluster.accounting = FakeOutcome(stdout="".join(cells).encode())
    cluster.queued(*(f"7_{element}|CANCELLED|None|N/A|N/A|node1|alice|x" for element in range(4)))
    asked = watch(cluster)
    statuses = asked.statuses([watched(7, element) for element in range(4)])
    by = [(status.reason or "").partition(" was cancelled by ")[2] for status in statuses]
    assert [words.partition(";")[0] for words in by] == [
        *("anna", "anna", "the user with number 7", "root")
    ]
    asked.statuses([watched(7, 0)])
    assert sum(call.argv[-3:] == ("id", "-nu", "1") for call in cluster.host.calls) == 1


def test_accounting_says_more_of_what_has_ended_than_the_queue(cluster: Cluster) -> None:
    cluster.queued("7_0|CANCELLED|None|N/A|N/A|node1|alice|x")
    cells = (
        "7_0|CANCELLED by 0|0:15|2026-11-23T04:06:14|2026-11-23T04:06:24|10|200M||60|node1|alice"
    )
    cluster.accounting = FakeOutcome(stdout=f"{cells}|x\n".encode())
    asked = watch(cluster)
    (status,) = asked.statuses([watched(7, 0)])
    assert (status.state, status.problem) == (BatchState.ENDED, "cancelled_from_outside")
    assert "cancelled by root" in (status.reason or "")
    # What it has said of the end does not change any more.
    asked.statuses([watched(7, 0)])
    assert cluster.count("sacct") == 1


@pytest.mark.parametrize(("code", "began"), [("127:0", False), ("1:0", True), ("0:9", True)])
def test_statuses_of_the_shell_tell_that_no_worker_has_begun(
    cluster: Cluster, code: str, began: bool
) -> None:
    cluster.queued("7_0|FAILED|NonZeroExitCode|N/A|N/A|node1|alice|x")
    times = "2026-11-23T04:06:14|2026-11-23T04:06:15"
    cluster.accounting = FakeOutcome(
        stdout=f"7_0|FAILED|{code}|{times}|1|200M||60|node1|alice|x\n".encode()
    )
    (status,) = watch(cluster).statuses([watched(7, 0)])
    assert (status.state, status.began) == (BatchState.ENDED, began)


def test_what_neither_knows_is_out_of_sight(cluster: Cluster) -> None:
    """It may have ended, may not be known to sacct yet, or the controller has lost its memory."""
    asked = watch(cluster)
    (status,) = asked.statuses([watched(7, 0)])
    assert status.state is BatchState.OUT_OF_SIGHT
    cells = "7_0|RUNNING|0:0|2026-11-23T04:06:14|Unknown|10|200M||60|node1|alice|x"
    cluster.accounting = FakeOutcome(stdout=f"{cells}\n".encode())
    (status,) = asked.statuses([watched(7, 0)])
    assert status.state is BatchState.OUT_OF_SIGHT


def test_what_only_accounting_knows_waits_for_it_but_not_for_ever(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = b"sacct: error: Problem talking to the database: Connection refused\n"
    cluster.accounting = FakeOutcome(1, stderr=refused)
    asked = watch(cluster)
    (status,) = asked.statuses([watched(7, 0)])
    assert status.state is BatchState.UNKNOWN
    assert "accounting does not answer" in (status.reason or "")
    assert "Connection refused" in (status.reason or "")
    cluster.accounting = FakeOutcome(seconds=10_000)
    (status,) = asked.statuses([watched(7, 0)])
    assert status.state is BatchState.UNKNOWN
    cells = "7_0|TIMEOUT|0:0|2026-11-23T04:06:14|2026-11-23T05:06:14|60|200M||60|node1|alice|x"
    monkeypatch.setattr(slurm_watch, "ACCOUNTING_PATIENCE_SECONDS", 0.0)
    (status,) = asked.statuses([watched(7, 0)])
    assert status.state is BatchState.OUT_OF_SIGHT
    cluster.accounting = FakeOutcome(stdout=f"{cells}\n".encode())
    (status,) = asked.statuses([watched(7, 0)])
    assert (status.state, status.problem) == (BatchState.ENDED, "time_limit")


def test_what_the_queue_says_of_a_job_that_was_given_up_accounting_does_not_know(
    cluster: Cluster,
) -> None:
    cluster.queued("7_[0-1]|CANCELLED|DependencyNeverSatisfied|N/A|N/A||alice|x")
    times = "None|2026-11-23T04:06:15"
    cluster.accounting = FakeOutcome(
        stdout=f"7_[0-1]|CANCELLED|0:0|{times}|0|200M||60|None assigned|alice|x\n".encode()
    )
    (status,) = watch(cluster).statuses([watched(7, 0)])
    assert (status.state, status.problem) == (BatchState.ENDED, "never_started")
    assert "has failed" in (status.reason or "")
    assert not status.began


# As SLURM 22.05 says it: what is cancelled of an array that waits is not named any more.
WAITS = "2205_[0-3]|PENDING|BeginTime|2026-11-23T09:36:53|2026-11-23T08:36:53||alice|a"
WAITS_WITHOUT_1 = WAITS.replace("0-3", "0,2-3")
ALL_CANCELLED = "2204_[0-3]|CANCELLED|None|2026-11-23T08:36:38|2026-11-23T08:36:38||alice|a"

ALL_CANCELLED_SAYS_ACCOUNTING = (
    b"2204_[0-3]|CANCELLED by 0|0:0|2026-11-23T08:36:38|2026-11-23T08:36:38|0|10M||"
    b"Partition_Limit|None assigned|alice|a\n"
)


def configured(cluster: Cluster, min_job_age: str = "300 sec") -> SlurmWatch:
    config = re.sub(rb"MinJobAge +=.*", f"MinJobAge = {min_job_age}".encode(), cluster.config)
    site = parse_config(0, config.decode(), "")
    assert not isinstance(site, Unreadable)
    found = watch(cluster)
    found.configure(site)
    return found


def test_an_element_that_is_cancelled_before_it_begins_is_named_no_more(cluster: Cluster) -> None:
    watching = configured(cluster)
    elements = [watched(2205, 1), watched(2205, 2)]
    cluster.queued(WAITS)
    assert [s.state for s in watching.statuses(elements)] == [BatchState.PENDING] * 2
    cluster.queued(WAITS_WITHOUT_1)
    for _ in range(3):
        gone, waits = watching.statuses(elements)
        assert (gone.state, gone.problem) == (BatchState.ENDED, "cancelled_from_outside")
        assert "its SLURM job 2205_1 was cancelled before it began" in (gone.reason or "")
        assert not gone.began
        assert waits.state is BatchState.PENDING
    assert cluster.count("sacct") == 0


@pytest.mark.parametrize("last", [(), ("2206_1|PENDING|None|N/A|N/A||alice|a",)])
def test_of_an_array_that_is_gone_as_a_whole_nothing_is_known(
    cluster: Cluster, last: tuple[str, ...]
) -> None:
    watching = configured(cluster)
    cluster.queued(WAITS)
    watching.statuses([watched(2205, 1)])
    cluster.queued(*last)
    assert watching.statuses([watched(2205, 1)])[0].state is BatchState.OUT_OF_SIGHT


def test_what_was_seen_long_ago_may_have_ended_and_been_forgotten(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1_000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    for age, state in (("30 sec", BatchState.OUT_OF_SIGHT), ("0 sec", BatchState.ENDED)):
        watching = configured(cluster, age)
        cluster.queued(WAITS)
        watching.statuses([watched(2205, 1)])
        now += 31
        cluster.queued(WAITS_WITHOUT_1)
        assert watching.statuses([watched(2205, 1)])[0].state is state


@pytest.mark.parametrize("accounting", [False, True])
def test_an_array_that_is_cancelled_as_a_whole_has_never_begun(
    cluster: Cluster, accounting: bool
) -> None:
    kind = b"slurmdbd" if accounting else b"none"
    cluster.config = re.sub(
        b"accounting_storage/[a-z]+", b"accounting_storage/" + kind, cluster.config
    )
    cluster.queued(ALL_CANCELLED)
    watching = configured(cluster)
    (status,) = watching.statuses([watched(2204, 3)])
    assert (status.state, status.problem) == (BatchState.ENDED, "cancelled_from_outside")
    # By whom, accounting knows a moment later.
    assert status.began is accounting
    cluster.accounting = FakeOutcome(stdout=ALL_CANCELLED_SAYS_ACCOUNTING)
    (status,) = watching.statuses([watched(2204, 3)])
    assert not status.began
    assert ("cancelled by root before it began" in (status.reason or "")) is accounting


def test_a_job_that_is_newer_than_the_last_answer_is_not_gone(cluster: Cluster) -> None:
    asked = watch(cluster, seconds=1000.0)
    asked.statuses([watched(6, 0)])
    asked.expect(7)
    (status,) = asked.statuses([watched(7, 0)])
    assert status.state is BatchState.PENDING


def test_what_ended_well_has_no_reason(cluster: Cluster) -> None:
    cluster.queued("7_0|COMPLETED|None|N/A|N/A|node1|alice|x")
    (status,) = watch(cluster).statuses([watched(7, 0)])
    assert (status.state, status.reason, status.problem) == (BatchState.ENDED, None, None)
    assert status.before_start is not None
    assert status.before_start.problem == "worker_could_not_start"


def test_a_state_that_nobody_knows_is_not_the_end(cluster: Cluster) -> None:
    cluster.queued("7_0|DREAMING|None|N/A|N/A|node1|alice|x")
    (status,) = watch(cluster).statuses([watched(7, 0)])
    assert status.state is BatchState.UNKNOWN
