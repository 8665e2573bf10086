"""Job scripts on a real cluster: odd paths come through `sbatch`, the shell and the node as is."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from fractal_jupyter.engine.slurm_options import UnitOptions
from fractal_jupyter.schedulers.slurm_bootstrap import STARTS
from fractal_jupyter.schedulers.slurm_script import JobScript, pack_payload, render
from tests.slurm.machine import Cluster, run
from tests.toy import wait_until

SAYS_WHERE_IT_IS = b"import os, sys; print(ascii([os.getcwd(), *sys.argv[1:]]))"


@pytest.mark.parametrize(
    "part",
    ['it\'s "a" $(phase) `x` ! 100% %A %%', "hetjob PackJob", "a#b;c|d&é", "--wrap=x -n 4"],
)
def test_folders_are_what_they_are(cluster: Cluster, shared_folder: Path, part: str) -> None:
    folder = shared_folder / part
    folder.mkdir()
    script = JobScript(
        name="fractal-1-0-real",
        options=UnitOptions(cpus_per_task=1, mem_mb=100),
        side_by_side=1,
        folder=str(folder),
        python=sys.executable,
        elements="0-1",
        payload=pack_payload(SAYS_WHERE_IT_IS, {4: b"{}", 5: b"[]"}),
        first_batch=4,
        worker_init="#SBATCH --array=7\n#SBATCH --output=/dev/null",
    )
    job = run("sbatch", "--parsable", stdin=render(script))
    outputs = [folder / f"slurm-{job}_{element}.out" for element in range(2)]
    wait_until(lambda: all(path.exists() and "run" in path.read_text() for path in outputs))
    for element, output in enumerate(outputs):
        batch = f"{folder}/batch-{4 + element:04d}"
        begun, ran = output.read_text().splitlines()
        assert begun.startswith(STARTS)
        assert ran == f"{[str(folder), 'run', batch]!a}"
        assert Path(batch, "batch.json").read_bytes() == (b"{}", b"[]")[element]
