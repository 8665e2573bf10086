"""What IPython shows of an error of this package."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell

from fractal_jupyter import Fractal, errors

CALL = "fractal.jobs.get(99)  # what the caller wrote"


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A shell with a client of an empty store."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    shell: Any = InteractiveShell.instance()
    fractal = Fractal(f"sqlite:///{tmp_path}/store/fractal.db")
    shell.push({"fractal": fractal})
    yield shell
    shell.run_line_magic("xmode", "Context")
    InteractiveShell.clear_instance()  # others would think that they are in a shell
    fractal.close()


def test_the_lines_of_the_caller_and_what_is_wrong(
    shell: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    shell.run_cell(f"def look():\n    {CALL}\nlook()")
    shown = capsys.readouterr().out
    assert "# what the caller wrote" in shown
    assert "NotFound" in shown
    assert "There is no job 99." in shown
    assert "fractal_jupyter" not in shown


def test_where_in_the_package_is_shown_on_request(
    shell: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    shell.run_line_magic("xmode", "Verbose")
    shell.run_cell(CALL)
    shown = capsys.readouterr().out
    assert "There is no job 99." in shown
    assert "fractal_jupyter" in shown


def test_the_error_that_is_caught_is_whole(shell: Any) -> None:
    result = shell.run_cell(CALL)
    assert result.error_in_exec is not None
    assert result.error_in_exec.__traceback__.tb_next.tb_next is not None


def test_messages_do_nothing_to_the_terminal() -> None:
    error = errors.NotFound("There is no \x1b[2Jjob\u202e \x1b]0;title\x07\x08.\nLook\tagain.")
    assert str(error) == "There is no job\\u202e \\x08.\nLook\tagain."
    assert "\x1b" not in "".join(traceback.format_exception(error))
