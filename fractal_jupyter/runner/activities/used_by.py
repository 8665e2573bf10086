"""What uses a task group: workflows, and other task groups in the same environment."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from fractal_jupyter.store.records import TaskGroupRecord
from fractal_jupyter.store.store import Store


def workflows_using(
    store: Store, group: TaskGroupRecord, *, besides: Collection[int] = ()
) -> list[str]:
    """The names of workflows with a step that no other task group could run in its place.

    Another one of the same resource, that is active and as the step wants it, could; not so when
    the step names this one.

    Args:
        store: Where they are.
        group: The task group.
        besides: The ids of others that do not count, because they are to go, too.
    """
    workflows = store.workflows.all()
    if not workflows:
        return []
    groups = [each for each in store.task_groups.all() if each.resource_id == group.resource_id]
    names: dict[int, set[str]] = {}
    for task in store.task_groups.tasks():
        names.setdefault(task.task_group_id, set()).add(task.name)

    def fits(step: Mapping[str, Any], candidate: TaskGroupRecord) -> bool:
        return (
            step["task"] in names.get(candidate.id, ())
            and step.get("package") in (None, candidate.package)
            and step.get("version") in (None, candidate.version)
        )

    def could_take_over(other: TaskGroupRecord) -> bool:
        return (
            other.id not in (group.id, *besides)
            and other.active
            and other.request.get("tasks_remote_dir") == group.request.get("tasks_remote_dir")
        )

    def is_needed(step: Mapping[str, Any]) -> bool:
        fitting = {each.id: each for each in groups if fits(step, each)}
        if group.id not in fitting:
            return False
        if step.get("task_group") in fitting:
            return bool(step["task_group"] == group.id)
        return not any(map(could_take_over, fitting.values()))

    return [workflow.name for workflow in workflows if any(map(is_needed, workflow.steps))]


def used_in_words(group: TaskGroupRecord, workflows: Sequence[str]) -> str:
    """That workflows use a task group, by their names."""
    return (
        f"The task group {group.package} {group.version} is used by the workflow"
        f"{'s' if len(workflows) > 1 else ''} {', '.join(map(repr, workflows))}."
    )


def others_in(store: Store, group: TaskGroupRecord) -> list[TaskGroupRecord]:
    """Other active task groups that run in the environment of this one.

    Two resources may have one folder of environments, and an environment of ours may have been
    named to `collect_custom`.
    """
    hosts = {record.id: record.document.get("host") for record in store.resources.all()}
    return [
        other
        for other in store.task_groups.all()
        if other.id != group.id
        and other.active
        and hosts[other.resource_id] == hosts[group.resource_id]
        and (other.python or "").startswith(f"{group.folder}/")
    ]
