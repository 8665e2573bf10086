"""What all benchmarks share: rows of results, timing, a store of their own, ending what runs."""

from __future__ import annotations

import argparse
import atexit
import contextlib
import dataclasses
import io
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import psutil

from fractal_jupyter import Fractal
from fractal_jupyter.client.datasets import Dataset
from fractal_jupyter.client.jobs import Job
from fractal_jupyter.client.task_groups import TaskGroup
from fractal_jupyter.client.tasks import Task
from fractal_jupyter.environments.on_host.bytecode import MARKER
from fractal_jupyter.runner.users import current_user
from fractal_jupyter.schedulers.processes import alive
from fractal_jupyter.store.store import Store
from tests.toy import wait_until

FOLDER_VARIABLE = "FRACTAL_BENCH_DIR"
"""Environment variable: where environments, images and stores are kept and used again."""

TASKS = Path(__file__).parent / "tasks"
SIDE_BY_SIDE = 2
Target = Literal["faster", "times", "below"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table.

    Attributes:
        what: What was done.
        ours: How long it took with this package, or how much of something it needed.
        against: The same of what it is compared with; None where there is only a limit.
        unit: Of both: `s`, `MB`, `%`.
        target: `faster`: ours must be so many times faster; `times`: ours may be so many times
            as much; `below`: ours must be less than that.
        limit: The number that belongs to `target`.
        note: What one must know to read the numbers.
    """

    what: str
    ours: float
    against: float | None = None
    unit: str = "s"
    target: Target
    limit: float
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """How many times faster ours is (`faster`), or how many times as much (`times`)."""
        if self.against is None:
            return None
        return self.against / self.ours if self.target == "faster" else self.ours / self.against

    @property
    def reached(self) -> bool:
        """Whether the target is reached."""
        if self.target == "below":
            return self.ours < self.limit
        if self.ratio is None:
            raise ValueError(f"{self.what}: a ratio needs something to compare with")
        return self.ratio >= self.limit if self.target == "faster" else self.ratio <= self.limit

    def cells(self) -> tuple[str, ...]:
        """The row as text: what, ours, against, ratio, target, reached."""
        aim = {
            "faster": f"≥ {self.limit:g} × faster",
            "times": f"≤ {self.limit:g} ×",
            "below": f"< {self.limit:g} {self.unit}",
        }[self.target]
        against = "" if self.against is None else f"{self.against:.4g} {self.unit}"
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}"
        ours = f"{self.ours:.4g} {self.unit}"
        return self.what, ours, against, ratio, aim, "yes" if self.reached else "NO"

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Row:
        """The row that `to_document` has made a JSON object of."""
        return cls(**{field.name: document[field.name] for field in dataclasses.fields(cls)})

    def to_document(self) -> dict[str, Any]:
        """The row as a JSON object, with ratio and whether the target is reached."""
        return {**dataclasses.asdict(self), "ratio": self.ratio, "reached": self.reached}


HEAD = ("what", "ours", "against", "ratio", "target", "reached")


def table(rows: Sequence[Row]) -> str:
    """The rows as a text table, with their notes below it."""
    lines = [HEAD, *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEAD))]
    text = [
        "  ".join(
            cell.ljust(width) if column in (0, 4) else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
    text.insert(1, "─" * (sum(widths) + 2 * (len(HEAD) - 1)))
    notes = [f"{row.what}: {row.note}" for row in rows if row.note]
    return "\n".join([*text, *([""] if notes else []), *notes])


def peer(name: str) -> str:
    """The path of a script in `peers`: what is compared with."""
    return str(Path(__file__).parent / "peers" / name)


def fork_loop(python: str, script: str, modules: str, *, units: int) -> list[str]:
    """The command that forks a warm process for each unit; see `peers/fork_loop.py`."""
    arguments = (str(TASKS / script), modules, str(units), str(SIDE_BY_SIDE))
    return [python, peer("fork_loop.py"), *arguments]


def run_benchmark(
    measure: Callable[[argparse.Namespace], Sequence[Row]],
    *,
    description: str,
    options: Callable[[argparse.ArgumentParser], None] | None = None,
) -> None:
    """Be the main program of a benchmark: parse options, measure, print the table.

    Args:
        measure: Gets the options.
        description: For `--help`.
        options: Adds options of this benchmark.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", type=Path, help="also write the rows to this file")
    if options is not None:
        options(parser)
    arguments = parser.parse_args()
    rows = measure(arguments)
    print(table(rows), flush=True)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps([row.to_document() for row in rows], indent=1))


