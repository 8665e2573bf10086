"""Remove outputs from notebooks, as they are kept in git: `python notebooks/strip.py FILE…`.

Exits with status 1 when it changed something, as a hook before a commit should.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import nbformat

# What runs a notebook, whoever ran it last.
METADATA = {
    "kernelspec": {
        "display_name": "Python 3 (ipykernel)",
        "language": "python",
        "name": "python3",
    },
    "language_info": {"name": "python"},
}


def stripped(text: str) -> str:
    """Return a notebook without outputs, counters and the traces of whoever ran it."""
    notebook = nbformat.reads(text, as_version=4)
    notebook.metadata = METADATA
    for cell in notebook.cells:
        cell.metadata = {}
        if cell.cell_type == "code":
            cell.outputs = []
            cell.execution_count = None
    return str(nbformat.writes(notebook)) + "\n"


def main(names: Sequence[str]) -> int:
    """Strip the notebooks of these names in place; return how the process should exit."""
    changed = False
    for path in map(Path, names):
        before = path.read_text()
        after = stripped(before)
        if after != before:
            path.write_text(after)
            sys.stdout.write(f"Removed outputs from {path}\n")
            changed = True
    return int(changed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
