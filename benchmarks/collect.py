"""Building the environment of a task package, against venv and pip; and building it again."""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.common import Row, run_benchmark, say, scratch_folder, timed
from fractal_jupyter.environment import build_environment, job_environment
from fractal_jupyter.environments.lock import Lock
from fractal_jupyter.environments.spec import BuildRequest, parse_requirement
from fractal_jupyter.environments.uv import find_uv
from fractal_jupyter.environments.venv import VenvBuilder
from fractal_jupyter.hosts.local import LocalHost

PATIENCE = 600.0


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of this benchmark."""
    parser.add_argument("--package", default="fractal-tasks-core==2.1.0")


@dataclass(frozen=True)
class Ours:
    """An environment that this package built; all in seconds since the start, or bytes.

    Attributes:
        folder: where it is.
        python: its interpreter.
        imported: when its first task had been imported, if it was.
        compiled: when all its bytecode was there.
        size: the size of its files.
        lock: what is in it.
    """

    folder: Path
    python: str
    imported: float
    compiled: float
    size: int
    lock: Lock


def measure(options: argparse.Namespace) -> Sequence[Row]:
    """Build cold, warm, and warm without bytecode, with ours and pip; build again from locks."""
    package = options.package
    with scratch_folder() as scratch:
        cold = build(scratch, "cold", package)
        against_cold = pip_build(scratch, "pip-cold", package, first_task(cold))
        warm = build(scratch, "warm", package)
        against_warm = pip_build(scratch, "pip-warm", package, first_task(cold))
        added = added_bytes(warm.folder, cold.folder)
        rebuilt = build(scratch, "rebuilt", package, lock=warm.lock)
        shutil.rmtree(scratch / "cache" / "bytecode")
        uncompiled = build(scratch, "uncompiled", package)
        shutil.rmtree(scratch / "cache")
        rebuilt_cold = build(scratch, "rebuilt-cold", package, lock=warm.lock)
        shutil.rmtree(scratch / "cache")
        first, second = (build(scratch, name, package, use=False) for name in ("first", "second"))
    what = f"{package} until its first task is imported"
    return [
        Row(
            what=f"{what}, caches cold; venv and pip",
            ours=cold.imported,
            against=against_cold,
            target="faster",
            limit=3,
            note=f"its bytecode was complete after {cold.compiled:.1f} s, in the background",
        ),
        Row(
            what=f"{what}, caches warm; venv and pip",
            ours=warm.imported,
            against=against_warm,
            target="faster",
            limit=5,
        ),
        Row(
            what=f"{what}, caches warm, no bytecode; venv and pip",
            ours=uncompiled.imported,
            against=against_warm,
            target="faster",
            limit=5,
        ),
        Row(
            what="second environment, all bytecode included; the first",
            ours=second.compiled,
            against=first.compiled,
            target="faster",
            limit=3,
        ),
        Row(
            what="disk space of the second environment",
            ours=100 * added / warm.size,
            unit="%",
            target="below",
            limit=10,
            note=f"of {warm.size / 1e6:.0f} MB; the rest is shared with the first",
        ),
        Row(
            what="built again from its lock, caches warm; collected",
            ours=rebuilt.imported,
            against=warm.imported,
            target="faster",
            limit=1,
        ),
        Row(
            what="built again from its lock, caches cold; collected",
            ours=rebuilt_cold.imported,
            against=cold.imported,
            target="faster",
            limit=1,
        ),
    ]


def build(
    scratch: Path, name: str, package: str, *, lock: Lock | None = None, use: bool = True
) -> Ours:
    """Build an environment with ours, and import a task; the caches are of the builds before."""
    folder = scratch / name
    builder = VenvBuilder(LocalHost(), uv=find_uv(), cache_dir=str(scratch / "cache"))
    version = "{}.{}".format(*sys.version_info[:2])
    spec = parse_requirement(package)
    request = BuildRequest(spec, sys.executable, version, str(folder), lock=lock)
    start = time.perf_counter()
    built = builder.build(request, log=str)
    usable = time.perf_counter() - start
    if use:
        import_task(built.python, task_module(built.package_root, built.manifest_text))
    imported = time.perf_counter() - start
    while not (folder / "bytecode").exists():
        if time.perf_counter() - start > PATIENCE:
            raise RuntimeError(f"{folder} is still not compiled")
        time.sleep(0.05)
    compiled = time.perf_counter() - start
    say(f"ours, {name}: built {usable:.1f} s, imported {imported:.1f} s, bytecode {compiled:.1f} s")
    return Ours(folder, built.python, imported, compiled, built.size_bytes, built.lock)


def pip_build(scratch: Path, name: str, package: str, module: str) -> float:
    """Seconds for the same with venv and pip, as one would type it."""
    venv = scratch / name
    python = str(venv / "bin" / "python")
    cache = scratch / "pip-cache"
    install = [python, "-m", "pip", "install", f"--cache-dir={cache}", package]

    def everything() -> None:
        for command in ([sys.executable, "-m", "venv", str(venv)], install):
            subprocess.run(command, env=build_environment(), capture_output=True, check=True)
        import_task(python, module)

    seconds = timed(everything)
    say(f"venv and pip, {name}: {seconds:.1f} s")
    return seconds


def first_task(ours: Ours) -> str:
    """The module of the first task of an environment."""
    facts = json.loads((ours.folder / "environment.json").read_text())
    return task_module(facts["root"], facts["manifest"])


def task_module(root: str, manifest: str) -> str:
    """The module of the first task in a manifest."""
    task = json.loads(manifest)["task_list"][0]
    script = Path(task.get("executable_parallel") or task["executable_non_parallel"])
    return ".".join([Path(root).name, *script.with_suffix("").parts])


def import_task(python: str, module: str) -> None:
    """Import a module with an environment's interpreter."""
    subprocess.run([python, "-c", f"import {module}"], env=job_environment(), check=True)


def added_bytes(folder: Path, other: Path) -> int:
    """The disk space of the files of a folder that are not those of the other one as well."""
    known = {path.stat().st_ino for path in other.rglob("*") if not path.is_symlink()}
    return sum(
        path.stat().st_blocks * 512
        for path in folder.rglob("*")
        if not path.is_symlink() and path.stat().st_ino not in known
    )


if __name__ == "__main__":
    run_benchmark(measure, description=__doc__, options=add_options)
