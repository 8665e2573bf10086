"""One command as one job: on a host scripted with what a real SLURM said, and with real processes.

The real SLURM is in tests/slurm/test_once.py.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from fractal_jupyter.errors import (
    HostUnreachable,
    SchedulerError,
    SchedulerUnreachable,
    SubmissionRejected,
)
from fractal_jupyter.hosts.fake import FakeHost, FakeOutcome
from fractal_jupyter.hosts.local import LocalHost
from fractal_jupyter.models.python_config import PixiSlurmConfig
from fractal_jupyter.schedulers import slurm_once, slurm_watch
from fractal_jupyter.schedulers.slurm_once import SlurmOnce, once_options
from tests.toy import wait_until

DATA = Path(__file__).parent / "data"
CONFIG = PixiSlurmConfig(partition="main", cpus=2, mem="1G", time="00:10:00")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything is asked for all the time, and nothing is waited for that has not come."""
    monkeypatch.setattr(slurm_watch, "SHORTEST_INTERVAL_SECONDS", 0.0)
    monkeypatch.setattr(slurm_once, "INTENT_SECONDS", 0.1)
    monkeypatch.setattr(slurm_once, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(slurm_once, "PULSE_SECONDS", 0.02)
    monkeypatch.setattr(slurm_once, "LATE_SECONDS", 0.1)


class Slurm:
    """SLURM's commands as scripts that run jobs as processes, one after the other.

    Attributes:
        folder: jobs' folders, and what the commands note: `pid-<job>`, `name-<job>`, `script`.
            A file `state` has what `squeue` says of jobs that are over.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._bin = folder / "bin"
        self._bin.mkdir(parents=True)
        self._write("scontrol", f"cat '{DATA}/scontrol/config.txt'")
        self._write("sacct", "exit 1")
        self._write(
            "scancel",
            f"""
            # alone it tells nobody, and would kill the job a little later
            [ "$1 $2" = "--full --signal=TERM" ] || exit 0
            kill -TERM -$(cat '{folder}'/pid-$3)
            """,
        )
        self._write(
            "sbatch",
            f"""
            cp "$2" '{folder}/script'
            value() {{ sed -n "s/^#SBATCH --$1=//p" '{folder}/script' | tr -d '"'; }}
            output=$(value output | sed s/%A_%a/7_0/)
            value job-name > '{folder}/name-7'
            setsid /bin/bash '{folder}/script' >"$output" 2>&1 </dev/null &
            echo $! > '{folder}/pid-7'
            echo 7
            """,
        )
        self._write(
            "squeue",
            f"""
            [ -e '{folder}/pid-7' ] || exit 0
            pid=$(cat '{folder}/pid-7'); state=$(cat '{folder}/state' 2>/dev/null || echo FAILED)
            case $(sed 's/.*) //' /proc/$pid/stat 2>/dev/null) in
            ''|[ZX]*) ;; *) state=RUNNING ;; esac
            echo "7_0|$state|None|2026-11-23T04:02:30|N/A|node1|ann|$(cat '{folder}/name-7')"
            """,
        )

    def _write(self, name: str, text: str) -> None:
        path = self._bin / name
        lines = (line.strip() for line in text.strip().splitlines())
        path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
        path.chmod(0o755)

    def replace(self, name: str, text: str) -> None:
        """Let a command do something else."""
        self._write(name, text)

    @property
    def path(self) -> str:
        return f"{self._bin}:{os.environ['PATH']}"

    @property
    def script(self) -> str:
        return (self.folder / "script").read_text()

    @property
    def left(self) -> list[Path]:
        """The folders of jobs that are there."""
        jobs = self.folder / "jobs"
        return list(jobs.iterdir()) if jobs.exists() else []

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal to all processes of the job."""
        os.killpg(int((self.folder / "pid-7").read_text()), number)


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Slurm]:
    slurm = Slurm(tmp_path / "slurm")
    monkeypatch.setenv("PATH", slurm.path)
    yield slurm
    with suppress(FileNotFoundError, ProcessLookupError):
        slurm.kill()


def once(slurm: Slurm, host: LocalHost | None = None, **more: Any) -> SlurmOnce:
    settings = {
        "username": "ann",
        "options": once_options(CONFIG),
        "folder": str(slurm.folder / "jobs"),
        "poll_seconds": 0.0,
        "advice": "Change SLURM_CONFIG.",
        **more,
    }
    return SlurmOnce(host or LocalHost(), **settings)


