"""The OpenAPI document, made from the table of routes and their models."""

from __future__ import annotations

from functools import cache
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from fractal_jupyter import __version__
from fractal_jupyter.server.problems import ProblemDocument
from fractal_jupyter.server.route import LARGEST_ID, Query, Route, Text
from fractal_jupyter.server.routes import ROUTES

Json = dict[str, Any]
Mode = Literal["validation", "serialization"]

_REFERENCE = "#/components/schemas/{model}"
# What any request may be told instead of its answer.
_PROBLEMS = {
    "403": "Not logged in, not allowed, or without the XSRF token.",
    "404": "There is no such thing.",
    "409": "The state of things forbids it.",
    "422": "The request, or what it asks for, is wrong.",
    "502": "Another machine did not do what it was asked for.",
    "503": "The store, or another machine, does not answer.",
}


@cache
def openapi_document() -> Json:
    """The whole document."""
    answers: dict[type[BaseModel], Mode] = {ProblemDocument: "serialization"}
    answers |= {model: "serialization" for route in ROUTES if (model := _model(route))}
    bodies: dict[type[BaseModel], Mode] = {r.body: "validation" for r in ROUTES if r.body}
    references, definitions = models_json_schema(
        [*answers.items(), *bodies.items()], ref_template=_REFERENCE
    )
    paths: Json = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, references)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Fractal in Jupyter",
            "version": __version__,
            "description": "Run Fractal tasks on OME-Zarr images.",
        },
        # whatever the URL of the server: where this document is
        "servers": [{"url": "."}],
        "paths": paths,
        "components": {
            "schemas": definitions["$defs"],
            "securitySchemes": {
                "token": {"type": "apiKey", "in": "header", "name": "Authorization"}
            },
        },
        "security": [{"token": []}],
    }


def _model(route: Route) -> type[BaseModel] | None:
    return route.answer if route.answer and issubclass(route.answer, BaseModel) else None


def _operation(route: Route, references: Any) -> Json:
    operation: Json = {
        "operationId": route.name,
        "summary": route.summary,
        "description": route.description,
        "tags": [route.resource.partition(":")[2]],
        "parameters": [*map(_id_parameter, route.ids), *_query_parameters(route.query)],
        "responses": {
            str(route.status): _answer(route, references),
            **{
                status: {
                    "description": text,
                    "content": _json(references[ProblemDocument, "serialization"]),
                }
                for status, text in _PROBLEMS.items()
            },
        },
    }
    if route.body is not None:
        content = _json(references[route.body, "validation"])
        needed = any(field.is_required() for field in route.body.model_fields.values())
        operation["requestBody"] = {"required": needed, "content": content}
    return operation


def _answer(route: Route, references: Any) -> Json:
    model = _model(route)
    if model is not None:
        return {"description": "OK", "content": _json(references[model, "serialization"])}
    if route.answer is Text:
        return {"description": "OK", "content": {"text/plain": {"schema": {"type": "string"}}}}
    return {"description": "OK"}


def _json(schema: Json) -> Json:
    return {"application/json": {"schema": schema}}


def _id_parameter(name: str) -> Json:
    schema = {"type": "integer", "minimum": 0, "maximum": LARGEST_ID}
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _query_parameters(model: type[Query]) -> list[Json]:
    schema = model.model_json_schema()
    parameters = []
    for name, field in schema.get("properties", {}).items():
        # null is said by leaving it out
        variants = [v for v in field.pop("anyOf", ()) if v != {"type": "null"}]
        field.update(*variants)
        description = field.pop("description", "")
        if field.get("default", 0) is None:
            del field["default"]
        parameter: Json = {"name": name, "in": "query", "description": description}
        if field.get("contentMediaType") == "application/json":
            content = {"schema": field["contentSchema"]}
            parameters.append({**parameter, "content": {"application/json": content}})
        else:
            parameters.append({**parameter, "schema": field})
    return parameters
