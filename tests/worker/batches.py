"""Real batches for tests of the worker: written, run by the real archive, and read again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from fractal_jupyter.worker.bundle import bundle
from fractal_jupyter.worker.records import decode_lines

PROBES = Path(__file__).parent / "probes"
DEADLINE = 60.0

Record = dict[str, Any]


@dataclass(frozen=True)
class Batch:
    """A batch on disk."""

    folder: Path

    def start(self, python: str = sys.executable, **options: Any) -> subprocess.Popen[bytes]:
        """Start a worker on it."""
        return subprocess.Popen(
            [python, "-I", "-S", str(self.folder / "worker.pyz"), "run", str(self.folder)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            **options,
        )

    def run(self, python: str = sys.executable, **options: Any) -> Result:
        """Run a worker on it until it ends."""
        process = self.start(python, **options)
        return self.end(process)

    def end(self, process: subprocess.Popen[bytes]) -> Result:
        """Wait for a worker to end."""
        stdout, stderr = process.communicate(timeout=DEADLINE * 2)
        assert stdout == b""
        return Result(self, process.returncode, stderr.decode())

    def attempt(self, number: int = 1) -> Path:
        """The folder of an attempt."""
        return self.folder / f"attempt-{number}"

    def records(self, number: int = 1) -> list[Record]:
        """What an attempt has recorded so far."""
        paths = sorted(self.attempt(number).glob("results-*"))
        return [record for path in paths for record in decode_lines(path.read_bytes())[0]]

    def wait_for(
        self, event: str, count: int = 1, *, attempt: int = 1, **fields: Any
    ) -> list[Record]:
        """Wait until there are that many records of an event, with those values."""
        found: list[Record] = []

        def enough() -> bool:
            found[:] = [
                record
                for record in self.records(attempt)
                if record["event"] == event and fields.items() <= record.items()
            ]
            return len(found) >= count

        wait_until(enough, f"{count} x {event} {fields}")
        return found


@dataclass(frozen=True)
class Result:
    """What a worker has left."""

    batch: Batch
    exit_code: int
    stderr: str
    attempt: int = 1

    @cached_property
    def records(self) -> list[Record]:
        """All records of the first attempt."""
        return self.batch.records(self.attempt)

    def of(self, event: str) -> list[Record]:
        """The records of one kind."""
        return [record for record in self.records if record["event"] == event]

    @cached_property
    def ends(self) -> dict[int, Record]:
        """The ends of units, by number; each unit has ended once."""
        ends = {record["unit"]: record for record in self.of("end")}
        assert len(ends) == len(self.of("end"))
        return ends

    @property
    def warm(self) -> bool:
        """Whether units were forked, all of them."""
        (warm,) = {record["warm"] for record in self.of("start")}
        return bool(warm)

    @property
    def mode(self) -> Record:
        """The last word on how units are started."""
        return self.of("mode")[-1]

    def log(self, unit: int) -> bytes:
        """The log of a unit."""
        segment, offset, length = self.ends[unit]["log"]
        path = self.batch.attempt(self.attempt) / f"log-{segment:04d}"
        return path.read_bytes()[offset : offset + length]


def batch_document(
    command: Sequence[str | Path],
    units: Sequence[Mapping[str, Any]] | int,
    *,
    warm: bool = True,
    **fields: Any,
) -> dict[str, Any]:
    """What a worker reads: units are their arguments, or their number."""
    if isinstance(units, int):
        units = [{"zarr_url": f"/data/{number}.zarr"} for number in range(units)]
    return {
        "version": 1,
        "label": "a test",
        "command": [str(part) for part in command],
        "concurrency": 2,
        "cold": None if warm else "switched off",
        "preload": [],
        "env": {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"},
        "inherit": False,
        "cwd": None,
        "memory_limit": None,
        "memory_advice": "",
        "rerun_interrupted": False,
        "heartbeat_interval": 0.2,
        "log_limit": 1_000_000,
        "notify": None,
        "common_args": {},
        "units": [{"index": index, "args": args} for index, args in enumerate(units)],
        **fields,
    }


def write_batch(
    folder: Path,
    command: Sequence[str | Path],
    units: Sequence[Mapping[str, Any]] | int,
    **fields: Any,
) -> Batch:
    """Write a batch; fields override those of `batch_document`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "worker.pyz").write_bytes(bundle())
    document = batch_document(command, units, **fields)
    (folder / "batch.json").write_text(json.dumps(document))
    return Batch(folder)


def write_script(path: Path, body: str, *, imports: str = "") -> Path:
    """Write a task whose body sees `args`, and `finish(output)` to write an output."""
    indented = "".join(f"    {line}\n" for line in body.strip("\n").splitlines())
    path.write_text(
        f"import json\nimport os\nimport sys\nimport time\n{imports}\n\n"
        "def finish(output):\n"
        "    with open(sys.argv[sys.argv.index('--out-json') + 1], 'w') as file:\n"
        "        json.dump(output, file)\n\n\n"
        "def main(args):\n"
        f"{indented}\n\n"
        'if __name__ == "__main__":\n'
        "    with open(sys.argv[sys.argv.index('--args-json') + 1]) as file:\n"
        "        arguments = json.load(file)\n"
        "    main(arguments)\n"
    )
    return path


def wait_until(condition: Callable[[], object], what: str, deadline: float = DEADLINE) -> None:
    """Wait until a condition holds."""
    end = time.monotonic() + deadline
    while not condition():
        assert time.monotonic() < end, f"waited {deadline} s for {what}"
        time.sleep(0.01)


def descendants(pid: int) -> list[int]:
    """All processes below one, as far as parents tell."""
    found: list[int] = []
    for child in _children(pid):
        found += [child, *descendants(child)]
    return found


def _children(pid: int) -> Iterator[int]:
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            yield from map(int, path.read_text().split())
        except OSError:
            continue


def is_alive(pid: int) -> bool:
    """Whether a process lives: one that has ended and was not waited for does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in ("Z", "X")


def pythons() -> list[str]:
    """This Python, and the oldest and the newest from 3.8 on that this machine has."""
    found = {sys.version_info[:2]: sys.executable}
    roots = [Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"]
    candidates = [path for root in roots for path in sorted(root.glob("3.*/bin/python3"))]
    candidates += [Path(f"/usr/bin/python3.{minor}") for minor in range(8, 15)]
    for path in candidates:
        if not path.exists():
            continue
        probe = subprocess.run(
            [path, "-I", "-S", "-c", "import sys; print(*sys.version_info[:2])"],
            capture_output=True,
            text=True,
            check=False,
        )
        if probe.returncode == 0:
            major, minor = map(int, probe.stdout.split())
            if (major, minor) >= (3, 8):
                found.setdefault((major, minor), str(path))
    return list(dict.fromkeys(found[v] for v in (min(found), sys.version_info[:2], max(found))))
