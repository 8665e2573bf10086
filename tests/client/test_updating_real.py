"""Import OME-Zarr of two versions that are really there, one after the other."""

from __future__ import annotations

from pathlib import Path

import pytest

from fractal_jupyter import Fractal
from fractal_jupyter.demo.data import make_images
from fractal_jupyter.errors import InvalidArguments
from tests.toy import end_everything

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]


def test_a_workflow_runs_with_one_version_and_then_with_the_next(tmp_path: Path) -> None:
    make_images(tmp_path / "images", n=1)
    (image,) = (tmp_path / "images").iterdir()
    fractal = Fractal(f"sqlite:///{tmp_path}/store/fractal.db")
    try:
        for version in ("2.0.2", "2.1.0"):
            fractal.collect(f"fractal-tasks-core=={version}")
        args = {"zarr_name": image.name, "add_grid_roi_table": False, "overwrite": True}
        workflow = fractal.workflows.create(
            "w", steps=[{"task": "Import OME-Zarr", "version": "2.0.2", "args": args}]
        )
        first = fractal.datasets.create("first", zarr_dir=tmp_path / "images")
        fractal.submit(workflow, first).wait(300).raise_for_status()

        with pytest.raises(InvalidArguments, match="advanced_options"):
            workflow.update_task(0, version="2.1.0")
        mended = {"zarr_name": image.name, "advanced_options": {"overwrite": True}}
        workflow.update_task(0, version="2.1.0", args=mended)
        second = fractal.datasets.create("second", zarr_dir=tmp_path / "images")
        job = fractal.submit(workflow, second).wait(300)
        job.raise_for_status()
        assert [step.version for step in job.steps] == ["2.1.0"]
        assert [i.zarr_url for i in second.images] == [i.zarr_url for i in first.images]
        assert len(first.images) == 1
    finally:
        end_everything(fractal._store)
        fractal.close()
