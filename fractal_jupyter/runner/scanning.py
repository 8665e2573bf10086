"""Looking for OME-Zarr images where they are: on this machine, or on a cluster behind SSH."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from fractal_jupyter.errors import HostError
from fractal_jupyter.hosts.base import Host
from fractal_jupyter.hosts.local import named_errors
from fractal_jupyter.models.profile import Profile, SlurmSSHProfile
from fractal_jupyter.models.resource import Resource
from fractal_jupyter.runner.backend import WORKERS_FOLDER, make_backend
from fractal_jupyter.runner.usable import check_backend
from fractal_jupyter.worker.bundle import bundle, bundle_digest
from fractal_jupyter.worker.scan import scan as scan_here


def scan(
    folder: str,
    *,
    resource: Resource | None,
    profile: Profile | None,
    tell: Callable[[int, int], object] = lambda _folders, _images: None,
) -> dict[str, Any]:
    """Find images below a folder, as the machine sees it that a profile works on.

    Args:
        folder: Absolute path.
        resource: The resource of the profile; None for this machine.
        profile: Whose machine.
        tell: Gets, again and again, how many folders were looked at, and images found, so far;
            what is looked for through SSH is told as a whole.

    Returns:
        What `fractal_jupyter.worker.scan.scan` does: `images` and `warnings`.

    Raises:
        FileMissing: The folder is not there.
        HostError: It cannot be read.
        NotAllowed: Resources of this type may not be used.
    """
    if resource is not None:
        check_backend(resource)
    if resource is None or not isinstance(profile, SlurmSSHProfile):
        with named_errors("scan", folder):
            return scan_here(folder, tell)
    host = make_backend(resource, profile).host
    python = str(resource.jobs_slurm_python_worker)
    archive = _worker_archive(host, profile.jobs_remote_dir)
    result = host.run([python, "-I", "-S", archive, "scan", folder])
    if result.exit_code:
        said = result.error_text.strip() or f"{python} ended with exit status {result.exit_code}"
        raise HostError(f"{host.name}: {said}")
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def _worker_archive(host: Host, jobs_dir: str) -> str:
    """The path of the worker on a host, put there if need be."""
    folder = f"{jobs_dir}/{WORKERS_FOLDER}"
    name = f"worker-{bundle_digest()[:16]}.pyz"
    host.mkdir(folder)
    if name not in {entry.name for entry in host.list(folder)}:
        host.write_many({f"{folder}/{name}": bundle()})
    return f"{folder}/{name}"
