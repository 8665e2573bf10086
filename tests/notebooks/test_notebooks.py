"""How notebooks are kept, and how `make demo` runs them."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import nbformat
import pytest
from nbformat import v4

from notebooks.run import REPEAT_SECONDS, Screen, run
from notebooks.strip import main as strip
from notebooks.strip import stripped

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def write_notebook(path: Path, *sources: str) -> Path:
    """Write a notebook; sources that begin with `#` are Markdown."""
    cells = [
        v4.new_markdown_cell(source) if source.startswith("#") else v4.new_code_cell(source)
        for source in sources
    ]
    path.write_text(stripped(nbformat.writes(v4.new_notebook(cells=cells))))
    return path


# How they are kept


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_notebook_is_kept_without_outputs(path: Path) -> None:
    text = path.read_text()
    assert text == stripped(text), f"remove outputs: python notebooks/strip.py {path}"
    nbformat.validate(json.loads(text))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_notebook_has_a_title_and_cells_with_names_of_their_own(path: Path) -> None:
    cells = json.loads(path.read_text())["cells"]
    assert cells[0]["cell_type"] == "markdown"
    assert "".join(cells[0]["source"]).startswith("# ")
    assert len({cell["id"] for cell in cells}) == len(cells)


def test_strip_removes_what_a_run_leaves(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clean = write_notebook(tmp_path / "a.ipynb", "# Title", "1 + 1").read_text()
    notebook = nbformat.reads(clean, as_version=4)
    notebook.metadata["language_info"]["version"] = "3.11.7"
    notebook.cells[1].execution_count = 4
    notebook.cells[1].metadata = {"execution": {"iopub.status.idle": "2026-01-01"}}
    notebook.cells[1].outputs = [v4.new_output("stream", text="2\n")]
    (tmp_path / "a.ipynb").write_text(nbformat.writes(notebook))

    assert strip([str(tmp_path / "a.ipynb")]) == 1
    assert (tmp_path / "a.ipynb").read_text() == clean
    assert strip([str(tmp_path / "a.ipynb")]) == 0
    assert capsys.readouterr().out == f"Removed outputs from {tmp_path}/a.ipynb\n"


# How they are run


def test_run_shows_headings_outputs_and_results(tmp_path: Path) -> None:
    source = write_notebook(
        tmp_path / "a.ipynb", "# Title\n\nWords.", "print('printed')", "## Part", "6 * 7"
    )
    shown = io.StringIO()

    assert run(source, tmp_path / "out" / "a.ipynb", Screen(shown)) == 0

    lines = [line for line in shown.getvalue().splitlines() if line]
    assert lines[:4] == ["Title", "  printed", "Part", "  42"]
    assert lines[-2].endswith(f"With all tables and pictures: {tmp_path}/out/a.ipynb")
    assert lines[-1] == "To open it: make lab"
    outputs = nbformat.read(tmp_path / "out" / "a.ipynb", as_version=4).cells[3].outputs
    assert outputs[0].data["text/plain"] == "42"


def test_failing_cell_ends_the_run_and_is_in_the_notebook(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    source = write_notebook(tmp_path / "a.ipynb", "1 / 0", "print('never')")
    shown = io.StringIO()

    assert run(source, tmp_path / "out.ipynb", Screen(shown)) == 1

    assert "A cell failed" in shown.getvalue()
    assert "never" not in shown.getvalue()
    assert "ZeroDivisionError" in capfd.readouterr().err
    cells = nbformat.read(tmp_path / "out.ipynb", as_version=4).cells
    assert cells[0].outputs[0].ename == "ZeroDivisionError"


def test_what_replaces_itself_in_a_notebook_does_so_on_a_terminal(tmp_path: Path) -> None:
    source = write_notebook(
        tmp_path / "a.ipynb",
        "from IPython.display import display\n"
        "class Shown:\n"
        "    def __init__(self, text): self.text = text\n"
        "    def __repr__(self): return self.text\n"
        "handle = display(Shown('1 of 2'), display_id=True)\n"
        "handle.update(Shown('2 of 2'))\n"
        "print('over')",
    )
    terminal, file = Terminal(), io.StringIO()
    run(source, tmp_path / "out.ipynb", Screen(terminal))
    run(source, tmp_path / "out.ipynb", Screen(file))

    assert "  1 of 2\n\033[1F\033[J  2 of 2\n  over\n" in terminal.getvalue()
    assert "  1 of 2\n  2 of 2\n  over\n" in file.getvalue()


def test_progress_does_not_flood_a_file() -> None:
    file = io.StringIO()
    screen = Screen(file)
    for number in range(1000):
        screen.progress("job", f"{number} of 1000")
    screen.text("over")
    assert REPEAT_SECONDS > 5
    assert file.getvalue() == "  0 of 1000\n  999 of 1000\n  over\n"


def test_long_outputs_are_cut() -> None:
    file = io.StringIO()
    Screen(file).text("\n".join(map(str, range(100))))
    lines = file.getvalue().splitlines()
    assert len(lines) < 20
    assert re.fullmatch(r"  … and \d+ more lines", lines[-1])
