"""Run all benchmarks, or those that are named, one after another; print one table at the end."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

from benchmarks.common import FOLDER_VARIABLE, Row, table
from fractal_jupyter import __version__

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
BENCHMARKS = (
    "project_images",
    "noop_units",
    "import_ngio",
    "planning",
    "collect",
    "collect_through_ssh",
    "latency",
    "supervisor_load",
    "panel",
)


# These need a SLURM cluster, and are run when they are asked for.
SLURM = ("slurm.noop_units", "slurm.project_images", "slurm.many_units", "slurm.controller_load")


def main() -> int:
    """Run benchmarks; return how many of them failed (not: missed their target)."""
    known = (*BENCHMARKS, *SLURM)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join((*known, "slurm")))
    names = parser.parse_args().names or BENCHMARKS
    names = SLURM if names == ["slurm"] else names
    unknown = [name for name in names if name not in known]
    if unknown:
        parser.error(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(known)}")
    given = os.environ.get(FOLDER_VARIABLE)
    folder = Path(given) if given else Path(tempfile.mkdtemp(prefix="fractal-bench-"))
    try:
        return run_all(names, folder.resolve())
    finally:
        if not given:
            shutil.rmtree(folder, ignore_errors=True)


def run_all(names: Sequence[str], folder: Path) -> int:
    """Run each benchmark in a process of its own; return how many failed."""
    RESULTS.mkdir(exist_ok=True)
    before = machine()
    rows: list[Row] = []
    failed = []
    for name in names:
        print(f"{name} …", file=sys.stderr, flush=True)
        found = run_one(name, folder)
        if found is None:
            failed.append(name)
        else:
            rows += found
    path = RESULTS / f"{time.strftime('%Y%m%d-%H%M%S')}.json"
    document = {
        "machine": before,
        "rows": [row.to_document() for row in rows],
        "failed": failed,
    }
    path.write_text(json.dumps(document, indent=1))
    if rows:
        print(table(rows))
    print(f"\n{describe(before)}\nResults: {path}")
    for name in failed:
        print(f"FAILED: {name}; run it alone with: python -m benchmarks.{name}")
    return min(len(failed), 1)


def run_one(name: str, folder: Path) -> list[Row] | None:
    """Run one benchmark; return its rows, or None when it fails."""
    with tempfile.TemporaryDirectory() as scratch:
        written = Path(scratch) / "rows.json"
        result = subprocess.run(
            [sys.executable, "-m", f"benchmarks.{name}", "--json", str(written)],
            cwd=ROOT,
            env={**os.environ, FOLDER_VARIABLE: str(folder)},
            stdout=subprocess.DEVNULL,
            check=False,
        )
        if result.returncode or not written.exists():
            return None
        return [Row.from_document(row) for row in json.loads(written.read_text())]


def machine() -> dict[str, Any]:
    """What the numbers depend on."""
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, check=False
    )
    return {
        "time": time.strftime("%Y-%m-%d %H:%M:%S %Z"),
        "version": __version__,
        "commit": commit.stdout.decode().strip() or None,
        "processor": processor(),
        "processors": psutil.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "load_before": list(os.getloadavg()),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def processor() -> str:
    """The model of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def describe(found: dict[str, Any]) -> str:
    """The machine in one line."""
    return (
        f"{found['processors']} × {found['processor']}, {found['memory_gb']} GB, "
        f"{found['system']}, Python {found['python']}, load {found['load_before'][0]:.1f} before, "
        f"fractal-jupyter {found['version']} ({found['commit']}), {found['time']}"
    )


if __name__ == "__main__":
    sys.exit(main())
