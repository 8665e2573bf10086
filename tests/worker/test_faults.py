"""Things that are killed, run out of memory, fill disks or never end: nothing is lost or left."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.slurm.fixtures import skip_for_machine
from tests.worker.batches import (
    Batch,
    Result,
    descendants,
    is_alive,
    wait_until,
    write_batch,
    write_script,
)

both = pytest.mark.parametrize("warm", [True, False], ids=["warm", "cold"])

# Units say that they ran, and wait until they may end: number 1 always, others if they are told to.
BODY = """
with open(os.path.join(args["folder"], "ran"), "a") as file:
    file.write("%d %d\\n" % (args["n"], os.getpid()))
while args["n"] in args["slow"] and not os.path.exists(os.path.join(args["folder"], "gate")):
    time.sleep(0.01)
finish(args["n"])
"""


def gated(
    folder: Path, units: int = 8, *, slow: tuple[int, ...] = (1,), body: str = BODY, **fields: Any
) -> Batch:
    """A batch of units, some of which end only when `open_gate` was called."""
    script = write_script(folder / "script.py", body)
    return write_batch(
        folder / "batch",
        [sys.executable, script],
        [{"n": number} for number in range(units)],
        common_args={"folder": str(folder), "slow": slow},
        **fields,
    )


def open_gate(batch: Batch) -> None:
    (batch.folder.parent / "gate").touch()


def ran(batch: Batch) -> list[tuple[int, int]]:
    """Which units ran so far, with their processes."""
    path = batch.folder.parent / "ran"
    lines = path.read_text().splitlines() if path.exists() else []
    return [(int(number), int(pid)) for number, pid in map(str.split, lines)]


def pid_of(batch: Batch, unit: int) -> int:
    """The process of a unit, once it has started."""
    wait_until(lambda: unit in dict(ran(batch)), f"unit {unit}")
    return dict(ran(batch))[unit]


def statuses(result: Result) -> dict[int, str]:
    return {unit: end["status"] for unit, end in sorted(result.ends.items())}


@both
def test_a_unit_is_killed(tmp_path: Path, warm: bool) -> None:
    batch = gated(tmp_path, warm=warm)
    process = batch.start()
    os.kill(pid_of(batch, 1), signal.SIGKILL)
    result = batch.end(process)
    assert result.exit_code == 0
    end = result.ends.pop(1)
    assert (end["status"], end["problem"], end["signal"]) == ("failed", "killed", 9)
    assert end["message"].startswith("It was killed by SIGKILL (9). Somebody or something outside")
    assert set(statuses(result).values()) == {"done"}
    assert [number for number, _ in sorted(ran(batch))] == list(range(8))


def forker_of(worker: int, unit: int) -> int:
    parent = int(Path(f"/proc/{unit}/stat").read_text().rpartition(")")[2].split()[1])
    assert parent != worker
    return parent


def test_the_forker_is_killed(tmp_path: Path) -> None:
    batch = gated(tmp_path, 20, slow=(3, 4))
    process = batch.start()
    pids = [pid_of(batch, 3), pid_of(batch, 4)]
    batch.wait_for("end", 3)
    os.kill(forker_of(process.pid, pids[0]), signal.SIGKILL)
    result = batch.end(process)
    assert result.exit_code == 0
    assert not any(map(is_alive, pids))
    for unit in (3, 4):
        end = result.ends[unit]
        assert (end["status"], end["problem"]) == ("interrupted", "forker_died")
        assert "which was killed by SIGKILL (9)" in end["message"]
    assert {unit for unit, status in statuses(result).items() if status == "done"} == {
        *range(3),
        *range(5, 20),
    }
    assert [number for number, _ in sorted(ran(batch))] == list(range(20))
    assert [record["warm"] for record in result.of("mode")][-1] is True


def test_units_of_a_forker_that_was_killed_are_run_again_if_that_is_wanted(tmp_path: Path) -> None:
    batch = gated(tmp_path, 6, rerun_interrupted=True)
    process = batch.start()
    os.kill(forker_of(process.pid, pid_of(batch, 1)), signal.SIGKILL)
    wait_until(lambda: sum(number == 1 for number, _ in ran(batch)) == 2, "the second run")
    open_gate(batch)
    result = batch.end(process)
    ends = [record["status"] for record in result.of("end") if record["unit"] == 1]
    assert ends == ["interrupted", "done"]


def test_a_forker_that_is_killed_again_and_again_is_given_up(tmp_path: Path) -> None:
    body = "os.kill(os.getppid(), 9) if args['n'] < 6 else finish(os.getppid())\ntime.sleep(0.5)"
    batch = gated(tmp_path, 10, body=body, concurrency=1)
    process = batch.start()
    # The cold units of number 4 and 5 would kill the worker.
    batch.wait_for("mode", warm=False)
    killed = [record["unit"] for record in batch.records() if record["event"] == "end"]
    assert killed == [0, 1, 2, 3]
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()


@pytest.mark.parametrize("warm", [True, False], ids=["warm", "cold"])
def test_the_worker_is_killed_and_started_again(tmp_path: Path, warm: bool) -> None:
    batch = gated(tmp_path, 12, slow=(4, 5), warm=warm)
    first = batch.start()
    pids = [pid_of(batch, 4), pid_of(batch, 5)]
    batch.wait_for("end", 4)
    below = descendants(first.pid)
    assert set(pids) <= set(below)
    os.kill(first.pid, signal.SIGKILL)
    first.communicate()
    wait_until(lambda: not any(map(is_alive, below)), "all processes to die with the worker")
    open_gate(batch)
    second = batch.run()
    result = Result(batch, second.exit_code, second.stderr, attempt=2)
    assert (result.exit_code, result.stderr) == (0, "")
    assert statuses(result) == {
        **dict.fromkeys((4, 5), "interrupted"),
        **dict.fromkeys(range(6, 12), "done"),
    }
    assert result.ends[4]["problem"] == "worker_died"
    assert [number for number, _ in sorted(ran(batch))] == list(range(12))


def test_interrupted_units_are_run_again_if_that_is_wanted(tmp_path: Path) -> None:
    batch = gated(tmp_path, 6, rerun_interrupted=True)
    first = batch.start()
    pid_of(batch, 1)
    os.kill(first.pid, signal.SIGKILL)
    first.communicate()
    open_gate(batch)
    batch.run()
    again = [(r["event"], r.get("status")) for r in batch.records(2) if r.get("unit") == 1]
    assert again == [("end", "interrupted"), ("start", None), ("end", "done")]


def test_what_outlived_a_worker_that_was_killed_is_killed_by_the_next_one(tmp_path: Path) -> None:
    body = (
        "import subprocess\n"
        "child = subprocess.Popen(['sleep', '1000'], start_new_session=True)\n"
        "with open(args['folder'] + '/child-%d' % args['n'], 'w') as file: "
        "file.write(str(child.pid))\n" + BODY
    )
    batch = gated(tmp_path, 2, body=body)
    first = batch.start()
    pid_of(batch, 1)
    os.kill(first.pid, signal.SIGKILL)
    first.communicate()
    child = int((tmp_path / "child-1").read_text())
    assert is_alive(child)
    open_gate(batch)
    batch.run()
    wait_until(lambda: not is_alive(child), "the orphan to be killed")


# cancelling


@both
def test_cancelling_ends_units_and_the_worker(tmp_path: Path, warm: bool) -> None:
    batch = gated(tmp_path, 8, slow=(1, 2), warm=warm)
    process = batch.start()
    pids = [pid_of(batch, 1), pid_of(batch, 2)]
    process.terminate()
    result = batch.end(process)
    assert result.exit_code == 128 + signal.SIGTERM
    assert statuses(result) == {0: "done", 1: "cancelled", 2: "cancelled"}
    end = result.ends[1]
    assert (end["problem"], end["signal"]) == ("cancelled", signal.SIGTERM)
    assert result.records[-1]["status"] == "cancelled"
    assert not any(map(is_alive, pids))
    assert not (batch.attempt() / "slots").exists()


def test_a_unit_may_finish_when_it_is_cancelled(tmp_path: Path) -> None:
    body = (
        "import signal\n"
        "def stop(*_):\n"
        "    if args['n'] == 0: finish('in time')\n"
        "    sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, stop)\n" + BODY
    )
    batch = gated(tmp_path, 4, slow=(0, 1), body=body)
    process = batch.start()
    pid_of(batch, 0)
    pid_of(batch, 1)
    process.send_signal(signal.SIGINT)
    result = batch.end(process)
    assert result.exit_code == 128 + signal.SIGINT
    assert statuses(result) == {0: "done", 1: "cancelled"}
    assert result.ends[0]["output"] == "in time"


@pytest.mark.slow
@both
def test_a_unit_that_does_not_listen_is_killed(tmp_path: Path, warm: bool) -> None:
    body = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + BODY
    batch = gated(tmp_path, 4, slow=(0, 1), body=body, warm=warm)
    process = batch.start()
    pids = [pid_of(batch, 0), pid_of(batch, 1)]
    process.terminate()
    result = batch.end(process)
    assert [(e["status"], e["signal"]) for e in result.ends.values()] == [("cancelled", 9)] * 2
    assert not any(map(is_alive, pids))


def test_a_worker_can_be_cancelled_while_it_imports(tmp_path: Path) -> None:
    (tmp_path / "endless.py").write_text("import time\ntime.sleep(1000)\n")
    script = write_script(tmp_path / "script.py", "pass", imports="import endless")
    batch = write_batch(tmp_path / "batch", [sys.executable, script], 5)
    process = batch.start()
    batch.wait_for("attempt")
    wait_until(lambda: descendants(process.pid), "the forker")
    below = descendants(process.pid)
    process.terminate()
    result = batch.end(process)
    assert result.exit_code == 128 + signal.SIGTERM
    assert not result.ends
    assert not any(map(is_alive, below))


def test_imports_that_hang_are_given_up(tmp_path: Path) -> None:
    (tmp_path / "hanging.py").write_text(
        "import os, time\nif os.path.basename(__import__('sys').argv[0]) and "
        "'forker' in open('/proc/self/cmdline').read(): time.sleep(1000)\n"
    )
    script = write_script(tmp_path / "script.py", "finish(1)", imports="import hanging")
    batch = write_batch(tmp_path / "batch", [sys.executable, script], 3)
    program = (
        "import sys; from fractal_jupyter.worker import launch, __main__ as worker;"
        "launch.IMPORT_PATIENCE = 1; sys.exit(worker.main(sys.argv[1:]))"
    )
    subprocess.run([sys.executable, "-c", program, "run", str(batch.folder)], check=True)
    result = Result(batch, 0, "")
    assert result.mode["reason"] == "imports did not end within 1 seconds"
    assert {end["output"] for end in result.ends.values()} == {1}


# memory

HUNGRY = """
if args["n"] == 1:
    kept = []
    while True:
        kept.append(bytearray(os.urandom(1 << 20)))
        time.sleep(0.001)
