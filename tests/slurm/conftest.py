from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
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
def make_fractal(
    cluster: Cluster, shared_folder: Path, toy_environment: ToyEnvironment
) -> Iterator[MakeFractal]:
    """Makes a client of the cluster: a kind of resource, a user, further fields of the profile.

    Other arguments are those of `resource_document`.
    """
    del cluster
    made: list[Fractal] = []

    def make(
        kind: str, username: str, profile: Mapping[str, str] | None = None, **settings: Any
    ) -> Fractal:
        fractal = Fractal(f"sqlite:///{shared_folder}/store/fractal.db")
        made.append(fractal)
        python = settings.pop("python", toy_environment.python)
        fractal.resources.add(resource_document(kind, shared_folder, python=python, **settings))
        fractal.profiles.add(profile_document(kind, username, **(profile or {})), resource=RESOURCE)
        fractal.use(PROFILE)
        toy_environment.add(fractal._store, resource=RESOURCE)
        return fractal

    yield make
    for fractal in made:
        end_everything(fractal._store)
        fractal.close()


@pytest.fixture
def own_fractal(make_fractal: MakeFractal) -> MakeFractal:
    """Makes a client that submits as the current user."""

    def make(**settings: Any) -> Fractal:
        return make_fractal("slurm_sudo", current_user(), **settings)

    return make


@pytest.fixture
def other_fractal(make_fractal: MakeFractal) -> MakeFractal:
    """Makes a client that submits as another user through sudo."""

    def make(username: str, **settings: Any) -> Fractal:
        return make_fractal("slurm_sudo", username, **settings)

    return make
