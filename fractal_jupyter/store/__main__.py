"""The commands for a PostgreSQL store: `python -m fractal_jupyter.store create URL`, …."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import sqlalchemy as sa

from fractal_jupyter.errors import StoreError
from fractal_jupyter.store import sharing
from fractal_jupyter.store.database import Database


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; return the exit status."""
    asked = _parser().parse_args(arguments)
    try:
        _refuse_password(asked.url)
        database = Database(asked.url)
        try:
            return _run(asked, database)
        finally:
            database.close()
    except StoreError as error:
        sys.stderr.write(f"{error}\n")
        return 1


def _run(asked: argparse.Namespace, database: Database) -> int:
    if asked.command == "create":
        said = sharing.create(database)
    elif asked.command == "allow":
        said = sharing.allow(database, asked.roles, make=asked.make)
    elif asked.command == "forget":
        said = sharing.forget(database, asked.roles)
    else:
        if wrong := sharing.check(database):
            sys.stderr.write("".join(f"{line}\n" for line in wrong))
            return 1
        said = f"The store {database.name} can be used."
    sys.stdout.write(f"{said}\n")
    return 0


def _refuse_password(url: str) -> None:
    try:
        parsed = sa.engine.make_url(url)
    except (sa.exc.ArgumentError, ValueError):
        return  # Database says what is wrong
    if parsed.password or "password" in parsed.query:
        raise StoreError(
            "The URL holds a password, which everybody on this machine can read in the list of "
            "processes. Leave it out, and write it into ~/.pgpass (HOST:PORT:DATABASE:ROLE:"
            "PASSWORD, readable for you alone). Change it, too: it may have been seen."
        )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=sharing.COMMAND, description="A PostgreSQL store that the users of a hub share."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    create = commands.add_parser(
        "create", help="make the tables, or bring them up to date (the owner of the database)"
    )
    allow = commands.add_parser("allow", help="let roles use the store (the owner of the database)")
    allow.add_argument("--make", action="store_true", help="make roles that there are not")
    forget = commands.add_parser(
        "forget", help="delete all that roles have in the store (the owner of the database)"
    )
    check = commands.add_parser("check", help="say what is wrong with the store (a user)")
    for command in (create, allow, forget, check):
        command.add_argument("url", help="postgresql+psycopg://ROLE@HOST/DATABASE")
    for command in (allow, forget):
        command.add_argument("roles", nargs="+", metavar="role", help="a role, one per user")
    return parser


if __name__ == "__main__":
    sys.exit(main())
