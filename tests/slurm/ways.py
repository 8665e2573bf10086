"""The three ways to a cluster, as resources and profiles for tests."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from fractal_jupyter import Fractal
from fractal_jupyter.client.datasets import Dataset

# For a test that asks for the fixture `way`, and is to be run in all of them.
IN_ALL_WAYS = pytest.mark.parametrize(
    "way",
    ["oneself", *(pytest.param(way, marks=pytest.mark.slurm_faults) for way in ("sudo", "ssh"))],
    indirect=True,
)
RESOURCE = "cluster"
PROFILE = "cluster"


def resource_document(
    kind: str,
    folder: Path,
    *,
    python: str,
    options: Mapping[str, Any] | None = None,
    gpu_options: Mapping[str, Any] | None = None,
    batching: Mapping[str, Any] | None = None,
    exports: Mapping[str, str] | None = None,
    poll_seconds: int = 1,
) -> dict[str, Any]:
    """A resource whose folders are below `folder`."""
    document = {
        "type": kind,
        "name": RESOURCE,
        "jobs_local_dir": str(folder / "jobs"),
        "jobs_runner_config": {
            "default_slurm_config": {
                "partition": "main",
                "cpus_per_task": 1,
                "mem": 100,
                **(options or {}),
            },
            "gpu_slurm_config": None if gpu_options is None else dict(gpu_options),
            "batching_config": {
                "target_cpus_per_job": 2,
                "max_cpus_per_job": 4,
                "target_mem_per_job": 200,
                "max_mem_per_job": 8000,
                "target_num_jobs": 2,
                "max_num_jobs": 4,
                **(batching or {}),
            },
            "user_local_exports": dict(exports or {}),
        },
        "jobs_slurm_python_worker": python,
        "jobs_poll_interval": poll_seconds,
        "tasks_local_dir": str(folder / "tasks"),
        "tasks_python_config": {"default_version": "3.11", "versions": {"3.11": python}},
        "tasks_pixi_config": {},
        "tasks_pip_cache_dir": None,
    }
    return {**document, "host": "login"} if kind == "slurm_ssh" else document


def profile_document(kind: str, username: str, **fields: str) -> dict[str, Any]:
    """The profile of a user."""
    return {"name": PROFILE, "resource_type": kind, "username": username, **fields}


def images(fractal: Fractal, folder: Path, count: int, name: str = "plate") -> Dataset:
    """A dataset of `count` images that exist by name only, of a project below `folder`."""
    dataset = fractal.datasets.create(name, zarr_dir=folder / "zarr", project_dir=folder)
    dataset.add_images([{"zarr_url": f"{folder}/zarr/{name}-{i}.zarr"} for i in range(count)])
    return dataset
