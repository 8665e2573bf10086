"""Why jobs ended, from what SLURM writes into their output: lines of SLURM 16 to 24."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fractal_jupyter.schedulers.base import BatchState, BatchStatus
from fractal_jupyter.schedulers.slurm_bootstrap import STARTED_AGAIN, STARTS
from fractal_jupyter.schedulers.slurm_output import JobId, LastWords, parse_last_words
from fractal_jupyter.schedulers.slurm_said import explain
from fractal_jupyter.schedulers.slurm_script import INIT_ENDED
from fractal_jupyter.schedulers.slurm_watch import Watched

JOB = JobId(job=12, elements=(range(3, 4),))
PYTHON = "/opt/python3.11/bin/python3"

POLLED = """\
slurmstepd-node1: error: StepId=39.batch exceeded memory limit (6526939136 > 4294967296), being killed
slurmstepd-node1: error: Exceeded job memory limit
slurmstepd-node1: error: *** JOB 39 ON node1 CANCELLED AT 2026-11-23T04:06:14 ***
"""  # noqa: E501
POLLED_LONG_AGO = """\
slurmstepd: error: Job 41176 exceeded memory limit (3940736 > 2068480), being killed
slurmstepd: error: Exceeded job memory limit
slurmstepd: error: *** JOB 41176 ON fnode01 CANCELLED AT 2016-11-30T10:21:37 ***
"""
OOM_KILLS = [
    "slurmstepd: error: Detected 1 oom-kill event(s) in step 370626.batch cgroup. Some of your "
    "processes may have been killed by the cgroup out-of-memory handler.",
    "slurmstepd: error: Detected 1 oom-kill event(s) in StepId=14604003.batch cgroup. Some of your "
    "processes may have been killed by the cgroup out-of-memory handler.",
    "slurmstepd-node1: error: Detected 2 oom_kill events in StepId=17.batch. Some of the step "
    "tasks have been OOM Killed.",
    "[2024-09-25T13:35:20.340] error: Detected 1 oom_kill event in StepId=5.batch. Some of the "
    "step tasks have been OOM Killed.",
    "slurmstepd: error: Exceeded step memory limit at some point.",
]
TIME = "slurmstepd: error: *** JOB 41239 ON fnode01 CANCELLED AT 2016-11-30T11:22:57 DUE TO TIME "
TIME += "LIMIT ***"
TIME_24 = TIME.replace("slurmstepd: ", "[2024-09-25T13:35:20.340] ")
NODE = "slurmstepd-n7: error: *** JOB 9 ON n7 CANCELLED AT 2023-01-30T11:22:57 DUE TO NODE FAILURE"
NODE += ", SEE SLURMCTLD LOG FOR DETAILS ***"
PREEMPTED = "slurmd[n7]: error: *** JOB 9 ON n7 CANCELLED AT 2023-01-30T11:22:57 DUE TO PREEMPTION"
PREEMPTED += " ***"
REQUEUED = PREEMPTED.replace("PREEMPTION", "JOB REQUEUE")
BROKEN = "slurmstepd: error: *** JOB 9 ON n7 UNCORRECTABLE MEMORY ERROR AT 2023-01-30T11:22:57 ***"

UNKNOWN = BatchStatus(BatchState.ENDED, "its SLURM job 12_3 ended on n7; retry", "unknown_end")
GONE = BatchStatus(BatchState.ENDED, "there was no sign of life from its worker any more")
CANCELLED = BatchStatus(
    BatchState.ENDED, "its SLURM job 12_3 was cancelled; retry", "cancelled_from_outside"
)


def explained(
    status: BatchStatus, said: str | None, mem_mb: int = 4096, *, init: bool | None = None
) -> BatchStatus:
    watched = Watched(12, 3, mem_mb, "1:00:00", init)
    return explain(status, said, watched=watched, python=PYTHON)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (POLLED, LastWords(id=JOB, state="OUT_OF_MEMORY", peak_memory=6526939136)),
        (POLLED_LONG_AGO, LastWords(id=JOB, state="OUT_OF_MEMORY")),
        *((line, LastWords(id=JOB, state="OUT_OF_MEMORY", certain=False)) for line in OOM_KILLS),
        (TIME, LastWords(id=JOB, state="TIMEOUT", nodes="fnode01")),
        (TIME_24, LastWords(id=JOB, state="TIMEOUT", nodes="fnode01")),
        (NODE, LastWords(id=JOB, state="NODE_FAIL", nodes="n7")),
        (BROKEN, LastWords(id=JOB, state="NODE_FAIL", nodes="n7")),
        (PREEMPTED, LastWords(id=JOB, state="PREEMPTED", nodes="n7")),
        (f"{PREEMPTED}\nhello\n{TIME}", LastWords(id=JOB, state="TIMEOUT", nodes="fnode01")),
        (f"{TIME}\n{OOM_KILLS[0]}", LastWords(id=JOB, state="TIMEOUT", nodes="fnode01")),
        (f"{PREEMPTED}\n{REQUEUED}\nhello", None),
        (f"{PREEMPTED}\n{STARTED_AGAIN} on n7.\nhello", None),
        ("slurmstepd: error: *** JOB 9 ON n7 CANCELLED AT 2023-01-30T11:22:57 ***", None),
        (f"a unit said: {TIME}", None),
        ("my script exceeded memory limit (7 > 6), being killed", None),
        ("", None),
    ],
)
def test_last_words(said: str, words: LastWords | None) -> None:
    assert parse_last_words(said, JOB) == words
    assert parse_last_words(f"before\n{said}\nafter\n", JOB) == words


@pytest.mark.parametrize("status", [UNKNOWN, GONE, CANCELLED])
def test_memory_that_slurm_itself_polls(status: BatchStatus) -> None:
    found = explained(status, POLLED)
    assert found.problem == "out_of_memory"
    assert found.reason is not None
    assert found.reason.startswith(
        "its SLURM job 12_3 ran out of memory (it had asked for 4,096 MB, and had at least "
        "6,225 MB when last measured); ask for more with `mem`"
    )
    assert "asked for less" in (explained(status, POLLED_LONG_AGO, mem_mb=0).reason or "")


@pytest.mark.parametrize("status", [UNKNOWN, GONE, CANCELLED])
@pytest.mark.parametrize(
    ("said", "problem", "words"),
    [
        (TIME, "time_limit", "reached its time limit of 1:00:00 on fnode01; raise `time`"),
        (NODE, "node_failure", "the node of its SLURM job 12_3, n7, failed"),
        (PREEMPTED, "preempted", "make room for another of higher priority on n7"),
    ],
)
def test_other_ends(status: BatchStatus, said: str, problem: str, words: str) -> None:
    found = explained(status, said)
    assert found.problem == problem
    assert words in (found.reason or "")


def test_a_process_that_was_killed_for_memory_explains_only_what_nothing_else_does() -> None:
    for said in OOM_KILLS:
        assert explained(UNKNOWN, said).problem == "out_of_memory"
        assert explained(GONE, said).problem == "out_of_memory"
        assert explained(CANCELLED, said) == replace(CANCELLED, said=said)


def test_what_is_known_stays() -> None:
    finished = BatchStatus(BatchState.ENDED)
    timeout = BatchStatus(BatchState.ENDED, "its SLURM job 12_3 reached …", "time_limit")
    for status in (finished, timeout):
        assert explained(status, POLLED) == replace(status, said=POLLED.strip())
    for status in (UNKNOWN, GONE, CANCELLED):
        assert explained(status, "Hello.") == replace(status, said="Hello.")


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (
            f"The worker could not start: its interpreter, {PYTHON}, named in "
            "jobs_slurm_python_worker, is not there (or is no program) on node n7",
            "interpreter of the worker is not there: set `jobs_slurm_python_worker`",
        ),
        (
            f"slurm_script: line 26: {PYTHON}: /lib/ld.so: bad interpreter: No such file or "
            "directory",
            "cannot be used there",
        ),
        (f"/var/spool/slurm_script: line 26: {PYTHON}: Permission denied", "cannot be used there"),
        (
            f"slurm_script: line 26: {PYTHON}: cannot execute binary file: Exec format error",
            "cannot be used there",
        ),
        ("ls: cannot access '/nowhere': No such file or directory", "look at what the job"),
        ("", "look at what the job"),
    ],
)
def test_an_interpreter_that_cannot_be_started(said: str, words: str) -> None:
    status = BatchStatus(
        BatchState.ENDED,
        "its SLURM job 12_3 ended on n7 before its worker ran; look at what the job has written",
        "worker_could_not_start",
    )
    found = explained(status, said)
    assert found.problem == "worker_could_not_start"
    reason = found.reason or ""
    assert reason.startswith("its SLURM job 12_3 ended on n7 before its worker ran; ")
    assert words in reason
    assert found.began is ("interpreter" not in said and PYTHON not in said)


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        (PREEMPTED, "preempted"),
        (REQUEUED, "requeued"),
        (NODE, "node_failure"),
        (f"{PREEMPTED}\n{STARTED_AGAIN} on n7.\n{REQUEUED}", "requeued"),
        (f"{PREEMPTED}\n{STARTED_AGAIN} on n7.\n", None),
        ("hello", None),
        (None, None),
    ],
)
def test_why_a_job_waits_again(said: str | None, problem: str | None) -> None:
    waits = BatchStatus(BatchState.PENDING, "waiting (BeginTime)")
    found = explained(waits, said)
    assert (found.state, found.problem) == (BatchState.PENDING, problem)


NO_WORKER = BatchStatus(
    BatchState.ENDED,
    "its SLURM job 12_3 ended on n7 before its worker ran; look at what the job has written",
    "worker_could_not_start",
)
NO_SHELL = "slurmstepd-n7: error: execve(): bad interpreter(/nope/sh): No such file or directory"


@pytest.mark.parametrize(
    ("said", "init", "words"),
    [
        (f"{INIT_ENDED} 3.\n", True, "lines of `worker_init` have ended the shell with status 3"),
        (f"oops\n{INIT_ENDED} 2.\n", None, "have ended the shell with status 2"),
        (NO_SHELL, False, "the shell of its script, /nope/sh, is not there: set `shebang_line`"),
        (NO_SHELL, True, "the shell of its script, /nope/sh, is not there"),
        ("", False, f"{PYTHON} may be no Python: set `jobs_slurm_python_worker`"),
        ("/bin/cat: invalid option -- 'I'", False, f"{PYTHON} may be no Python"),
    ],
)
def test_a_job_that_surely_had_no_worker(said: str, init: bool | None, words: str) -> None:
    found = explained(NO_WORKER, said, init=init)
    assert not found.began
    assert words in (found.reason or "")
    assert "what the job has written" not in (found.reason or "")
    assert "submit again" in (found.reason or "")


@pytest.mark.parametrize(
    ("said", "init"),
    [
        # not to be seen yet, or there was one
        (None, False),
        (f"{STARTS} n7.\n", False),
        (f"{STARTS} n7.\n{INIT_ENDED} 3.\n", True),
        # lines of the user's own may have sent it elsewhere
        ("", True),
        ("", None),
    ],
)
def test_a_job_that_may_have_had_a_worker(said: str | None, init: bool | None) -> None:
    assert explained(NO_WORKER, said, init=init).began


def test_what_is_ours_in_an_output_is_not_shown() -> None:
    said = f"module: not found\n{STARTS} n7.\n{STARTED_AGAIN} on n7.\n{STARTS} n7.\nbye\n"
    assert explained(UNKNOWN, said).said == "module: not found\nbye"
    assert explained(UNKNOWN, None).said == ""


@given(st.text())
def test_any_output(said: str) -> None:
    for status in (UNKNOWN, GONE, CANCELLED):
        assert explained(status, said).state is BatchState.ENDED
