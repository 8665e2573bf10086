"""What each verb does: the same as the method of the Python API that it is called after."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fractal_jupyter.errors import Ambiguous, InvalidArguments, NotFound
from fractal_jupyter.magics.words import assignment, text_of, value_of

if TYPE_CHECKING:
    from fractal_jupyter.client.activities import Activity
    from fractal_jupyter.client.fractal import Fractal
    from fractal_jupyter.client.jobs import Job
    from fractal_jupyter.client.task_groups import TaskGroup


@dataclass(frozen=True, slots=True)
class Session:
    """What a verb works with.

    Attributes:
        fractal: The Python API.
        variables: The variables of the notebook.
        body: Arguments from the rest of the cell.
    """

    fractal: Fractal
    variables: Mapping[str, Any]
    body: Mapping[str, Any] = field(default_factory=dict)

    def text(self, word: str) -> str:
        """A word with the variables in it put in."""
        return text_of(word, self.variables)


def _resources(session: Session, options: Namespace) -> Any:
    resources = session.fractal.resources
    return resources.get(session.text(options.name)) if options.name else resources.list()


def _profiles(session: Session, options: Namespace) -> Any:
    profiles = session.fractal.profiles
    return profiles.get(session.text(options.name)) if options.name else profiles.list()


def _use(session: Session, options: Namespace) -> Any:
    fractal = session.fractal
    if options.name:
        fractal.use(session.text(options.name))
    if fractal.profile is None:
        raise NotFound("No profile is in use: say which one, %fractal use NAME.")
    return fractal.profiles.get(fractal.profile)


def _check(session: Session, options: Namespace) -> Any:
    fractal = session.fractal
    if options.name:
        return fractal.resources.check(session.text(options.name))
    if fractal.profile is None:
        raise NotFound("No profile is in use: say which resource, %fractal check NAME.")
    return fractal.resources.check(fractal.profiles.get(fractal.profile).resource)


def _collect(session: Session, options: Namespace) -> Any:
    return session.fractal.collect(
        session.text(options.requirement),
        profile=options.profile,
        python=options.python,
        extras=options.extra,
        pins=_pins(session, "--pin", options.pin),
        pins_before=_pins(session, "--pin-before", options.pin_before),
        uv=not options.pip,
        editable=options.editable,
        pixi=options.pixi,
        pixi_version=options.pixi_version,
    )


def _collect_custom(session: Session, options: Namespace) -> Any:
    return session.fractal.collect_custom(
        session.text(options.package),
        python=session.text(options.python),
        profile=options.profile,
    )


def _task_groups(session: Session, options: Namespace) -> Any:
    return _group(session, options) if options.group else session.fractal.task_groups.list()


def _deactivate(session: Session, options: Namespace) -> Any:
    return _only_group(session, options).deactivate()


def _reactivate(session: Session, options: Namespace) -> Any:
    return _only_group(session, options).reactivate()


def _delete(session: Session, options: Namespace) -> Any:
    return _only_group(session, options).delete()


def _export(session: Session, options: Namespace) -> Any:
    path = None if options.to is None else session.text(options.to)
    return session.fractal.task_groups.export(_group(session, options), path)


def _clean(session: Session, options: Namespace) -> Any:
    return session.fractal.task_groups.clean(
        dry_run=not options.remove, unused_for=options.unused_for
    )


def _activities(session: Session, options: Namespace) -> Any:
    if options.activity is None:
        if options.wait or options.cancel:
            raise InvalidArguments("Say which activity: %fractal activities NUMBER.")
        return session.fractal.activities.list(limit=options.limit)
    activity = _activity(session, options.activity)
    if options.cancel:
        activity.cancel()
    return activity.wait() if options.wait else activity


def _tasks(session: Session, options: Namespace) -> Any:
    tasks = session.fractal.tasks
    if options.name:
        return tasks.get(session.text(options.name), version=options.version)
    filters = ("search", "category", "modality", "tag", "package", "version")
    return tasks.list(**{name: getattr(options, name) for name in filters})


def _update(session: Session, options: Namespace) -> Any:
    held = _held(session, options.workflow, "Workflow")
    workflow = held or session.fractal.workflows.get(session.text(options.workflow))
    if options.step is None:
        return workflow.updates()
    step = session.text(options.step)
    act = workflow.plan_update if options.plan else workflow.update_task
    return act(
        int(step) if step.isdecimal() else step,
        version=options.version,
        args=_arguments(session, options.arguments) or None,
    )


def _datasets(session: Session, options: Namespace) -> Any:
    datasets = session.fractal.datasets
    return _dataset(session, options.name) if options.name else datasets.list()


def _submit(session: Session, options: Namespace) -> Any:
    task, dataset, request = _request(session, options)
    job = session.fractal.submit(task, dataset, **request)
    return job.wait() if options.wait else job


def _plan(session: Session, options: Namespace) -> Any:
    task, dataset, request = _request(session, options)
    return session.fractal.plan(task, dataset, **request)


def _jobs(session: Session, options: Namespace) -> Any:
    return session.fractal.jobs.list(status=options.status, limit=options.limit)


def _status(session: Session, options: Namespace) -> Any:
    job = _job(session, options.job)
    return job.wait() if options.wait else job


def _logs(session: Session, options: Namespace) -> Any:
    from fractal_jupyter.display.log import log_text

    job = _job(session, options.job)
    unit = "" if options.unit is None else f", unit {options.unit}"
    return log_text(job.log(unit=options.unit), title=f"Log of job {job.id}{unit}")


def _cancel(session: Session, options: Namespace) -> Any:
    return _job(session, options.job).cancel()


def _retry(session: Session, options: Namespace) -> Any:
    job = _job(session, options.job).retry(meta=_meta(session, options))
    return job.wait() if options.wait else job


RUN: dict[str, Callable[[Session, Namespace], Any]] = {
    "resources": _resources,
    "profiles": _profiles,
    "use": _use,
    "check": _check,
    "collect": _collect,
    "collect-custom": _collect_custom,
    "task-groups": _task_groups,
    "deactivate": _deactivate,
    "reactivate": _reactivate,
    "delete": _delete,
    "export": _export,
    "clean": _clean,
    "activities": _activities,
    "tasks": _tasks,
    "update": _update,
    "datasets": _datasets,
    "submit": _submit,
    "plan": _plan,
    "jobs": _jobs,
    "status": _status,
    "logs": _logs,
    "cancel": _cancel,
    "retry": _retry,
}
"""What runs, by verb."""


# what words stand for


def _held(session: Session, word: str, *kinds: str) -> Any | None:
    """The variable that a word names, if it holds an object of the Python API of that kind."""
    name = word[1:] if word.startswith("$") else word
    name = name[1:-1] if name.startswith("{") and name.endswith("}") else name
    value = session.variables.get(name)
    own = type(value).__module__.startswith("fractal_jupyter.client")
    return value if own and type(value).__name__ in kinds else None


def _dataset(session: Session, word: str) -> Any:
    held = _held(session, word, "Dataset")
    return held if held is not None else session.fractal.datasets.get(session.text(word))


def _group(session: Session, options: Namespace) -> TaskGroup:
    held: TaskGroup | None = _held(session, options.group, "TaskGroup")
    if held is not None and options.version in (None, held.version):
        return held
    name = session.text(options.group) if held is None else held.package
    return session.fractal.task_groups.get(name, version=options.version)


def _only_group(session: Session, options: Namespace) -> TaskGroup:
    """The task group that is named; none is guessed, since something is done to it."""
    found = _group(session, options)
    if options.version is None and _held(session, options.group, "TaskGroup") is None:
        groups = session.fractal.task_groups.list()
        versions = {group.version: None for group in groups if group.package == found.package}
        if len(versions) > 1:
            raise Ambiguous(
                f"There are several versions of {found.package}: {', '.join(map(str, versions))}. "
                "Say which with --version, or give a variable that holds the task group."
            )
    return found


def _activity(session: Session, word: str) -> Activity:
    held: Activity | None = _held(session, word, "Activity")
    return held or session.fractal.activities.get(_number(session, word, "an activity"))


def _task(session: Session, word: str) -> Any:
    """A task or workflow: a variable with one, or its name; a task's name comes first."""
    held = _held(session, word, "Task", "Workflow")
    if held is not None:
        return held
    name = session.text(word)
    known = {task.name for task in session.fractal.tasks.list()}
    workflows = {workflow.name for workflow in session.fractal.workflows.list()}
    if name not in known and name in workflows:
        return session.fractal.workflows.get(name)
    return name


