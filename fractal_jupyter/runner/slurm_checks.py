"""`check` for clusters: try what jobs of a profile need, down to a real job of one unit."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

from fractal_jupyter.errors import FractalError
from fractal_jupyter.hosts.base import Capability, Host
from fractal_jupyter.hosts.local import LocalHost
from fractal_jupyter.models.profile import Profile, SlurmSSHProfile, SlurmSudoProfile
from fractal_jupyter.models.resource import SlurmSSHResource, SlurmSudoResource
from fractal_jupyter.runner.backend import Backend, make_backend
from fractal_jupyter.runner.checks import Check, attempt, check_folder, check_python
from fractal_jupyter.runner.endings import output_of
from fractal_jupyter.runner.results import ResultsFollower, read_results
from fractal_jupyter.schedulers.base import BatchState, Handle, Submission, batch_folder
from fractal_jupyter.schedulers.slurm import HIDDEN, PASSABLE, SlurmScheduler
from fractal_jupyter.schedulers.slurm_output import SiteConfig, Unreadable

COMMAND_SECONDS = 30.0
# So long does the job of a check have to run; then it is taken out of the queue.
JOB_SECONDS = 60.0
_LOOK_SECONDS = 0.5


def check_profiles(
    resource: SlurmSudoResource | SlurmSSHResource,
    profiles: Sequence[Profile],
    *,
    project_dir: str | None,
) -> Iterator[Check]:
    """Try everything that jobs need, as each of some profiles; one line each.

    Args:
        resource: The resource.
        profiles: Profiles of it.
        project_dir: Where the other user of a sudo profile may write, for a job to try; None for
            no such job.
    """
    if not profiles:
        cure = "add one: fractal.profiles.add(…, resource=…)"
        yield Check("profile", False, "it has none", cure)
    for profile in profiles:
        of = f" ({profile.name})" if len(profiles) > 1 else ""
        for check in _check_profile(resource, profile, project_dir):
            yield replace(check, subject=f"{check.subject}{of}")


def _check_profile(
    resource: SlurmSudoResource | SlurmSSHResource, profile: Profile, project_dir: str | None
) -> Iterator[Check]:
    try:
        backend = make_backend(resource, profile)
    except FractalError as error:
        yield Check("profile", False, str(error), "choose another profile")
        return
    access = attempt("access", lambda: _check_access(backend, profile))
    if access.fingerprint:
        trust = f'fractal.profiles.trust("{profile.name}", "{access.fingerprint}")'
        access = replace(access, cure=f"compare the fingerprint, then trust the key: {trust}")
    yield access
    # Where nobody gets in, nothing can be said of what is there.
    if access.ok or isinstance(profile, SlurmSudoProfile):
        yield from _check_folders(resource, profile, backend)
    if not access.ok:
        return
    scheduler = backend.scheduler
    assert isinstance(scheduler, SlurmScheduler)
    site = scheduler.site_config()
    yield _check_site(site)
    if isinstance(site, Unreadable):
        return
    control = backend.host if isinstance(resource, SlurmSSHResource) else LocalHost()
    yield attempt("partition", lambda: _check_partition(control, resource))
    yield _check_accounting(site)
    if isinstance(profile, SlurmSudoProfile):
        yield _check_private(site, foreign=backend.jobs_dir is None)
    jobs_dir = backend.jobs_dir or project_dir
    if jobs_dir is not None:
        yield attempt("worker", lambda: _check_worker(backend, jobs_dir))
    else:
        yield Check(
            "worker",
            True,
            "not tried: jobs of another user keep their files in the project_dir of a dataset",
            "give one: check(…, project_dir=…)",
            note=True,
        )


def _check_access(backend: Backend, profile: Profile) -> Check:
    backend.check_access()
    if isinstance(profile, SlurmSSHProfile):
        backend.host.run(["true"], timeout=COMMAND_SECONDS).check()
        return Check("access", True, f"{backend.host.name} lets us in")
    return Check("access", True, f"commands can be run as {profile.username}")


def _check_folders(
    resource: SlurmSudoResource | SlurmSSHResource, profile: Profile, backend: Backend
) -> Iterator[Check]:
    if isinstance(profile, SlurmSSHProfile):
        folders = {
            "jobs_remote_dir": profile.jobs_remote_dir,
            "tasks_remote_dir": profile.tasks_remote_dir,
        }
        for field, folder in folders.items():
            for check in check_folder(backend.host, field, folder):
                cure = f"make it writable, or change {field} of the profile"
                yield check if check.ok else replace(check, cure=cure)
        host: Host = backend.host
    else:
        host = LocalHost()
        # What is too large for a script lies below it, for other users to read.
        yield from check_folder(host, "jobs_local_dir", resource.jobs_local_dir, mode=PASSABLE)
        # Others read environments there.
        yield from check_folder(host, "tasks_local_dir", resource.tasks_local_dir, mode=0o755)
    for version, path in resource.tasks_python_config.versions.items():
        yield check_python(host, version, path)


def _check_site(site: SiteConfig | Unreadable) -> Check:
    if isinstance(site, Unreadable):
        return Check(
            "SLURM",
            False,
            f"it does not answer: {site.words}",
            "see that `scontrol show config` works there, and that its controller runs",
        )
    return Check("SLURM", True, f"version {site.version} of the cluster {site.cluster} answers")


def _check_partition(control: Host, resource: SlurmSudoResource | SlurmSSHResource) -> Check:
    said = control.run(["sinfo", "--noheader", "-o", "%R"], timeout=COMMAND_SECONDS).check().text
    there = set(said.split())
    config = resource.jobs_runner_config
    asked = [config.default_slurm_config.partition]
    if config.gpu_slurm_config is not None:
        asked.append(config.gpu_slurm_config.partition)
    wanted = {name for names in asked if names for name in names.split(",")}
    missing = sorted(wanted - there)
    if missing:
        return Check(
            "partition",
            False,
            f"the cluster has no {', '.join(missing)}, but {', '.join(sorted(there))}",
            "change partition in jobs_runner_config",
        )
    return Check("partition", True, f"{', '.join(sorted(wanted)) or 'the default one'} is there")


def _check_accounting(site: SiteConfig) -> Check:
    if site.accounting:
        return Check("accounting", True, "sacct knows what became of jobs")
    return Check(
        "accounting",
        True,
        f"there is none: who cancelled a job is not known, and SLURM forgets jobs "
        f"{site.min_job_age} s after their end",
        note=True,
    )


def _check_private(site: SiteConfig, *, foreign: bool) -> Check:
    if foreign and "jobs" in site.private_data:
        return Check("jobs are seen", False, HIDDEN, "use a slurm_ssh resource")
    return Check("jobs are seen", True, "the jobs of this user can be watched")


def _check_worker(backend: Backend, jobs_dir: str) -> Check:
    """Submit a real job of one unit that does nothing, and see what becomes of it."""
    folder = str(PurePosixPath(jobs_dir) / f"check-{secrets.token_hex(4)}")
    backend.host.mkdir(jobs_dir)
    backend.host.mkdir(folder)
    try:
        layout = backend.lay_out(1, {}, {})
        submission = Submission(
            name=f"fractal-check-{secrets.token_hex(4)}",
            folder=folder,
            batches={0: _batch()},
            needs=layout.needs,
        )
        handles = backend.scheduler.submit(submission)
        if not handles:
            found = "not tried: SLURM takes no more jobs of this user now"
            return Check("worker", True, found, note=True)
        return _watch(backend, handles[0], ResultsFollower(PurePosixPath(batch_folder(folder, 0))))
    finally:
        if Capability.REMOVE in backend.host.capabilities:
            backend.host.remove(folder)


def _batch() -> dict[str, object]:
    return {
        "version": 1,
        "label": "resource check",
        # Not a Python of tasks: that is tried elsewhere. A unit needs no output file.
        "command": ["/bin/sh", "-c", "exit 0"],
        "concurrency": 1,
        "cold": None,
        "preload": [],
        "env": {},
        "inherit": True,
        "cwd": None,
        "memory_limit": None,
        "memory_advice": "",
        "rerun_interrupted": False,
        "heartbeat_interval": 1.0,
        "log_limit": 10_000,
        "notify": None,
        "common_args": {},
        "units": [{"index": 0, "args": {}}],
    }


def _watch(backend: Backend, handle: Handle, follower: ResultsFollower) -> Check:
    deadline = time.monotonic() + JOB_SECONDS
    waits: str | None = None
    while time.monotonic() < deadline:
        (status,) = backend.scheduler.poll([handle])
        for _, reports in read_results(backend.host, [follower]):
            ended = [record for _, record in reports if record.get("event") == "end"]
            if ended:
                return _verdict(ended[0])
        if status.state is BatchState.ENDED:
            output = output_of(backend.host, handle)
            said = backend.scheduler.explain(handle, status.before_start or status, output)
            return Check("worker", False, f"a job of one unit did not run: {said.reason}")
        waits = status.reason if status.state is BatchState.PENDING else None
        time.sleep(_LOOK_SECONDS)
    backend.scheduler.cancel([handle], at_once=True)
    return Check(
        "worker",
        True,
        f"a job of one unit was accepted, and not run within {JOB_SECONDS:.0f} s "
        f"({waits or 'it was running'}); it was cancelled",
        note=True,
    )


def _verdict(record: Mapping[str, Any]) -> Check:
    if record["status"] == "done":
        return Check("worker", True, f"a job of one unit ran on {record.get('node')}")
    return Check("worker", False, f"a unit failed: {record.get('message')}")
