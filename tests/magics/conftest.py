from collections.abc import Iterator
from pathlib import Path

import pytest
from IPython.core.interactiveshell import InteractiveShell

from fractal_jupyter import Fractal
from fractal_jupyter.magics import register
from tests.toy import toy_fractal


@pytest.fixture
def fractal(tmp_path: Path) -> Iterator[Fractal]:
    with toy_fractal(tmp_path) as fractal:
        yield fractal


@pytest.fixture(scope="session")
def one_shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InteractiveShell]:
    """The shell of this process: IPython has only one, and ends it at the end of the process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IPYTHONDIR", str(tmp_path_factory.mktemp("ipython")))
        yield InteractiveShell.instance()


@pytest.fixture
def shell(
    one_shell: InteractiveShell, fractal: Fractal, monkeypatch: pytest.MonkeyPatch
) -> Iterator[InteractiveShell]:
    """An IPython shell with the magics, whose variable `fractal` is the client."""
    monkeypatch.setenv("COLUMNS", "140")
    before = dict(one_shell.user_ns)
    register(one_shell)
    one_shell.user_ns["fractal"] = fractal
    yield one_shell
    one_shell.user_ns.clear()
    one_shell.user_ns.update(before)
