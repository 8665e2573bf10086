"""Who drives the jobs of a user: at most one supervisor, known by a token and an epoch."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from fractal_jupyter.errors import LeaseLost
from fractal_jupyter.store.database import Database
from fractal_jupyter.store.records import LeaseRecord
from fractal_jupyter.store.tables import jobs, leases

ACTIVE_JOBS = ("submitted", "running")


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to drive the jobs of `owner`, until somebody takes it with a higher epoch."""

    owner: str
    token: str
    epoch: int


class Leases:
    """The leases of all users."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, owner: str) -> LeaseRecord | None:
        """The lease of `owner`, whether released or not; None when there never was one."""
        with self._database.read() as connection:
            row = connection.execute(sa.select(leases).where(leases.c.owner == owner)).one_or_none()
        return None if row is None else LeaseRecord.from_row(row)

    def take(
        self,
        owner: str,
        *,
        process: dict[str, Any],
        address: bytes | None,
        silent: LeaseRecord | None = None,
    ) -> Lease | None:
        """Take the lease of `owner` if it is free, or still exactly as in `silent`.

        Args:
            owner: The user.
            process: Who takes it (see `fractal_jupyter.runner.processes.identity`).
            address: Where a datagram wakes the taker.
            silent: The lease as it was when its holder was found dead; its epoch and its
                heartbeat must not have changed since.

        Returns:
            The lease, or None when somebody else holds it.
        """
        token = secrets.token_hex(16)
        with self._database.write() as connection:
            row = connection.execute(sa.select(leases).where(leases.c.owner == owner)).one_or_none()
            values = {
                "token": token,
                "beat": 0,
                "released": False,
                "process": process,
                "address": address,
            }
            if row is None:
                connection.execute(sa.insert(leases).values(owner=owner, epoch=1, **values))
                return Lease(owner, token, 1)
            unchanged = silent is not None and (row.epoch, row.beat) == (silent.epoch, silent.beat)
            if not row.released and not unchanged:
                return None
            connection.execute(
                sa.update(leases)
                .where(leases.c.owner == owner)
                .values(epoch=row.epoch + 1, **values)
            )
            return Lease(owner, token, row.epoch + 1)

    def beat(self, lease: Lease) -> None:
        """Show that the holder lives; raises `LeaseLost`."""
        with self._database.write() as connection:
            check(connection, lease)
            connection.execute(
                sa.update(leases)
                .where(leases.c.owner == lease.owner)
                .values(beat=leases.c.beat + 1)
            )

    def release_if_idle(self, lease: Lease) -> bool:
        """Give the lease back if its owner has no active job; return whether that was so.

        In one transaction: a job submitted before finds its supervisor alive, one submitted
        after finds the lease free and starts another supervisor.
        """
        with self._database.write() as connection:
            check(connection, lease)
            active = connection.execute(
                sa.select(jobs.c.id)
                .where(jobs.c.owner == lease.owner, jobs.c.status.in_(ACTIVE_JOBS))
                .limit(1)
            ).scalar()
            if active is not None:
                return False
            _release(connection, lease)
            return True

    def release(self, lease: Lease) -> None:
        """Give the lease back, whatever there is to do; nothing happens when it was lost."""
        with self._database.write() as connection:
            _release(connection, lease)


def _release(connection: sa.Connection, lease: Lease) -> None:
    connection.execute(
        sa.update(leases)
        .where(leases.c.owner == lease.owner, leases.c.token == lease.token)
        .values(released=True)
    )


_HOLDER = sa.select(leases.c.token, leases.c.epoch, leases.c.released).where(
    leases.c.owner == sa.bindparam("of")
)


def check(connection: sa.Connection, lease: Lease) -> None:
    """Raise `LeaseLost` unless `lease` still holds; called first in every write of a supervisor."""
    row = connection.execute(_HOLDER, {"of": lease.owner}).one_or_none()
    if row is None or row.released or (row.token, row.epoch) != (lease.token, lease.epoch):
        raise LeaseLost(
            f"Another supervisor drives the jobs of {lease.owner} now; this one ends. "
            "Nothing needs to be done."
        )
