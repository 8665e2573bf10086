"""Running batches: what units get, what becomes of them, and what is left afterwards."""

from __future__ import annotations

import json
import os
import socket
import stat
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tests.worker.batches import Result, write_batch, write_script

both = pytest.mark.parametrize("warm", [True, False], ids=["warm", "cold"])


def run(
    folder: Path,
    body: str,
    units: list[dict[str, Any]] | int = 2,
    *,
    imports: str = "",
    **fields: Any,
) -> Result:
    """Run units with that body; see `write_script`."""
    folder.mkdir(exist_ok=True)
    script = write_script(folder / "script.py", body, imports=imports)
    result = write_batch(folder / "batch", [sys.executable, script], units, **fields).run()
    assert (result.exit_code, result.stderr) == (0, "")
    return result


@both
def test_units_get_their_arguments_and_give_their_outputs(tmp_path: Path, warm: bool) -> None:
    units = [{"zarr_url": f"/d/{number}", "own": {"n": number}} for number in range(20)]
    result = run(
        tmp_path, "finish(args)", units, warm=warm, common_args={"shared": [1, "ö"], "own": 0}
    )
    assert result.warm is warm
    assert [result.ends[number]["output"] for number in range(20)] == [
        {"shared": [1, "ö"], **unit} for unit in units
    ]
    first = result.ends[0]
    assert (first["status"], first["exit_code"], first["problem"]) == ("done", 0, None)
    assert first["node"] == os.uname().nodename
    assert 0 < first["started"] <= first["ended"]
    assert first["peak_memory"] > 4_000_000
    assert 0 < first["cpu_seconds"] < 20
    assert first["log"][2] == first["log_dropped"] == 0


@both
def test_records_tell_the_whole_story_in_order(tmp_path: Path, warm: bool) -> None:
    result = run(tmp_path, "finish(None)", 3, warm=warm)
    attempt = result.records[0]
    assert (attempt["event"], attempt["attempt"]) == ("attempt", 1)
    assert attempt["node"] == os.uname().nodename
    assert attempt["scheduler_id"] is None
    assert attempt["python"].count(".") == 2
    assert result.records[1]["event"] == "mode"
    assert result.records[1]["warm"] is warm
    assert result.records[-1]["event"] == "finished"
    assert result.records[-1]["status"] == "finished"
    for unit in range(3):
        story = [r["event"] for r in result.records if r.get("unit") == unit]
        assert story == ["start", "end"]


