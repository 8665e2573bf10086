"""Steps of workflows and the versions of their tasks that are collected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from fractal_jupyter.engine.updating import (
    Change,
    NewValues,
    step_problems,
    task_changes,
    updated_step,
    version_order,
)
from fractal_jupyter.errors import (
    Ambiguous,
    FractalError,
    InvalidArguments,
    NotAllowed,
    NotFound,
)
from fractal_jupyter.models.manifest import TaskEntry
from fractal_jupyter.models.problems import Problem, listing
from fractal_jupyter.models.profile import parse_profile
from fractal_jupyter.models.workflow import parse_step
from fractal_jupyter.store.documents import not_found
from fractal_jupyter.store.records import (
    ProfileRecord,
    TaskGroupRecord,
    TaskRecord,
    WorkflowRecord,
)
from fractal_jupyter.store.store import Store

JsonObject = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepUpdate:
    """What updating a step to another version of its task would mean.

    Attributes:
        position: The step's place in the workflow, from 0.
        task: Name of the task.
        task_id: The id of the task in that version.
        package: Its package.
        before: The version that the step has; None where it does not say one.
        version: The version that it would have.
        step: The step as it would be.
        changes: What the task does differently, as far as both versions are known.
        problems: What no longer fits; as long as there are any, nothing is changed.
    """

    position: int
    task: str
    task_id: int
    package: str
    before: str | None
    version: str
    step: JsonObject
    changes: tuple[Change, ...]
    problems: tuple[Problem, ...]

    @property
    def fits(self) -> bool:
        """Whether the step can be updated as it is."""
        return not self.problems


@dataclass(frozen=True, slots=True)
class _Collected:
    """A task in one version, and its task group."""

    record: TaskRecord
    group: TaskGroupRecord

    @property
    def entry(self) -> TaskEntry:
        return TaskEntry.model_validate(self.record.entry)


class Versions:
    """The versions of tasks that are in a store, as they are now.

    Args:
        store: The store.
        profile: Whose resource steps are to be run on; None for all that is collected.
    """

    def __init__(self, store: Store, *, profile: ProfileRecord | None = None) -> None:
        self._groups = {group.id: group for group in store.task_groups.all()}
        self._tasks = [
            _Collected(record, self._groups[record.task_group_id])
            for record in store.task_groups.tasks()
            if record.task_group_id in self._groups
        ]
        self._usable = {
            key
            for key, group in self._groups.items()
            if group.active and (profile is None or _is_for(group, profile))
        }

    def newer(self, position: int, step: Mapping[str, Any]) -> StepUpdate | None:
        """What updating a step to the newest version would mean; None if it has that."""
        newest = self._newest(step)
        version = None if newest is None else newest.group.version
        if newest is None or version is None:
            return None
        before = step.get("version")
        if before is None and self._only(step) is not None:
            return None
        if before is not None and version_order(version) <= version_order(before):
            return None
        return self._update(position, step, newest, NewValues())

    def plan(
        self, position: int, step: Mapping[str, Any], *, version: str | None, new: NewValues
    ) -> StepUpdate:
        """What updating a step would mean.

        Args:
            position: Its place in the workflow.
            step: The step, as it was given.
            version: The version; None for the newest one.
            new: What the step is to have from now on.

        Raises:
            NotFound: No such version is collected, or the task is not in it.
            NotAllowed: That version is deactivated.
            Ambiguous: Several packages have a task of that name.
        """
        found = self._newest(step) if version is None else self._in_version(step, version)
        if found is None:
            raise self._missing(step, version)
        return self._update(position, step, found, new)

    def _update(
        self, position: int, step: Mapping[str, Any], found: _Collected, new: NewValues
    ) -> StepUpdate:
        entry, version = found.entry, found.group.version or ""
        old = self._only(step) if step.get("version") is None else self._of_step(step)
        before = None if old is None else old.entry
        made = updated_step(step, entry, version=version, new=new)
        return StepUpdate(
            position=position,
            task=entry.name,
            task_id=found.record.id,
            package=found.group.package,
            before=step.get("version"),
            version=version,
            step=made,
            changes=() if before is None else tuple(task_changes(made, before, entry)),
            problems=tuple(step_problems(made, entry, before=before)),
        )

    def _all(self, step: Mapping[str, Any]) -> list[_Collected]:
        """The task of a step in all versions that can be run; of one package."""
        package = step.get("package")
        found = [
            task
            for task in self._tasks
            if task.record.name == step["task"]
            and package in (None, task.group.package)
            and task.group.id in self._usable
        ]
        packages = sorted({task.group.package for task in found})
        if len(packages) > 1:
            raise Ambiguous(
                f"Several packages have a task {step['task']!r}: {', '.join(packages)}. "
                'Say which in the step: "package".'
            )
        return found

    def _newest(self, step: Mapping[str, Any]) -> _Collected | None:
        """The newest version; of one that is there twice, what was collected last."""
        found = [task for task in self._all(step) if task.group.version is not None]
        return max(
            found,
            key=lambda task: (version_order(task.group.version), task.group.id),
            default=None,
        )

    def _in_version(self, step: Mapping[str, Any], version: str) -> _Collected | None:
        found = [task for task in self._all(step) if task.group.version == version]
        return found[-1] if found else None

    def _only(self, step: Mapping[str, Any]) -> _Collected | None:
        """The task of a step that says no version, if there is only one."""
        found = self._all(step)
        return found[-1] if len({task.group.version for task in found}) == 1 else None

    def _of_step(self, step: Mapping[str, Any]) -> _Collected | None:
        """The task in the version that a step has, even if it cannot be run any more."""
        found = [
            task
            for task in self._tasks
            if task.record.name == step["task"]
            and task.group.version == step.get("version")
            and step.get("package") in (None, task.group.package)
        ]
        return found[-1] if found else None

    def _missing(self, step: Mapping[str, Any], version: str | None) -> FractalError:
        """The error for a version that is not there."""
        name, found = str(step["task"]), self._all(step)
        known = self._of_step({**step, "version": version})
        if known is not None and not known.group.active:
            return _deactivated(known.group)
        usable = [task for task in self._tasks if task.group.id in self._usable]
        package = step.get("package") or (found[-1].group.package if found else None)
        beside = [
            task.record.name
            for task in usable
            if (task.group.package, task.group.version) == (package, version)
        ]
        if beside:
            return not_found(f"task of {package} {version}", name, set(beside))
        if not found:
            return not_found("collected task", name, {task.record.name for task in usable})
        versions = {str(task.group.version) for task in found}
        return not_found(f"collected version of {package}", version, versions)


def _deactivated(group: TaskGroupRecord) -> NotAllowed:
    return NotAllowed(
        f"{group.package} {group.version} is deactivated, so no step can be updated to it: build "
        f"its environment again first, fractal.task_groups.get({group.package!r}, "
        f"version={group.version!r}).reactivate()."
    )


def _is_for(group: TaskGroupRecord, profile: ProfileRecord) -> bool:
    """Whether tasks of a group can be run with a profile."""
    folder = parse_profile(profile.document).tasks_remote_dir
    built_in = group.request.get("tasks_remote_dir")
    return group.resource_id == profile.resource_id and built_in in (None, folder)


def find_updates(
    store: Store, steps: Sequence[Mapping[str, Any]], *, profile: ProfileRecord | None = None
) -> list[StepUpdate]:
    """Return the steps that a newer version of their task is collected for.

    Args:
        store: The store.
        steps: The steps of a workflow, as they were given.
        profile: Whose resource they are to be run on; None for all that is collected.
    """
    versions = Versions(store, profile=profile)
    updates = []
    for position, step in enumerate(steps):
        try:
            update = versions.newer(position, step)
        except Ambiguous:
            continue  # submitting says so
        if update is not None:
            updates.append(update)
    return updates


def plan_update(
    store: Store,
    workflow: WorkflowRecord,
    step: int | str,
    *,
    version: str | None = None,
    new: NewValues | None = None,
) -> StepUpdate:
    """Return what updating a step to another version of its task would mean; changes nothing.

    Args:
        store: The store.
        workflow: The workflow, as it is known here.
        step: Position of the step from 0, or the name of its task.
        version: The version; None for the newest one that is collected.
        new: What the step is to have from now on.

    Raises:
        NotFound: There is no such step, or no such version is collected.
        NotAllowed: That version is deactivated.
        Ambiguous: Several steps have that task, or several packages a task of that name.
        InvalidDocument: New values are no JSON, or no type filters.
    """
    position = step_position(workflow, step)
    known = workflow.steps[position]
    values = _plain(known, new or NewValues())
    return Versions(store).plan(position, known, version=version, new=values)


def update_step(
    store: Store,
    workflow: WorkflowRecord,
    step: int | str,
    *,
    version: str | None = None,
    new: NewValues | None = None,
) -> WorkflowRecord:
    """Update a step to another version of its task, its arguments with it; see `plan_update`.

    What others change in the meantime in other steps stays.

    Raises:
        InvalidArguments: Arguments or type filters do not fit; lists them, and changes nothing.
        NotAllowed: Somebody else has changed the step since the workflow was read.
    """
    update = plan_update(store, workflow, step, version=version, new=new)
    if update.problems:
        raise InvalidArguments(_refusal(workflow.name, update), problems=update.problems)
    known = workflow.steps[update.position]

    def with_update(steps: list[JsonObject]) -> list[JsonObject]:
        if update.position >= len(steps) or steps[update.position] != known:
            raise changed_meanwhile(workflow.name, update.position)
        return [*steps[: update.position], update.step, *steps[update.position + 1 :]]

    return store.workflows.change(workflow.id, with_update)


def changed_meanwhile(workflow: str, position: int) -> NotAllowed:
    """The error for a step that is not what it was when the workflow was read."""
    return NotAllowed(
        f"Somebody else has changed step {position} of the workflow {workflow!r} in the meantime, "
        f"so it was not updated. Look at it again: fractal.workflows.get({workflow!r})."
    )


def steps_in_words(count: int) -> str:
    """How many steps there are, and their positions."""
    return "one step, step 0" if count == 1 else f"{count} steps, 0 to {count - 1}"


def step_position(workflow: WorkflowRecord, step: int | str) -> int:
    """The position of a step, by its position or by the name of its task."""
    count = len(workflow.steps)
    if isinstance(step, int):
        if 0 <= step < count:
            return step
        have = steps_in_words(count)
        raise NotFound(f"The workflow {workflow.name!r} has no step {step}; it has {have}.")
    places = [place for place, one in enumerate(workflow.steps) if one["task"] == step]
    if not places:
        tasks = {str(one["task"]) for one in workflow.steps}
        raise not_found(f"task of the workflow {workflow.name!r}", step, tasks)
    if len(places) > 1:
        raise Ambiguous(
            f"Several steps of the workflow {workflow.name!r} have the task {step!r}: "
            f"{', '.join(map(str, places))}. Say which by its number."
        )
    return places[0]


def _plain(step: Mapping[str, Any], new: NewValues) -> NewValues:
    """New values as plain JSON, checked as those of any step; raises `InvalidDocument`."""
    given = {name: value for name, value in asdict(new).items() if value is not None}
    checked = parse_step({"task": step["task"], **given})
    return NewValues(**{name: getattr(checked, name) for name in given})


def _refusal(workflow: str, update: StepUpdate) -> str:
    return (
        f"Step {update.position} of the workflow {workflow!r} does not fit {update.task!r} of "
        f"{update.package} {update.version}, and nothing was changed:\n"
        f"{listing(update.problems)}\n"
        "Give what fits in the same call: args={…}, or args_parallel=, args_non_parallel= and "
        "type_filters=. It replaces what the step has."
    )