def test_a_command_runs_to_its_end(slurm: Slurm) -> None:
    said: list[str] = []
    heard: list[bytes] = []
    command = ["/bin/sh", "-c", 'cat; echo "$0 $HELLO"; echo bad >&2; exit 3', "a 'word'"]
    result = once(slurm, preamble=["HELLO=there", "export HELLO"], say=said.append).run(
        command, stdin=b"input\n", on_output=heard.append
    )
    assert result.exit_code == 3
    assert result.text == "input\na 'word' there\nbad\n"
    assert b"".join(heard) == result.stdout
    assert slurm.left == []
    assert said[0] == "Submitted as SLURM job 7"


def test_the_job_asks_for_what_is_configured(slurm: Slurm) -> None:
    once(slurm, name="pixi").run(["true"])
    lines = slurm.script.splitlines()
    assert lines[0] == "#!/bin/bash"
    asked = {"--partition=main", "--cpus-per-task=2", "--mem=1024M", "--time=00:10:00"}
    assert {f"#SBATCH {each}" for each in asked} <= set(lines)
    assert any(line.startswith("#SBATCH --job-name=pixi-") for line in lines)
    assert [line for line in lines if "requeue" in line][-1] == "#SBATCH --no-requeue"


@pytest.mark.parametrize(
    ("memory", "cpus", "megabytes", "per_cpu"),
    [
        ({"mem": "10G"}, 4, 10_240, False),
        ({"mem": "1500K"}, 1, 2, False),
        ({"mem": "1T"}, 1, 1_048_576, False),
        ({"mem_per_cpu": "500M"}, 4, 2000, True),
    ],
)
def test_memory_is_counted_as_slurm_does(
    memory: dict[str, str], cpus: int, megabytes: int, per_cpu: bool
) -> None:
    asked = {"partition": "main", "cpus": cpus, "time": "1-00:00:00", **memory}
    config = PixiSlurmConfig.model_validate(asked)
    options = once_options(config)
    assert (options.mem_mb, options.use_mem_per_cpu) == (megabytes, per_cpu)


def test_a_preamble_that_fails_ends_the_job(slurm: Slurm) -> None:
    result = once(slurm, preamble=["echo loading", "(exit 5)", "echo not here"]).run(["echo", "x"])
    assert (result.exit_code, result.text) == (5, "loading\n")


def test_a_preamble_asks_slurm_for_nothing(slurm: Slurm) -> None:
    once(slurm, preamble=["#SBATCH --partition=other"]).run(["true"])
    before, _, after = slurm.script.partition("\nfolder=")
    assert "--partition=other" not in before
    assert "--partition=other" in after


def test_who_listens_can_stop_it_and_the_command_tidies_up(slurm: Slurm) -> None:
    tidied = slurm.folder / "tidied"
    command = f"trap 'touch \"{tidied}\"; exit 1' TERM; echo ready; while :; do sleep 0.02; done"
    heard = bytearray()

    def hear(chunk: bytes) -> None:
        heard.extend(chunk)
        if b"ready" in heard and not chunk:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        once(slurm).run(["/bin/sh", "-c", command], on_output=hear)
    assert tidied.exists()
    assert slurm.left == []


@pytest.mark.parametrize("name", ["partition", "memory-words", "submit", "qos"])
def test_what_slurm_refuses_is_told(slurm: Slurm, name: str) -> None:
    slurm.replace("sbatch", f"cat '{DATA}/sbatch/{name}.txt' >&2; exit 1")
    with pytest.raises(SubmissionRejected, match=r"did not accept the job: .*Change SLURM_CONFIG"):
        once(slurm).run(["true"])
    assert slurm.left == []


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("TIMEOUT", r"SLURM job 7_0 reached its time limit of 00:10:00 on node1\. Change SLURM_C"),
        ("OUT_OF_MEMORY", r"ran out of memory on node1 \(it had asked for 1,024 MB\)\. Change"),
        ("NODE_FAIL", r"the node of its SLURM job 7_0, node1, failed\. Change"),
        ("CANCELLED", r"SLURM job 7_0 was cancelled\. Change"),
    ],
)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_job_that_ends_early_is_told(slurm: Slurm, state: str, words: str, number: int) -> None:
    (slurm.folder / "state").write_text(state)
    heard = bytearray()

    def hear(chunk: bytes) -> None:
        if b"ready" in heard and not chunk:
            with suppress(ProcessLookupError):
                slurm.kill(number)
        heard.extend(chunk)

    with pytest.raises(SchedulerError, match=rf"did not get to its end: .*{words}"):
        once(slurm).run(["/bin/sh", "-c", "echo ready; exec sleep 60"], on_output=hear)
    assert slurm.left == []


