"""Resources: where computing happens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fractal_jupyter.client.listing import Brief, Listing
from fractal_jupyter.display.page import Page
from fractal_jupyter.errors import InvalidDocument
from fractal_jupyter.models.profile import parse_profile
from fractal_jupyter.models.resource import LocalResource, parse_resource
from fractal_jupyter.runner.checks import Check, check_resource
from fractal_jupyter.runner.slurm_checks import check_profiles
from fractal_jupyter.runner.usable import check_backend, usable_resource
from fractal_jupyter.store.records import ResourceRecord
from fractal_jupyter.store.store import Store

Document = Mapping[str, Any] | str | Path


class Resource(Brief):
    """One resource; `document` is what it was added with."""

    def __init__(self, record: ResourceRecord) -> None:
        self._record = record

    @property
    def name(self) -> str:
        """The unique name."""
        return self._record.name

    @property
    def type(self) -> str:
        """`local`, `slurm_sudo` or `slurm_ssh`."""
        return str(self._record.document["type"])

    @property
    def document(self) -> dict[str, Any]:
        """The document, as it was given."""
        return dict(self._record.document)

    @property
    def warm(self) -> bool:
        """Whether units may be forked from a process that has done the imports."""
        return self._record.warm

    @property
    def source(self) -> str | None:
        """The administrator's file that it comes from; None for one that you have added."""
        return self._record.source

    def _line(self) -> str:
        whose = ", the administrator's" if self.source else ""
        return f"<Resource {self.name!r}, {self.type}{whose}>"

    def _page(self) -> Page:
        from fractal_jupyter.display.resources import resource_page

        return resource_page(self._record)


class Resources:
    """All resources of the store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def add(self, document: Document, *, warm: bool = True, exist_ok: bool = False) -> Resource:
        """Add a resource.

        Args:
            document: The document, as a mapping, as JSON text, or as the path of a JSON file.
            warm: False to start every unit as a process that does its own imports.
            exist_ok: Whether to return the resource of this name, when its document is this one;
                for cells that are run again. (`update` gives it another document.)

        Raises:
            InvalidDocument: Lists the fields that are wrong.
            AlreadyExists: The name is taken; with `exist_ok`, by a resource that is not the same.
            NotAllowed: `FRACTAL_RUNNER_BACKEND` allows other types only.
        """
        resource = parse_resource(document)
        check_backend(resource)
        name, given, resources = resource.name, resource.to_document(), self._store.resources
        if not exist_ok:
            return Resource(resources.add(name, given, warm=warm))
        return Resource(
            resources.add_unless_same(
                name, lambda: resources.add(name, given, warm=warm), document=given, warm=warm
            )
        )

    def list(self) -> Listing[Resource]:
        """All resources, the oldest first."""
        from fractal_jupyter.display.resources import resources_page

        return Listing(
            (Resource(record) for record in self._store.resources.all()),
            page=lambda items: resources_page([item._record for item in items]),
        )

    def get(self, name: str) -> Resource:
        """The resource called `name`; raises `NotFound`."""
        return Resource(self._store.resources.get(name))

    def update(
        self,
        name: str,
        /,
        document: Document | None = None,
        *,
        warm: bool | None = None,
        **fields: Any,
    ) -> Resource:
        """Change a resource: replace its document, or only the given fields of it.

        Jobs that were submitted before keep the resource as it was. `update("old", name="new")`
        gives it another name.

        Raises:
            InvalidDocument: The changed document is wrong; the resource stays as it was.
            NotAllowed: It is the administrator's, or of a type that is not allowed.
        """
        record = self._store.resources.get(name)
        if document is not None and fields:
            raise InvalidDocument("Give a whole document, or single fields, but not both.")
        changed = parse_resource({**record.document, **fields} if document is None else document)
        check_backend(changed)
        return Resource(
            self._store.resources.update(
                record.id,
                changed.name,
                changed.to_document(),
                warm=record.warm if warm is None else warm,
            )
        )

    def remove(self, name: str) -> None:
        """Remove a resource.

        Raises:
            InUse: A profile or a task group needs it.
            NotAllowed: It is the administrator's.
        """
        self._store.resources.remove(self._store.resources.get(name))

    def check(self, name: str, *, project_dir: str | Path | None = None) -> Listing[Check]:
        """Try all that jobs need: folders, interpreters, space, a worker. One line each.

        Of a cluster, each profile is tried, down to a job of one unit that is really submitted.

        Args:
            name: The name of the resource.
            project_dir: A folder on the cluster where such a job may write when it runs as
                another user; without it, no such job is submitted.

        Raises:
            NotAllowed: Resources of its type may not be used.
        """
        from fractal_jupyter.display.progress import follow
        from fractal_jupyter.display.resources import checks_page

        checks = self._checks(name, project_dir)
        return Listing(follow(f"Checking {name}", checks), page=checks_page)

    def _checks(self, name: str, project_dir: str | Path | None) -> Iterator[Check]:
        """The checks, each made when it is asked for."""
        record = self._store.resources.get(name)
        resource = usable_resource(record)
        if isinstance(resource, LocalResource):
            return check_resource(resource)
        profiles = [p for p in self._store.profiles.all() if p.resource_id == record.id]
        return check_profiles(
            resource,
            [parse_profile(profile.document) for profile in profiles],
            project_dir=None if project_dir is None else str(project_dir),
        )

    def editor(self, name: str | None = None, *, type: str = "local") -> Any:  # noqa: A002
        """A widget to edit a resource, with what is wrong with it and its JSON beside the form.

        Args:
            name: The resource; None to make a new one.
            type: Of a new one: `local`, `slurm_sudo` or `slurm_ssh`.
        """
        from fractal_jupyter.client.opening import open_widget

        return open_widget("resource_editor", self, name, type=type)

    def __repr__(self) -> str:
        return repr(self.list())

    def _repr_html_(self) -> str:
        return self.list()._repr_html_()
