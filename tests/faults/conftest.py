from collections.abc import Iterator
from pathlib import Path

import pytest

from fractal_jupyter import Fractal
from tests.faults.helpers import Control, add_scripted_tasks
from tests.toy import toy_fractal


@pytest.fixture
def fractal(tmp_path: Path) -> Iterator[Fractal]:
    """A client of a new store with the toy tasks and the scripted ones."""
    with toy_fractal(tmp_path) as fractal:
        add_scripted_tasks(fractal._store)
        yield fractal


@pytest.fixture
def control(tmp_path: Path) -> Control:
    """What the units of scripted tasks do."""
    return Control(tmp_path / "control")
