"""The arguments of a task as a form that submits it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ipywidgets

from fractal_jupyter.client.datasets import Dataset
from fractal_jupyter.client.fractal import Fractal
from fractal_jupyter.client.jobs import Job
from fractal_jupyter.client.tasks import Task
from fractal_jupyter.display.page import Note, Page, Span
from fractal_jupyter.display.render_html import to_html
from fractal_jupyter.display.words import counted
from fractal_jupyter.engine.arguments import route_arguments
from fractal_jupyter.engine.planning import RESERVED
from fractal_jupyter.models.problems import Problem
from fractal_jupyter.printable import printable
from fractal_jupyter.widgets.form import Form, arguments_form
from fractal_jupyter.widgets.form_view import FormView
from fractal_jupyter.widgets.job_monitor import JobMonitor
from fractal_jupyter.widgets.json_view import JsonView
from fractal_jupyter.widgets.schema import JsonObject
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

_PARTS = {"non_parallel": "Once, at the start", "parallel": "For each image"}


class TaskForm(Tool):
    """A form that submits a task, and shows the cell that would do the same.

    Args:
        fractal: The client.
        task: The task.
        dataset: The dataset that is chosen at first.
        args: Arguments to begin with, as `Fractal.submit` takes them.
        profile: The profile that is chosen at first.

    Attributes:
        job: The last job that was submitted.
    """

    def __init__(
        self,
        fractal: Fractal,
        task: Task,
        dataset: str | Dataset | None = None,
        *,
        args: Mapping[str, Any] | None = None,
        profile: str | None = None,
    ) -> None:
        super().__init__()
        self._fractal = fractal
        self._task = task
        self.job: Job | None = None
        self._monitor: JobMonitor | None = None
        self._forms = self._make_forms(args)
        self._views = {
            part: FormView(form, changed=self._refresh, guard=self._guarded)
            for part, form in self._forms.items()
        }
        self._json = JsonView(self._json_entered)
        self._code = html()
        self._summary = html()
        self._below = ipywidgets.VBox()
        self._dataset = _chooser("Dataset", [item.name for item in fractal.datasets.list()])
        self._profile = _chooser("Profile", [item.name for item in fractal.profiles.list()])
        name = dataset.name if isinstance(dataset, Dataset) else dataset
        _choose(self._dataset, fractal.datasets.get(name).name if name else None)
        chosen = fractal.profiles.get(profile).name if profile else fractal.profile
        _choose(self._profile, chosen)
        self._submit = button("Submit", self.submit, main=True)
        self._plan = button("Plan", self.plan, tip="Show what would run; runs nothing")
        self._arrange()
        self._refresh()

    def args(self) -> dict[str, JsonObject]:
        """The arguments as `Fractal.submit` takes them: `args`, or one for each part."""
        values = {part: form.value() for part, form in self._forms.items()}
        if len(values) == 1:
            (value,) = values.values()
            return {"args": value} if value else {}
        return {f"args_{part}": value for part, value in values.items() if value}

    def problems(self) -> list[Problem]:
        """All that is wrong with the arguments."""
        return [problem for form in self._forms.values() for problem in form.problems()]

    def code(self) -> str:
        """The cell that would submit the same."""
        dataset = self._dataset.value or "…"
        return "job = " + call_source(
            "fractal.submit",
            self._task.name,
            dataset,
            **self.args(),
            version=self._task.version,
            profile=self._profile.value or None,
        )

    @safely
    def submit(self) -> None:
        """Submit, and watch the job below the form."""
        self._start(self._submit, "Submitting …", self._fractal.submit, self._submitted)

    @safely
    def plan(self) -> None:
        """Show what would run."""
        self._start(self._plan, "Planning …", self._fractal.plan, self._planned)

    def page(self) -> str:
        """The cell that does the same, as HTML."""
        facts = (Span(f"{self._task.package} {self._task.version or ''}"),)
        cell = Note(title="As a cell", text=self.code(), look="code")
        return to_html(Page(title=self._task.name, facts=facts, blocks=(cell,)))

    def __repr__(self) -> str:
        return f"<TaskForm of {self._task.name!r}>"

    def _make_forms(self, args: Mapping[str, Any] | None) -> dict[str, Form]:
        task = self._task
        values = dict(zip(_PARTS, route_arguments(task._entry, args=args), strict=True))
        parts = [part for part in _PARTS if getattr(task, f"has_{part}")]
        return {
            part: arguments_form(
                getattr(task, f"args_schema_{part}") or {"type": "object"},
                version=task.args_schema_version,
                path=f"args_{part}",
                source=f"{task.name!r} (args_{part})",
                hidden=sorted(RESERVED),
                value=values[part] or None,
            )
            for part in parts
        }

    def _arrange(self) -> None:
        title = html(f"{self._task.name} · {self._task.package} {self._task.version or ''}")
        say(title, self._task.name, look="head")
        several = len(self._views) > 1
        shown: list[Any] = []
        for part, view in self._views.items():
            if several and self._forms[part].root.fields:
                shown.append(html(_PARTS[part], look="head"))
            shown.append(view.widget)
        if not any(form.root.fields for form in self._forms.values()):
            shown.append(html("This task takes no arguments."))
        main = with_class(ipywidgets.VBox(shown), "main")
        side = with_class(
            ipywidgets.VBox([html("As a cell", look="head"), self._code, self._json.widget]), "side"
        )
        both = ipywidgets.HBox([main, side], layout=ipywidgets.Layout(flex_flow="row wrap"))
        choosers = with_class(row(self._dataset, self._profile), "field")
        for chooser in (self._dataset, self._profile):
            chooser.observe(lambda _: self._guarded(self._refresh), "value")
        actions = row(self._submit, self._plan, self._summary)
        about = f"{self._task.package} {self._task.version or ''} · {self._task.type}"
        self.compose(title, html(about), choosers, both, actions, self._below)

    def _guarded(self, action: Any) -> None:
        with self.lock:
            action()

    def _refresh(self) -> None:
        """Bring everything beside the form up to date."""
        problems = {part: form.problems() for part, form in self._forms.items()}
        for part, view in self._views.items():
            view.show(problems[part])
        count = sum(map(len, problems.values()))
        say(self._summary, f"{counted(count, 'problem')} to mend" if count else "", look="bad")
        self._submit.disabled = bool(count) or not (self._dataset.value and self._profile.value)
        self._plan.disabled = self._submit.disabled
        say(self._code, self.code(), look="code")
        forms = self._forms
        values = {f"args_{part}": form.value() for part, form in forms.items()}
        self._json.show(values if len(values) > 1 else next(iter(values.values())))

    @safely
    def _json_entered(self, document: JsonObject) -> None:
        for part, form in self._forms.items():
            value = document if len(self._forms) == 1 else document.get(f"args_{part}", {})
            form.load(value if isinstance(value, dict) else {})
            self._views[part].rebuild()
        self._refresh()

    def _start(self, pressed: Any, busy: str, action: Any, then: Any) -> None:
        self.tell("", tone="", title="")
        options: dict[str, Any] = {**self.args(), "profile": self._profile.value}
        dataset = self._dataset.value
        self.run(lambda: action(self._task, dataset, **options), then, button=pressed, busy=busy)

    def _submitted(self, job: Job) -> None:
        if self._monitor is not None:
            self._monitor.close()
        self.job = job
        self._monitor = JobMonitor(job)
        self._below.children = (self._monitor.widget,)

    def _planned(self, plan: Any) -> None:
        shown = html()
        show(shown, plan._repr_html_())
        self._below.children = (shown,)


def _chooser(description: str, names: list[str]) -> Any:
    return ipywidgets.Dropdown(
        options=[("choose …", ""), *((printable(name), name) for name in names)],
        value="",
        description=description,
        style={"description_width": "initial"},
        layout=WIDE,
    )


def _choose(chooser: Any, name: str | None) -> None:
    names = [value for _, value in chooser.options]
    if name is None and len(names) == 2:
        name = names[1]
    chooser.value = name or ""
