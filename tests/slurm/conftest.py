from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fractal_jupyter import Fractal
from fractal_jupyter.runner.users import current_user
from tests.slurm.fixtures import ToyEnvironment
from tests.slurm.machine import Cluster
from tests.slurm.ways import PROFILE, RESOURCE, profile_document, resource_document
from tests.toy import end_everything

MakeFractal = Callable[..., Fractal]


@pytest.fixture
def own_fractal(
    cluster: Cluster, shared_folder: Path, toy_environment: ToyEnvironment
) -> Iterator[MakeFractal]:
    """Makes a client that submits as the current user; arguments are those of the resource."""
    del cluster
    made: list[Fractal] = []

    def make(**settings: Any) -> Fractal:
        fractal = Fractal(f"sqlite:///{shared_folder}/store/fractal.db")
        made.append(fractal)
        python = settings.pop("python", toy_environment.python)
        fractal.resources.add(
            resource_document("slurm_sudo", shared_folder, python=python, **settings)
        )
        fractal.profiles.add(profile_document("slurm_sudo", current_user()), resource=RESOURCE)
        fractal.use(PROFILE)
        toy_environment.add(fractal._store, resource=RESOURCE)
        return fractal

    yield make
    for fractal in made:
        end_everything(fractal._store)
        fractal.close()
