"""Where this process shows things: a notebook, a terminal, or neither."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Execution:
    """One execution of code: what is shown by one stays until the same cell is executed again.

    Attributes:
        key: Tells executions apart; None where nothing does.
        cell: Which cell is executed, where the notebook says so.
    """

    key: object
    cell: str | None = None


def running_shell() -> Any | None:
    """The IPython shell that this code runs in; IPython is not imported for it."""
    core = sys.modules.get("IPython.core.getipython")
    return None if core is None else core.get_ipython()


def notebook_shell() -> Any | None:
    """The IPython shell, if it is that of a Jupyter kernel."""
    shell = running_shell()
    return shell if getattr(shell, "kernel", None) is not None else None


def current_execution() -> Execution:
    """The execution that this code belongs to; to be asked for in the main thread."""
    shell = running_shell()
    if shell is None:
        return Execution(None)
    if notebook_shell() is None:
        return Execution(shell.execution_count)
    parent = shell.get_parent() or {}
    cell = (parent.get("metadata") or {}).get("cellId")
    return Execution((parent.get("header") or {}).get("msg_id"), cell)


def can_redraw() -> bool:
    """Whether standard output is a terminal that understands cursor movements."""
    try:
        tty = sys.stdout is not None and sys.stdout.isatty()
    except ValueError:  # closed
        return False
    modern = os.name != "nt" or "WT_SESSION" in os.environ
    return tty and modern and os.environ.get("TERM", "") != "dumb"
