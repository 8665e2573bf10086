"""What the supervisor itself needs: processor time while units run, and memory with many."""

from __future__ import annotations

import argparse
import sys
import threading
import time
from collections.abc import Sequence

import psutil

from benchmarks.common import (
    SIDE_BY_SIDE,
    Row,
    bench_fractal,
    bench_task,
    finish,
    named_images,
    run_benchmark,
    say,
    supervisor,
)
from fractal_jupyter import Fractal
from fractal_jupyter.client.jobs import Job

SETTLING_SECONDS = 3.0


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of this benchmark."""
    parser.add_argument("--seconds", type=float, default=30, help="how long the units run")
    parser.add_argument("--units", type=int, default=10_000)


def measure(options: argparse.Namespace) -> Sequence[Row]:
    """Measure the processor time first, then the memory."""
    with bench_fractal() as fractal:
        share = processor_share(fractal, options.seconds)
        running, peak = memory(fractal, options.units)
    return [
        Row(
            what=f"supervisor while {SIDE_BY_SIDE} units run for {options.seconds:g} s",
            ours=share,
            unit="%",
            target="below",
            limit=1,
            note="of one processor; a client waits for the job meanwhile",
        ),
        Row(
            what=f"supervisor's memory, {options.units:,} units",
            ours=peak,
            unit="MB",
            target="below",
            limit=150,
            note=f"resident, at its peak until the job is done; {running:.0f} MB while the "
            "first units run",
        ),
    ]


def processor_share(fractal: Fractal, seconds: float) -> float:
    """Per cent of a processor that the supervisor uses while units sleep."""
    task = bench_task(fractal, "Sleep", python=sys.executable)
    job = fractal.submit(
        task,
        named_images(fractal, SIDE_BY_SIDE),
        args={"seconds": seconds + 2 * SETTLING_SECONDS},
    )
    process = wait_for_units(fractal, job)
    waiting = threading.Thread(target=finish, args=(job,))
    waiting.start()
    time.sleep(SETTLING_SECONDS)
    before, start = processor_seconds(process), time.monotonic()
    time.sleep(seconds)
    used, passed = processor_seconds(process) - before, time.monotonic() - start
    waiting.join()
    say(f"{used:.2f} s of processor time in {passed:.0f} s")
    return 100 * used / passed


def memory(fractal: Fractal, units: int) -> tuple[float, float]:
    """Megabytes of the supervisor when the first of many units run, and at most until the end."""
    job = fractal.submit(
        bench_task(fractal, "No-op", python=sys.executable), named_images(fractal, units)
    )
    process = wait_for_units(fractal, job)
    running = process.memory_info().rss
    finish(job)
    return running / 1e6, peak_memory(process) / 1e6


def wait_for_units(fractal: Fractal, job: Job) -> psutil.Process:
    """Wait until units of a job run; return the supervisor."""
    deadline = time.monotonic() + 60
    while not any(step.running or step.done for step in fractal._store.jobs.steps(job.id)):
        if time.monotonic() > deadline:
            raise RuntimeError(f"no unit runs: {job.error or job.status}")
        time.sleep(0.05)
    process = supervisor(fractal._store)
    if process is None:
        raise RuntimeError("nobody drives the job")
    return process


def processor_seconds(process: psutil.Process) -> float:
    """Processor time of a process without that of its children."""
    times = process.cpu_times()
    return float(times.user + times.system)


def peak_memory(process: psutil.Process) -> int:
    """The most memory that a process has had resident, in bytes."""
    with open(f"/proc/{process.pid}/status", encoding="ascii") as status:
        for line in status:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    raise RuntimeError("the kernel does not tell the peak of memory")


if __name__ == "__main__":
    run_benchmark(measure, description=__doc__, options=add_options)