finish(args["n"])
"""
MEGABYTE = 10**6


@both
def test_a_unit_that_takes_too_much_memory_is_stopped(tmp_path: Path, warm: bool) -> None:
    limit = 200 * MEGABYTE
    result = gated(tmp_path, 6, body=HUNGRY, warm=warm, memory_limit=limit).run()
    end = result.ends.pop(1)
    assert (end["status"], end["problem"], end["signal"]) == ("failed", "memory_limit", 9)
    assert "the limit of a unit is 200 MB" in end["message"]
    assert end["peak_memory"] > limit
    assert set(statuses(result).values()) == {"done"}


def test_memory_of_processes_that_a_unit_starts_counts(tmp_path: Path) -> None:
    body = (
        "import subprocess\n"
        "code = 'import time; x = bytearray(b\"x\") * 120_000_000; time.sleep(1000)'\n"
        "children = [subprocess.Popen([sys.executable, '-c', code]) for _ in range(2)]\n"
        "time.sleep(1000)"
    )
    result = gated(tmp_path, 2, body=body, memory_limit=200 * MEGABYTE).run()
    assert [end["problem"] for end in result.ends.values()] == ["memory_limit"] * 2


def test_what_a_unit_shares_with_others_counts_once(tmp_path: Path) -> None:
    body = (
        "import multiprocessing\n"
        "x = bytearray(b'x') * 120_000_000\n"
        "workers = [multiprocessing.Process(target=time.sleep, args=(1.0,)) for _ in range(4)]\n"
        "for worker in workers: worker.start()\n"
        "for worker in workers: worker.join()"
    )
    result = gated(tmp_path, 2, body=body, memory_limit=250 * MEGABYTE).run()
    assert set(statuses(result).values()) == {"done"}


@pytest.fixture
def small_group() -> Iterator[Path]:
    """A control group with 150 MB of memory, where the machine lets us make one."""
    base = Path("/sys/fs/cgroup/memory")
    group = base / f"worker-test-{os.getpid()}"
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text(str(150 * MEGABYTE))
    except OSError:
        group = Path("/sys/fs/cgroup") / group.name
        try:
            group.mkdir()
            (group / "memory.max").write_text(str(150 * MEGABYTE))
        except OSError as error:
            skip_for_machine(
                "memory limits by the kernel", f"no control group can be made: {error}"
            )
    yield group
    wait_until(lambda: not (group / "cgroup.procs").read_text(), "the group to be empty")
    group.rmdir()


def test_a_unit_that_exhausts_memory_is_told_from_one_that_was_killed(
    tmp_path: Path, small_group: Path
) -> None:
    batch = gated(tmp_path, 6, body=HUNGRY)
    process = batch.start(
        preexec_fn=lambda: (small_group / "cgroup.procs").write_text(str(os.getpid()))
    )
    result = batch.end(process)
    end = result.ends.pop(1)
    assert (end["status"], end["problem"], end["signal"]) == ("failed", "out_of_memory", 9)
    assert end["message"].startswith("It was killed because memory ran out, when it used ")
    assert set(statuses(result).values()) == {"done"}


# disks


@both
def test_results_that_cannot_be_written_end_the_worker(tmp_path: Path, warm: bool) -> None:
    batch = gated(tmp_path, 500, slow=(), warm=warm, body="finish('x' * 1000)")
    limit = 30_000
    result = batch.run(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
    assert result.exit_code == 74
    assert result.stderr.startswith("The worker cannot write its results and has stopped: File too")
    assert 10 < len(result.ends) < 30
    assert all(len(end["output"]) == 1000 for end in result.ends.values())
    again = Result(batch, batch.run().exit_code, "", attempt=2)
    assert again.exit_code == 0
    lost = set(range(500)) - set(result.ends)
    assert set(again.ends) == lost
    assert {again.ends[unit]["status"] for unit in lost} == {"done", "interrupted"}


def test_a_huge_log_takes_no_memory(tmp_path: Path) -> None:
    body = "for _ in range(100): os.write(1, b'\\xff' * 999_999 + b'\\n')\nsys.exit(1)"
    batch = gated(tmp_path, 2, body=body, log_limit=1_000_000)
    process = batch.start()
    peak = 0

    def ended() -> bool:
        nonlocal peak
        for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                peak = int(line.split()[1]) * 1024
        return process.poll() is not None

    wait_until(ended, "the worker")
    result = batch.end(process)
    assert 0 < peak < 60 * MEGABYTE
    for unit in range(2):
        assert result.ends[unit]["log_dropped"] == 99 * MEGABYTE
        assert len(result.log(unit)) < 1_000_100


# what units leave behind


@both
def test_processes_that_a_unit_leaves_are_killed(tmp_path: Path, warm: bool) -> None:
    body = (
        "import subprocess\n"
        "def leave(**options):\n"
        "    return subprocess.Popen(['sleep', '1000'], **options).pid\n"
        "daemon = subprocess.run(['sh', '-c', 'setsid sleep 1000 >/dev/null 2>&1 & echo $!'],\n"
        "                        stdout=subprocess.PIPE).stdout\n"
        "finish([leave(), leave(start_new_session=True), leave(stdout=subprocess.DEVNULL), "
        "int(daemon)])\n"
    )
    batch = gated(tmp_path, 6, body=body + "time.sleep(0.1)", warm=warm)
    result = batch.run()
    left = [pid for end in result.ends.values() for pid in end["output"]]
    assert len(left) == 24
    assert not any(map(is_alive, left))


def test_processes_of_a_unit_that_runs_are_left_alone(tmp_path: Path) -> None:
    body = (
        "import subprocess\n"
        "if args['n'] == 1:\n"
        "    said = subprocess.run(['sh', '-c', 'setsid sleep 1000 >&2 & echo $!'],\n"
        "                          stdout=subprocess.PIPE).stdout\n"
        "    while not os.path.exists(args['folder'] + '/gate'): time.sleep(0.01)\n"
        "    finish(os.path.exists('/proc/%d' % int(said)))\n"
    )
    batch = gated(tmp_path, 8, body=body)
    process = batch.start()
    batch.wait_for("end", 7)
    open_gate(batch)
    assert batch.end(process).ends[1]["output"] is True
