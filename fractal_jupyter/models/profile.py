"""Profiles: as whom computing happens on a resource.

Documents are those of Fractal's page "Computational integrations", and whatever fractal-server
2.26 accepts for a profile.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, TypeAlias

from fractal_jupyter.models.documents import Document, parse_variant
from fractal_jupyter.models.types import AbsolutePath, LocalPath, OneLine, UserName


class _Profile(Document):
    """What every profile has.

    Attributes:
        name: Unique among the profiles of a store.
    """

    # what a server adds when it exports a profile
    passed_over: ClassVar[frozenset[str]] = frozenset({"id", "resource_id"})

    name: OneLine


class LocalProfile(_Profile):
    """The current user, on this machine.

    Attributes:
        resource_type: "local".
        username: None.
        ssh_key_path: None.
        jobs_remote_dir: None.
        tasks_remote_dir: None.
        pixi_cache_dir: None.
    """

    resource_type: Literal["local"]
    username: None = None
    ssh_key_path: None = None
    jobs_remote_dir: None = None
    tasks_remote_dir: None = None
    pixi_cache_dir: None = None


class SlurmSudoProfile(_Profile):
    """A user of a SLURM cluster that this machine belongs to.

    Attributes:
        resource_type: "slurm_sudo".
        username: The user that jobs run as, through `sudo` if it is not the current one.
        ssh_key_path: None.
        jobs_remote_dir: None.
        tasks_remote_dir: None.
        pixi_cache_dir: None.
    """

    resource_type: Literal["slurm_sudo"]
    username: UserName
    ssh_key_path: None = None
    jobs_remote_dir: None = None
    tasks_remote_dir: None = None
    pixi_cache_dir: None = None


class SlurmSSHProfile(_Profile):
    """A user of a SLURM cluster that is reached through SSH.

    Attributes:
        resource_type: "slurm_ssh".
        username: The user to log in as.
        ssh_key_path: Path of the private key, on this machine; the key itself is never read here.
        jobs_remote_dir: Folder of the jobs' folders, on the cluster.
        tasks_remote_dir: Folder of task environments, on the cluster.
        pixi_cache_dir: Pixi's cache on the cluster, if not where pixi has it by itself.
    """

    resource_type: Literal["slurm_ssh"]
    username: UserName
    ssh_key_path: LocalPath
    jobs_remote_dir: AbsolutePath
    tasks_remote_dir: AbsolutePath
    pixi_cache_dir: AbsolutePath | None = None


Profile: TypeAlias = LocalProfile | SlurmSudoProfile | SlurmSSHProfile

_PROFILES: Final[Mapping[str, type[Profile]]] = {
    "local": LocalProfile,
    "slurm_sudo": SlurmSudoProfile,
    "slurm_ssh": SlurmSSHProfile,
}


def parse_profile(document: Mapping[str, Any] | str | Path) -> Profile:
    """Check the document of a profile.

    Args:
        document: A mapping, JSON text, or the path of a JSON file.

    Returns:
        The profile; its `to_document()` is what was given.

    Raises:
        InvalidDocument: It cannot be read, or fields are wrong; the message lists each of them.
    """
    return parse_variant(_PROFILES, document, noun="profile", field="resource_type")
