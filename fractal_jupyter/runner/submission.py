"""From what a user asks for to a job in the store: everything is checked before anything starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from pydantic import ValidationError

from fractal_jupyter.engine.arguments import route_arguments, validate_arguments
from fractal_jupyter.engine.filters import (
    parse_attribute_filters,
    parse_type_filters,
    select,
    select_inputs,
    step_type_filter,
)
from fractal_jupyter.environment import job_environment
from fractal_jupyter.errors import (
    FractalError,
    InvalidArguments,
    InvalidDocument,
    NotAllowed,
)
from fractal_jupyter.models.documents import problems_in
from fractal_jupyter.models.images import Scalar
from fractal_jupyter.models.manifest import TaskEntry
from fractal_jupyter.models.problems import listing
from fractal_jupyter.models.profile import parse_profile
from fractal_jupyter.models.resource import LocalResource, Resource, parse_resource
from fractal_jupyter.models.types import parse_memory_mb
from fractal_jupyter.models.workflow import Step, StepMeta, parse_step
from fractal_jupyter.runner.backend import Backend, make_backend
from fractal_jupyter.runner.folders import backend_of
from fractal_jupyter.runner.launch import wake_supervisor
from fractal_jupyter.runner.paths import job_folder_name
from fractal_jupyter.runner.refreshing import Refreshed, refresh
from fractal_jupyter.runner.resolving import Tasks, check_environments
from fractal_jupyter.runner.usable import check_backend, usable_resource
from fractal_jupyter.runner.users import current_user
from fractal_jupyter.schedulers.base import Submission
from fractal_jupyter.store.records import (
    DatasetRecord,
    JobRecord,
    ProfileRecord,
    StepRecord,
)
from fractal_jupyter.store.store import Store

CACHE_VARIABLE = "FRACTAL_CACHE_DIR"
CACHE_FOLDER = ".fractal_cache"
# Below a dataset's project_dir, where jobs of another user keep their files.
PROJECT_FOLDER = ".fractal"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRequest:
    """What a user asks for.

    Attributes:
        name: What the job is called in lists.
        steps: The steps of the workflow, all of them.
        dataset: What they work on.
        profile: As whom, and with it where, they run.
        first: Position of the first step to run.
        last: Position of the last step to run; None for the last of the workflow.
        type_filters: What types the images of the first step must have.
        attribute_filters: Allowed values, by attribute, for the images of every step.
        account: SLURM account that is charged; none on this machine.
        worker_init: Shell lines that run on a compute node before the worker; none on this machine.
        memory_limit: Most memory that a unit may use, such as `"2G"` (local resources).
        warm: Whether units may be forked from a process that has done the imports.
        rerun_interrupted: Whether units that were cut off are run again by themselves.
    """

    name: str
    steps: Sequence[Step]
    dataset: DatasetRecord
    profile: ProfileRecord
    first: int = 0
    last: int | None = None
    type_filters: Mapping[str, bool] = field(default_factory=dict)
    attribute_filters: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    account: str | None = None
    worker_init: str | None = None
    memory_limit: str | int | None = None
    warm: bool = True
    rerun_interrupted: bool = False


@dataclass(frozen=True, slots=True)
class PreparedJob:
    """Rows for the store, where the job would run, and in what, by the position of the step."""

    job: dict[str, Any]
    steps: list[dict[str, Any]]
    backend: Backend
    environments: Mapping[int, Mapping[str, Any]]


def submit(store: Store, request: JobRequest) -> JobRecord:
    """Check a request, store it as a job, and see that somebody drives it."""
    prepared = prepare(store, request)
    prepared.backend.check_access()
    digests = {
        position: store.environments.remember(document)
        for position, document in prepared.environments.items()
    }
    steps = [{**step, "environment": digests[step["position"]]} for step in prepared.steps]
    job = store.jobs.add(prepared.job, steps)
    wake_supervisor(store)
    return job


def retry(store: Store, key: int, *, meta: Mapping[str, Any]) -> JobRecord:
    """Submit again what of a job did not succeed, perhaps with more than its units had before.

    Raises:
        NotAllowed: The job is not over, what it ran in is not there any more, or resources of its
            type may not be used.
        FractalError: What is asked for cannot be had, or a source folder cannot be used as it is.
    """
    job = store.jobs.get(key)
    check_backend(parse_resource(job.request["resource"]))
    # any task will do: a job may be called what no task may
    changed = parse_step({"task": "any", "meta": dict(meta)}).meta
    left = [step for step in store.jobs.steps(key) if step.status != "done"]
    if changed:
        backend = backend_of(job)
        for step in left:
            entry = TaskEntry.model_validate(step.request["entry"])
            parts = ("meta_non_parallel", "meta_parallel")
            metas = {part: {**step.request[part], **changed} for part in parts}
            _check_needs(backend, entry, metas, job.request)
    found = {step.position: _refreshed_again(store, job, step) for step in left}
    record = store.jobs.request_retry(
        key,
        meta=changed,
        task_groups={position: each.group.id for position, each in found.items()},
        environments={
            position: store.environments.remember(_environment(each))
            for position, each in found.items()
        },
    )
    wake_supervisor(store)
    return record


def _refreshed_again(store: Store, job: JobRecord, step: StepRecord) -> Refreshed:
    """The task group that a step of a job ran in, as it is now; it may have been built again."""
    place = (step.request["python"], step.request["package_root"])
    for group in store.task_groups.all():
        if group.active and (group.python, group.package_root) == place:
            return refresh(
                store,
                group,
                resource=parse_resource(job.request["resource"]),
                profile=parse_profile(job.request["profile"]),
            )
    raise NotAllowed(
        f"Step {step.position} of job {job.id} ran in the environment of {step.package} "
        f"{step.version}, {step.request['python']}, which is not there any more: it was "
        "deactivated or deleted. Reactivate it, or collect it again, and then retry."
    )


def prepare(store: Store, request: JobRequest) -> PreparedJob:
    """Check everything that can be checked before a job starts; see `JobRequest`.

    Raises:
        FractalError: With what is wrong and what to do about it.
    """
    resource_record = store.resources.by_id(request.profile.resource_id)
    resource = usable_resource(resource_record)
    if resource.prevent_new_submissions:
        raise NotAllowed(
            f"The resource {resource.name!r} takes no new jobs (prevent_new_submissions); "
            "choose a profile of another one, or ask who runs it."
        )
    if isinstance(resource, LocalResource):
        _check_local(resource, request)
    backend = make_backend(resource, parse_profile(request.profile.document))
    jobs_dir = _jobs_dir(backend, request.dataset)
    type_filters = parse_type_filters(request.type_filters)
    attribute_filters = parse_attribute_filters(request.attribute_filters)
    last = _last(request)
    tasks = Tasks(store, resource_record, request.profile)
    steps = [
        _prepare_step(tasks, backend, request, position)
        for position in range(request.first, last + 1)
    ]
    used = {step["position"]: tasks.refreshed[step["request"]["task_group_id"]] for step in steps}
    groups = {each.group.id: each.group for each in used.values()}
    check_environments(groups.values(), backend.host, request.profile.name)
    _check_first_images(
        store,
        request.dataset,
        steps[0],
        type_filters=type_filters,
        attribute_filters=attribute_filters,
    )
    return PreparedJob(
        job={
            "owner": current_user(),
            "name": request.name,
            "dataset_id": request.dataset.id,
            "dataset_name": request.dataset.name,
            "resource_name": resource_record.name,
            "profile_name": request.profile.name,
            "folder": str(PurePosixPath(jobs_dir) / job_folder_name(request.name)),
            "request": {
                "resource": resource_record.document,
                "profile": request.profile.document,
                "zarr_dir": request.dataset.zarr_dir,
                "type_filters": type_filters,
                "attribute_filters": attribute_filters,
                "account": request.account,
                "worker_init": request.worker_init,
                "memory_limit": _memory_bytes(request.memory_limit),
                "warm": request.warm,
                "resource_warm": resource_record.warm,
                "rerun_interrupted": request.rerun_interrupted,
                "environment": task_environment(request.dataset, resource),
            },
        },
        steps=steps,
        backend=backend,
        environments={position: _environment(each) for position, each in used.items()},
    )


def _check_local(resource: LocalResource, request: JobRequest) -> None:
    """Raise `InvalidArguments` for what only a cluster does."""
    where = f"and {resource.name!r} is this machine, without SLURM"
    if request.account:
        raise InvalidArguments(f"account={request.account!r} is for SLURM, {where}. Leave it out.")
    if request.worker_init:
        raise InvalidArguments(
            f"worker_init={request.worker_init!r} is for the shell of a SLURM job, {where}. Leave "
            "it out, and tell the task in its arguments what it has to know: of variables it sees "
            "a few of this notebook's, and no others."
        )


def _environment(refreshed: Refreshed) -> dict[str, Any]:
    """What a step runs in, for the record of the job."""
    group = refreshed.group
    return {
        "package": group.package,
        "version": group.version,
        "origin": group.origin,
        "lock": group.lock,
        "source": refreshed.source,
    }


def task_environment(dataset: DatasetRecord, resource: Resource) -> dict[str, str]:
    """The environment of a job's units, fixed at submission.

    On a cluster, it is laid over that of the SLURM job.
    """
    cache = PurePosixPath(dataset.project_dir) / CACHE_FOLDER
    ours = {CACHE_VARIABLE: str(cache)}
    if isinstance(resource, LocalResource):
        return {**job_environment(), **ours}
    exports = resource.jobs_runner_config.user_local_exports
    return {**{name: str(cache / path) for name, path in exports.items()}, **ours}


def _jobs_dir(backend: Backend, dataset: DatasetRecord) -> str:
    """Below what folder that of the job is, as the compute side sees it."""
    if backend.jobs_dir is not None:
        return backend.jobs_dir
    if not dataset.project_dir.startswith("/"):
        raise NotAllowed(
            f"Jobs of another user keep their files below the dataset's project_dir, and that of "
            f"{dataset.name!r} is {dataset.project_dir}, which is no folder. Make a dataset with "
            "a project_dir on the cluster's file system."
        )
    if "\\" in dataset.project_dir:
        raise NotAllowed(
            f"The project_dir of the dataset {dataset.name!r}, {dataset.project_dir}, has a "
            "backslash, which SLURM drops from the names of files. Make a dataset with another one."
        )
    return f"{dataset.project_dir}/{PROJECT_FOLDER}"


def _last(request: JobRequest) -> int:
    count = len(request.steps)
    last = count - 1 if request.last is None else request.last
    if not isinstance(request.first, int) or not isinstance(last, int):
        raise InvalidArguments("first= and last= are positions of steps: numbers, counted from 0.")
    if not 0 <= request.first <= last < count:
        raise NotAllowed(
            f"Steps {request.first} to {last} cannot be run: the workflow has "
            + (f"{count} steps, 0 to {count - 1}, " if count > 1 else "one step, step 0, ")
            + "and first= must not be after last=."
        )
    return last


def _prepare_step(
    tasks: Tasks,
    backend: Backend,
    request: JobRequest,
    position: int,
) -> dict[str, Any]:
    step = request.steps[position]
    try:
        task, group = tasks.resolve(step)
        entry = TaskEntry.model_validate(task.entry)
        non_parallel, parallel = route_arguments(
            entry,
            args=step.args,
            args_non_parallel=step.args_non_parallel,
            args_parallel=step.args_parallel,
        )
        validate_arguments(entry, non_parallel, parallel)
        step_type_filter(running={}, input_types=entry.input_types, step_filters=step.type_filters)
        metas = {
            "meta_non_parallel": _meta(entry.meta_non_parallel, step.meta, step.meta_non_parallel),
            "meta_parallel": _meta(entry.meta_parallel, step.meta, step.meta_parallel),
        }
        submission = {"account": request.account, "worker_init": request.worker_init}
        _check_needs(backend, entry, metas, submission)
    except FractalError as error:
        if len(request.steps) == 1:
            raise
        raise type(error)(f"Step {position} ({step.task}): {error}") from error
    return {
        "position": position,
        "task_name": task.name,
        "package": group.package,
        "version": group.version,
        "request": {
            "entry": _without_schemas(task.entry),
            "task_group_id": group.id,
            "python": group.python,
            "package_root": group.package_root,
            "args_non_parallel": non_parallel,
            "args_parallel": parallel,
            **metas,
            "type_filters": dict(step.type_filters),
            "warm": step.warm,
        },
    }


def _check_needs(
    backend: Backend,
    entry: TaskEntry,
    metas: Mapping[str, Mapping[str, Any]],
    submission: Mapping[str, Any],
) -> None:
    """Raise when no batch could hold a unit, or when the scheduler could not be told so."""
    parts = {"non_parallel": entry.has_non_parallel, "parallel": entry.has_parallel}
    for part, is_there in parts.items():
        if is_there:
            layout = backend.lay_out(1, metas[f"meta_{part}"], submission)
            backend.scheduler.preview(
                Submission(name="fractal", folder="/jobs", batches={0: {}}, needs=layout.needs)
            )


def _meta(*layers: Mapping[str, Any] | None) -> dict[str, Any]:
    """Overlay what the manifest says, what the step says of both parts, and of this one.

    A manifest's meta may have fields that mean nothing here; those that do must be right.
    """
    merged = {name: value for layer in layers for name, value in (layer or {}).items()}
    known = {name: value for name, value in merged.items() if name in StepMeta.model_fields}
    try:
        return StepMeta.model_validate(known).model_dump(exclude_unset=True)
    except ValidationError as error:
        problems = problems_in(error, StepMeta)
        raise InvalidDocument(f"The meta of the step is wrong:\n{listing(problems)}") from error


def _without_schemas(entry: Mapping[str, Any]) -> dict[str, Any]:
    """A manifest's entry without what only forms and validation need."""
    left_out = ("args_schema_non_parallel", "args_schema_parallel", "docs_info")
    return {name: value for name, value in entry.items() if name not in left_out}


