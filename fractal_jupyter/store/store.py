"""The store: one database, and a repository for each noun."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from fractal_jupyter.store.activities import Activities
from fractal_jupyter.store.changes import Changes
from fractal_jupyter.store.database import Database
from fractal_jupyter.store.datasets import Datasets
from fractal_jupyter.store.documents import Profiles, Resources, Workflows
from fractal_jupyter.store.environments import Environments
from fractal_jupyter.store.jobs import Jobs
from fractal_jupyter.store.leases import Leases
from fractal_jupyter.store.schema import prepare
from fractal_jupyter.store.sharing import require_usable
from fractal_jupyter.store.tables import profiles, resources
from fractal_jupyter.store.task_groups import TaskGroups

# The environment variable that names the store of `Fractal()`.
STORE_VARIABLE = "FRACTAL_JUPYTER_STORE"


def default_folder() -> Path:
    """The folder of this user's store: `fractal` in Jupyter's data directory."""
    from jupyter_core.paths import jupyter_data_dir

    return Path(jupyter_data_dir()) / "fractal"


def default_url() -> str:
    """The URL of this user's store."""
    return f"sqlite:///{default_folder() / 'fractal.db'}"


class Store:
    """Everything that is remembered. Usable from any thread, and by several processes at once.

    Args:
        url: SQLAlchemy URL of the database; by default this user's own.

    Raises:
        StoreError: The store cannot be used; the message says who has to do what.
    """

    def __init__(self, url: str | None = None) -> None:
        self.database = Database(url or default_url())
        self.url = self.database.url
        try:
            if self.database.is_sqlite:
                prepare(self.database)
            else:
                require_usable(self.database)
        except BaseException:
            self.database.close()
            raise
        self.resources = Resources(self.database)
        self.profiles = Profiles(self.database)
        self.task_groups = TaskGroups(self.database)
        self.activities = Activities(self.database)
        self.environments = Environments(self.database)
        self.datasets = Datasets(self.database)
        self.workflows = Workflows(self.database)
        self.jobs = Jobs(self.database)
        self.leases = Leases(self.database)
        self.changes = Changes(self.database)

    def add_first_resource(self, resource: dict[str, Any], profile: dict[str, Any]) -> None:
        """Add a resource and a profile of it, unless there is a resource already.

        In one transaction, since several notebooks may open a new store at the same time.
        """
        now = time.time()
        with self.database.write() as connection:
            if connection.execute(sa.select(resources.c.id).limit(1)).scalar() is not None:
                return
            key = connection.execute(
                sa.insert(resources)
                .values(name=resource["name"], document=resource, warm=True, created=now)
                .returning(resources.c.id)
            ).scalar_one()
            connection.execute(
                sa.insert(profiles).values(
                    name=profile["name"], resource_id=key, document=profile, created=now
                )
            )

    def close(self) -> None:
        """Close the connections."""
        self.database.close()
