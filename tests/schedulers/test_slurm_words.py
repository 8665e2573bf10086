"""Why jobs ended early, in words: rows recorded on a real cluster, and states that it never had."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fractal_jupyter.schedulers.slurm_output import (
    AccountingRow,
    JobId,
    QueueRow,
    Rejected,
    Unreadable,
    parse_accounting,
    parse_queue,
    parse_sbatch,
)
from fractal_jupyter.schedulers.slurm_words import Ending, ending, pending_words, rejection

DATA = Path(__file__).parent / "data"
PROBLEMS = {
    "out_of_memory",
    "time_limit",
    "node_failure",
    "preempted",
    "requeued",
    "cancelled_from_outside",
    "worker_could_not_start",
    "rejected",
    "never_started",
    "unknown_end",
}


def accounting(name: str, state: str, by: int | None = None) -> AccountingRow:
    rows = parse_accounting(0, (DATA / "sacct" / "many.txt").read_text(), "")
    assert not isinstance(rows, Unreadable)
    return next(r for r in rows if (r.name, r.state, r.cancelled_by) == (name, state, by))


def queued() -> list[QueueRow]:
    found: list[QueueRow] = []
    for name in ("ended", "many", "long"):
        rows = parse_queue(0, (DATA / "squeue" / f"{name}.txt").read_text(), "")
        assert not isinstance(rows, Unreadable)
        found += rows
    return found


def queue(name: str, state: str) -> QueueRow:
    return next(row for row in queued() if (row.name, row.state) == (name, state))


def why(
    row: AccountingRow | QueueRow,
    *,
    worker_ran: bool = True,
    time_limit: str | None = None,
) -> Ending:
    return ending(
        row,
        mem_mb=50,
        time_limit=time_limit,
        worker_ran=worker_ran,
        user_name={1000: "bob"}.get,
    )


FAILED = accounting("exit3", "FAILED")


@pytest.mark.parametrize(
    ("row", "problem", "words"),
    [
        (
            queue("oom", "OUT_OF_MEMORY"),
            "out_of_memory",
            "its SLURM job 43 ran out of memory on node1 (it had asked for 50 MB); ask for more "
            "with `mem`",
        ),
        (
            accounting("oom", "FAILED"),
            "out_of_memory",
            "its SLURM job 17 ran out of memory on left2 (it had asked for 50 MB, and had at least "
            "314 MB when last measured)",
        ),
        (
            accounting("timeout", "TIMEOUT"),
            "time_limit",
            "its SLURM job 90 reached its time limit of 00:01:00 on left1; raise `time`",
        ),
        (
            accounting("nodefail", "NODE_FAIL"),
            "node_failure",
            "the node of its SLURM job 22, left2, failed; retry",
        ),
        (
            queue("preempt", "PREEMPTED"),
            "preempted",
            "its SLURM job 86 had to make room for another of higher priority on left1",
        ),
        (
            accounting("assoc", "CANCELLED", by=0),
            "cancelled_from_outside",
            "its SLURM job 75 was cancelled by root before it began; retry",
        ),
        (
            replace(accounting("timeout", "TIMEOUT"), state="CANCELLED", cancelled_by=1000),
            "cancelled_from_outside",
            "its SLURM job 90 was cancelled by bob; retry",
        ),
        (
            replace(accounting("timeout", "TIMEOUT"), state="CANCELLED", cancelled_by=1001),
            "cancelled_from_outside",
            "its SLURM job 90 was cancelled by the user with number 1001; retry",
        ),
        (
            accounting("signal9", "FAILED"),
            "unknown_end",
            "its SLURM job 15 was ended by signal 9 (SIGKILL) on left2; retry",
        ),
        (FAILED, "unknown_end", "its SLURM job 14 ended with exit status 3 on left2; retry"),
        (
            replace(FAILED, state="DEADLINE"),
            "time_limit",
            "its SLURM job 14 reached its deadline on left2; set a later `--deadline`",
        ),
        (
            replace(FAILED, state="DEADLINE", nodes=""),
            "never_started",
            "SLURM gave it up before it began: it could not have ended by its deadline any more",
        ),
        (
            replace(
                queue("sbatch", "FAILED"), state="CANCELLED", reason="DependencyNeverSatisfied"
            ),
            "never_started",
            "SLURM gave it up before it began: another job that it was to wait for has failed",
        ),
        (
            replace(FAILED, state="BOOT_FAIL"),
            "node_failure",
            "the node of its SLURM job 14, left2, did not boot",
        ),
        (
            replace(FAILED, state="LAUNCH_FAILED"),
            "never_started",
            "its SLURM job 14 could not be launched on left2",
        ),
        (
            replace(FAILED, state="REVOKED", exit_code=None),
            "unknown_end",
            "its SLURM job 14 ended as REVOKED on left2",
        ),
        (
            replace(FAILED, id=JobId(job=7, elements=(range(3, 4),)), exit_code=1),
            "unknown_end",
            "its SLURM job 7_3 ended with exit status 1",
        ),
    ],
)
def test_endings(row: AccountingRow | QueueRow, problem: str, words: str) -> None:
    found = why(row)
    assert found.problem == problem
    assert found.reason.startswith(words)


def test_the_time_limit_is_the_one_that_was_asked_for() -> None:
    row = queue("oom", "OUT_OF_MEMORY")
    found = why(replace(row, state="TIMEOUT"), time_limit="1:00:00")
    assert "its time limit of 1:00:00 on node1" in found.reason
    assert "reached its time limit on node1" in why(replace(row, state="TIMEOUT")).reason


@pytest.mark.parametrize(
    ("row", "problem", "words"),
    [
        (replace(FAILED, exit_code=127), "worker_could_not_start", "interpreter .* is not there"),
        (replace(FAILED, exit_code=126), "worker_could_not_start", "cannot be used.*3.8 or later"),
        (replace(FAILED, exit_code=74), "worker_could_not_start", "folder cannot be written"),
        (replace(FAILED, exit_code=66), "worker_could_not_start", "damaged or removed"),
        (replace(FAILED, exit_code=2), "worker_could_not_start", "status 2.*has written"),
        (FAILED, "worker_could_not_start", "ended with exit status 3 on left2 before its worker"),
        (accounting("signal9", "FAILED"), "worker_could_not_start", "SIGKILL.*before its worker"),
        (
            accounting("a fine | name", "COMPLETED"),
            "worker_could_not_start",
            "before its worker ran; look at what the job has written",
        ),
        (accounting("nooutput", "FAILED"), "worker_could_not_start", "open its output file"),
        (queue("signal9", "FAILED"), "worker_could_not_start", "before its worker ran"),
        (
            queue("sbatch", "FAILED"),
            "never_started",
            r"SLURM gave it up before it began: no node is like .* \(BadConstraints\)",
        ),
        (accounting("sbatch", "FAILED"), "never_started", "gave it up before it began"),
        (accounting("timeout", "TIMEOUT"), "time_limit", "time limit"),
    ],
)
def test_endings_without_a_worker(row: AccountingRow | QueueRow, problem: str, words: str) -> None:
    found = why(row, worker_ran=False)
    assert found.problem == problem
    assert re.search(words, found.reason)


@pytest.mark.parametrize("worker_ran", [True, False])
def test_every_row_has_words(worker_ran: bool) -> None:
    rows = parse_accounting(0, (DATA / "sacct" / "many.txt").read_text(), "")
    assert not isinstance(rows, Unreadable)
    both: list[AccountingRow | QueueRow] = [*rows, *queued()]
    for row in both:
        found = why(row, worker_ran=worker_ran)
        assert found.problem in PROBLEMS
        assert found.reason[0].islower() or found.reason.startswith("SLURM")
        assert not found.reason.endswith(".")
        assert "None" not in found.reason


@given(st.text(max_size=20), st.none() | st.integers(0, 300), st.none() | st.integers(0, 99))
def test_any_state_has_words(state: str, code: int | None, signal: int | None) -> None:
    for worker_ran in (True, False):
        row = replace(FAILED, state=state, exit_code=code, signal=signal)
        assert why(row, worker_ran=worker_ran).problem in PROBLEMS


@pytest.mark.parametrize("path", sorted((DATA / "sbatch").iterdir()), ids=lambda path: path.stem)
def test_rejections(path: Path) -> None:
    rejected = parse_sbatch(1, "", path.read_text())
    assert isinstance(rejected, Rejected)
    found = rejection(rejected)
    assert found.problem == "rejected"
    assert found.reason.startswith(f"SLURM did not accept it: {rejected.words}; ")


def test_a_rejection_that_nobody_has_seen() -> None:
    found = rejection(Rejected("It rains.", "other"))
    assert found.reason == "SLURM did not accept it: It rains"


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("Resources", "waiting for processors, memory or nodes to become free"),
        ("Priority", "waiting behind jobs of higher priority"),
        ("QOSMaxJobsPerUserLimit", "your quality of service has a limit on jobs"),
        ("QOSMaxCpuPerUserLimit", "a limit of your quality of service is reached"),
        ("AssocGrpCpuLimit", "a limit of your account is reached"),
        ("AssocMaxJobsLimit", "your account has a limit on jobs"),
        ("AssocMaxCpuPerJobLimit", "more than a job may"),
        ("QOSMaxWallDurationPerJobLimit", "more than a job may"),
        ("ReqNodeNotAvail, UnavailableNodes:node[1-2]", "a node that is down"),
        ("ReqNodeNotAvail, May be reserved for other job", "a node that is down"),
        (
            "Nodes required for job are DOWN, DRAINED or reserved for jobs in higher priority "
            "partitions",
            "nodes that are down",
        ),
        ("PartitionDown", "its partition, which is down"),
        ("PartitionTimeLimit", "lower `time`"),
        ("PartitionConfig", "does not allow"),
        ("Dependency", "another job to end"),
        ("DependencyNeverSatisfied", "it will never start"),
        ("BadConstraints", "no node is like"),
        ("JobHeldUser", "`scontrol release`"),
        ("JobHeldAdmin", "administrator"),
        ("JobArrayTaskLimit", "other elements of its array"),
        ("BeginTime", "requeued"),
        ("launch failed requeued held", "could not launch"),
        ("job requeued in held state", "requeued"),
        ("InvalidAccount", "account="),
    ],
)
def test_what_a_job_waits_for(reason: str, words: str) -> None:
    assert words in pending_words(reason)
    assert pending_words(reason).endswith(f" ({reason})")


def test_expected_start_and_unknown_reasons() -> None:
    assert pending_words(None) == "waiting"
    assert pending_words("MoonPhase") == "MoonPhase"
    told = pending_words("Priority", "2026-11-23T04:02:30")
    # with the name of the zone, which is that of this machine
    assert re.search(r"\(Priority\); expected to start at [0-9-]+ [0-9:]{8} \S+$", told)


def test_who_is_held_is_named_and_is_not_expected_to_start() -> None:
    told = pending_words("JobHeldUser", "2026-11-23T04:02:30", job=7)
    assert told == "held; `scontrol release 7` lets it go on (JobHeldUser)"
    told = pending_words("launch failed requeued held", "2026-11-23T04:02:30", job=7)
    assert "`scontrol release 7`" in told
    assert "expected" not in told
    assert "expected" in pending_words("Priority", "2026-11-23T04:02:30", job=7)


def test_every_recorded_reason_is_known() -> None:
    reasons = {row.reason for row in queued() if row.state == "PENDING"}
    assert len(reasons) > 5
    assert all(reason and pending_words(reason) != reason for reason in reasons)


@given(st.text())
def test_any_reason_is_passed_on(reason: str) -> None:
    assert reason in pending_words(reason)
