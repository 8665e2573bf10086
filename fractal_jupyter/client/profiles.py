"""Profiles: as whom computing happens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fractal_jupyter.client.listing import Brief, Listing
from fractal_jupyter.display.page import Page
from fractal_jupyter.errors import InvalidDocument, NotAllowed
from fractal_jupyter.models.profile import Profile as ProfileDocument
from fractal_jupyter.models.profile import SlurmSSHProfile, parse_profile
from fractal_jupyter.models.resource import LocalResource, SlurmSSHResource, parse_resource
from fractal_jupyter.runner.checks import Check, check_resource
from fractal_jupyter.runner.slurm_checks import check_profiles
from fractal_jupyter.runner.usable import usable_resource
from fractal_jupyter.store.records import ProfileRecord, ResourceRecord
from fractal_jupyter.store.store import Store

Document = Mapping[str, Any] | str | Path


class Profile(Brief):
    """One profile; `document` is what it was added with."""

    def __init__(self, record: ProfileRecord, resource: ResourceRecord) -> None:
        self._record = record
        self._resource = resource

    @property
    def name(self) -> str:
        """The unique name."""
        return self._record.name

    @property
    def resource(self) -> str:
        """The name of its resource."""
        return self._resource.name

    @property
    def document(self) -> dict[str, Any]:
        """The document, as it was given."""
        return dict(self._record.document)

    @property
    def source(self) -> str | None:
        """The administrator's file that it comes from; None for one that you have added."""
        return self._record.source

    def _line(self) -> str:
        whose = ", the administrator's" if self.source else ""
        return f"<Profile {self.name!r} of {self.resource!r}{whose}>"

    def _page(self) -> Page:
        from fractal_jupyter.display.resources import profiles_page

        return profiles_page([self._record], {self._resource.id: self._resource})


class Profiles:
    """All profiles of the store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def add(self, document: Document, *, resource: str, exist_ok: bool = False) -> Profile:
        """Add a profile of the resource called `resource`.

        Args:
            document: The document, as a mapping, as JSON text, or as the path of a JSON file.
            resource: The name of the resource; it must be of the profile's `resource_type`.
            exist_ok: Whether to return the profile of this name, when its document and resource
                are these; for cells that are run again. (`update` gives it another document.)

        Raises:
            InvalidDocument: Lists the fields that are wrong.
            AlreadyExists: The name is taken; with `exist_ok`, by a profile that is not the same.
        """
        profile = parse_profile(document)
        record = self._store.resources.get(resource)
        _check_types(profile, record)
        name, given, profiles = profile.name, profile.to_document(), self._store.profiles
        if not exist_ok:
            return Profile(profiles.add(name, record.id, given), record)
        added = profiles.add_unless_same(
            name,
            lambda: profiles.add(name, record.id, given),
            document=given,
            resource_id=record.id,
        )
        return Profile(added, record)

    def list(self) -> Listing[Profile]:
        """All profiles, the oldest first."""
        from fractal_jupyter.display.resources import profiles_page

        resources = {record.id: record for record in self._store.resources.all()}
        return Listing(
            (Profile(r, resources[r.resource_id]) for r in self._store.profiles.all()),
            page=lambda items: profiles_page([i._record for i in items], resources),
        )

    def get(self, name: str) -> Profile:
        """The profile called `name`; raises `NotFound`."""
        record = self._store.profiles.get(name)
        return Profile(record, self._store.resources.by_id(record.resource_id))

    def update(self, name: str, /, document: Document | None = None, **fields: Any) -> Profile:
        """Change a profile: replace its document, or only the given fields of it.

        `update("old", name="new")` gives it another name.

        Raises:
            InvalidDocument: The changed document is wrong; the profile stays as it was.
            NotAllowed: It is the administrator's.
        """
        record = self._store.profiles.get(name)
        if document is not None and fields:
            raise InvalidDocument("Give a whole document, or single fields, but not both.")
        changed = parse_profile({**record.document, **fields} if document is None else document)
        resource = self._store.resources.by_id(record.resource_id)
        _check_types(changed, resource)
        return Profile(
            self._store.profiles.update(record.id, changed.name, changed.to_document()), resource
        )

    def check(self, name: str, *, project_dir: str | Path | None = None) -> Listing[Check]:
        """Try all that jobs of a profile need; see `Resources.check`."""
        from fractal_jupyter.display.progress import follow
        from fractal_jupyter.display.resources import checks_page

        checks = self._checks(name, project_dir)
        return Listing(follow(f"Checking {name}", checks), page=checks_page)

    def _checks(self, name: str, project_dir: str | Path | None) -> Iterator[Check]:
        """The checks, each made when it is asked for."""
        record = self._store.profiles.get(name)
        resource = usable_resource(self._store.resources.by_id(record.resource_id))
        if isinstance(resource, LocalResource):
            return check_resource(resource)
        return check_profiles(
            resource,
            [parse_profile(record.document)],
            project_dir=None if project_dir is None else str(project_dir),
        )

    def trust(self, name: str, fingerprint: str) -> str:
        """Vouch for the key of the host of a profile, after comparing it with what its owner says.

        Where the way there leads through other hosts, the first of them that is not known is the
        one that is vouched for; then it is the next one's turn.

        Args:
            name: The name of a profile of a `slurm_ssh` resource.
            fingerprint: Of the key, `SHA256:…`, as the host's administrator tells it.

        Returns:
            The file of known hosts that the key was written to.

        Raises:
            NotAllowed: The profile is not for SSH.
            AccessDenied: The host shows another key, or one on the way does not let you in.
        """
        record = self._store.profiles.get(name)
        resource = parse_resource(self._store.resources.by_id(record.resource_id).document)
        profile = parse_profile(record.document)
        if not isinstance(resource, SlurmSSHResource) or not isinstance(profile, SlurmSSHProfile):
            raise NotAllowed(f"The profile {name!r} does not use SSH: there is no key to trust.")
        from fractal_jupyter.hosts.ssh import trust  # takes long to import

        return trust(
            resource.host,
            fingerprint,
            username=profile.username,
            key_path=profile.ssh_key_path,
        )

    def remove(self, name: str) -> None:
        """Remove a profile.

        Raises:
            InUse: An unfinished job uses it.
            NotAllowed: It is the administrator's.
        """
        self._store.profiles.remove(self._store.profiles.get(name))

    def editor(self, name: str | None = None, *, resource: str | None = None) -> Any:
        """A widget to edit a profile, with what is wrong with it and its JSON beside the form.

        Args:
            name: The profile; None to make a new one.
            resource: Of a new one: the name of its resource, if there are several.
        """
        from fractal_jupyter.client.opening import open_widget

        return open_widget("profile_editor", self, name, resource=resource)

    def __repr__(self) -> str:
        return repr(self.list())

    def _repr_html_(self) -> str:
        return self.list()._repr_html_()


def _check_types(profile: ProfileDocument, resource: ResourceRecord) -> None:
    if profile.resource_type != resource.document["type"]:
        raise InvalidDocument(
            f"The profile {profile.name!r} is for resources of type {profile.resource_type!r}, "
            f"and the resource {resource.name!r} is of type {resource.document['type']!r}: "
            "choose another resource, or change resource_type."
        )