def test_what_slurm_has_written_into_the_output_is_the_reason(slurm: Slurm) -> None:
    said = "slurmstepd: error: Detected 1 oom-kill event(s) in StepId=7.batch."
    heard = bytearray()

    def hear(chunk: bytes) -> None:
        heard.extend(chunk)
        if b"oom" in heard:
            with suppress(ProcessLookupError):
                slurm.kill()

    with pytest.raises(SchedulerError, match="ran out of memory"):
        once(slurm).run(["/bin/sh", "-c", f"echo '{said}'; exec sleep 60"], on_output=hear)


def test_a_job_whose_submission_had_no_answer_is_found(slurm: Slurm) -> None:
    real = (slurm.folder / "bin" / "sbatch").read_text()
    hang = (DATA / "sbatch" / "hang.txt").read_text().strip()
    slurm.replace("sbatch", real.replace("echo 7\n", f"echo '{hang}' >&2; exit 1\n"))
    assert once(slurm).run(["echo", "it ran"]).text == "it ran\n"


def test_a_job_that_was_never_accepted_is_told(slurm: Slurm) -> None:
    slurm.replace("sbatch", f"cat '{DATA}/sbatch/dead.txt' >&2; exit 1")
    with pytest.raises(SchedulerUnreachable, match=r"Unable to contact slurm.*Try again"):
        once(slurm).run(["true"])
    assert slurm.left == []


class Shaky(LocalHost):
    """A host that does not answer some questions for files."""

    def __init__(self, silent: int) -> None:
        super().__init__()
        self.silent = silent

    def read_many(self, offsets: Mapping[str, int]) -> dict[str, bytes]:
        self.silent -= 1
        if self.silent >= 0:
            raise HostUnreachable("no answer")
        return super().read_many(offsets)


def test_a_host_that_does_not_answer_changes_nothing(
    slurm: Slurm, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert once(slurm, Shaky(5)).run(["echo", "x"]).text == "x\n"
    monkeypatch.setattr(slurm_once, "PATIENCE_SECONDS", 0.1)
    with pytest.raises(HostUnreachable, match="SLURM job 7 goes on there"):
        once(slurm, Shaky(10_000)).run(["sleep", "60"])
    assert len(slurm.left) == 1
    wait_until(lambda: (slurm.left[0] / "input").exists())


def test_a_job_that_waits_says_for_what() -> None:
    lines = iter(["PENDING|Priority", "PENDING|Priority", "PENDING|Resources"])
    said: list[str] = []
    state = ""

    def squeue(_call: object) -> FakeOutcome:
        nonlocal state
        state = next(lines, "")
        if not state:
            written = next(path for path in host.modes if path.endswith("/input"))
            host.write_many({written.replace("/input", "/exit"): b"0\n"})
            state = "COMPLETED|None"
        return FakeOutcome(stdout=f"7_0|{state}|N/A|N/A||ann|x\n".encode())

    host = FakeHost(
        commands={
            "env": squeue,
            "scontrol": lambda _: FakeOutcome(
                stdout=(DATA / "scontrol" / "config.txt").read_bytes()
            ),
            "/bin/sh": lambda _: FakeOutcome(stdout=b"7\n"),
        }
    )
    job = SlurmOnce(
        host,
        username="ann",
        options=once_options(CONFIG),
        folder="/jobs",
        poll_seconds=0.0,
        say=said.append,
    )
    assert job.run(["true"]).exit_code == 0
    assert said == [
        "Submitted as SLURM job 7",
        "SLURM job 7 is waiting behind jobs of higher priority (Priority)",
        "SLURM job 7 is waiting for processors, memory or nodes to become free (Resources)",
    ]
