"""Cells that are run a second time: what is there already, and the same, is returned."""

import pytest

from fractal_jupyter import Fractal
from fractal_jupyter.errors import AlreadyExists
from tests.client.test_resources import local


def test_datasets(fractal: Fractal) -> None:
    def again(**changes: str) -> int:
        folders = {"zarr_dir": "/data/out", "project_dir": "/data", **changes}
        return len(fractal.datasets.create("d", exist_ok=True, **folders).images)

    assert again() == 0
    fractal.datasets.get("d").add_images([{"zarr_url": "/data/out/a.zarr"}])
    assert again(zarr_dir="/data/out/") == 1
    with pytest.raises(AlreadyExists, match="'d' already, and it differs in zarr_dir;"):
        again(zarr_dir="/data/other")
    with pytest.raises(AlreadyExists, match="differs in zarr_dir and project_dir;"):
        again(zarr_dir="/data/other", project_dir="/")
    with pytest.raises(AlreadyExists):
        fractal.datasets.create("d", zarr_dir="/data/out", project_dir="/data")
    assert len(fractal.datasets.list()) == 1


def test_workflows(fractal: Fractal) -> None:
    steps = [{"task": "Toy Parallel", "args": {"seconds": 0}}]
    for _ in range(2):
        workflow = fractal.workflows.create("w", steps=steps, exist_ok=True)
        assert workflow.steps[0] == steps[0]
    with pytest.raises(AlreadyExists, match="and it differs in steps;"):
        fractal.workflows.create("w", steps=[{"task": "Toy Copy"}], exist_ok=True)
    assert len(fractal.workflows.list()) == 1


def test_resources_and_profiles(fractal: Fractal) -> None:
    profile = {"name": "Mine", "resource_type": "local"}
    for _ in range(2):
        assert fractal.resources.add(local(), exist_ok=True).document == local()
        assert fractal.profiles.add(profile, resource="Second", exist_ok=True).document == profile
    with pytest.raises(AlreadyExists, match="'Second' already, and it differs in document;"):
        fractal.resources.add(local(jobs_poll_interval=9), exist_ok=True)
    with pytest.raises(AlreadyExists, match="'Mine' already, and it differs in resource;"):
        fractal.profiles.add(profile, resource="Local resource", exist_ok=True)
    assert (len(fractal.resources.list()), len(fractal.profiles.list())) == (2, 2)
