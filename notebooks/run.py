"""Run a notebook and tell on the terminal how it goes: `python notebooks/run.py NOTEBOOK OUTPUT`.

Prints headings as they are reached, the text of what cells show, and the progress of jobs while
they run; writes the notebook with its outputs to OUTPUT, also when a cell fails.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any, TextIO

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

# Most lines of an output that are shown; the notebook has all of them.
MOST_LINES = 14
# How often progress is repeated where it cannot be redrawn (a log file), in seconds.
REPEAT_SECONDS = 10.0
BOLD, DIM, PLAIN, UP_AND_CLEAR = "\033[1m", "\033[2m", "\033[0m", "\033[{}F\033[J"


class Screen:
    """A terminal, or a file; text that is shown again under the same key replaces itself."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._fancy = file.isatty()
        self._key: str | None = None
        self._height = 0
        self._shown_at = 0.0
        self._latest: str | None = None

    def heading(self, text: str) -> None:
        """Print a line that stands out."""
        self._print(f"\n{self._styled(text, BOLD)}\n")

    def note(self, text: str) -> None:
        """Print a line that does not."""
        self._print(f"{self._styled(text, DIM)}\n")

    def text(self, text: str) -> None:
        """Print some lines, not all of them when there are many."""
        self._print(shortened(text))

    def progress(self, key: str, text: str) -> None:
        """Print lines in the place of those that were printed under the same key before."""
        if key != self._key:
            self._finish()
        elif self._fancy:
            self._file.write(UP_AND_CLEAR.format(self._height))
        elif time.monotonic() < self._shown_at + REPEAT_SECONDS:
            self._latest = text
            return
        lines = shortened(text)
        self._file.write(lines)
        self._file.flush()
        self._key, self._height = key, lines.count("\n")
        self._shown_at, self._latest = time.monotonic(), None

    def _print(self, text: str) -> None:
        self._finish()
        self._file.write(text)
        self._file.flush()

    def _finish(self) -> None:
        """End the lines that replace each other, with the last of them shown."""
        if self._latest is not None:
            self._file.write(shortened(self._latest))
        self._key, self._latest = None, None

    def _styled(self, text: str, style: str) -> str:
        return f"{style}{text}{PLAIN}" if self._fancy else text


class Narrator(NotebookClient):
    """Runs a notebook and shows on a screen what happens."""

    def __init__(self, notebook: nbformat.NotebookNode, screen: Screen, **options: Any) -> None:
        super().__init__(notebook, on_cell_start=self._announce, **options)
        self._screen = screen

    def _announce(self, cell: nbformat.NotebookNode, **_: Any) -> None:
        if cell.cell_type == "markdown":
            for line in cell.source.splitlines():
                if line.startswith("#"):
                    self._screen.heading(line.lstrip("# "))

    def process_message(
        self, msg: dict[str, Any], cell: nbformat.NotebookNode, cell_index: int
    ) -> nbformat.NotebookNode | None:
        """Show the text of an output, then keep it in the notebook."""
        content = msg["content"]
        text = content.get("data", {}).get("text/plain") or content.get("text")
        if "image/png" in content.get("data", {}):
            self._screen.note("  (a picture, in the notebook)")
        elif text:
            key = (content.get("transient") or {}).get("display_id")
            if key:
                self._screen.progress(key, text)
            else:
                self._screen.text(text)
        return super().process_message(msg, cell, cell_index)


def shortened(text: str) -> str:
    """Indent the first lines of a text, and say how many there are beside them."""
    lines = text.rstrip().splitlines()
    left_out = len(lines) - MOST_LINES
    if left_out > 1:
        lines = [*lines[:MOST_LINES], f"… and {left_out} more lines"]
    return "".join(f"  {line}\n" for line in lines)


def run(source: Path, target: Path, screen: Screen) -> int:
    """Run a notebook; return the status that the process should exit with."""
    started = time.monotonic()
    notebook = nbformat.read(source, as_version=4)
    client = Narrator(
        notebook,
        screen,
        timeout=None,
        kernel_name="python3",
        # its warnings are about Jupyter, not about the notebook
        extra_arguments=["--IPKernelApp.log_level=ERROR"],
        resources={"metadata": {"path": str(target.parent)}},
    )
    target.parent.mkdir(parents=True, exist_ok=True)
    status = 0
    try:
        client.execute()
    except CellExecutionError as error:
        screen.heading("A cell failed")
        sys.stderr.write(f"{error}\n")
        status = 1
    finally:
        nbformat.write(notebook, target)
    screen.note(
        f"\n{time.monotonic() - started:.0f} s in all. With all tables and pictures: {target}"
    )
    screen.note("To open it: make lab")
    return status


def main(arguments: list[str]) -> int:
    """Run the notebook that the command line names."""
    if len(arguments) != 2:
        sys.stderr.write("usage: python notebooks/run.py NOTEBOOK OUTPUT\n")
        return 2
    source, target = (Path(argument).resolve() for argument in arguments)
    return run(source, target, Screen(sys.stdout))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
