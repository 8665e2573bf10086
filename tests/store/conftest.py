"""Tests of this folder that ask for `store` run on both databases."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from fractal_jupyter.store.store import Store
from tests.postgresql import SharedStore


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a new store."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/fractal.db"
    shared: SharedStore = request.getfixturevalue("shared_store")
    return shared.url("alice")


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    """A new store."""
    store = Store(store_url)
    yield store
    store.close()
