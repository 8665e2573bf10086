"""Made-up records to be shown: one function for each kind, with usual values."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from fractal_jupyter.display.activities import activities_page, activity_page
from fractal_jupyter.display.environments import job_environment_page
from fractal_jupyter.display.images import dataset_page, datasets_page, image_page, images_page
from fractal_jupyter.display.job import job_page, jobs_page, step_page, steps_page
from fractal_jupyter.display.log import log_page
from fractal_jupyter.display.overview import fractal_page
from fractal_jupyter.display.page import Page
from fractal_jupyter.display.resources import (
    checks_page,
    profiles_page,
    resource_page,
    resources_page,
)
from fractal_jupyter.display.snapshot import JobSnapshot
from fractal_jupyter.display.task_groups import task_group_page, task_groups_page, unused_page
from fractal_jupyter.display.tasks import (
    found_tasks_page,
    task_page,
    tasks_page,
)
from fractal_jupyter.display.units import unit_page, units_page
from fractal_jupyter.display.workflows import (
    plan_page,
    update_page,
    updates_page,
    workflow_page,
    workflows_page,
)
from fractal_jupyter.engine.updating import Change
from fractal_jupyter.environments.lock import Distribution, Lock, parse_lock
from fractal_jupyter.models.images import Image
from fractal_jupyter.models.problems import Problem
from fractal_jupyter.runner.activities.cleaning import Kind, Unused
from fractal_jupyter.runner.checks import Check
from fractal_jupyter.runner.updating import StepUpdate
from fractal_jupyter.store.records import (
    ActivityRecord,
    DatasetRecord,
    JobRecord,
    ProfileRecord,
    ResourceRecord,
    StepRecord,
    TaskGroupRecord,
    TaskRecord,
    UnitRecord,
    WorkflowRecord,
)

T0 = 1_900_000_000.0
HOSTILE = "<script>alert(\"x\")</script><img src=x onerror='alert(1)'>&amp;\x1b[2J\u202e\x00"


def make_job(**changes: Any) -> JobRecord:
    values: dict[str, Any] = {
        "id": 12,
        "owner": "me",
        "name": "Project and measure",
        "status": "running",
        "error": None,
        "waiting_for": None,
        "dataset_id": 1,
        "dataset_name": "plate",
        "resource_name": "Local resource",
        "profile_name": "Local profile",
        "request": {"zarr_dir": "/data/out"},
        "folder": "/data/jobs/12",
        "cancel_requested": False,
        "created": T0,
        "started": T0 + 1,
        "ended": None,
        "seconds_before": 0.0,
        "cleaned": None,
    }
    return JobRecord(**{**values, **changes})


def make_step(position: int = 0, **changes: Any) -> StepRecord:
    values: dict[str, Any] = {
        "job_id": 12,
        "position": position,
        "task_name": "Project Image",
        "package": "fractal-tasks-core",
        "version": "2.1.0",
        "environment": None,
        "request": {"entry": {"type": "parallel"}},
        "status": "pending",
        "error": None,
        "mode": None,
        "phases_planned": 0,
        "type_filter": None,
        "total": 0,
        "running": 0,
        "done": 0,
        "failed": 0,
        "cancelled": 0,
        "interrupted": 0,
        "started": None,
        "ended": None,
        "seconds_before": 0.0,
    }
    if changes.get("total"):
        values |= {"phases_planned": 1, "status": "running", "started": T0 + 1}
    return StepRecord(**{**values, **changes})


def make_unit(index: int = 0, **changes: Any) -> UnitRecord:
    values: dict[str, Any] = {
        "job_id": 12,
        "index": index,
        "step": 0,
        "phase": "parallel",
        "batch_id": 1,
        "zarr_url": f"/data/out/plate.zarr/B/{index // 10:02d}/{index % 10}",
        "args": {},
        "status": "done",
        "error": None,
        "problem": None,
        "exit_code": 0,
        "signal": None,
        "started": T0 + index,
        "ended": T0 + index + 1.25,
        "peak_memory": 180_000_000,
        "cpu_seconds": 1.1,
        "node": "node-1",
        "output": None,
        "merged": True,
        "log": None,
    }
    return UnitRecord(**{**values, **changes})


def failed_unit(index: int, error: str, **changes: Any) -> UnitRecord:
    return make_unit(index, **{"status": "failed", "error": error, "exit_code": 1, **changes})


def make_snapshot(
    steps: Sequence[StepRecord] = (),
    *,
    bad_units: Sequence[UnitRecord] = (),
    now: float = T0 + 30,
    **job: Any,
) -> JobSnapshot:
    return JobSnapshot(
        job=make_job(**job),
        steps=tuple(steps) or (make_step(total=200, done=83, running=2),),
        bad_units=tuple(bad_units),
        now=now,
    )


def make_images(count: int, *, zarr_dir: str = "/data/out") -> list[Image]:
    return [
        Image(
            zarr_url=f"{zarr_dir}/plate.zarr/{chr(65 + k // 12 % 8)}/{k % 12 + 1}/{k // 96}",
            origin=None,
            attributes={
                "plate": "plate.zarr",
                "well": f"{chr(65 + k // 12 % 8)}{k % 12 + 1:02d}",
                "acquisition": k // 96,
            },
            types={"is_3D": True},
        )
        for k in range(count)
    ]


def make_lock(*names: str) -> dict[str, Any]:
    distributions = tuple(
        Distribution(name=name, version="2.1.0", hashes=(), content=None, url=None, editable=False)
        for name in names
    )
    return Lock(python="3.12.1", platform="linux-x86_64", distributions=distributions).to_document()


def make_group(**changes: Any) -> TaskGroupRecord:
    values: dict[str, Any] = {
        "id": 1,
        "resource_id": 1,
        "package": "fractal-tasks-core",
        "version": "2.1.0",
        "origin": "pypi",
        "request": {},
        "folder": "/home/me/.local/share/jupyter/fractal/tasks/fractal-tasks-core/2.1.0-py3.12",
        "python_version": "3.12",
        "python": "/home/me/.local/share/jupyter/fractal/tasks/x/bin/python",
        "package_root": "/x",
        "lock": make_lock("numpy", "ngio"),
        "size_bytes": 1_420_000_000,
        "own_bytes": 20_000_000,
        "active": True,
        "created": T0,
        "last_used": None,
    }
    return TaskGroupRecord(**{**values, **changes})


def make_activity(**changes: Any) -> ActivityRecord:
    values: dict[str, Any] = {
        "id": 7,
        "task_group_id": None,
        "action": "collect",
        "subject": "fractal-tasks-core==2.1.0",
        "request": {},
        "place": None,
        "status": "failed",
        "cancel_requested": False,
        "error": None,
        "error_type": None,
        "log": "",
        "process": {},
        "result": None,
        "created": T0,
        "ended": T0 + 4.2,
    }
    return ActivityRecord(**{**values, **changes})


def make_unused(kind: Kind, text: str) -> Unused:
    return Unused(kind=kind, what=text, resource=text, folder=text, frees=123_000_000)


def make_task(name: str = "Project Image", *, group: int = 1, **entry: Any) -> TaskRecord:
    values: dict[str, Any] = {
        "name": name,
        "type": "parallel",
        "executable_parallel": "project.py",
        "category": "Image Processing",
        "modality": None,
        "tags": ["Preprocessing", "3D"],
        "input_types": {"is_3D": True},
        "output_types": {"is_3D": False},
        "docs_info": "### Purpose\n- **Projects** an image along `z`.\n",
        "docs_link": "https://example.org/docs",
        "meta_parallel": {"cpus_per_task": 1, "mem": 4000},
        "args_schema_parallel": {
            "$defs": {
                "Options": {
                    "type": "object",
                    "properties": {
                        "overwrite": {"type": "boolean", "default": False},
                        "channels": {"type": "array", "items": {"type": "string"}},
                    },
                }
            },
            "type": "object",
            "properties": {
                "zarr_url": {"type": "string"},
                "method": {
                    "enum": ["mip", "mean"],
                    "default": "mip",
                    "description": "How to project.",
                },
                "label": {"type": "string", "description": "Name of the label."},
                "options": {"$ref": "#/$defs/Options", "default": {"overwrite": False}},
            },
            "required": ["zarr_url", "label"],
        },
    }
    return TaskRecord(id=1, task_group_id=group, position=0, name=name, entry={**values, **entry})


def make_dataset(**changes: Any) -> DatasetRecord:
    values: dict[str, Any] = {
        "id": 1,
        "name": "plate",
        "zarr_dir": "/data/out",
        "project_dir": "/data",
        "revision": 0,
        "created": T0,
    }
    return DatasetRecord(**{**values, **changes})


def make_workflow(**changes: Any) -> WorkflowRecord:
    values: dict[str, Any] = {
        "id": 1,
        "name": "quick look",
        "steps": [
            {"task": "Project Image", "args": {"method": "mip"}, "type_filters": {"is_3D": True}},
            {
                "task": "Threshold Segmentation",
                "version": "2.1.0",
                "args_parallel": {"channel": {"mode": "label", "identifier": "DAPI"}},
                "meta": {"mem": 8000},
            },
        ],
        "created": T0,
    }
    return WorkflowRecord(**{**values, **changes})


def make_resource(**changes: Any) -> ResourceRecord:
    document = {
        "type": "local",
        "name": "Local resource",
        "jobs_local_dir": "/home/me/.local/share/jupyter/fractal/jobs",
        "jobs_runner_config": {"parallel_tasks_per_job": 4},
        "jobs_poll_interval": 1,
        "tasks_local_dir": "/home/me/.local/share/jupyter/fractal/tasks",
        "tasks_python_config": {
            "default_version": "3.12",
            "versions": {"3.11": "/usr/bin/python3.11", "3.12": "/usr/bin/python3.12"},
        },
        "tasks_pixi_config": {},
        "tasks_pip_cache_dir": None,
        **changes.pop("document", {}),
    }
    values: dict[str, Any] = {
        "id": 1,
        "name": document["name"],
        "document": document,
        "warm": True,
        "created": T0,
    }
    return ResourceRecord(**{**values, **changes})


def make_profile(**changes: Any) -> ProfileRecord:
    values: dict[str, Any] = {
        "id": 1,
        "name": "Local profile",
        "resource_id": 1,
        "document": {"name": "Local profile", "resource_type": "local"},
        "created": T0,
    }
    return ProfileRecord(**{**values, **changes})


def make_update(text: str) -> StepUpdate:
    """An update of a step whose task, versions, arguments and values are all the same text."""
    return StepUpdate(
        position=0,
        task=text,
        task_id=1,
        package=text,
        before=text,
        version=text,
        step={"task": text},
        changes=(Change(text, {text: True}, {}), Change("default of x", text, [text])),
        problems=(Problem(text, text, text),),
    )


def make_plan(text: str = "x") -> Any:
    phase = SimpleNamespace(
        name="parallel",
        command=("/env/bin/python", text),
        args={text: text},
        units=24,
        batches=(12, 12),
        side_by_side=2,
        script=f"#!/bin/sh\n#SBATCH --comment={text}\n",
    )
    late = SimpleNamespace(
        name="non_parallel",
        command=(text,),
        args={},
        units=None,
        batches=None,
        side_by_side=None,
        script=None,
    )
    steps = [
        SimpleNamespace(
            position=position,
            task=text,
            package=text,
            type_filter={text: True},
            images=images,
            phases=(late, phase) if position else (phase,),
        )
        for position, images in enumerate([("/data/a",) * 24, None, ()])
    ]
    return SimpleNamespace(name=text, dataset=text, resource=text, profile=text, steps=steps)


def every_page(text: str) -> dict[str, Page]:
    """All kinds of pages, with `text` wherever text comes from outside."""
    snapshot = make_snapshot(
        [
            make_step(task_name=text, package=text, version=text, mode=text, total=9, done=3),
            make_step(1, task_name=text, status="failed", error=text, failed=9, total=9),
            make_step(2, task_name=text),
        ],
        bad_units=[failed_unit(9, text, zarr_url=text, problem=text), failed_unit(10, "other")],
        name=text,
        status="failed",
        error=f"all of {text} is lost",
        dataset_name=text,
        resource_name=text,
        profile_name=text,
    )
    lock = parse_lock(make_lock("numpy", "ngio"))
    asked = {"entry": {"type": "parallel"}, "args_parallel": {text: [text]}}
    waiting = make_job(status="submitted", waiting_for=text, name=text, dataset_name=text)
    group = make_group(package=text, version=text, folder=text, origin=text, active=False)
    schema = {
        "properties": {text: {"type": "string", "default": text, "description": text}},
        "required": [text],
    }
    task = make_task(
        text,
        category=text,
        modality=text,
        tags=[text],
        input_types={text: True},
        docs_info=f"# {text}\n- {text}\n{text}",
        docs_link=text,
        args_schema_parallel=schema,
        meta_parallel={text: text},
    )
    images = [
        Image(zarr_url=text, origin="/o", attributes={text: text}, types={text: True}),
        Image(zarr_url="/b", origin=text, attributes={}, types={}),
    ]
    document = {"name": text, "host": text, text: {text: [text]}, "jobs_local_dir": text}
    resource = make_resource(document=document)
    profile = make_profile(
        name=text,
        document={"name": text, "resource_type": text, "username": text, "jobs_remote_dir": text},
    )
    workflow = make_workflow(name=text, steps=[{"task": text, "package": text, "args": {text: 1}}])
    dataset = make_dataset(name=text, zarr_dir=text, project_dir=f"{text}/p")
    units = [*snapshot.bad_units, make_unit(3, node=text), make_unit(4, zarr_url=None)]
    cut_off = (
        f"The unit was running when {text}; {text}; its output ends with: {text}. "
        "What it had done until then is not known."
    )
    running = make_snapshot(bad_units=[failed_unit(9, cut_off)], waiting_for=text)
    return {
        "job": job_page(snapshot),
        "waiting": job_page(make_snapshot([], status="submitted", waiting_for=text)),
        "running": job_page(running),
        "jobs": jobs_page([snapshot.job, waiting], {12: snapshot.steps}),
        "steps": steps_page(snapshot.steps),
        "step": step_page(make_step(task_name=text, error=text, mode=text, request=asked)),
        "units": units_page(units),
        "unit": unit_page(failed_unit(9, text, zarr_url=text, args={text: text}, output=[text])),
        "image": image_page(images[1]),
        "environment": job_environment_page(
            package=text, version=text, origin=text, lock=lock, source={"commit": text}
        ),
        "fractal": fractal_page(
            url=text, profile=text, profiles=[text], counts={"datasets": 3}, jobs={"done": 2}
        ),
        "images": images_page(images, total=5_000, dataset=text, zarr_dir=text),
        "dataset": dataset_page(dataset, images, total=2),
        "datasets": datasets_page([(dataset, 5)]),
        "tasks": tasks_page([task, make_task(group=2)], {1: group, 2: make_group(id=2)}),
        "task": task_page(task, group, versions=[text, "1"]),
        "found": found_tasks_page([task], {1: group}),
        "task group": task_group_page(group, [task]),
        "task groups": task_groups_page([group]),
        "unused": unused_page(
            [make_unused("task group", text), make_unused("unknown", text)], saved=1, removed=False
        ),
        "activity": activity_page(make_activity(subject=text, log=f"{text}\n", error=text)),
        "activities": activities_page([make_activity(subject=text, error=text)]),
        "resource": resource_page(resource),
        "resources": resources_page([resource]),
        "profiles": profiles_page([profile], {1: resource}),
        "checks": checks_page([Check(text, False, text, text), Check("x", True, text)]),
        "workflow": workflow_page(workflow),
        "workflows": workflows_page([workflow]),
        "update": update_page(make_update(text)),
        "updates": updates_page([make_update(text)]),
        "plan": plan_page(make_plan(text)),
        "log": log_page(text, title=text),
    }
