from collections.abc import Iterator
from pathlib import Path

import pytest

from fractal_jupyter import Fractal
from tests.toy import toy_fractal


@pytest.fixture
def fractal(tmp_path: Path) -> Iterator[Fractal]:
    with toy_fractal(tmp_path) as fractal:
        yield fractal
