"""The folders of jobs, once the jobs are over."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fractal_jupyter.hosts.base import Capability
from fractal_jupyter.models.profile import parse_profile
from fractal_jupyter.models.resource import parse_resource
from fractal_jupyter.runner.backend import Backend, make_backend
from fractal_jupyter.store.records import JobRecord

# A command line holds so many paths with ease.
PATHS_PER_COMMAND = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFolder:
    """The folder of a job: `size` is what it takes on the disk, in bytes."""

    job: int
    name: str
    status: str
    ended: float | None
    folder: str
    size: int


def backend_of(job: JobRecord) -> Backend:
    """The backend that a job was submitted to, as it was then."""
    return make_backend(
        parse_resource(job.request["resource"]), parse_profile(job.request["profile"])
    )


def remove_job_folder(job: JobRecord) -> None:
    """Remove the folder of a job, with its logs."""
    if job.folder:
        backend_of(job).host.remove(job.folder)


def job_folders(jobs: Iterable[JobRecord]) -> list[JobFolder]:
    """The folders of jobs that are there, and that their hosts can remove."""
    by_backend: dict[str, list[JobRecord]] = {}
    for job in jobs:
        if job.folder:
            where = json.dumps([job.request["resource"], job.request["profile"]], sort_keys=True)
            by_backend.setdefault(where, []).append(job)
    return [
        JobFolder(
            job=job.id,
            name=job.name,
            status=job.status,
            ended=job.ended,
            folder=str(job.folder),
            size=size,
        )
        for some in by_backend.values()
        for start in range(0, len(some), PATHS_PER_COMMAND)
        for job, size in _sizes(some[start : start + PATHS_PER_COMMAND])
    ]


def _sizes(jobs: Sequence[JobRecord]) -> list[tuple[JobRecord, int]]:
    """What the folders of jobs of one backend take; without those that are not there."""
    host = backend_of(jobs[0]).host
    if not {Capability.RUN_ANY, Capability.REMOVE} <= host.capabilities:
        return []
    told = host.run(["du", "-sk", "--", *(str(job.folder) for job in jobs)]).text
    sizes = {path: int(size) for size, _, path in (n.partition("\t") for n in told.splitlines())}
    return [(job, sizes[str(job.folder)] * 1024) for job in jobs if str(job.folder) in sizes]