def say(text: str) -> None:
    """Print what is being done, to standard error."""
    print(f"  {text}", file=sys.stderr, flush=True)


def timed(action: Callable[[], object]) -> float:
    """How many seconds `action` takes."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def alternate(
    ours: Callable[[], float], against: Callable[[], float], *, repetitions: int
) -> tuple[float, float]:
    """Measure both sides in turn, so that what else the machine does meets both.

    Returns:
        The medians of both.
    """
    seconds: tuple[list[float], list[float]] = ([], [])
    for number in range(repetitions):
        for side, measure in enumerate((ours, against)):
            seconds[side].append(measure())
        say(f"{number + 1} of {repetitions}: {seconds[0][-1]:.3f}, against {seconds[1][-1]:.3f}")
    return statistics.median(seconds[0]), statistics.median(seconds[1])


# where things are


@cache
def bench_folder() -> Path:
    """The folder of environments, images and stores; a new one unless the variable names one."""
    given = os.environ.get(FOLDER_VARIABLE)
    folder = Path(given) if given else Path(tempfile.mkdtemp(prefix="fractal-bench-"))
    if not given:
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    return folder.resolve()


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder that is removed at the end, on the file system of `bench_folder`."""
    folder = Path(tempfile.mkdtemp(prefix="run-", dir=bench_folder()))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def bench_fractal() -> Iterator[Fractal]:
    """A client of the benchmarks' store; what it started is ended afterwards."""
    fractal = Fractal(f"sqlite:///{bench_folder()}/store/fractal.db")
    fractal.resources.update(
        "Local resource", jobs_runner_config={"parallel_tasks_per_job": SIDE_BY_SIDE}
    )
    try:
        yield fractal
    finally:
        end_supervisor(fractal._store)
        fractal.close()


def core_tasks(fractal: Fractal) -> TaskGroup:
    """The environment of fractal-tasks-core 2.1.0, built when it is asked for first.

    Its bytecode is waited for: who is measured first would compile it for all others.
    """
    say("collecting fractal-tasks-core 2.1.0, unless it is there")
    with contextlib.redirect_stdout(io.StringIO()):
        group = fractal.collect("fractal-tasks-core==2.1.0")
    wait_until(lambda: Path(group.folder, MARKER).exists(), seconds=120)
    return group


def bench_task(
    fractal: Fractal, name: str, *, python: str, resource: str = "Local resource"
) -> Task:
    """A script in `tasks`, as a task that the interpreter `python` of a resource runs."""
    store = fractal._store
    version = f"with {python}"
    folder = f"{TASKS} {version}"
    resource_id = store.resources.get(resource).id
    if store.task_groups.find_folder(resource_id, folder) is None:
        manifest = json.loads((TASKS / "__FRACTAL_MANIFEST__.json").read_text())
        store.task_groups.add(
            entries=manifest["task_list"],
            resource_id=resource_id,
            package="bench-tasks",
            version=version,
            origin="wheel",
            request={},
            folder=folder,
            python_version="",
            python=python,
            package_root=str(TASKS),
        )
    return fractal.tasks.get(name, version=version)


# running jobs


def new_dataset(fractal: Fractal, zarr_dir: Path, urls: Sequence[str], **image: Any) -> Dataset:
    """A new dataset of the images at `urls`, all with the same attributes and types."""
    dataset = fractal.datasets.create(f"bench {time.time_ns()}", zarr_dir=zarr_dir)
    dataset.add_images([{"zarr_url": url, **image} for url in urls])
    return dataset


def named_images(fractal: Fractal, count: int) -> Dataset:
    """A new dataset of images that exist by name only, for tasks that do not open them."""
    folder = Path("/data")
    return new_dataset(fractal, folder, [f"{folder}/image-{k}.zarr" for k in range(count)])


def finish(job: Job) -> None:
    """Wait for a job, quietly; raises when it failed."""
    with contextlib.redirect_stdout(io.StringIO()):
        job.wait()
    job.raise_for_status()


def supervisor(store: Store) -> psutil.Process | None:
    """The supervisor of the store, if one runs."""
    lease = store.leases.get(current_user())
    if lease is None or lease.released or not alive(lease.process):
        return None
    return psutil.Process(int(lease.process["pid"]))


def end_supervisor(store: Store) -> None:
    """End the supervisor of the store, if one runs, and wait until it has ended."""
    process = supervisor(store)
    if process is not None:
        process.terminate()
        process.wait(60)
