"""Job scripts: what SLURM reads, what the shell reads, and what the worker is given."""

from __future__ import annotations

import base64
import os
import re
import shutil
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fractal_jupyter.engine.slurm_options import UnitOptions
from fractal_jupyter.errors import PlanError
from fractal_jupyter.schedulers.slurm_bootstrap import STARTED_AGAIN, STARTS
from fractal_jupyter.schedulers.slurm_script import (
    INIT_ENDED,
    MARK,
    JobScript,
    pack_payload,
    render,
    sbatch_lines,
)
from fractal_jupyter.worker.bundle import bundle, bundle_digest
from fractal_jupyter.worker.records import decode_lines
from tests.worker.batches import pythons, write_batch

BEGUN = f"{STARTS} {os.uname().nodename}.\n"
GOLDEN = Path(__file__).parent / "data" / "job_script.sh"
SHELLS = [
    pytest.param("#!/bin/sh", id="sh"),
    pytest.param("#!/bin/bash -l", id="bash"),
    pytest.param("#!/bin/bash -eu", id="bash -eu"),
    pytest.param(
        "#!/bin/tcsh",
        id="tcsh",
        marks=pytest.mark.skipif(not shutil.which("tcsh"), reason="there is no tcsh"),
    ),
]
ODD_PARTS = st.text(
    st.sampled_from("aB9 '\"$()`#%;&|<>*?[]{}~!=:,@\\éß\t\n\u2028") | st.characters(codec="utf-8"),
    max_size=20,
)


def document(
    folder: Path, units: int | list[dict[str, str]], script: Path | str = "/none.py"
) -> bytes:
    """The content of a `batch.json`, made in some folder."""
    batch = write_batch(folder / "made", [sys.executable, script], units, warm=False)
    return (batch.folder / "batch.json").read_bytes()


def job_script(folder: Path | str = "/jobs/a phase", **fields: Any) -> JobScript:
    return JobScript(
        **{
            "name": "fractal-1-0-abcd",
            "options": UnitOptions(cpus_per_task=1, mem_mb=100),
            "side_by_side": 1,
            "folder": str(folder),
            "python": sys.executable,
            "elements": "0-9",
            "payload": b"",
            **fields,
        }
    )


def values(script: JobScript) -> dict[str, str]:
    """The options, read as `sbatch` does: as words, of which the last one counts."""
    found = {}
    for line in sbatch_lines(script):
        for word in sbatch_words(line.removeprefix("#SBATCH ")):
            name, _, value = word.partition("=")
            found[name] = value
    return found


def sbatch_words(text: str) -> list[str]:
    """Split as SLURM's `get_argument` does, which knows nothing of what quotes mean to a shell."""
    words, word, quote, escaped = [], "", "", False
    for char in text:
        if not quote and char.isspace():
            words.append(word)
            word = ""
        elif escaped or (char != "\\" and quote and char != quote):
            word, escaped = word + char, False
        elif char == "\\":
            escaped = True
        elif quote:
            quote = ""
        elif char in "\"'":
            quote = char
        elif char == "#":
            break
        else:
            word += char
    assert not quote
    return [*words, word]