def _check_first_images(
    store: Store,
    dataset: DatasetRecord,
    step: Mapping[str, Any],
    *,
    type_filters: Mapping[str, bool],
    attribute_filters: Mapping[str, Sequence[Scalar]],
) -> None:
    """Raise `ImageListError` when the first step has nothing to work on."""
    entry = TaskEntry.model_validate(step["request"]["entry"])
    type_filter = step_type_filter(
        running=type_filters,
        input_types=entry.input_types,
        step_filters=step["request"]["type_filters"],
    )
    if entry.is_converter:
        return
    # One is enough; to read a hundred thousand takes seconds, which only an error is worth.
    some, _ = store.datasets.image_page(
        dataset.id, type_filters=type_filter, attribute_filters=attribute_filters, limit=1
    )
    if select(some, type_filter=type_filter, attribute_filters=attribute_filters):
        return
    select_inputs(
        store.datasets.images(dataset.id),
        task_name=entry.name,
        task_type=entry.type,
        type_filter=type_filter,
        attribute_filters=attribute_filters,
    )


def _memory_bytes(limit: str | int | None) -> int | None:
    if limit is None:
        return None
    try:
        return parse_memory_mb(limit) * 1_000_000
    except ValueError as error:
        raise InvalidArguments(f"memory_limit={limit!r}: {error}") from error
