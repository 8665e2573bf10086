"""Keeps every test away from the store and the settings of whoever runs the tests."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

pytest_plugins = ["tests.slurm.fixtures", "tests.postgresql", "pytest_jupyter.jupyter_server"]


@pytest.fixture(scope="session", autouse=True)
def _own_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Set Jupyter's data directory, where the store is, to a new one; unset all of FRACTAL_…."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_DATA_DIR", str(tmp_path_factory.mktemp("jupyter")))
        for name in [name for name in os.environ if name.startswith("FRACTAL_")]:
            patch.delenv(name)
        yield
