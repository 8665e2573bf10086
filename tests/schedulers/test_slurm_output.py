"""What SLURM's commands print: recorded on a real cluster in `data`, and whatever else comes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fractal_jupyter.schedulers.slurm_output import (
    Accepted,
    AccountingRow,
    JobId,
    QueueRow,
    Rejected,
    SiteConfig,
    Unreadable,
    parse_accounting,
    parse_config,
    parse_job_id,
    parse_memory,
    parse_queue,
    parse_sbatch,
)

DATA = Path(__file__).parent / "data"
# text that is nearly what the parsers expect
NEARLY = st.text(
    st.sampled_from("0129_[],-:%|.+;=\n PENDINGCKb") | st.characters(codec="utf-8"), max_size=80
)


def recorded(name: str) -> str:
    return (DATA / name).read_text()


def queue(name: str) -> tuple[QueueRow, ...]:
    rows = parse_queue(0, recorded(name), "")
    assert not isinstance(rows, Unreadable), rows
    return rows


def accounting(name: str) -> tuple[AccountingRow, ...]:
    rows = parse_accounting(0, recorded(name), "")
    assert not isinstance(rows, Unreadable), rows
    return rows


# sbatch


@pytest.mark.parametrize(
    ("stdout", "expected"),
    [
        ("12\n", Accepted(12)),
        ("12;one\n", Accepted(12, "one")),
        ("Welcome!\n\n 12\n\n", Accepted(12)),
    ],
)
def test_accepted(stdout: str, expected: Accepted) -> None:
    assert parse_sbatch(0, stdout, "sbatch: lua: be kind to each other\n") == expected


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("account", "account", "Invalid account or account/partition combination specified"),
        ("constraint", "nodes", "Invalid feature specification"),
        ("dead", "unreachable", "Unable to contact slurm controller (connect failure)"),
        ("directive", "option", "Invalid directive found in batch script: plainword"),
        ("gpus", "nodes", "Requested node configuration is not available"),
        ("gres", "nodes", "Requested node configuration is not available"),
        ("hang", "unreachable", "Socket timed out on send/recv operation"),
        ("memory", "memory", "Memory specification can not be satisfied; Requested node"),
        ("memory-words", "memory", "Invalid --mem specification"),
        ("nodelist", "nodes", "Invalid node name specified"),
        ("option", "option", "unrecognized option '--frobnicate=2'"),
        ("partition", "partition", "invalid partition specified: nowhere; Invalid partition name"),
        ("qos", "qos", "Invalid qos specification"),
        ("reservation", "nodes", "Requested reservation is invalid"),
        ("size", "size", "Pathname of a file, directory or other parameter too long"),
        ("submit", "submit_limit", "QOSMaxSubmitJobPerUserLimit; Job violates accounting/QOS"),
        ("time-words", "time_limit", "Invalid --time specification"),
    ],
)
def test_rejected(name: str, kind: str, words: str) -> None:
    rejected = parse_sbatch(1, "", recorded(f"sbatch/{name}.txt"))
    assert isinstance(rejected, Rejected)
    assert rejected.kind == kind
    assert rejected.words.startswith(words)


@pytest.mark.parametrize(
    ("sentence", "kind"),
    [
        ("Invalid job array specification", "array"),
        ("Job violates accounting/QOS policy (job submit limit, user's size …)", "policy"),
        ("Requested time limit is invalid (missing or exceeds some limit)", "time_limit"),
        ("User's group not permitted to use this partition", "permission"),
        ("Slurm temporarily unable to accept job, sleeping and retrying", "submit_limit"),
        ("Resource temporarily unavailable", "submit_limit"),
        ("Slurm backup controller in standby mode", "unreachable"),
        ("Protocol authentication error", "unreachable"),
        ("Something that nobody has seen", "other"),
    ],
)
def test_rejected_elsewhere(sentence: str, kind: str) -> None:
    said = parse_sbatch(1, "", f"sbatch: error: Batch job submission failed: {sentence}\n")
    assert said == Rejected(sentence, kind)


@pytest.mark.parametrize(
    ("exit_code", "stdout", "stderr"),
    [(0, "", ""), (0, "Submitted\n", ""), (0, "", "sbatch: hm\n"), (1, "", ""), (1, "12\n", "x")],
)
def test_neither_accepted_nor_rejected(exit_code: int, stdout: str, stderr: str) -> None:
    assert isinstance(parse_sbatch(exit_code, stdout, stderr), Unreadable)


@given(st.integers(0, 255), NEARLY, NEARLY)
def test_no_job_is_invented(exit_code: int, stdout: str, stderr: str) -> None:
    said = parse_sbatch(exit_code, stdout, stderr)
    if isinstance(said, Accepted):
        assert exit_code == 0
        assert str(said.job) in stdout
    elif isinstance(said, Rejected):
        assert exit_code != 0
        assert said.words


# squeue


def test_a_queue() -> None:
    rows = queue("squeue/many.txt")
    assert len(rows) == len(recorded("squeue/many.txt").splitlines())
    assert "we|ird (na,me) [1-2] % é" in {row.name for row in rows}
    big = next(row for row in rows if row.name == "big2" and row.state == "PENDING")
    assert (big.reason, big.user, big.nodes) == ("Resources", "alice", "")
    assert big.start is not None
    assert {row.reason for row in rows if row.state == "PENDING"} >= {
        "AssocGrpCpuLimit",
        "DependencyNeverSatisfied",
        "JobArrayTaskLimit",
        "PartitionDown",
    }


def test_elements_of_arrays_in_a_queue() -> None:
    rows = [row for row in queue("squeue/ended.txt") if row.name == "running"]
    ids = {row.id: row.state for row in rows}
    assert ids == {
        JobId(job=93, elements=(range(2, 3), range(4, 5)), throttle=2): "PENDING",
        JobId(job=93, elements=(range(1),)): "RUNNING",
        JobId(job=93, elements=(range(1, 2),)): "RUNNING",
    }
    assert rows[0].start is None
    assert all(row.reason is None for row in rows if row.state == "RUNNING")


def test_lists_of_elements_that_were_cut() -> None:
    [cut] = [row.id for row in queue("squeue/cut.txt") if row.name == "sparse"]
    [whole] = [row.id for row in queue("squeue/long.txt") if row.name == "sparse"]
    assert (cut.complete, whole.complete) == (False, True)
    assert {i * i % 997 for i in range(200)} == {i for part in whole.elements or () for i in part}
    assert set(cut.elements or ()) < set(whole.elements or ())
    assert whole.names(9)
    assert not whole.names(8)


def test_out_of_memory_in_a_queue() -> None:
    row = queue("squeue/ended.txt")[0]
    assert (row.state, row.reason, row.nodes) == ("OUT_OF_MEMORY", "OutOfMemory", "node1")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("12", JobId(job=12)),
        ("12+1", JobId(job=12)),
        ("12_4", JobId(job=12, elements=(range(4, 5),))),
        ("12_[4]", JobId(job=12, elements=(range(4, 5),))),
        ("12_[4-9,11%2]", JobId(job=12, elements=(range(4, 10), range(11, 12)), throttle=2)),
        ("12_[0-10:2]", JobId(job=12, elements=(range(0, 11, 2),))),
        ("12_[1,5,...]", JobId(job=12, elements=(range(1, 2), range(5, 6)), complete=False)),
        ("12_[1,5-", JobId(job=12, elements=(range(1, 2),), complete=False)),
        ("12_[", JobId(job=12, elements=(), complete=False)),
        ("", None),
        ("JOBID", None),
        ("12_", None),
        ("12_[a]", None),
        ("12_[1-2:0]", None),
        ("12_[]", None),
    ],
)
def test_job_ids(text: str, expected: JobId | None) -> None:
    assert parse_job_id(text) == expected


@pytest.mark.parametrize("exit_code", [0, 1])
@pytest.mark.parametrize("name", ["dead", "hang", "none"])
def test_a_controller_that_does_not_answer(name: str, exit_code: int) -> None:
    said = recorded(f"squeue/{name}-stderr.txt")
    assert parse_queue(exit_code, "", said) == Unreadable(said.strip())


def test_an_empty_queue() -> None:
    assert parse_queue(0, "", "") == ()
    assert parse_queue(0, "", "squeue: welcome\n") == ()
    assert isinstance(parse_queue(127, "", ""), Unreadable)


def test_a_name_with_line_breaks() -> None:
    line = recorded("squeue/many.txt").splitlines()[0]
    rows = parse_queue(0, f"{line}\nand more|\n\n{line}\n", "")
    assert rows == parse_queue(0, f"{line}\n{line}\n", "")


@given(st.integers(1, 5000))
def test_a_queue_that_is_cut_leaves_nobody_out(position: int) -> None:
    """Cut between lines, nothing tells; anywhere else, nothing is believed."""
    text = recorded("squeue/many.txt")[:position]
    said = parse_queue(0, text, "")
    assert isinstance(said, Unreadable) != text.endswith("\n")


@given(NEARLY)
def test_any_queue_is_read_or_refused(text: str) -> None:
    rows = parse_queue(0, text, "")
    if not isinstance(rows, Unreadable):
        assert len(rows) <= text.count("\n")
        assert all(str(row.id.job) in text for row in rows)


@given(NEARLY)
def test_a_line_that_begins_like_a_job_is_not_passed_over(rest: str) -> None:
    line = recorded("squeue/many.txt").splitlines()[0]
    rows = parse_queue(0, f"{line}\n77_{rest.replace(chr(10), '')}\n", "")
    assert isinstance(rows, Unreadable) or len(rows) == 2


# sacct


def rows_of(name: str, file: str = "sacct/many.txt") -> list[AccountingRow]:
    return [row for row in accounting(file) if row.name == name]


def test_accounting_of_jobs_that_ended() -> None:
    [timeout] = [row for row in rows_of("timeout") if row.state == "TIMEOUT"]
    assert timeout == AccountingRow(
        id=JobId(job=90),
        state="TIMEOUT",
        cancelled_by=None,
        exit_code=0,
        signal=None,
        start="2026-11-23T04:10:06",
        end="2026-11-23T04:11:23",
        seconds=77,
        requested_memory=10 * 1024 * 1024,
        peak_memory=3133440,
        time_limit="00:01:00",
        nodes="left1",
        user="alice",
        name="timeout",
    )
    assert {(row.state, row.exit_code, row.signal) for row in rows_of("exit3")} == {
        ("FAILED", 3, None)
    }
    assert {(row.state, row.signal) for row in rows_of("signal9")} == {("FAILED", 9)}
    assert rows_of("oom")[0].peak_memory == 328298496
    assert {row.cancelled_by for row in rows_of("assoc")} >= {0}
    assert rows_of("nooutput")[0].signal == 53
    assert rows_of("nodefail")[0].state == "NODE_FAIL"


def test_accounting_of_elements() -> None:
    elements = rows_of("a fine | name")
    assert {row.state for row in elements} == {"COMPLETED"}
    assert {part[0] for row in elements for part in row.id.elements or ()} == {0, 1, 2}
    [waiting] = rows_of("running", "sacct/running.txt")
    assert waiting.id == JobId(job=93, elements=(range(5),), throttle=2)
    assert (waiting.state, waiting.start, waiting.nodes) == ("PENDING", None, "")


def test_accounting_of_a_job_that_was_requeued() -> None:
    states = [row.state for row in rows_of("byuser")]
    assert states[0] == "REQUEUED"
    assert len(states) == 2


def test_memory_in_units_is_the_same() -> None:
    raw = {row.id: row.requested_memory for row in rows_of("oom")}
    converted = {row.id: row.requested_memory for row in rows_of("oom", "sacct/converted.txt")}
    assert raw == converted
    assert [parse_memory(t) for t in ("", "12", "2K", "1.5M", "4Gn", "1Gc", "16?")] == [
        *(None, 12, 2048, 1572864, 4 * 1024**3, None, None),
    ]


@pytest.mark.parametrize(("name", "exit_code"), [("dead", 1), ("disabled", 1), ("disabled", 0)])
def test_no_accounting(name: str, exit_code: int) -> None:
    said = recorded(f"sacct/{name}-stderr.txt")
    assert parse_accounting(exit_code, "", said) == Unreadable(said.strip())


@given(NEARLY)
def test_any_accounting_is_read_or_refused(text: str) -> None:
    lines = text.replace("\n", "|").join(["12", "\n"])
    for stdout in (text, lines):
        rows = parse_accounting(0, stdout, "")
        assert isinstance(rows, Unreadable) or len(rows) <= stdout.count("\n")


# scontrol show config


def test_configuration() -> None:
    expected = SiteConfig(
        version="22.05.8",
        cluster="two",
        max_array_size=1001,
        max_script_bytes=4 * 1024 * 1024,
        private_data=frozenset(),
        min_job_age=300,
        accounting=True,
    )
    text = recorded("scontrol/config.txt")
    assert parse_config(0, text, "") == expected
    private = parse_config(0, recorded("scontrol/config-private.txt"), "")
    assert private == replace(expected, private_data=frozenset({"accounts", "jobs"}))
    changed = text.replace("SchedulerParameters     = ", "SchedulerParameters=max_script_size=99,")
    assert parse_config(0, changed, "") == replace(expected, max_script_bytes=99)


def test_no_configuration() -> None:
    said = recorded("scontrol/dead-stderr.txt")
    assert parse_config(0, "", said) == Unreadable(said.strip())
    assert isinstance(parse_config(1, "", ""), Unreadable)


@given(NEARLY)
def test_any_configuration_is_read_or_refused(text: str) -> None:
    assert isinstance(parse_config(0, text, ""), Unreadable)
    assert isinstance(parse_config(0, f"{text}\nSLURM_VERSION = 1\n", ""), SiteConfig)
