"""Warm units: when they are, when they are not and why, and the traps on the way."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.worker.batches import Result, pythons, write_batch, write_script


def run(folder: Path, script: Path, units: int = 4, **fields: Any) -> Result:
    result = write_batch(folder / "batch", [sys.executable, script], units, **fields).run()
    assert (result.exit_code, result.stderr) == (0, "")
    return result


def write_module(folder: Path, name: str, source: str) -> None:
    (folder / f"{name}.py").write_text(source)


def refused(folder: Path, imports: str, **fields: Any) -> str:
    """Run units that import something unfit; return why they ran cold."""
    script = write_script(folder / "script.py", "finish(1)", imports=imports)
    result = run(folder, script, **fields)
    assert {end["output"] for end in result.ends.values()} == {1}
    assert not result.warm
    return str(result.mode["reason"])


def test_units_run_warm_and_say_so(tmp_path: Path) -> None:
    script = write_script(tmp_path / "script.py", "finish(os.getppid())", imports="import decimal")
    result = run(tmp_path, script)
    assert result.warm
    assert result.mode["modules"] > 50
    assert result.mode["seconds"] > 0
    parents = {end["output"] for end in result.ends.values()}
    assert len(parents) == 1
    assert result.records[0]["pid"] not in parents


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (["/bin/sh", "/x.py"], "the command does not begin with a Python interpreter"),
        (["python-config", "/x.py"], "the command does not begin with a Python interpreter"),
        ([sys.executable], "the command is not of the form `python /path/of/script.py`"),
        ([sys.executable, "-m", "x"], "the command is not of the form"),
        ([sys.executable, "x.py"], "the command is not of the form"),
        ([sys.executable, "/nowhere/x.py"], "/nowhere/x.py cannot be read: No such file"),
        (["/nowhere/python3", "/x.py"], "/nowhere/python3 cannot be started: No such file"),
    ],
)
def test_other_commands_run_cold(tmp_path: Path, command: list[str], reason: str) -> None:
    result = write_batch(tmp_path, command, 2).run()
    assert not result.warm
    assert str(result.mode["reason"]).startswith(reason)


def test_warm_can_be_switched_off(tmp_path: Path) -> None:
    assert refused(tmp_path, "", warm=False) == "switched off"


def test_a_single_unit_runs_cold(tmp_path: Path) -> None:
    script = write_script(tmp_path / "script.py", "finish(1)")
    assert not run(tmp_path, script, 1).warm


def test_a_script_without_guard_runs_cold(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("print('runs')\n")
    result = run(tmp_path, script)
    assert not result.warm
    assert result.mode["reason"] == f'{script} has no `if __name__ == "__main__":`'
    assert result.log(0) == b"runs\n"


def test_a_script_that_does_not_compile_runs_cold(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("if __name__ == '__main__':\n  x = = 1\n")
    result = run(tmp_path, script)
    assert "cannot be compiled" in result.mode["reason"]
    assert "SyntaxError: invalid syntax" in result.ends[0]["message"]


def test_a_script_that_fails_when_imported_runs_cold(tmp_path: Path) -> None:
    write_module(tmp_path, "broken", "print('trying')\nraise OSError('no licence')\n")
    script = write_script(tmp_path / "script.py", "pass", imports="import broken")
    result = run(tmp_path, script)
    assert result.mode["reason"] == "importing broken failed: OSError: no licence"
    assert result.ends[0]["message"] == "OSError: no licence"
    segment, offset, length = result.mode["log"]
    log = (result.batch.attempt() / f"log-{segment:04d}").read_bytes()[offset : offset + length]
    assert log.startswith(b"trying\nTraceback")
    assert b"no licence" in log


def test_an_import_that_ends_the_interpreter_runs_cold(tmp_path: Path) -> None:
    write_module(tmp_path, "ending", "import sys\nsys.exit('not here')\n")
    script = write_script(tmp_path / "script.py", "pass", imports="import ending")
    result = run(tmp_path, script)
    assert result.mode["reason"] == "importing ending failed: SystemExit: not here"


@pytest.mark.parametrize("crash", ["os._exit(3)", "os.kill(os.getpid(), 11)"])
def test_an_import_that_crashes_runs_cold(tmp_path: Path, crash: str) -> None:
    write_module(tmp_path, "crashing", f"import os\n{crash}\n")
    script = write_script(tmp_path / "script.py", "pass", imports="import crashing")
    result = run(tmp_path, script)
    assert not result.warm
    how = "ended with exit status 3" if "exit" in crash else "was killed by SIGSEGV (11)"
    assert result.mode["reason"] == f"the process that units are forked from {how}"


def test_an_optional_import_may_fail(tmp_path: Path) -> None:
    imports = (
        "try:\n    import nothing_like_that\nexcept ImportError:\n    nothing_like_that = None"
    )
    script = write_script(tmp_path / "script.py", "finish(nothing_like_that)", imports=imports)
    assert run(tmp_path, script).warm


def test_python_threads_that_an_import_leaves_run_cold(tmp_path: Path) -> None:
    source = "import threading, time\nthreading.Thread(target=time.sleep, args=(99,), daemon=True)"
    write_module(tmp_path, "threaded", source + ".start()\n")
    assert refused(tmp_path, "import threaded") == (
        "importing what the script imports leaves 1 Python threads"
    )


def test_processes_that_an_import_leaves_run_cold(tmp_path: Path) -> None:
    source = "import subprocess\nkept = subprocess.Popen(['sleep', '99'])\n"
    write_module(tmp_path, "helped", source)
    assert "leaves 1 processes" in refused(tmp_path, "import helped")


C_THREAD = """
#define _GNU_SOURCE
#include <pthread.h>
#include <unistd.h>
static void *wait_for_ever(void *name) {
    if (name) pthread_setname_np(pthread_self(), name);
    for (;;) pause();
}
static pthread_t thread;
void start(char *name) { pthread_create(&thread, 0, wait_for_ever, name); sleep(0); }
"""
NATIVE = """
import ctypes, os, time
library = ctypes.CDLL({library!r})
library.start({name!r})
while {name!r} not in [open('/proc/self/task/%s/comm' % t, 'rb').read().strip()
                       for t in os.listdir('/proc/self/task')] + [None]:
    time.sleep(0.001)
