"""A form: a document that is being filled in, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fractal_jupyter.engine.schemas import schema_problems
from fractal_jupyter.models.problems import Problem
from fractal_jupyter.widgets.fields import Field, ObjectField
from fractal_jupyter.widgets.schema import JsonObject, make_node, without

Check = Callable[[JsonObject], Sequence[Problem]]


class Form:
    """A document with a schema.

    Args:
        schema: JSON schema of an object.
        check: Says what is wrong with a document.
        path: What the paths of problems begin with, `args_parallel`.
        value: What to begin with; what is required is there beside it.
    """

    def __init__(
        self,
        schema: JsonObject,
        *,
        check: Check,
        path: str = "",
        value: Mapping[str, Any] | None = None,
    ) -> None:
        self._check = check
        self.root = ObjectField(make_node({**schema, "default": {}}, schema), key=path)
        for name, content in (value or {}).items():
            self._load(name, content)

    def load(self, value: Mapping[str, Any]) -> None:
        """Take a document over as it is; what it leaves out has its default."""
        self.root.clear()
        for name, content in value.items():
            self._load(name, content)
        for name, field in self.root.fields.items():
            if name not in value:
                field.given = False

    def _load(self, name: str, content: Any) -> None:
        if name in self.root.fields:
            self.root.fields[name].load(content)
        else:
            self.root.extra[name] = content

    def value(self) -> JsonObject:
        """The document, as short as it can be: what is left out has its default."""
        value = self.root.value()
        return value if isinstance(value, dict) else {}

    def problems(self) -> Sequence[Problem]:
        """All that is wrong with the document."""
        return self._check(self.value())

    def by_field(self, problems: Sequence[Problem]) -> dict[Field, list[Problem]]:
        """Give each problem to the field that it is about, or else to the nearest one around it."""
        fields: dict[str, Field] = {}
        for field in self.root.walk():
            fields.setdefault(field.path, field)
        found: dict[Field, list[Problem]] = {}
        for problem in problems:
            around = [path for path in fields if _is_around(path, problem.path)]
            field = fields[max(around, key=len)] if around else self.root
            found.setdefault(field, []).append(problem)
        return found


def _is_around(path: str, inner: str) -> bool:
    rest = inner.removeprefix(path) if inner.startswith(path) else None
    return rest is not None and (not path or rest == "" or rest[0] in ".[")


def arguments_form(
    schema: JsonObject,
    *,
    version: str | None,
    path: str,
    source: str,
    hidden: Sequence[str],
    value: Mapping[str, Any] | None = None,
) -> Form:
    """The form of the arguments of one part of a task.

    Args:
        schema: The schema in the manifest.
        version: `args_schema_version` of the manifest.
        path: What the part is called, `args_parallel`.
        source: Whose schema it is, for messages.
        hidden: Names that are not the user's to give.
        value: Arguments to begin with.

    Raises:
        InvalidManifest: When it is checked, and the schema is no JSON schema.
    """
    visible = without(schema, hidden)

    def check(document: JsonObject) -> Sequence[Problem]:
        return schema_problems(document, visible, version=version, path=path, source=source)

    return Form(visible, check=check, path=path, value=value)