def test_the_scheduler_is_named(tmp_path: Path) -> None:
    script = write_script(tmp_path / "script.py", "pass")
    batch = write_batch(tmp_path / "batch", [sys.executable, script], 1)
    ids = {"SLURM_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "3"}
    result = batch.run(env={**os.environ, **ids})
    assert result.records[0]["scheduler_id"] == ids


@both
def test_units_side_by_side_are_as_many_as_allowed(tmp_path: Path, warm: bool) -> None:
    body = (
        "mine = os.path.join(args['folder'], str(os.getpid()))\n"
        "open(mine, 'w').close()\n"
        "time.sleep(0.05)\n"
        "finish(len(os.listdir(args['folder'])))\n"
        "os.unlink(mine)\n"
    )
    together = tmp_path / "together"
    together.mkdir()
    result = run(
        tmp_path, body, 12, warm=warm, concurrency=3, common_args={"folder": str(together)}
    )
    counts = {end["output"] for end in result.ends.values()}
    assert max(counts) <= 3
    assert counts & {2, 3}


@both
def test_a_slow_unit_does_not_hold_back_others(tmp_path: Path, warm: bool) -> None:
    gate = tmp_path / "gate"
    body = (
        "if args['n'] == 0:\n"
        "    while not os.path.exists(args['gate']): time.sleep(0.01)\n"
        "if args['n'] == 9:\n"
        "    open(args['gate'], 'w').close()\n"
    )
    units = [{"n": number} for number in range(10)]
    result = run(tmp_path, body, units, warm=warm, common_args={"gate": str(gate)})
    assert all(end["status"] == "done" for end in result.ends.values())
    ended = sorted(result.ends, key=lambda unit: result.ends[unit]["ended"])
    assert set(ended[-2:]) == {0, 9}


@both
def test_failures_are_told_apart(tmp_path: Path, warm: bool) -> None:
    bodies = {
        "raises": "raise ValueError('no such channel')",
        "exits": "print('so long'); sys.exit(3)",
        "dies": "os.kill(os.getpid(), 11)",
        "half": "open(out, 'w').write('{\"a\": [')",
        "empty": "open(out, 'w').close()",
        "nothing": "pass",
        "null": "finish(None)",
        "folder": "os.mkdir(out)",
        "pipe": "os.mkfifo(out)",
        "secret": "finish(1); os.chmod(out, 0)",
        "link": "os.symlink('/etc/passwd', out)",
    }
    body = "out = sys.argv[sys.argv.index('--out-json') + 1]\nexec(args['body'])"
    units = [{"body": text} for text in bodies.values()]
    result = run(tmp_path, body, units, warm=warm)
    ends = dict(zip(bodies, (result.ends[n] for n in range(len(bodies))), strict=True))
    told = {
        name: (end["status"], end["problem"], end["exit_code"], end["signal"])
        for name, end in ends.items()
    }
    invalid = ("failed", "invalid_output", 0, None)
    assert told == {
        "raises": ("failed", None, 1, None),
        "exits": ("failed", None, 3, None),
        "dies": ("failed", "killed", None, 11),
        "half": invalid,
        "empty": invalid,
        "nothing": ("done", None, 0, None),
        "null": ("done", None, 0, None),
        "folder": invalid,
        "pipe": invalid,
        "secret": ("done", None, 0, None) if os.getuid() == 0 else invalid,
        "link": invalid,
    }
    assert ends["raises"]["message"] == "ValueError: no such channel"
    assert ends["exits"]["message"] == "It ended with exit status 3. The last it logged: so long"
    assert ends["dies"]["message"].startswith("It was killed by SIGSEGV (11).")
    assert ends["empty"]["message"].endswith("is empty: it ended while writing it")
    assert ends["nothing"]["output"] is None


@both
def test_a_unit_gets_exactly_the_environment_of_the_batch(tmp_path: Path, warm: bool) -> None:
    env = {"PATH": "/bin", "ODD": "a=b\nc \udcff", "LC_ALL": "C.UTF-8"}
    result = run(tmp_path, "finish(dict(os.environ))", 2, warm=warm, env=env)
    assert result.ends[1]["output"] == env


@both
def test_working_directory_is_the_slot_or_what_the_batch_says(tmp_path: Path, warm: bool) -> None:
    result = run(tmp_path / "own", "finish([os.getcwd(), sys.argv])", 2, warm=warm)
    for end in result.ends.values():
        cwd, (_, *options) = end["output"]
        assert Path(cwd).parent == result.batch.attempt() / "slots"
        assert options == ["--args-json", f"{cwd}/args.json", "--out-json", f"{cwd}/out.json"]
    given = run(tmp_path / "given", "finish(os.getcwd())", 2, warm=warm, cwd=str(tmp_path))
    assert {end["output"] for end in given.ends.values()} == {str(tmp_path)}


@both
def test_a_unit_finds_nothing_of_earlier_ones(tmp_path: Path, warm: bool) -> None:
    body = (
        "found = sorted(os.listdir('.'))\n"
        "os.makedirs('a/b'); open('a/b/c', 'w').close()\n"
        "open('left', 'w').close(); os.symlink('left', 'link')\n"
        "finish([found, len(os.environ), getattr(sys, 'mark', 0)])\n"
        "sys.mark = 1; os.environ['MARK'] = '1'\n"
    )
    result = run(tmp_path, body, 8, warm=warm, concurrency=1)
    assert {str(end["output"]) for end in result.ends.values()} == {
        str([["args.json", "log"], 2, 0])
    }


@both
def test_a_unit_that_destroys_its_folder_harms_nobody(tmp_path: Path, warm: bool) -> None:
    body = "import shutil\nshutil.rmtree(os.getcwd())"
    result = run(tmp_path, body, 10, warm=warm)
    assert {end["status"] for end in result.ends.values()} == {"done"}


@both
def test_logs_are_kept_and_found(tmp_path: Path, warm: bool) -> None:
    body = (
        "print('out', args['n']); sys.stdout.flush()\n"
        "sys.stderr.write('err %d\\n' % args['n'])\n"
        "os.write(1, bytes([0, 255, 10]))\n"
        "os.system('echo from a program')\n"
        "sys.exit(args['n'])\n"
    )
    result = run(tmp_path, body, [{"n": number} for number in range(6)], warm=warm)
    for number in range(6):
        expected = b"out %d\nerr %d\n\0\xff\nfrom a program\n" % (number, number)
        assert result.log(number) == expected


@both
def test_a_long_log_loses_its_middle(tmp_path: Path, warm: bool) -> None:
    body = "for number in range(args['lines']): print('line', number)"
    result = run(tmp_path, body, [{"lines": 5}, {"lines": 100_000}], warm=warm, log_limit=1000)
    assert result.ends[0]["log_dropped"] == 0
    log = result.log(1)
    assert log.startswith(b"line 0\nline 1\n")
    assert log.endswith(b"line 99998\nline 99999\n")
    dropped = result.ends[1]["log_dropped"]
    assert b"\n[... %d bytes left out here ...]\n" % dropped in log
    whole = sum(len(f"line {number}\n") for number in range(100_000))
    assert dropped == whole - 1000


def test_logs_and_results_are_rolled(tmp_path: Path) -> None:
    body = "os.write(1, b'x' * 900_000)\nfinish('y' * 900_000)"
    result = run(tmp_path, body, 12)
    names = {path.name for path in result.batch.attempt().iterdir()}
    assert {"log-0000", "log-0001", "log-0002"} <= names
    assert {"results-0000", "results-0001", "results-0002"} <= names
    for unit in range(12):
        assert result.log(unit) == b"x" * 900_000
        assert len(result.ends[unit]["output"]) == 900_000


def test_files_are_for_their_owner_and_few(tmp_path: Path) -> None:
    result = run(tmp_path, "print('hello')", 50)
    folder = result.batch.attempt()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    files = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*")}
    assert set(files.values()) == {0o600}
    assert set(files) <= {
        "heartbeat",
        "results-0000",
        "log-0000",
        "learned",
        "forker-1.json",
        "forker-1.log",
    }


def test_files_of_a_running_unit_can_be_followed(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    body = "print('working', flush=True)\nwhile not os.path.exists(args['gate']): time.sleep(0.01)"
    script = write_script(tmp_path / "script.py", body)
    batch = write_batch(
        tmp_path / "batch", [sys.executable, script], 2, common_args={"gate": str(gate)}
    )
    process = batch.start()
    (first, _) = batch.wait_for("start", 2)
    log = batch.attempt() / "slots" / str(first["slot"]) / "log"
    while not (log.exists() and log.read_text() == "working\n"):
        assert process.poll() is None
    gate.touch()
    assert batch.end(process).exit_code == 0


def test_whoever_listens_is_told(tmp_path: Path) -> None:
    with (
        tempfile.TemporaryDirectory() as short,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener,
    ):
        path = f"{short}/socket"
        listener.bind(path)
        listener.settimeout(60)
        gate = tmp_path / "gate"
        body = "while not os.path.exists(args['gate']): time.sleep(0.01)"
        script = write_script(tmp_path / "script.py", body)
        batch = write_batch(
            tmp_path / "batch",
            [sys.executable, script],
            100,
            common_args={"gate": str(gate)},
            notify=path,
        )
        process = batch.start()
        while not any(record["event"] == "start" for record in batch.records()):
            assert listener.recv(100) == b"."
        gate.touch()
        result = batch.end(process)
        listener.settimeout(0)
        heard = 0
        try:
            while listener.recv(100) == b".":
                heard += 1
        except BlockingIOError:
            pass
        span = result.records[-1]["time"] - result.records[0]["time"]
        assert 1 <= heard <= 2 + span / 0.05


@pytest.mark.parametrize("notify", ["/nowhere/socket", "/" + "x" * 200])
def test_nobody_has_to_listen(tmp_path: Path, notify: str) -> None:
    assert run(tmp_path, "pass", 2, notify=notify).ends[1]["status"] == "done"


@pytest.mark.parametrize(
    ("command", "problem", "words"),
    [
        (["/nowhere/bin/python", "x.py"], "could_not_start", "collect the package again"),
        (["/etc/passwd"], "could_not_start", "may be read and executed"),
        ([sys.executable, "/nowhere/task.py"], None, "can't open file '/nowhere/task.py'"),
        ([sys.executable, "a\0b"], "could_not_start", "null"),
    ],
)
@both
def test_what_cannot_be_started_is_told(
    tmp_path: Path, command: list[str], problem: str | None, words: str, warm: bool
) -> None:
    result = write_batch(tmp_path, command, 3, warm=warm).run()
    assert result.exit_code == 0
    assert set(result.ends) == {0, 1, 2}
    for end in result.ends.values():
        assert (end["status"], end["problem"]) == ("failed", problem)
        assert words in end["message"]


@both
def test_a_missing_working_directory_is_told(tmp_path: Path, warm: bool) -> None:
    script = write_script(tmp_path / "script.py", "pass")
    gone = str(tmp_path / "gone")
    result = write_batch(tmp_path / "batch", [sys.executable, script], 2, warm=warm, cwd=gone).run()
    assert {end["problem"] for end in result.ends.values()} == {"could_not_start"}
    assert "No such file or directory" in result.ends[0]["message"]


def test_a_batch_without_units_ends_at_once(tmp_path: Path) -> None:
    result = write_batch(tmp_path, [sys.executable, "x.py"], 0).run()
    assert [record["event"] for record in result.records] == ["attempt", "finished"]


def test_odd_things_in_the_folder_are_no_attempts(tmp_path: Path) -> None:
    batch = write_batch(tmp_path / "batch", [sys.executable, "x.py"], 1)
    (batch.folder / "attempt-1").write_text("in the way")
    (batch.folder / "attempt-2").mkdir()
    (batch.folder / "attempt-x").mkdir()
    assert batch.run().exit_code == 0
    assert [r["event"] for r in batch.records(3)] == ["attempt", "mode", "start", "end", "finished"]


def test_huge_outputs_are_recorded(tmp_path: Path) -> None:
    body = "finish({'list': [{'zarr_url': '/data/%09d.zarr' % n} for n in range(200_000)]})"
    result = run(tmp_path, body, 2)
    assert len(result.ends[1]["output"]["list"]) == 200_000
    text = json.dumps(result.ends[0]["output"])
    assert len(text) > 6_000_000


EXPENDABLE = """
def facts(pid):
    with open("/proc/%s/oom_score_adj" % pid) as file, open("/proc/%s/status" % pid) as status:
        return file.read().strip(), status.read().split("PPid:")[1].split()[0]

own, parent = facts("self")
above, grandparent = facts(parent)
finish([own, above, facts(grandparent)[0]])
"""


@both
def test_units_are_the_first_to_go_when_memory_runs_out(tmp_path: Path, warm: bool) -> None:
    ours = Path("/proc/self/oom_score_adj").read_text().strip()
    result = run(tmp_path, EXPENDABLE, 4, warm=warm, concurrency=1)
    assert result.warm is warm
    # the unit; the process that it was forked from, or the worker; the worker, or this process
    assert [end["output"] for end in result.ends.values()] == [["1000", ours, ours]] * 4
