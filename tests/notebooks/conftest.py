"""What notebooks need to be run: a store and a folder of their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fractal_jupyter import Fractal
from tests.toy import end_everything


@pytest.fixture
def store_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The store that the notebook opens; whatever it leaves running is ended."""
    url = f"sqlite:///{tmp_path}/store/fractal.db"
    monkeypatch.setenv("FRACTAL_JUPYTER_STORE", url)
    monkeypatch.setenv("FRACTAL_DEMO_FOLDER", str(tmp_path / "data"))
    yield url
    fractal = Fractal(url)
    end_everything(fractal._store)
    fractal.close()
