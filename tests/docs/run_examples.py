"""Runs the examples of one page, as a notebook would: `python run_examples.py EXAMPLES RESULTS`.

EXAMPLES is a JSON list of sources; RESULTS becomes a JSON list with what each has shown. An example
that fails does not stop those after it: its error may be what the page is about.
"""

from __future__ import annotations

import ast
import contextlib
import io
import json
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from IPython.core.interactiveshell import InteractiveShell
from IPython.lib import pretty

from fractal_jupyter.display import progress

ARROW = "# → "
as_shown: Callable[[object], str] = pretty.pretty


class Shell(InteractiveShell):
    """A shell that leaves tracebacks to others."""

    def showtraceback(self, *_: object, **__: object) -> None:
        """Show nothing."""

    showsyntaxerror = showtraceback


class Examples:
    """A shell that runs one example after the other."""

    def __init__(self) -> None:
        # What is shown only where the machine is slow is in no example.
        progress.DRAW_SECONDS = 3600
        self._shell: Any = Shell.instance()
        self._shell.user_ns.update(_begin_=self._begin, _expect_=self._expect, _show_=self._show)
        self._output = io.StringIO()
        self._printed = 0
        self._arrows: list[dict[str, object]] = []

    def run(self, source: str) -> dict[str, Any]:
        """Run one example.

        Returns:
            `output`: all that it has shown; `arrows`: for each arrow, the number of its `line`,
            and what was `expected` and `found`; `traceback`: None unless it failed.
        """
        self._output, self._printed, self._arrows = io.StringIO(), 0, []
        with contextlib.redirect_stdout(self._output):
            result = self._shell.run_cell(self._prepared(source), store_history=True)
            error = result.error_before_exec or result.error_in_exec
            if error is not None:
                print(f"{type(error).__name__}: {error}")
        return {
            "output": self._output.getvalue(),
            "arrows": self._arrows,
            "traceback": None if error is None else "".join(traceback.format_exception(error)),
        }

    def _prepared(self, source: str) -> str:
        """The source, with what shows the last expression and looks at those with arrows."""
        lines = source.splitlines()
        body: list[ast.stmt] = []
        nodes = ast.parse(self._shell.transform_cell(source)).body
        for node in nodes:
            # A statement that ends in a line ends in the same one after the transformation.
            line = node.end_lineno or 0
            expected = lines[line - 1].partition(ARROW)[2] if line <= len(lines) else ""
            if expected and not isinstance(node, ast.Expr):
                raise ValueError(f"line {line}: `{ARROW}` stands behind expressions only")
            if isinstance(node, ast.Expr) and expected:
                told = [ast.Constant(line), ast.Constant(expected)]
                body.append(ast.Expr(ast.Call(ast.Name("_begin_"), [], [])))
                node.value = ast.Call(ast.Name("_expect_"), [*told, node.value], [])
            elif isinstance(node, ast.Expr) and node is nodes[-1]:
                node.value = ast.Call(ast.Name("_show_"), [node.value], [])
            body.append(node)
        return ast.unparse(ast.fix_missing_locations(ast.Module(body, [])))

    def _begin(self) -> None:
        self._printed = len(self._output.getvalue())

    def _expect(self, line: int, expected: str, value: object) -> None:
        printed = self._output.getvalue()[self._printed :]
        found = printed if value is None and printed else as_shown(value)
        self._arrows.append({"line": line, "expected": expected, "found": found})

    def _show(self, value: object) -> None:
        if value is not None:
            print(as_shown(value))


def main(arguments: list[str]) -> None:
    """Run the examples in the file that the command line names."""
    source, target = (Path(argument) for argument in arguments)
    examples = Examples()
    results = [examples.run(text) for text in json.loads(source.read_text("utf-8"))]
    target.write_text(json.dumps(results), "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
