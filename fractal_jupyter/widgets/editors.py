"""Editors of resources and profiles: a form, the JSON of it, and what checks say."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import ipywidgets
from pydantic import ValidationError

from fractal_jupyter.client.defaults import find_pythons
from fractal_jupyter.client.profiles import Profiles
from fractal_jupyter.client.resources import Resources
from fractal_jupyter.display.page import Note, Page
from fractal_jupyter.display.render_html import to_html
from fractal_jupyter.display.words import counted
from fractal_jupyter.errors import Ambiguous
from fractal_jupyter.models.described import document_schema
from fractal_jupyter.models.documents import Document, problems_in
from fractal_jupyter.models.problems import Problem
from fractal_jupyter.models.profile import Profile as ProfileDocument
from fractal_jupyter.models.resource import Resource as ResourceDocument
from fractal_jupyter.store.records import ResourceRecord
from fractal_jupyter.widgets.form import Form
from fractal_jupyter.widgets.form_view import FormView
from fractal_jupyter.widgets.json_view import JsonView
from fractal_jupyter.widgets.schema import JsonObject, without
from fractal_jupyter.widgets.source import call_source
from fractal_jupyter.widgets.tool import (
    WIDE,
    Tool,
    button,
    html,
    row,
    safely,
    say,
    show,
    with_class,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What is edited.

    Attributes:
        noun: What it is called.
        field: The field that tells the types apart.
        models: The models, by type.
        save: Saves a document under the name that it had (None for a new one).
        check: Tries what is called so, and returns HTML.
        code: The cell that would save the same.
    """

    noun: str
    field: str
    models: Mapping[str, type[Document]]
    save: Callable[[JsonObject, str | None], str]
    check: Callable[[str], str]
    code: Callable[[JsonObject, str | None], str]


class DocumentEditor(Tool):
    """Edits one document.

    Args:
        kind: What is edited.
        document: What to begin with.
        name: The name that it is saved under; None for a new one.
    """

    def __init__(self, kind: Kind, document: JsonObject, *, name: str | None) -> None:
        super().__init__()
        self._kind = kind
        self._name = name
        self._type = str(document[kind.field])
        self._heading = html()
        self._types = ipywidgets.Dropdown(
            options=list(kind.models),
            value=self._type,
            description=kind.field,
            disabled=name is not None,
            style={"description_width": "initial"},
            layout=WIDE,
        )
        self._types.observe(self._turned, "value")
        self._main = ipywidgets.VBox()
        self._json = JsonView(self._json_entered)
        self._code = html()
        self._result = html()
        self._summary = html()
        self._save = button("Save", self.save, main=True)
        self._check = button("Check", self.check, tip=f"Try the {kind.noun} as it is saved")
        self._arrange()
        self._load(document)

    @property
    def document(self) -> JsonObject:
        """The document as it is filled in."""
        return {self._kind.field: self._type, **self._form.value()}

    def problems(self) -> Sequence[Problem]:
        """All that is wrong with it."""
        return self._form.problems()

    def code(self) -> str:
        """The cell that would save the same."""
        return self._kind.code(self.document, self._name)

    @safely
    def save(self) -> None:
        """Save it: add it, or change what has the name that it was opened with."""
        self._name = self._kind.save(self.document, self._name)
        self._types.disabled = True
        self.tell("", tone="good", title=f"Saved {self._kind.noun} {self._name!r}")
        self._refresh(keep=True)

    @safely
    def check(self) -> None:
        """Try it as it is saved."""
        name = self._name
        if name is not None:
            self.tell("", tone="", title="")
            self.run(
                lambda: self._kind.check(name),
                lambda markup: show(self._result, markup),
                button=self._check,
                busy="Checking …",
            )

    def page(self) -> str:
        """The cell that would save the same, as HTML."""
        cell = Note(title="As a cell", text=self.code(), look="code")
        return to_html(Page(title=self._title(), blocks=(cell,)))

    def __repr__(self) -> str:
        return f"<{self._title()}>"

    def _title(self) -> str:
        known = f"{self._kind.noun} {self._name!r}"
        return known.capitalize() if self._name is None else f"Editor of {known}"

    def _arrange(self) -> None:
        main = with_class(
            ipywidgets.VBox([with_class(ipywidgets.VBox([self._types]), "field"), self._main]),
            "main",
        )
        side = with_class(
            ipywidgets.VBox(
                [self._result, self._json.widget, html("As a cell", look="head"), self._code]
            ),
            "side",
        )
        both = ipywidgets.HBox([main, side], layout=ipywidgets.Layout(flex_flow="row wrap"))
        self.compose(self._heading, both, row(self._save, self._check, self._summary))

    def _load(self, document: JsonObject) -> None:
        model = self._kind.models[self._type]
        schema = without(document_schema(model), (self._kind.field,))
        content = {name: value for name, value in document.items() if name != self._kind.field}
        self._form = Form(schema, check=self._problems_of, value=content)
        self._view = FormView(self._form, changed=self._refresh, guard=self._guarded)
        self._main.children = (self._view.widget,)
        self._refresh()

    def _problems_of(self, content: JsonObject) -> Sequence[Problem]:
        model = self._kind.models[self._type]
        try:
            model.model_validate({self._kind.field: self._type, **content})
        except ValidationError as error:
            return problems_in(error, model)
        return ()

    def _guarded(self, action: Any) -> None:
        with self.lock:
            action()

    def _refresh(self, *, keep: bool = False) -> None:
        if not keep:
            self.tell("", tone="", title="")
        problems = self.problems()
        self._view.show(problems)
        self._save.disabled = bool(problems)
        self._check.disabled = self._name is None
        count = len(problems)
        say(self._summary, f"{counted(count, 'problem')} to mend" if count else "", look="bad")
        title = f"{self._kind.noun} {self._name}" if self._name else f"New {self._kind.noun}"
        say(self._heading, title, look="head")
        self._json.show(self.document)
        say(self._code, self.code(), look="code")

    @safely
    def _turned(self, change: Mapping[str, Any]) -> None:
        if change["new"] != self._type:
            content = self._form.value()
            self._type = change["new"]
            self._load({self._kind.field: self._type, **content})

    @safely
    def _json_entered(self, document: JsonObject) -> None:
        kind = document.get(self._kind.field)
        if isinstance(kind, str) and kind in self._kind.models and self._name is None:
            self._type = self._types.value = kind
        self._load(document)


