from collections.abc import Iterator
from pathlib import Path

import pytest

from fractal_jupyter.store.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(f"sqlite:///{tmp_path}/fractal.db")
    yield store
    store.close()
