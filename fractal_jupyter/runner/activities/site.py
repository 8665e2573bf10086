"""Where the environments of a profile are, who builds them, and who runs them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fractal_jupyter.environments.reach import first_out_of_reach
from fractal_jupyter.environments.uv import CarriedUv, find_uv
from fractal_jupyter.environments.venv import VenvBuilder
from fractal_jupyter.errors import CollectionError, InterpreterError, NotFound
from fractal_jupyter.hosts.base import Capability, Host
from fractal_jupyter.hosts.local import LocalHost
from fractal_jupyter.models.profile import Profile, parse_profile
from fractal_jupyter.models.resource import Resource, parse_resource
from fractal_jupyter.runner.backend import make_backend
from fractal_jupyter.store.records import ProfileRecord, TaskGroupRecord
from fractal_jupyter.store.store import Store

# Below the folder of the environments, with what all of them share.
CACHE_FOLDER = ".cache"
OWNER_SECONDS = 60.0
# Of the paths that are there, those that belong to somebody else; the superuser may do anything.
_OWNERS = """me=$(id -u)
[ "$me" -eq 0 ] && exit 0
for path; do
[ -e "$path" ] && [ "$(stat -c %u -- "$path")" -ne "$me" ] && stat -c "%U %n" -- "$path"
done
exit 0"""


@dataclass(frozen=True, slots=True)
class Site:
    """Where the environments of a profile are.

    Attributes:
        resource: What it is a profile of.
        resource_id: Its id.
        profile: As whom.
        profile_name: Its name.
        tasks_dir: The folder of the environments.
        builder: Who makes them.
        reader: Who runs them: the profile's user.
        remembered: What a task group has to remember of this.
    """

    resource: Resource
    resource_id: int
    profile: Profile
    profile_name: str
    tasks_dir: str
    builder: Host
    reader: Host
    remembered: dict[str, Any] = field(default_factory=dict)

    @property
    def is_shared(self) -> bool:
        """Whether another user than the one who builds has to run them."""
        return self.builder is not self.reader

    @property
    def cache(self) -> str:
        """The folder of what all environments share."""
        return f"{self.tasks_dir}/{CACHE_FOLDER}"

    def venv_builder(self, *, uv: bool) -> VenvBuilder:
        """Who builds environments here, with uv or with pip."""
        return VenvBuilder(
            self.builder,
            uv=self._uv() if uv else None,
            cache_dir=self.cache,
            pip_cache_dir=self.resource.pip_cache_dir,
        )

    def _uv(self) -> str | CarriedUv | None:
        """The uv to build with: ours, here or brought along; None when we have none."""
        found = find_uv()
        if found is None or isinstance(self.builder, LocalHost):
            return found
        return CarriedUv(found, f"{self.cache}/bin")

    def check(self, interpreter: str) -> None:
        """Raise `CollectionError` when the other user could not run what is built."""
        if not self.is_shared:
            return
        folders = [Path(self.tasks_dir), *Path(self.tasks_dir).parents]
        doors = [f"{folder}/." for folder in reversed(folders) if folder.exists()]
        closed = first_out_of_reach(self.reader, [*doors, interpreter])
        if closed == interpreter:
            raise InterpreterError(
                f"{interpreter} cannot be reached on {self.reader.name}. Give a Python that all "
                "users can run in tasks_python_config of the resource."
            )
        if closed is not None:
            raise CollectionError(
                f"The folder {closed.removesuffix('/.') or '/'} is closed on {self.reader.name}, "
                f"so environments in {self.tasks_dir} could not be used. Open it (chmod o+rx), or "
                "choose another tasks_local_dir in the resource."
            )

    def check_own(self, folder: str) -> None:
        """Raise `CollectionError` when an environment is, or would be, in another user's folder.

        On this machine one user builds for all. Elsewhere each does, and what one of them has made
        in a folder that is open to all cannot be changed by the others.
        """
        if isinstance(self.builder, LocalHost):
            return
        said = self.builder.run(
            ["/bin/sh", "-c", _OWNERS, "sh", self.cache, folder], timeout=OWNER_SECONDS
        )
        for line in said.text.splitlines():
            owner, _, path = line.partition(" ")
            raise CollectionError(
                f"{path} on {self.builder.name} belongs to {owner}. Each user needs a "
                "tasks_remote_dir of their own: change that of the profile. Nothing was changed "
                "there."
            )


def site_of(store: Store, record: ProfileRecord) -> Site:
    """Where the environments of a profile are."""
    resource = parse_resource(store.resources.by_id(record.resource_id).document)
    profile = parse_profile(record.document)
    reader = make_backend(resource, profile).host
    builder = reader if Capability.RUN_ANY in reader.capabilities else LocalHost()
    remote = profile.tasks_remote_dir
    return Site(
        resource=resource,
        resource_id=record.resource_id,
        profile=profile,
        profile_name=record.name,
        tasks_dir=remote or resource.tasks_local_dir,
        builder=builder,
        reader=reader,
        remembered={"tasks_remote_dir": remote} if remote else {},
    )


def site_of_group(store: Store, group: TaskGroupRecord) -> Site:
    """Where a task group is, by a profile that can get there; the one it was collected with first.

    Raises:
        NotFound: No profile of its resource has its folder any more.
    """
    remote = group.request.get("tasks_remote_dir")
    fitting = [
        record
        for record in store.profiles.all()
        if record.resource_id == group.resource_id
        and parse_profile(record.document).tasks_remote_dir == remote
    ]
    if not fitting:
        where = f" with the tasks_remote_dir {remote}" if remote else ""
        raise NotFound(
            f"The environment of {group.package} {group.version} is in {group.folder}, and its "
            f"resource has no profile{where} any more. Add one, then try again."
        )
    fitting.sort(key=lambda record: record.name != group.request.get("profile"))
    return site_of(store, fitting[0])
