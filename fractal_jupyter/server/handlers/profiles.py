"""Profiles: as whom computing happens."""

from __future__ import annotations

from typing import Any

from fractal_jupyter.server.api import Api
from fractal_jupyter.server.documents.answer import Items
from fractal_jupyter.server.documents.profiles import KeyDocument, ProfileDocument
from fractal_jupyter.server.requests import Id
from fractal_jupyter.server.route import Body, Query, Request, Route

RESOURCE = "fractal:profiles"


class NewProfile(Body):
    """A profile: its document, and the resource that it is of."""

    document: dict[str, Any]
    resource_id: Id


class ChangedProfile(Body):
    """The new document of a profile."""

    document: dict[str, Any]


class Trusted(Body):
    """The fingerprint of a host's key, `SHA256:…`, as the host's administrator tells it."""

    fingerprint: str


def list_profiles(api: Api, request: Request[Query, None]) -> Items[ProfileDocument]:
    """List all profiles, the oldest first."""
    resources = {record.id: record for record in api.store.resources.all()}
    return Items(
        items=[
            ProfileDocument.of(record, resources[record.resource_id])
            for record in api.store.profiles.all()
            if record.resource_id in resources
        ]
    )


def add(api: Api, request: Request[Query, NewProfile]) -> ProfileDocument:
    """Add a profile of a resource."""
    body = request.body
    resource = api.store.resources.by_id(body.resource_id)
    added = api.fractal.profiles.add(body.document, resource=resource.name)
    return ProfileDocument.of(api.store.profiles.get(added.name), resource)


def get(api: Api, request: Request[Query, None]) -> ProfileDocument:
    """Look at a profile."""
    return _document(api, request.ids["profile"])


def update(api: Api, request: Request[Query, ChangedProfile]) -> ProfileDocument:
    """Replace the document of a profile; jobs keep the one that they were submitted with."""
    key = request.ids["profile"]
    api.fractal.profiles.update(api.store.profiles.by_id(key).name, request.body.document)
    return _document(api, key)


def remove(api: Api, request: Request[Query, None]) -> None:
    """Remove a profile that no unfinished job uses."""
    api.store.profiles.remove(api.store.profiles.by_id(request.ids["profile"]))


def trust(api: Api, request: Request[Query, Trusted]) -> KeyDocument:
    """Vouch for the key of the host of a profile."""
    name = api.store.profiles.by_id(request.ids["profile"]).name
    return KeyDocument(known_hosts=api.fractal.profiles.trust(name, request.body.fingerprint))


def _document(api: Api, key: int) -> ProfileDocument:
    record = api.store.profiles.by_id(key)
    return ProfileDocument.of(record, api.store.resources.by_id(record.resource_id))


ROUTES = (
    Route(
        method="GET",
        path="/profiles",
        call=list_profiles,
        resource=RESOURCE,
        answer=Items[ProfileDocument],
    ),
    Route(
        method="POST",
        path="/profiles",
        call=add,
        resource=RESOURCE,
        body=NewProfile,
        answer=ProfileDocument,
        status=201,
    ),
    Route(
        method="GET",
        path="/profiles/{profile}",
        call=get,
        resource=RESOURCE,
        answer=ProfileDocument,
    ),
    Route(
        method="PUT",
        path="/profiles/{profile}",
        call=update,
        resource=RESOURCE,
        body=ChangedProfile,
        answer=ProfileDocument,
    ),
    Route(method="DELETE", path="/profiles/{profile}", call=remove, resource=RESOURCE, status=204),
    Route(
        method="POST",
        path="/profiles/{profile}/trust",
        call=trust,
        resource=RESOURCE,
        body=Trusted,
        answer=KeyDocument,
        slow=True,
    ),
)
