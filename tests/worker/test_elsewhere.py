"""Where there is no prctl, no /proc and no waitid (macOS): units run cold, and all else is true."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.worker.batches import Batch, Result, is_alive, write_batch, write_script

# Take away what macOS has not, before anything is imported that might want it.
PROGRAM = """
import os, sys
for name in ("waitid", "sched_getaffinity", "fdatasync"):
    delattr(os, name)
sys.platform = "darwin"
from fractal_jupyter.worker import linux
assert not linux.LINUX and not linux.HAS_PRCTL
from fractal_jupyter.worker.__main__ import main
sys.exit(main(["run", sys.argv[1]]))
"""


def start(batch: Batch) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(batch.folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_units_run_and_fail_as_everywhere(tmp_path: Path) -> None:
    body = (
        "import subprocess\n"
        "child = subprocess.Popen(['sleep', '1000']).pid\n"
        "if args['n'] == 1: sys.exit(3)\n"
        "if args['n'] == 2: os.kill(os.getpid(), 11)\n"
        "print('hello')\n"
        "finish(child)\n"
    )
    script = write_script(tmp_path / "script.py", body)
    units = [{"n": number} for number in range(6)]
    batch = write_batch(tmp_path / "batch", [sys.executable, script], units, memory_limit=10**12)
    result = batch.end(start(batch))
    assert (result.exit_code, result.stderr) == (0, "")
    assert not result.warm
    assert "Linux only" in result.mode["reason"]
    assert [result.ends[n]["status"] for n in range(6)] == ["done", "failed", "failed"] + [
        "done"
    ] * 3
    assert (result.ends[1]["exit_code"], result.ends[2]["signal"]) == (3, 11)
    assert result.log(5) == b"hello\n"
    assert not any(is_alive(result.ends[number]["output"]) for number in (0, 3, 4, 5))


def test_cancelling_works(tmp_path: Path) -> None:
    script = write_script(tmp_path / "script.py", "time.sleep(1000)")
    batch = write_batch(tmp_path / "batch", [sys.executable, script], 4)
    process = start(batch)
    batch.wait_for("start", 2)
    process.terminate()
    result = batch.end(process)
    assert result.exit_code == 128 + signal.SIGTERM
    assert [end["status"] for end in result.ends.values()] == ["cancelled"] * 2


def test_a_worker_that_was_killed_is_waited_out(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    body = "while not os.path.exists(args['gate']): time.sleep(0.01)"
    script = write_script(tmp_path / "script.py", body)
    batch = write_batch(
        tmp_path / "batch", [sys.executable, script], 3, common_args={"gate": str(gate)}
    )
    first = start(batch)
    batch.wait_for("start", 2)
    os.kill(first.pid, signal.SIGKILL)
    first.communicate()
    gate.touch()
    result = Result(batch, batch.end(start(batch)).exit_code, "", attempt=2)
    assert [result.ends[n]["status"] for n in range(3)] == ["interrupted", "interrupted", "done"]


def test_what_the_client_side_needs_can_be_imported_on_windows() -> None:
    program = (
        "import sys\n"
        "for name in ('fcntl', 'resource', 'pwd', 'grp', 'termios'):\n"
        "    sys.modules[name] = None\n"
        "from fractal_jupyter.worker import batch, bundle, outcome, records, scan, __main__\n"
        "sys.platform = 'win32'\n"
        "sys.exit(__main__.main(['run', '.']))\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert said.stderr == "Units do not run on Windows; submit to a machine with Linux or macOS.\n"
    assert said.returncode == 64
