"""Stores for the pages to begin with."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fractal_jupyter import Fractal
from fractal_jupyter.runner.users import current_user
from fractal_jupyter.store.store import Store
from tests.docs.pages import read_pages
from tests.toy import add_toy_tasks, end_everything, wait_until

CORE = "fractal-tasks-core==2.1.0"
COLLECTING_SECONDS = 900


def store_in(home: Path) -> Path:
    """Where the store of the user with that home directory is."""
    return home / "data" / "fractal" / "fractal.db"


@contextmanager
def page_home(
    kind: str, folder: Path, factory: pytest.TempPathFactory, *, slow: bool = False
) -> Iterator[Path]:
    """A home directory with a store of some kind; all that runs for it is ended afterwards.

    For slow pages, what environments share is there already, so that each package is downloaded
    once for all of them.
    """
    home = folder / "home"
    path = store_in(home)
    path.parent.mkdir(parents=True)
    if kind == "toys":
        fractal = Fractal(f"sqlite:///{path}")
        add_toy_tasks(fractal._store)
        fractal.close()
    elif kind == "slurm":
        _add_cluster(path)
    elif kind == "hub":
        for name, text in hub_files().items():
            file = home / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
    elif kind == "core":
        shutil.copy(core_store(factory), path)
    elif slow:
        tasks = path.parent / "tasks"
        tasks.mkdir()
        (tasks / ".cache").symlink_to(core_store(factory).parent / "tasks" / ".cache")
    try:
        yield home
    finally:
        for found in folder.rglob("fractal.db"):
            store = Store(f"sqlite:///{found}")
            end_everything(store)
            store.close()


def hub_files() -> dict[str, str]:
    """The files of an administrator that `docs/jupyterhub.md` shows, by path without the slash."""
    page = next(page for page in read_pages() if page.name == "docs/jupyterhub.md")
    shown = re.findall(
        r"^`/(etc/[^`]+)`:\n\n```json\n(.*?)^```", page.text, re.DOTALL | re.MULTILINE
    )
    return dict(shown)


def _add_cluster(path: Path) -> None:
    """Add the cluster and the profile of `docs/slurm.md`, which are good for planning only."""
    page = next(page for page in read_pages() if page.name == "docs/slurm.md")
    documents = [json.loads(block.source) for block in page.blocks if block.language == "json"]
    fractal = Fractal(f"sqlite:///{path}")
    resource = fractal.resources.add(next(d for d in documents if d.get("type") == "slurm_sudo"))
    profile = next(d for d in documents if d.get("resource_type") == "slurm_sudo")
    fractal.profiles.add({**profile, "username": current_user()}, resource=resource.name)
    add_toy_tasks(fractal._store, resource=resource.name)
    fractal.close()


def core_store(factory: pytest.TempPathFactory) -> Path:
    """A store with fractal-tasks-core, collected once however many processes run the tests."""
    base = factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "core"
    ready = folder / "ready"
    try:
        folder.mkdir()
    except FileExistsError:
        wait_until(lambda: ready.exists() or not folder.exists(), seconds=COLLECTING_SECONDS)
        return folder / "fractal.db" if ready.exists() else core_store(factory)
    try:
        _collect_core(folder / "fractal.db")
    except BaseException:
        shutil.rmtree(folder)
        raise
    ready.touch()
    return folder / "fractal.db"


def _collect_core(path: Path) -> None:
    fractal = Fractal(f"sqlite:///{path}")
    try:
        fractal.collect(CORE)
        with fractal._store.database.engine.connect() as connection:
            # Move into the file what a copy of it alone would lack.
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        fractal.close()