def resource_editor(
    resources: Resources,
    name: str | None = None,
    *,
    type: str = "local",  # noqa: A002
) -> DocumentEditor:
    """An editor of a resource.

    Args:
        resources: The resources of a client.
        name: The name of one, to change it; None for a new one.
        type: Of a new one: `local`, `slurm_sudo` or `slurm_ssh`.
    """

    def save(document: JsonObject, known: str | None) -> str:
        saved = resources.update(known, document) if known else resources.add(document)
        return saved.name

    kind = Kind(
        noun="resource",
        field="type",
        models=_by_type(ResourceDocument, "type"),
        save=save,
        check=lambda known: resources.check(known)._repr_html_(),
        code=lambda document, known: _code("resources", document, known),
    )
    return DocumentEditor(kind, _begun(resources, name, type), name=name)


def profile_editor(
    profiles: Profiles, name: str | None = None, *, resource: str | None = None
) -> DocumentEditor:
    """An editor of a profile.

    Args:
        profiles: The profiles of a client.
        name: The name of one, to change it; None for a new one.
        resource: Of a new one: the name of its resource; may be left out if there is only one.

    Raises:
        Ambiguous: There are several resources, and none was named.
    """
    record = _resource_of(profiles, name, resource)
    type_ = str(record.document["type"])

    def save(document: JsonObject, known: str | None) -> str:
        if known:
            return profiles.update(known, document).name
        return profiles.add(document, resource=record.name).name

    kind = Kind(
        noun="profile",
        field="resource_type",
        models={type_: _by_type(ProfileDocument, "resource_type")[type_]},
        save=save,
        check=lambda known: profiles.check(known)._repr_html_(),
        code=lambda document, known: _code("profiles", document, known, resource=record.name),
    )
    document = {"resource_type": type_} if name is None else profiles.get(name).document
    return DocumentEditor(kind, document, name=name)


def _resource_of(profiles: Profiles, name: str | None, resource: str | None) -> ResourceRecord:
    resources = profiles._store.resources
    if name is not None:
        return resources.get(profiles.get(name).resource)
    names = resources.names()
    if resource is None and len(names) != 1:
        listed = ", ".join(map(repr, names))
        raise Ambiguous(f"Say of which resource the profile is: resource=…. There are: {listed}.")
    return resources.get(resource or names[0])


def _by_type(union: Any, field: str) -> dict[str, type[Document]]:
    return {get_args(model.model_fields[field].annotation)[0]: model for model in get_args(union)}


def _begun(resources: Resources, name: str | None, kind: str) -> JsonObject:
    if name is not None:
        return resources.get(name).document
    pythons = find_pythons() if kind == "local" else {}
    python = {"default_version": next(iter(pythons)), "versions": pythons} if pythons else {}
    return {"type": kind, "tasks_python_config": python, "tasks_pixi_config": {}}


def _code(noun: str, document: JsonObject, known: str | None, **more: Any) -> str:
    if known is None:
        return call_source(f"fractal.{noun}.add", document, **more)
    return call_source(f"fractal.{noun}.update", known, document)
