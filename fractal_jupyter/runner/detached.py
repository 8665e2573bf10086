"""Processes of ours that outlive whoever starts them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from fractal_jupyter.store.postgresql import LIBPQ_VARIABLES
from fractal_jupyter.store.store import Store, default_folder

# What they need beside what commands see: SSH_AUTH_SOCK for keys with a passphrase, where this
# package and its files are, and what a PostgreSQL store is reached by. Commands and tasks that
# they start do not see these.
PASSED_ON = (
    *("PYTHONPATH", "SSH_AUTH_SOCK", "FRACTAL_RUNNER_BACKEND", "JUPYTER_DATA_DIR"),
    *LIBPQ_VARIABLES,
)


def start_detached(
    module: str, *, environment: Mapping[str, str], output: Path
) -> subprocess.Popen[bytes]:
    """Start `python -m module` in a session of its own.

    What it is told is in its environment, not on its command line: the URL of a store may hold a
    password, and command lines are public.

    Args:
        module: What to run.
        environment: Its environment, to which `PASSED_ON` is added.
        output: The file that its output is added to; its folder is made.

    Raises:
        OSError: No process can be started, or the file cannot be written.
    """
    passed_on = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    output.parent.mkdir(parents=True, exist_ok=True)
    with output.open("ab") as file:
        return subprocess.Popen(
            [sys.executable, "-m", module],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            cwd="/",
            env={**passed_on, **environment},
            start_new_session=True,
        )


def store_folder(store: Store) -> Path:
    """The folder of what belongs to a store: where it is, or else this user's own."""
    path = store.database.path
    return default_folder() if path is None else path.parent
