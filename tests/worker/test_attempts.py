"""Several attempts at one batch: one counts at any time, and no unit runs twice by mistake."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from fractal_jupyter.worker import linux
from fractal_jupyter.worker.claim import Attempt, Predecessor, numbers
from fractal_jupyter.worker.records import encode
from tests.worker.batches import Result, wait_until, write_batch, write_script
from tests.worker.test_faults import gated, open_gate, pid_of, ran, statuses


def test_attempts_are_numbered_without_gaps_by_whoever_comes(tmp_path: Path) -> None:
    claimed: list[int] = []
    threads = [
        threading.Thread(target=lambda: claimed.append(Attempt(str(tmp_path)).number))
        for _ in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(claimed) == numbers(str(tmp_path)) == list(range(1, 17))


def test_only_the_last_attempt_is_not_superseded(tmp_path: Path) -> None:
    first, second = Attempt(str(tmp_path)), Attempt(str(tmp_path))
    assert first.superseded()
    assert not second.superseded()
    assert [past.folder for past in second.earlier()] == [first.folder]


def record_attempt(attempt: Attempt, **changes: Any) -> None:
    record = {
        "event": "attempt",
        "pid": os.getpid(),
        "start_time": linux.start_ticks(os.getpid()),
        "machine": linux.machine(),
        **changes,
    }
    Path(attempt.folder, "results-0000").write_bytes(encode(record))


def test_an_attempt_is_over_when_it_says_so(tmp_path: Path) -> None:
    attempt = Attempt(str(tmp_path))
    record_attempt(attempt)
    past = Predecessor(attempt.folder)
    assert not past.over(0.0, 5.0)
    with Path(attempt.folder, "results-0000").open("ab") as results:
        results.write(encode({"event": "finished"}))
    assert past.over(0.0, 5.0)


@pytest.mark.parametrize(
    ("changes", "over"),
    [
        ({}, False),
        ({"start_time": 1}, True),
        ({"pid": 2**22 - 1}, True),
        ({"pid": 2**22 - 1, "machine": "another"}, False),
    ],
)
def test_an_attempt_is_over_when_its_process_has_ended_here(
    tmp_path: Path, changes: dict[str, Any], over: bool
) -> None:
    attempt = Attempt(str(tmp_path))
    record_attempt(attempt, **changes)
    assert Predecessor(attempt.folder).over(0.0, 5.0) is over


def test_an_attempt_is_over_when_its_heart_has_not_beaten_for_long_enough(tmp_path: Path) -> None:
    attempt = Attempt(str(tmp_path))
    past = Predecessor(attempt.folder)
    attempt.beat()
    assert not past.over(100.0, 5.0)
    assert not past.over(104.9, 5.0)
    attempt.beat()
    assert not past.over(105.1, 5.0)
    assert not past.over(110.0, 5.0)
    assert past.over(110.1, 5.0)


def test_an_attempt_that_never_wrote_anything_is_over_in_the_end(tmp_path: Path) -> None:
    past = Predecessor(Attempt(str(tmp_path)).folder)
    assert not past.over(7.0, 5.0)
    assert past.over(12.0, 5.0)


def test_a_second_worker_takes_over_from_one_that_lives(tmp_path: Path) -> None:
    batch = gated(tmp_path, 40, slow=(5, 6))
    first = batch.start()
    pids = [pid_of(batch, 5), pid_of(batch, 6)]
    second = batch.start()
    ended = batch.end(first)
    assert ended.exit_code == 75
    assert ended.records[-1]["status"] == "superseded"
    assert [ended.ends[unit]["problem"] for unit in (5, 6)] == ["superseded"] * 2
    assert [ended.ends[unit]["status"] for unit in (5, 6)] == ["interrupted"] * 2
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    open_gate(batch)
    result = Result(batch, batch.end(second).exit_code, "", attempt=2)
    assert result.exit_code == 0
    done = {unit for unit, status in statuses(ended).items() if status == "done"}
    assert set(result.ends) == set(range(40)) - done - {5, 6}
    assert set(statuses(result).values()) == {"done"}
    assert sorted(number for number, _ in ran(batch)) == list(range(40))


def test_a_second_worker_waits_for_one_that_is_elsewhere(tmp_path: Path) -> None:
    batch = gated(tmp_path, 3, slow=())
    elsewhere = Attempt(str(batch.folder))
    record_attempt(elsewhere, machine="another", pid=1)
    beating = True

    def beat() -> None:
        while beating:
            elsewhere.beat()
            time.sleep(0.05)

    heart = threading.Thread(target=beat)
    heart.start()
    process = batch.start()
    batch.wait_for("attempt", attempt=2)
    time.sleep(2.0)  # twice as long as it would wait for a silent one
    assert not ran(batch)
    beating = False
    heart.join()
    result = Result(batch, batch.end(process).exit_code, "", attempt=2)
    assert statuses(result) == dict.fromkeys(range(3), "done")


def test_a_worker_that_slept_sees_that_it_was_superseded_before_it_does_anything(
    tmp_path: Path,
) -> None:
    batch = gated(tmp_path, 6, slow=(0, 1))
    first = batch.start()
    pid_of(batch, 0)
    pid_of(batch, 1)
    for pid in (first.pid, *(pid for _, pid in ran(batch))):
        os.kill(pid, signal.SIGSTOP)
    # Not known to be dead, since it is not; but silent.
    second = batch.start()
    batch.wait_for("end", 2, attempt=2, status="interrupted")
    open_gate(batch)
    for _, pid in ran(batch)[:2]:
        os.kill(pid, signal.SIGCONT)
    os.kill(first.pid, signal.SIGCONT)
    assert batch.end(first).exit_code == 75
    result = Result(batch, batch.end(second).exit_code, "", attempt=2)
    assert statuses(result) == {
        **dict.fromkeys((0, 1), "interrupted"),
        **dict.fromkeys(range(2, 6), "done"),
    }
    started = [number for number, _ in ran(batch)]
    assert sorted(started) == list(range(6))


def test_a_worker_can_be_cancelled_while_it_waits(tmp_path: Path) -> None:
    batch = gated(tmp_path, 3, heartbeat_interval=100.0)
    Attempt(str(batch.folder)).beat()
    process = batch.start()
    batch.wait_for("attempt", attempt=2)
    process.terminate()
    result = Result(batch, batch.end(process).exit_code, "", attempt=2)
    assert result.exit_code == 128 + signal.SIGTERM
    assert [record["event"] for record in result.records] == ["attempt", "finished"]


@pytest.mark.parametrize(("rerun", "expected"), [(False, []), (True, ["done"])])
def test_what_a_worker_was_told_to_end_is_run_again_if_that_is_wanted(
    tmp_path: Path, rerun: bool, expected: list[str]
) -> None:
    """As when its job is queued again."""
    batch = gated(tmp_path, 3, rerun_interrupted=rerun)
    first = batch.start()
    pid_of(batch, 1)
    batch.wait_for("end", 2)
    first.terminate()
    first.communicate()
    open_gate(batch)
    batch.run()
    assert [r["status"] for r in batch.records(1) if r.get("unit") == 1 and "status" in r] == [
        "cancelled"
    ]
    again = [r for r in batch.records(2) if "unit" in r]
    assert {r["unit"] for r in again} <= {1}
    assert [r["status"] for r in again if r["event"] == "end"] == expected


def test_an_attempt_after_all_is_done_does_nothing(tmp_path: Path) -> None:
    script = write_script(tmp_path / "script.py", "finish(1)")
    batch = write_batch(tmp_path / "batch", [sys.executable, script], 3)
    assert batch.run().exit_code == batch.run().exit_code == 0
    assert [record["event"] for record in batch.records(2)] == ["attempt", "finished"]


def test_failed_units_are_not_run_again(tmp_path: Path) -> None:
    batch = gated(tmp_path, 4, slow=(3,), body="sys.exit(1) if args['n'] < 3 else time.sleep(99)")
    first = batch.start()
    batch.wait_for("end", 3)
    os.kill(first.pid, signal.SIGKILL)
    first.communicate()
    batch.run()
    assert {r["unit"] for r in batch.records(2) if "unit" in r} == {3}


def test_modules_learned_by_an_earlier_attempt_are_known(tmp_path: Path) -> None:
    (tmp_path / "lazy.py").write_text("import os\nloaded_in = os.getpid()\n")
    body = (
        "import lazy\n"
        "while args['n'] == 3 and not os.path.exists(args['folder'] + '/gate'): time.sleep(0.01)\n"
        "finish(lazy.loaded_in == os.getpid())\n"
    )
    batch = gated(tmp_path, 10, body=body, concurrency=1)
    first = batch.start()
    batch.wait_for("end", 3)
    os.kill(first.pid, signal.SIGKILL)
    first.communicate()
    open_gate(batch)
    result = Result(batch, batch.run().exit_code, "", attempt=2)
    outputs = {end["output"] for end in result.ends.values() if end["status"] == "done"}
    assert outputs == {False}


def test_the_heart_beats_while_units_run(tmp_path: Path) -> None:
    batch = gated(tmp_path, 2, slow=(0, 1))
    process = batch.start()
    pid_of(batch, 1)
    heartbeat = batch.attempt() / "heartbeat"
    seen: set[bytes] = set()

    def several() -> bool:
        content = heartbeat.read_bytes()
        seen.update([content] if content else [])
        return len(seen) >= 4

    wait_until(several, "heartbeats")
    assert {len(content) for content in seen} == {31}
    open_gate(batch)
    batch.end(process)
