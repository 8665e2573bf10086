"""Cleaning the folders of old jobs: on the user's word, and never of jobs that are active."""

from pathlib import Path

import pytest

from fractal_jupyter import Fractal
from fractal_jupyter.errors import InvalidArguments
from tests.toy import make_dataset, wait_until


def test_folders_are_listed_and_then_removed(fractal: Fractal, tmp_path: Path) -> None:
    dataset = make_dataset(fractal, 2)
    args = {"behaviour": "raise", "only": "-1.zarr"}
    job = fractal.submit("Toy Parallel", dataset, args=args).wait(60)
    gate = tmp_path / "gate"
    active = fractal.submit("Toy Parallel", dataset, args={"gate": str(gate)})
    wait_until(lambda: active.units(status="running"))
    assert job.folder is not None
    assert active.folder is not None

    assert list(fractal.jobs.clean(older_than=1)) == []
    assert list(fractal.jobs.clean(larger_than="1G")) == []
    assert "No folder of a job" in repr(fractal.jobs.clean(larger_than="1G"))
    (found,) = fractal.jobs.clean()
    assert (found.job, found.folder, found.status) == (job.id, job.folder, "failed")
    assert found.size > 4096
    assert list(fractal.jobs.clean(larger_than=found.size)) == []
    shown = repr(fractal.jobs.clean())
    assert shown.startswith("1 job folder, ")
    assert "dry_run=False" in shown
    assert "Traceback" in job.log(1)

    removed = fractal.jobs.clean(dry_run=False)
    assert [folder.job for folder in removed] == [job.id]
    assert "dry_run=False" not in repr(removed)
    assert not Path(job.folder).exists()
    assert Path(active.folder).exists()
    assert "the files of the job were cleaned at" in job.log(1)
    assert [unit.status for unit in job.units()] == ["done", "failed"]
    assert len(fractal.jobs.clean()) == 0
    gate.touch()
    assert active.wait(60).status == "done"


def test_a_job_that_was_cleaned_can_be_retried(fractal: Fractal) -> None:
    dataset = make_dataset(fractal, 2)
    args = {"behaviour": "raise", "only": "-1.zarr"}
    job = fractal.submit("Toy Parallel", dataset, args=args).wait(60)
    before = job.folder
    fractal.jobs.clean(dry_run=False)
    job.retry().wait(60)
    assert job.folder == f"{before}-again"
    assert "Traceback" in job.log(1)
    assert "cleaned" in job.log(0)
    assert [folder.folder for folder in fractal.jobs.clean()] == [job.folder]


def test_a_size_must_be_one(fractal: Fractal) -> None:
    with pytest.raises(InvalidArguments, match="larger_than='big'"):
        fractal.jobs.clean(larger_than="big")
