"""The folders of jobs, once the jobs are over."""

from __future__ import annotations

from fractal_jupyter.models.profile import parse_profile
from fractal_jupyter.models.resource import parse_resource
from fractal_jupyter.runner.backend import Backend, make_backend
from fractal_jupyter.store.records import JobRecord


def backend_of(job: JobRecord) -> Backend:
    """The backend that a job was submitted to, as it was then."""
    return make_backend(
        parse_resource(job.request["resource"]), parse_profile(job.request["profile"])
    )


def remove_job_folder(job: JobRecord) -> None:
    """Remove the folder of a job, with its logs."""
    if job.folder:
        backend_of(job).host.remove(job.folder)
