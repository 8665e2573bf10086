"""What uses a task group: workflows, and other task groups in the same environment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fractal_jupyter.store.records import TaskGroupRecord
from fractal_jupyter.store.store import Store


def workflows_using(store: Store, group: TaskGroupRecord) -> list[str]:
    """The names of workflows with a step that no other task group could run in its place.

    Another one of the same resource, that is active and as the step wants it, could.
    """
    workflows = store.workflows.all()
    if not workflows:
        return []
    others = {
        other.id: other
        for other in store.task_groups.all()
        if other.id != group.id
        and other.active
        and other.resource_id == group.resource_id
        and other.request.get("tasks_remote_dir") == group.request.get("tasks_remote_dir")
    }
    names: dict[int, set[str]] = {}
    for task in store.task_groups.tasks():
        names.setdefault(task.task_group_id, set()).add(task.name)

    def could_run(step: Mapping[str, Any], candidate: TaskGroupRecord) -> bool:
        return (
            step["task"] in names.get(candidate.id, ())
            and step.get("package") in (None, candidate.package)
            and step.get("version") in (None, candidate.version)
        )

    return [
        workflow.name
        for workflow in workflows
        if any(
            could_run(step, group) and not any(could_run(step, other) for other in others.values())
            for step in workflow.steps
        )
    ]


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
