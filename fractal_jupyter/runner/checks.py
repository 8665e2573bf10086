"""`resources.check`: try what a resource needs, and say for each thing how to mend it."""

from __future__ import annotations

import json
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from fractal_jupyter.environments.inspect import no_python
from fractal_jupyter.errors import FractalError, HostKeyUnknown
from fractal_jupyter.hosts.base import Host
from fractal_jupyter.hosts.local import LocalHost
from fractal_jupyter.models.resource import LocalResource
from fractal_jupyter.runner.processors import usable_processors
from fractal_jupyter.worker.bundle import bundle
from fractal_jupyter.worker.records import decode_lines

LOW_SPACE_BYTES = 5_000_000_000
ASK_VERSION = "import sys; print('%d.%d' % sys.version_info[:2])"
TIMEOUT_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was tried.

    Attributes:
        subject: What was tried.
        ok: Whether it works, as far as it was tried.
        found: What was found, in words.
        cure: What to do about it; empty when it works, and where `found` says that, too.
        fingerprint: That of the key of a host that nobody has vouched for yet.
        note: Whether it was not tried, and this only says something about it.
    """

    subject: str
    ok: bool
    found: str
    cure: str = ""
    fingerprint: str = ""
    note: bool = False

    def __str__(self) -> str:
        state = "note" if self.note else "ok  " if self.ok else "FAIL"
        return f"{state} {self.subject}: {self.found}" + (f" → {self.cure}" if self.cure else "")


def check_resource(resource: LocalResource) -> Iterator[Check]:
    """Try everything that jobs and collections on this machine need."""
    host = LocalHost()
    jobs_dir = list(check_folder(host, "jobs_local_dir", resource.jobs_local_dir))
    yield from jobs_dir
    yield from check_folder(host, "tasks_local_dir", resource.tasks_local_dir)
    for version, path in resource.tasks_python_config.versions.items():
        yield check_python(host, version, path)
    if jobs_dir[0].ok:
        yield attempt(
            "worker",
            lambda: _check_worker(host, sys.executable, resource),
            cure="see that there is room in jobs_local_dir, and that processes may be started",
        )
    else:
        yield Check("worker", True, "not tried: jobs_local_dir cannot be written", note=True)
    yield Check("processors", True, f"{usable_processors()} may be used")


def attempt(subject: str, check: Callable[[], Check], *, cure: str = "") -> Check:
    """Make a check; an error is what it found. `cure` is for those of the system: ours have one."""
    try:
        return check()
    except HostKeyUnknown as error:
        compare = "compare the fingerprint, then trust the key"
        return Check(subject, False, str(error), compare, error.fingerprint)
    except FractalError as error:
        return Check(subject, False, str(error))
    except OSError as error:
        return Check(subject, False, str(error), cure)


def check_folder(host: Host, field: str, folder: str, *, mode: int = 0o700) -> Iterator[Check]:
    """Try to write into a folder, made if it is missing; on this machine, look for space."""
    probe = str(PurePosixPath(folder) / ".fractal-write-check")
    try:
        host.mkdir(folder, mode=mode)
        host.write_many({probe: b"x"})
        host.remove(probe)
    except (FractalError, OSError) as error:
        yield Check(
            field,
            False,
            f"{folder} cannot be written: {error}",
            f"make it writable, or change {field} of the resource",
        )
        return
    yield Check(field, True, f"{folder} is writable")
    if not isinstance(host, LocalHost):
        return
    free = shutil.disk_usage(folder).free
    yield Check(
        f"space in {field}",
        free >= LOW_SPACE_BYTES,
        f"{free / 1e9:.1f} GB are free",
        ""
        if free >= LOW_SPACE_BYTES
        else f"free some, or move {field}: an environment takes 1 to 3 GB",
    )


def check_python(host: Host, version: str, path: str) -> Check:
    """Ask an interpreter for its version."""
    subject = f"Python {version}"
    try:
        result = host.run([path, "-I", "-c", ASK_VERSION], timeout=TIMEOUT_SECONDS)
    except (FractalError, OSError) as error:
        return Check(
            subject,
            False,
            f"{path} cannot be run: {error}",
            f"install it, or change tasks_python_config.versions[{version!r}]",
        )
    found = result.text.strip()
    if result.exit_code == 0 and found == version:
        return Check(subject, True, f"{path} is Python {found}")
    wrong = no_python(path, result)
    if result.exit_code == 0 and re.fullmatch(r"\d+\.\d+", found):
        wrong = f"{path} is Python {found}, not {version}"
    change = f"change tasks_python_config.versions[{version!r}]"
    if wrong.endswith("is not there"):
        change = f"install it, or {change}"
    return Check(subject, False, wrong, change)


def _check_worker(host: Host, python: str, resource: LocalResource) -> Check:
    """Run a real worker on a batch of one unit, which itself is a Python that does nothing."""
    with tempfile.TemporaryDirectory(prefix="check-", dir=resource.jobs_local_dir) as folder:
        archive, script = f"{folder}/worker.pyz", f"{folder}/unit.py"
        batch = {
            "version": 1,
            "label": "resource check",
            "command": [python, script],
            "concurrency": 1,
            "cold": None,
            "preload": [],
            "env": {},
            "inherit": False,
            "cwd": None,
            "memory_limit": None,
            "memory_advice": "",
            "rerun_interrupted": False,
            "heartbeat_interval": 1.0,
            "log_limit": 10_000,
            "notify": None,
            "common_args": {},
            "units": [{"index": 0, "args": {}}],
        }
        host.write_many(
            {
                archive: bundle(),
                script: b"print('it runs')\n",
                f"{folder}/batch.json": json.dumps(batch).encode(),
            }
        )
        result = host.run([python, "-I", "-S", archive, "run", folder], timeout=TIMEOUT_SECONDS)
        results = Path(folder, "attempt-1", "results-0000")
        records, _ = decode_lines(results.read_bytes() if results.exists() else b"")
    done = [r for r in records if r.get("event") == "end" and r.get("status") == "done"]
    if done:
        return Check("worker", True, f"{python} has run a unit")
    said = result.stderr.decode(errors="replace").strip()[-300:]
    return Check(
        "worker",
        False,
        f"a worker started with {python} did not run a unit (exit status {result.exit_code}): "
        f"{said}",
        "see that this Python runs, and that processes may be started",
    )
