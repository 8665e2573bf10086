"""The commands of `docs/postgresql.md` do what the page says."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from fractal_jupyter.store.postgresql import (
    KEPT_CONNECTIONS,
    MORE_CONNECTIONS,
    STANDSTILL_SECONDS,
)
from fractal_jupyter.store.store import Store
from tests.docs.pages import ROOT, read_page
from tests.postgresql import Server

TEXT = (ROOT / "docs" / "postgresql.md").read_text("utf-8")
PAGE = read_page("docs/postgresql.md", TEXT)
# The server of the tests believes everybody by their word.
SUDO = """#!/bin/sh
[ "$1" = -u ] || exit 1
PGUSER=$2
export PGUSER
shift 2
exec "$@"
"""


@pytest.fixture
def environment(postgresql: Server, tmp_path: Path) -> Iterator[dict[str, str]]:
    """What commands of the page find: the server, and a `sudo`."""
    sudo = tmp_path / "bin" / "sudo"
    sudo.parent.mkdir()
    sudo.write_text(SUDO)
    sudo.chmod(0o755)
    python = Path(sys.executable).parent
    yield {
        **os.environ,
        "PATH": f"{sudo.parent}:{python}:{postgresql.programs}:{os.defpath}",
        "PGHOST": str(postgresql.folder),
        "PYTHONPATH": str(ROOT),
    }
    for database in ("fractal", "fractal_again"):
        postgresql.execute(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")
    postgresql.execute("DROP ROLE IF EXISTS hubadmin")


def test_from_an_empty_server_to_users_and_back_from_a_backup(
    postgresql: Server, environment: dict[str, str], tmp_path: Path
) -> None:
    before, backup = TEXT.split("## Backups")
    for text in (before, backup):
        commands = [b.source for b in read_page("", text).blocks if b.language == "sh"]
        script = "set -eu\n" + "\n".join(commands)
        done = subprocess.run(
            ["/bin/sh", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        if text is before:
            with closing(Store(postgresql.url("alice", "fractal"))) as store:
                store.workflows.add("w", [])
    for role, names in (("alice", ["w"]), ("bob", [])):
        with closing(Store(postgresql.url(role, "fractal_again"))) as store:
            assert store.workflows.names() == names


def test_numbers_of_the_page_are_those_of_the_code() -> None:
    assert f"at most {KEPT_CONNECTIONS + MORE_CONNECTIONS} connections" in TEXT
    assert f"cut off after {STANDSTILL_SECONDS} seconds" in TEXT