"""


@pytest.fixture(scope="module")
def thread_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library that starts a native thread."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("needs a C compiler")
    folder = tmp_path_factory.mktemp("library")
    (folder / "thread.c").write_text(C_THREAD)
    library = folder / "thread.so"
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-o", library, folder / "thread.c", "-lpthread"], check=True
    )
    return library


@pytest.mark.parametrize("name", [b"mystery", None])
def test_unknown_native_threads_run_cold(
    tmp_path: Path, thread_library: Path, name: bytes | None
) -> None:
    write_module(tmp_path, "native", NATIVE.format(library=str(thread_library), name=name))
    reason = refused(tmp_path, "import native")
    shown = "mystery" if name else Path(sys.executable).name[:15]
    assert reason == f"importing what the script imports leaves native threads ({shown})"


@pytest.mark.parametrize("name", [b"jemalloc_bg_thd", b"polars-ooc-clea"])
def test_harmless_native_threads_run_warm(
    tmp_path: Path, thread_library: Path, name: bytes
) -> None:
    write_module(tmp_path, "native", NATIVE.format(library=str(thread_library), name=name))
    script = write_script(tmp_path / "script.py", "finish(1)", imports="import native")
    assert run(tmp_path, script).warm


def test_threads_beside_those_of_openblas_run_cold(tmp_path: Path, thread_library: Path) -> None:
    pytest.importorskip("numpy")
    write_module(tmp_path, "native", NATIVE.format(library=str(thread_library), name=None))
    script = write_script(tmp_path / "script.py", "finish(1)", imports="import numpy")
    assert run(tmp_path / "alone", script).warm
    assert "leaves native threads" in refused(tmp_path, "import numpy, native")


def test_the_script_itself_is_only_run_by_units(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    script = write_script(
        tmp_path / "script.py",
        "finish(os.getpid())",
        imports=f"open({str(journal)!r}, 'a').write('%d\\n' % os.getpid())",
    )
    result = run(tmp_path, script)
    assert result.warm
    ran = sorted(map(int, journal.read_text().split()))
    assert ran == sorted(end["output"] for end in result.ends.values())


def test_modules_are_fresh_in_each_unit(tmp_path: Path) -> None:
    write_module(tmp_path, "counter", "count = 0\nimported = True\n")
    script = write_script(
        tmp_path / "script.py",
        "counter.count += 1\nfinish(counter.count)",
        imports="import counter",
    )
    result = run(tmp_path, script, 20)
    assert {end["output"] for end in result.ends.values()} == {1}


def test_what_imports_print_is_in_the_log_of_each_unit(tmp_path: Path) -> None:
    source = "import sys\nprint('to output')\nsys.stderr.write('a warning\\n')\n"
    write_module(tmp_path, "talking", source)
    script = write_script(tmp_path / "script.py", "print('unit')", imports="import talking")
    logs = {}
    for warm in (True, False):
        result = run(tmp_path / str(warm), script, warm=warm)
        logs[warm] = {result.log(unit) for unit in range(4)}
    assert logs[True] == {b"a warning\nto output\nunit\n"}
    assert sorted(logs[True].pop().splitlines()) == sorted(logs[False].pop().splitlines())


def test_what_an_import_changes_in_the_process_is_there_for_units(tmp_path: Path) -> None:
    source = (
        "import atexit, os, signal, sys\n"
        "os.environ['SET_BY_IMPORT'] = '1'\n"
        "atexit.register(print, 'registered by import')\n"
        "signal.signal(signal.SIGTERM, lambda *_: print('heard') or sys.exit(5))\n"
        "file = open(__file__)\n"
        "sys.setrecursionlimit(1234)\n"
    )
    write_module(tmp_path, "changing", source)
    body = (
        "print(os.environ['SET_BY_IMPORT'], sys.getrecursionlimit(), changing.file.fileno())\n"
        "os.kill(os.getpid(), 15)"
    )
    script = write_script(tmp_path / "script.py", body, imports="import changing")
    for warm in (True, False):
        result = run(tmp_path / str(warm), script, warm=warm)
        assert result.warm is warm
        assert result.log(3) == b"1 1234 3\nheard\nregistered by import\n"
        assert result.ends[3]["exit_code"] == 5


def test_a_script_that_changes_is_read_again(tmp_path: Path) -> None:
    (tmp_path / "new.py").write_text("value = 2\n")
    later = write_script(tmp_path / "later.py", "finish(new.value)", imports="import new")
    script = write_script(
        tmp_path / "script.py",
        f"finish(1)\nos.replace({str(later)!r}, {str(tmp_path)!r} + '/script.py')",
    )
    result = run(tmp_path, script, 4, concurrency=1)
    assert [result.ends[unit]["output"] for unit in range(4)] == [1, 2, 2, 2]
    assert len(result.of("mode")) >= 2
    assert result.warm


def test_a_script_that_disappears_is_told(tmp_path: Path) -> None:
    script = write_script(tmp_path / "script.py", "os.unlink(__file__)")
    result = run(tmp_path, script, 3, concurrency=1)
    assert [result.ends[unit]["status"] for unit in range(3)] == ["done", "failed", "failed"]
    assert "can't open file" in result.ends[2]["message"]


# modules that units load later


def learned(result: Result) -> list[str]:
    return [name for record in result.of("learned") for name in record["modules"]]


def test_modules_that_the_first_unit_loads_are_imported_for_later_ones(tmp_path: Path) -> None:
    write_module(tmp_path, "lazy", "import os\nloaded_in = os.getpid()\n")
    body = "import lazy\nfinish(lazy.loaded_in == os.getpid())"
    script = write_script(tmp_path / "script.py", body)
    result = run(tmp_path, script, 20)
    assert learned(result) == ["lazy"]
    assert result.ends[0]["output"] is True
    assert result.ends[19]["output"] is False
    assert len(result.of("mode")) == 2
    again = run(tmp_path / "again", script, 4, preload=["lazy"])
    assert {end["output"] for end in again.ends.values()} == {False}
    assert learned(again) == []


def test_what_one_batch_has_learned_later_ones_of_its_phase_know(tmp_path: Path) -> None:
    write_module(tmp_path, "lazy", "import os\nloaded_in = os.getpid()\n")
    body = "import lazy\nfinish(lazy.loaded_in == os.getpid())"
    script = write_script(tmp_path / "script.py", body)

    def run_batch(folder: Path) -> Result:
        return write_batch(folder, [sys.executable, script], 3).run()

    (tmp_path / "phase" / "batch-0000").mkdir(parents=True)  # whose worker never came
    assert learned(run_batch(tmp_path / "phase" / "batch-0001")) == ["lazy"]
    later = run_batch(tmp_path / "phase" / "batch-0002")
    assert {end["output"] for end in later.ends.values()} == {False}
    assert learned(later) == []
    assert learned(run_batch(tmp_path / "another phase" / "batch-0003")) == ["lazy"]


def test_modules_that_cannot_be_imported_do_no_harm(tmp_path: Path) -> None:
    script = write_script(tmp_path / "script.py", "finish(1)")
    result = run(tmp_path, script, preload=["nothing_like_that", "", "not a name", "os"])
    assert result.warm


def test_modules_that_leave_threads_are_not_learned(tmp_path: Path) -> None:
    source = "import threading, time\nthreading.Thread(target=time.sleep, args=(99,), daemon=True)"
    write_module(tmp_path, "threaded", source + ".start()\n")
    body = "import threaded, threading\nfinish(threading.active_count())"
    quick = write_script(tmp_path / "script.py", body)
    result = run(tmp_path, quick, 20)
    assert "threaded" in learned(result)
    assert result.warm
    assert {end["output"] for end in result.ends.values()} == {2}
    assert {end["status"] for end in result.ends.values()} == {"done"}
    refused_preload = run(tmp_path / "again", quick, 6, preload=["threaded"])
    assert refused_preload.warm
    assert {end["output"] for end in refused_preload.ends.values()} == {2}


@pytest.mark.parametrize(
    "change", ["os.environ['A'] = 'b'", "sys.path.insert(0, '/x')", "sys.path.append('/x')"]
)
def test_nothing_is_learned_from_units_that_change_where_modules_come_from(
    tmp_path: Path, change: str
) -> None:
    write_module(tmp_path, "lazy", "")
    script = write_script(tmp_path / "script.py", f"{change}\nimport lazy\nfinish(1)")
    result = run(tmp_path, script, 10)
    assert result.warm
    assert learned(result) == []


def test_imports_after_a_change_of_the_path_find_what_they_should(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    write_module(tmp_path, "choice", "name = 'beside the script'\n")
    write_module(other, "choice", "name = 'where the path says'\n")
    script = write_script(
        tmp_path / "script.py",
        "finish(choice.name)",
        imports=f"sys.path.insert(0, {str(other)!r})\nimport choice",
    )
    result = run(tmp_path, script)
    assert result.warm
    assert {end["output"] for end in result.ends.values()} == {"where the path says"}


def test_a_failing_unit_teaches_nothing(tmp_path: Path) -> None:
    write_module(tmp_path, "lazy", "")
    body = "import lazy\nsys.exit(0 if args['n'] == 5 else 1)"
    script = write_script(tmp_path / "script.py", body)
    result = write_batch(
        tmp_path / "batch",
        [sys.executable, script],
        [{"n": number} for number in range(10)],
        concurrency=1,
    ).run()
    record = next(i for i, r in enumerate(result.records) if r["event"] == "learned")
    before = [r["unit"] for r in result.records[:record] if r["event"] == "end"]
    assert before == [0, 1, 2, 3, 4]


# libraries that are known to be difficult


@pytest.mark.slow
def test_libraries_that_hang_after_use_do_not_after_import(tmp_path: Path) -> None:
    """A process that has *used* thread pools must not be forked; one that imported them may be."""
    for name in ("polars", "dask.array", "numpy"):
        pytest.importorskip(name)
    body = (
        "frame = polars.DataFrame({'a': list(range(100_000))})\n"
        "total = frame.lazy().group_by(polars.col('a') % 7).agg(polars.len()).collect()\n"
        "array = dask.array.ones((500, 500), chunks=50)\n"
        "matrix = numpy.ones((300, 300)) @ numpy.ones((300, 300))\n"
        "finish([len(total), float(array.sum().compute()), float(matrix[0, 0])])"
    )
    script = write_script(
        tmp_path / "script.py", body, imports="import dask.array\nimport numpy\nimport polars"
    )
    result = run(tmp_path, script, 20)
    assert result.warm
    assert {json.dumps(end["output"]) for end in result.ends.values()} == {"[7, 250000.0, 300.0]"}


@pytest.mark.parametrize("python", pythons())
def test_warnings_that_are_errors_do_not_disturb_forking(
    tmp_path: Path, thread_library: Path, python: str
) -> None:
    """Python 3.12 and newer warn of forking a process with threads, even of those that are fine."""
    name = b"jemalloc_bg_thd"
    write_module(tmp_path, "native", NATIVE.format(library=str(thread_library), name=name))
    body = "import warnings\nfinish([str(item) for item in warnings.filters])"
    script = write_script(tmp_path / "script.py", body, imports="import native")
    env = {"PYTHONWARNINGS": "error", "PATH": "/bin:/usr/bin"}
    outputs = []
    for warm in (True, False):
        result = write_batch(tmp_path / str(warm), [python, script], 6, warm=warm, env=env).run(
            python
        )
        assert result.warm is warm
        assert {end["status"] for end in result.ends.values()} == {"done"}
        outputs += [end["output"] for end in result.ends.values()]
    assert all(output == outputs[0] for output in outputs)


def test_units_are_not_forked_from_a_process_that_has_become_unfit(tmp_path: Path) -> None:
    source = "import threading, time\nthreading.Thread(target=time.sleep, args=(99,), daemon=True)"
    write_module(tmp_path, "threaded", source + ".start()\n")
    body = "before = 'threaded' in sys.modules\nimport threaded\nfinish(before)\ntime.sleep(0.05)"
    script = write_script(tmp_path / "script.py", body)
    result = run(tmp_path, script, 40, concurrency=8)
    assert {end["output"] for end in result.ends.values()} == {False}
    assert len(result.of("mode")) == 2
    assert (result.batch.attempt() / "slots").exists() is False