def run(
    script: JobScript,
    path: Path,
    *,
    element: int | None = 0,
    shell: str | None = None,
    restarts: int = 0,
) -> subprocess.CompletedProcess[str]:
    """Run a script as a node daemon does: from where it keeps it, without anything on stdin."""
    path.write_text(render(script))
    path.chmod(0o700)
    environment = {"PATH": os.environ["PATH"], "HOME": str(path.parent)}
    if element is not None:
        environment["SLURM_ARRAY_TASK_ID"] = str(element)
    if restarts:
        environment["SLURM_RESTART_COUNT"] = str(restarts)
    return subprocess.run(
        [*([shell] if shell else []), path],
        env=environment,
        cwd=path.parent,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def ends(batch: Path) -> list[dict[str, Any]]:
    results = sorted(batch.glob("attempt-*/results-*"))
    records = [record for path in results for record in decode_lines(path.read_bytes())[0]]
    return [record for record in records if record["event"] == "end"]


@pytest.fixture
def task(tmp_path: Path) -> Path:
    path = tmp_path / "task.py"
    path.write_text("import os, sys\nprint('INIT', os.environ.get('INIT'))\n")
    return path


# what SLURM reads


def test_whole_script() -> None:
    options = UnitOptions(
        partition="main,long",
        cpus_per_task=2,
        mem_mb=4000,
        constraint="avx2&ssd",
        gres="gpu:v100:1",
        gpus="1",
        time="1-00:00:00",
        account="lab",
        nodelist="node[1-4]",
        exclude="node3",
        extra_lines=("#SBATCH --qos=low", '#SBATCH --comment="two words"'),
        shebang_line="#!/bin/bash -l",
    )
    script = job_script(
        '/jobs/2026 100% "new"/it\'s',
        options=options,
        side_by_side=4,
        python="/opt/py thon/bin/python3",
        elements="0-9%5",
        payload=b"payload" * 200,
        first_batch=20,
        worker_init="module load gcc\nexport INIT='1'\n",
    )
    assert render(script) == GOLDEN.read_text()


def test_memory_and_processors_are_for_all_units_side_by_side() -> None:
    options = UnitOptions(cpus_per_task=3, mem_mb=1000)
    found = values(job_script(options=options, side_by_side=4))
    assert (found["--cpus-per-task"], found["--mem"]) == ("12", "4000M")
    assert (found["--nodes"], found["--ntasks"]) == ("1", "1")
    found = values(job_script(options=replace(options, use_mem_per_cpu=True), side_by_side=4))
    assert found["--mem-per-cpu"] == "334M"
    assert "--mem" not in found


def test_more_nodes_are_the_configurations_business() -> None:
    found = values(job_script(options=UnitOptions(cpus_per_task=1, mem_mb=1, nodes=2)))
    assert found["--nodes"] == "2"
    assert "--ntasks" not in found


@pytest.mark.parametrize("line", ["--mem-per-gpu=4G", "--mem=0", "--mem-per-c=1G", "-v --mem 1G"])
def test_memory_is_asked_for_once(line: str) -> None:
    options = UnitOptions(cpus_per_task=1, mem_mb=100, extra_lines=(f"#SBATCH {line}",))
    assert not any("--mem=100M" in line for line in sbatch_lines(job_script(options=options)))


def test_extra_lines_win_except_over_the_runner() -> None:
    lines = ("#SBATCH --time=5 --cpus-per-task=9", "#SBATCH --chdir=/tmp --open-mode=truncate")
    options = UnitOptions(cpus_per_task=1, mem_mb=1, time="1:00", extra_lines=lines)
    found = values(job_script(options=options))
    assert (found["--time"], found["--cpus-per-task"]) == ("5", "9")
    assert (found["--chdir"], found["--open-mode"]) == ("/jobs/a phase", "append")


@given(ODD_PARTS)
def test_a_folder_is_read_as_it_is_or_refused(part: str) -> None:
    folder = f"/jobs/{part}/phase"
    try:
        text = render(job_script(folder, payload=b"x"))
    except PlanError:
        assert re.search("[\\\\\x00-\x1f\x7f-\x9f\u2028\u2029]", part)
        return
    found = values(job_script(folder))
    assert found["--chdir"] == folder
    pattern = found["--output"]
    assert re.sub("%%", "%", pattern.removesuffix("/slurm-%A_%a.out")) == folder
    assert not re.search("hetjob|packjob", text.partition(MARK)[0], re.IGNORECASE)
    assert sum(line.startswith("#SBATCH") for line in text.split("\n")) == 11


def test_words_that_divide_jobs_are_hidden() -> None:
    script = job_script("/jobs/hetjob/PackJob")
    assert not re.search("hetjob|packjob", "\n".join(sbatch_lines(script)), re.IGNORECASE)
    assert values(script)["--chdir"] == "/jobs/hetjob/PackJob"


def test_user_lines_are_no_options() -> None:
    lines = render(job_script(worker_init="#SBATCH --array=0-9999\n#SBATCH -n 5")).split("\n")
    first_command = next(i for i, line in enumerate(lines) if not line.startswith("#"))
    assert first_command < lines.index("#SBATCH --array=0-9999")
    assert not any(
        "#SBATCH" in line for line in render(job_script(worker_init=" \n")).split(":")[1:]
    )


@pytest.mark.parametrize(
    "change",
    [
        {"worker_init": "a\0b"},
        {"python": "/opt/a\nb"},
        {"name": "a\nb"},
        {"folder": "/a\\b"},
        {
            "python": "/opt/wow!/python",
            "options": UnitOptions(cpus_per_task=1, mem_mb=1, shebang_line="#!/bin/tcsh"),
        },
    ],
)
def test_what_cannot_be_written_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(PlanError):
        render(job_script(**change))


# what the shell and the interpreter read


@pytest.mark.parametrize("shebang", SHELLS)
def test_a_batch_is_run(shebang: str, tmp_path: Path, task: Path) -> None:
    folder = tmp_path / 'it\'s "a" $(phase) `x` ! 100%'
    folder.mkdir()
    script = job_script(
        folder,
        options=UnitOptions(cpus_per_task=1, mem_mb=1, shebang_line=shebang),
        payload=pack_payload(
            bundle(), {7: document(tmp_path, 2, task), 8: document(tmp_path, 1, task)}
        ),
        first_batch=5,
    )
    done = run(script, tmp_path / "slurm_script", element=2)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", BEGUN)
    assert sorted(path.name for path in folder.iterdir()) == [
        "batch-0007",
        f"worker-{bundle_digest()[:16]}.pyz",
    ]
    assert [record["status"] for record in ends(folder / "batch-0007")] == ["done", "done"]
    assert (folder / "batch-0007" / "batch.json").read_bytes() == document(tmp_path, 2, task)
    modes = [stat.S_IMODE(p.stat().st_mode) for p in (folder, *folder.rglob("*"))][1:]
    assert set(modes) == {0o700, 0o600}


@pytest.mark.parametrize("python", pythons())
def test_any_python_does(python: str, tmp_path: Path, task: Path) -> None:
    payload = pack_payload(bundle(), {0: document(tmp_path, 1, task)})
    done = run(job_script(tmp_path / "p", python=python, payload=payload), tmp_path / "script")
    assert (done.returncode, done.stderr) == (0, BEGUN)
    assert [record["status"] for record in ends(tmp_path / "p" / "batch-0000")] == ["done"]


def test_a_batch_is_run_again(tmp_path: Path, task: Path) -> None:
    script = job_script(tmp_path, payload=pack_payload(bundle(), {0: document(tmp_path, 1, task)}))
    archive = tmp_path / f"worker-{bundle_digest()[:16]}.pyz"
    archive.write_bytes(b"half of the wor")
    assert run(script, tmp_path / "script").returncode == 0
    inode = archive.stat().st_ino
    assert archive.read_bytes() == bundle()
    done = run(script, tmp_path / "script", restarts=1)
    again = f"{STARTED_AGAIN} on {os.uname().nodename}.\n"
    assert (done.returncode, done.stderr) == (0, f"{again}{BEGUN}")
    assert archive.stat().st_ino == inode
    assert len(ends(tmp_path / "batch-0000")) == 1
    assert (tmp_path / "batch-0000" / "attempt-2").exists()


def test_the_payload_may_be_a_file(tmp_path: Path, task: Path) -> None:
    payload = tmp_path / "pay load"
    payload.write_bytes(pack_payload(bundle(), {3: document(tmp_path, 1, task)}))
    script = job_script(tmp_path, payload=str(payload))
    assert len(render(script)) < 10_000
    assert run(script, tmp_path / "script", element=3).returncode == 0
    assert len(ends(tmp_path / "batch-0003")) == 1
    payload.unlink()
    done = run(script, tmp_path / "script", element=3)
    assert done.returncode == 66
    assert "pay load" in done.stderr


def test_worker_init_is_run_before(tmp_path: Path) -> None:
    lines = f"{MARK}\r\n#: oops\n#=  {{}}\ncd /\necho é; INIT='a  b'; export INIT\n#+ oops"
    worker = b"import os, sys; print(os.environ['INIT'], os.getcwd(), sys.argv)"
    payload = pack_payload(worker, {0: b"{}"})
    shell = job_script(tmp_path, worker_init=lines, payload=payload)
    done = run(shell, tmp_path / "script")
    assert done.stdout == f"é\na  b / {['run', str(tmp_path / 'batch-0000')]}\n".replace(
        "['run'", f"['{next(tmp_path.glob('worker-*'))}', 'run'"
    )


@pytest.mark.parametrize("shebang", SHELLS[:3])
@pytest.mark.parametrize(("lines", "status"), [("exit 3", 3), ("if then", 2), ("set -e; false", 1)])
def test_lines_that_end_the_shell_are_told(
    shebang: str, lines: str, status: int, tmp_path: Path
) -> None:
    options = UnitOptions(cpus_per_task=1, mem_mb=1, shebang_line=shebang)
    script = job_script(tmp_path, worker_init=lines, options=options)
    done = run(script, tmp_path / "script")
    assert done.stdout.splitlines()[-1] == f"{INIT_ENDED} {status}."
    assert STARTS not in done.stderr


@pytest.mark.parametrize("shebang", SHELLS)
def test_a_missing_interpreter_is_told(shebang: str, tmp_path: Path) -> None:
    options = UnitOptions(cpus_per_task=1, mem_mb=1, shebang_line=shebang)
    python = "/nowhere/o'dear $(id)/python3"
    done = run(job_script(tmp_path, python=python, options=options), tmp_path / "script")
    assert done.returncode == 127
    assert python in done.stdout
    assert os.uname().nodename in done.stdout
    assert "jobs_slurm_python_worker" in done.stdout


def test_an_old_interpreter_is_told(tmp_path: Path) -> None:
    old = tmp_path / "python3.6"
    old.write_text(
        f"#!/bin/sh\nexec {sys.executable} -c "
        "'import sys; sys.version_info = (3, 6, 8); code = sys.argv[5]; "
        'sys.argv = ["-c", *sys.argv[6:]]; exec(code)\' "$0" "$@"\n'
    )
    old.chmod(0o700)
    done = run(job_script(tmp_path, python=str(old)), tmp_path / "script")
    assert done.returncode == 126
    assert "Python 3.6 is too old" in done.stderr
    assert not list(tmp_path.glob("batch-*"))


def test_an_interpreter_without_zlib_is_told(tmp_path: Path) -> None:
    poor = tmp_path / "python3"
    poor.write_text(
        f"#!/bin/sh\nexec {sys.executable} -c "
        '\'import sys; sys.modules["zlib"] = None; code = sys.argv[5]; '
        'sys.argv = ["-c", *sys.argv[6:]]; exec(code)\' "$0" "$@"\n'
    )
    poor.chmod(0o700)
    done = run(job_script(tmp_path, python=str(poor), payload=b"x"), tmp_path / "script")
    assert done.returncode == 126
    assert "no module zlib" in done.stderr


@pytest.mark.parametrize(
    ("payload", "element"),
    [
        (b"", 0),
        (pack_payload(b"worker", {0: b"{}"})[:-10], 0),
        (pack_payload(b"worker", {0: b"{}"}), 5),
        (pack_payload(b"worker", {0: b"{}"}), None),
    ],
)
def test_damage_is_told(payload: bytes, element: int | None, tmp_path: Path) -> None:
    script = job_script(tmp_path / "p", payload=payload)
    done = run(script, tmp_path / "script", element=element)
    assert done.returncode == 66
    assert "damaged" in done.stderr
    assert not (tmp_path / "p").exists()


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    script = job_script(tmp_path / "file" / "p", payload=pack_payload(b"worker", {0: b"{}"}))
    done = run(script, tmp_path / "script")
    assert done.returncode == 74
    assert "Not a directory" in done.stderr


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    worker=st.binary(max_size=3000),
    documents=st.dictionaries(st.integers(0, 99), st.binary(max_size=3000), min_size=1, max_size=3),
    part=ODD_PARTS,
)
def test_payload_comes_out_as_it_went_in(
    worker: bytes, documents: dict[int, bytes], part: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("odd")
    program = b"import sys; print(ascii(sys.argv[1:])); '''" + base64.b64encode(worker) + b"'''"
    python = folder / "python's $(link)"
    python.symlink_to(sys.executable)
    part = re.sub("[\\\\/\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]", "", part)
    phase = folder / f"p{part[:20]}"
    script = job_script(phase, python=str(python), payload=pack_payload(program, documents))
    number = min(documents)
    done = run(script, folder / "script", element=number)
    assert done.stderr == BEGUN
    assert done.stdout == f"{['run', str(phase / f'batch-{number:04d}')]!a}\n"
    assert (phase / f"batch-{number:04d}" / "batch.json").read_bytes() == documents[number]
    assert next(phase.glob("worker-*.pyz")).read_bytes() == program


def test_ten_thousand_units_are_small(tmp_path: Path) -> None:
    units = [
        {"zarr_url": f"/data/a-plate.zarr/{chr(65 + i // 625)}/{i // 25 % 25:02d}/{i % 25}"}
        for i in range(10_000)
    ]
    documents = {k: document(tmp_path, units[k * 500 :][:500]) for k in range(20)}
    assert len(render(job_script(payload=pack_payload(bundle(), documents)))) < 1_000_000