def _job(session: Session, word: str | None) -> Job:
    jobs = session.fractal.jobs
    if word is None:
        newest = jobs.list(limit=1)
        if not newest:
            raise NotFound("There are no jobs yet; %fractal submit makes one.")
        return newest[0]
    held: Job | None = _held(session, word, "Job")
    if held is not None:
        return held
    return jobs.get(_number(session, word, "a job"))


def _number(session: Session, word: str, noun: str) -> int:
    text = session.text(word)
    if not text.isdecimal():
        raise InvalidArguments(
            f"{text!r} is neither the number of {noun} nor a variable that holds one."
        )
    return int(text)


# what `submit` and `plan` are given


def _request(session: Session, options: Namespace) -> tuple[Any, Any, dict[str, Any]]:
    """The task, the dataset, and what else was said, by the names of the Python API."""
    value = {
        "args": _arguments(session, options.arguments),
        "meta": _meta(session, options),
        "version": options.version,
        "profile": options.profile,
        "first": options.first,
        "last": options.last,
        "type_filters": dict(_type_filter(word) for word in options.type),
        "attribute_filters": {
            name: [value_of(part, session.variables) for part in values.split(",")]
            for name, values in _pairs("--where", options.where)
        },
        "account": options.account,
        "worker_init": options.worker_init,
        "memory_limit": options.memory,
        "warm": False if options.cold else None,
        "rerun_interrupted": options.rerun_interrupted or None,
        "name": options.name,
    }
    given = {name: what for name, what in value.items() if what not in (None, {}, [])}
    return _task(session, options.task), _dataset(session, options.dataset), given


