"""The server itself: what clients have to know first."""

from __future__ import annotations

from typing import Any

from pydantic import RootModel

from fractal_jupyter import __version__
from fractal_jupyter.client.defaults import find_pythons
from fractal_jupyter.models.described import document_schema
from fractal_jupyter.models.profile import LocalProfile, SlurmSSHProfile, SlurmSudoProfile
from fractal_jupyter.models.resource import LocalResource, SlurmSSHResource, SlurmSudoResource
from fractal_jupyter.models.workflow import StepMeta
from fractal_jupyter.runner.users import current_user
from fractal_jupyter.server.api import Api
from fractal_jupyter.server.documents.server import SchemasDocument, ServerDocument
from fractal_jupyter.server.route import Query, Request, Route

RESOURCE = "fractal:server"


class AnyObject(RootModel[dict[str, Any]]):
    """A JSON object that others have described."""


def about(api: Api, request: Request[Query, None]) -> ServerDocument:
    """Say who and what this server is."""
    api.fractal._bring_files()
    name = api.fractal.profile
    return ServerDocument(
        version=__version__,
        user=current_user(),
        store=api.store.database.name,
        profile_id=None if name is None else api.store.profiles.get(name).id,
        page_size=api.page_size,
        largest_page=api.largest_page,
        log_page_bytes=api.log_page_bytes,
        problems=list(api.fractal._files.problems),
    )


def schemas(api: Api, request: Request[Query, None]) -> SchemasDocument:
    """Give the JSON schemas of the documents of resources and profiles, by their types."""
    return SchemasDocument(
        resource={
            "local": document_schema(LocalResource),
            "slurm_sudo": document_schema(SlurmSudoResource),
            "slurm_ssh": document_schema(SlurmSSHResource),
        },
        profile={
            "local": document_schema(LocalProfile),
            "slurm_sudo": document_schema(SlurmSudoProfile),
            "slurm_ssh": document_schema(SlurmSSHProfile),
        },
        meta=document_schema(StepMeta),
        begun={kind: _begun(kind) for kind in ("local", "slurm_sudo", "slurm_ssh")},
    )


def _begun(kind: str) -> dict[str, Any]:
    """What a new resource begins with; interpreters of clusters are not known here."""
    pythons = find_pythons() if kind == "local" else {}
    python = {"default_version": next(iter(pythons)), "versions": pythons} if pythons else {}
    return {"type": kind, "tasks_python_config": python, "tasks_pixi_config": {}}


def openapi(api: Api, request: Request[Query, None]) -> AnyObject:
    """Describe this API, as OpenAPI 3.1."""
    from fractal_jupyter.server.openapi import openapi_document

    return AnyObject(openapi_document())


ROUTES = (
    Route(method="GET", path="/server", call=about, resource=RESOURCE, answer=ServerDocument),
    Route(method="GET", path="/schemas", call=schemas, resource=RESOURCE, answer=SchemasDocument),
    Route(method="GET", path="/openapi.json", call=openapi, resource=RESOURCE, answer=AnyObject),
)
