"""Collecting a task package through SSH, against collecting it locally."""

from __future__ import annotations

import argparse
import contextlib
import io
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.common import Row, alternate, run_benchmark, say, scratch_folder, timed
from benchmarks.slurm.common import remote_fractal
from fractal_jupyter import Fractal
from fractal_jupyter.client.task_groups import TaskGroup
from tests.sshd import why_no_sshd

PATIENCE = 600.0


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of this benchmark."""
    parser.add_argument("--package", default="fractal-tasks-core==2.1.0")
    parser.add_argument("--repetitions", type=int, default=3)


def measure(options: argparse.Namespace) -> Sequence[Row]:
    """Fill the caches of both sides, then collect in turn."""
    package, repetitions = options.package, options.repetitions
    if why := why_no_sshd():
        say(f"not measured through SSH: {why}")
        return []
    # A store of its own: environments that other task groups run in would not be removed.
    with remote_fractal() as remote, scratch_folder() as folder:
        local = Fractal(f"sqlite:///{folder}/store/fractal.db")
        for fractal in (remote, local):
            collection(fractal, package)
        through_ssh, here = alternate(
            lambda: collection(remote, package),
            lambda: collection(local, package),
            repetitions=repetitions,
        )
        local.close()
    return [
        Row(
            what=f"{package} collected through SSH, caches warm: longer than locally",
            ours=through_ssh - here,
            target="below",
            limit=3,
            note=f"{through_ssh:.1f} s through SSH, {here:.1f} s locally, "
            f"medians of {repetitions}; from the call of `collect` to its return",
        )
    ]


def collection(fractal: Fractal, package: str) -> float:
    """Seconds until a package is collected; its task group is deleted afterwards."""
    groups: list[TaskGroup] = []
    with contextlib.redirect_stdout(io.StringIO()):
        seconds = timed(lambda: groups.append(fractal.collect(package)))
        # What goes on in the background is not to meet the other side.
        until_compiled(Path(groups[0].folder))
        groups[0].delete()
    return seconds


def until_compiled(folder: Path) -> None:
    """Wait until an environment has all its bytecode."""
    began = time.monotonic()
    while not (folder / "bytecode").exists():
        if time.monotonic() - began > PATIENCE:
            raise RuntimeError(f"{folder} is still not compiled")
        time.sleep(0.05)


if __name__ == "__main__":
    run_benchmark(measure, description=__doc__, options=add_options)