def _arguments(session: Session, words: list[str]) -> dict[str, Any]:
    """The arguments of a task, from the line and from the rest of the cell."""
    arguments = dict(session.body)
    for word in words:
        pair = assignment(word)
        if pair is None:
            raise InvalidArguments(
                f"{word!r} is not understood: arguments of a task are NAME=VALUE, without spaces "
                "around the equals sign; names with spaces need quotation marks."
            )
        name, value = pair
        if name in arguments:
            raise InvalidArguments(f"The argument {name!r} is given twice.")
        arguments[name] = value_of(value, session.variables)
    return arguments


def _pairs(option: str, words: list[str]) -> list[tuple[str, str]]:
    """The names and values of an option that is given as NAME=VALUE, perhaps several times."""
    pairs = [word.partition("=") for word in words]
    for name, equals, _ in pairs:
        if not name or not equals:
            raise InvalidArguments(f"{option} {name}: it must be {option} NAME=VALUE.")
    return [(name, value) for name, _, value in pairs]


def _pins(session: Session, option: str, words: list[str]) -> dict[str, str]:
    return {name: session.text(version) for name, version in _pairs(option, words)}


def _type_filter(word: str) -> tuple[str, bool]:
    name, _, value = word.partition("=")
    if value.lower() not in ("", "true", "false"):
        raise InvalidArguments(f"--type {word}: the value must be true or false.")
    return name, value.lower() != "false"


def _meta(session: Session, options: Namespace) -> dict[str, Any]:
    return {n: value_of(v, session.variables) for n, v in _pairs("--meta", options.meta)}
