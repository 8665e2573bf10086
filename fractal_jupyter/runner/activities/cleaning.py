"""What of the environments on the disk nothing uses, and removing it.

Nothing that could be wanted again is lost: task groups are deactivated, which keeps what they
consisted of; the rest is what builds have left behind, and files of the shared cache that no
environment has.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Literal

from fractal_jupyter.environments.usage import Usage, survey_usage, sweep
from fractal_jupyter.errors import CollectionError, HostError, InUse, NotFound
from fractal_jupyter.hosts.local import LocalHost
from fractal_jupyter.runner.activities.building import clear_group
from fractal_jupyter.runner.activities.doing import Doing, Outcome
from fractal_jupyter.runner.activities.kept import forget_unused, kept_folder, unused_copies
from fractal_jupyter.runner.activities.process import start
from fractal_jupyter.runner.activities.site import Site, site_of, site_of_group
from fractal_jupyter.runner.activities.used_by import others_in, used_in_words, workflows_using
from fractal_jupyter.store.records import ActivityRecord, TaskGroupRecord, place_of
from fractal_jupyter.store.store import Store

SECONDS_PER_DAY = 86_400

# Where the store is, in place of a resource.
HERE = "this machine"

Kind = Literal["task group", "leftover", "cache", "unknown"]
# Kind, resource and folder.
Seen = tuple[str, str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unused:
    """Something that nothing uses.

    Attributes:
        kind: `task group`: used by no workflow, and by no job for long. `leftover`: what a build
            or a removal has left behind. `cache`: files that no environment shares any more.
            `unknown`: an environment that is in no task group of this store; another store may
            use it, so it is shown and never removed.
        what: What it is, in words.
        resource: The name of its resource; `HERE` for what lies beside the store.
        folder: Where it is.
        frees: What removing it frees on the disk, in bytes.
        task_group_id: The task group.
    """

    kind: Kind
    what: str
    resource: str
    folder: str
    frees: int
    task_group_id: int | None = None

    @property
    def seen(self) -> Seen:
        """What it is known by to who has seen a list of what nothing uses."""
        return self.kind, self.resource, self.folder


@dataclass(frozen=True, slots=True)
class Cleanable:
    """What could be removed in the folder of environments of a site.

    Attributes:
        site: Where.
        unused: What nothing uses.
        saved_bytes: What the environments there would take in addition if they shared nothing.

    What two resources with one folder share is counted with the first of them.
    """

    site: Site
    unused: tuple[Unused, ...]
    saved_bytes: int

    @property
    def removable(self) -> tuple[Unused, ...]:
        """What of it can be removed."""
        return tuple(each for each in self.unused if each.kind != "unknown")

    def only(self, seen: Collection[Seen]) -> Cleanable:
        """The same with nothing but what somebody has seen."""
        unused = tuple(each for each in self.unused if each.seen in seen)
        return replace(self, unused=unused)


def look_everywhere(
    store: Store, *, unused_for: float, profile: str | None = None
) -> tuple[list[Cleanable], list[str]]:
    """Look at each folder of environments that a task group or a profile of the store has.

    Nothing is changed. Another machine is not asked where there can be nothing of this store.

    Args:
        store: Its task groups are used, or not.
        unused_for: Days for which a task group was not used, to count as unused.
        profile: Look only at the folder of this one, whatever is there.

    Returns:
        What was found, and in words what was left out, and why: a cluster that does not answer
        keeps nobody from cleaning this machine.

    Raises:
        NotFound: There is no such profile.
    """
    sites, problems = _sites(store) if profile is None else _site_of_one(store, profile)
    usages: dict[tuple[str, str], Usage] = {}
    found: list[Cleanable] = []
    groups = store.task_groups.all()
    copies = tuple(_copies(store)) if profile is None else ()
    for site in sites:
        place = site.builder.name, site.tasks_dir
        is_first = place not in usages
        try:
            usage = _survey(store, site) if is_first else usages[place]
        except (CollectionError, HostError, NotFound) as error:
            problems.append(_left_out(site, error))
            continue
        usages[place] = usage
        unused = [*copies, *_of_groups(store, site, usage, unused_for)]
        unused += _of_nobody(site, usage, groups) if is_first else ()
        found.append(
            Cleanable(
                site=site,
                unused=tuple(unused),
                saved_bytes=usage.saved_bytes if is_first else 0,
            )
        )
        copies = ()
    return found, list(dict.fromkeys(problems))


def _sites(store: Store) -> tuple[list[Site], list[str]]:
    """The sites of all task groups and profiles, each once, and why some are not known."""
    sites: dict[tuple[int, str], Site] = {}
    problems: list[str] = []
    for find, is_known in (
        *((partial(site_of_group, store, group), True) for group in store.task_groups.all()),
        *((partial(site_of, store, profile), False) for profile in store.profiles.all()),
    ):
        try:
            site = find()
        except (CollectionError, HostError, NotFound) as error:
            problems.append(str(error))
        else:
            if is_known or _may_hold_something(store, site):
                sites.setdefault((site.resource_id, site.tasks_dir), site)
    return list(sites.values()), problems


def _site_of_one(store: Store, profile: str) -> tuple[list[Site], list[str]]:
    record = store.profiles.get(profile)
    try:
        return [site_of(store, record)], []
    except (CollectionError, HostError) as error:
        return [], [str(error)]


def _may_hold_something(store: Store, site: Site) -> bool:
    """Tell whether anything may be left where no task group is.

    On another machine there is nothing before the first collection, and nothing after a cleaning.
    """
    if isinstance(site.builder, LocalHost):
        return True
    last = store.activities.newest_below(place_of(site.resource_id, site.tasks_dir))
    return last is not None and (last.action, last.status) != ("clean", "OK")


def _left_out(site: Site, error: Exception) -> str:
    return (
        f"Left out: {site.tasks_dir} of the resource {site.resource.name!r} "
        f"(profile {site.profile_name!r}). {error}"
    )


def _survey(store: Store, site: Site) -> Usage:
    _, python = site.resource.python_interpreter()
    gone = [group.folder for group in _without_environment(store, site)]
    return survey_usage(site.builder, python=python, tasks_dir=site.tasks_dir, gone=gone)


def _copies(store: Store) -> Iterator[Unused]:
    """Copies of files; they are beside the store, wherever environments are."""
    sizes = [about.st_size for _, about in unused_copies(store)]
    if sizes:
        yield Unused(
            kind="leftover",
            what="copies of files that were collected once",
            resource=HERE,
            folder=str(kept_folder(store)),
            frees=sum(sizes),
        )


def _of_groups(store: Store, site: Site, usage: Usage, unused_for: float) -> Iterator[Unused]:
    """What of the task groups of a resource nothing uses."""
    groups = {
        group.folder: group
        for group in store.task_groups.all()
        if group.resource_id == site.resource_id
    }
    whole = [
        (groups[environment.folder], environment)
        for environment in usage.environments
        if environment.complete and environment.folder in groups
    ]
    going: set[int] = set()
    # Of several that could take each other's place, the one used last is to stay.
    for group, environment in sorted(whole, key=lambda each: _last_used(each[0])):
        if others_in(store, group):
            continue
        here = partial(
            Unused,
            resource=site.resource.name,
            folder=environment.folder,
            frees=environment.frees_bytes,
        )
        if not group.active:
            what = f"the environment of {group.package} {group.version}, which is deactivated"
            yield here(kind="leftover", what=what)
        elif _is_idle(group, unused_for) and not workflows_using(store, group, besides=going):
            going.add(group.id)
            what = f"{group.package} {group.version}"
            yield here(kind="task group", what=what, task_group_id=group.id)


def _of_nobody(site: Site, usage: Usage, groups: Sequence[TaskGroupRecord]) -> Iterator[Unused]:
    """What in a folder of environments is of no task group."""
    known = {group.folder for group in groups}
    here = partial(Unused, resource=site.resource.name)
    for environment in usage.environments:
        if environment.complete and environment.folder not in known:
            yield here(
                kind="unknown",
                what="an environment of another store",
                folder=environment.folder,
                frees=environment.frees_bytes,
            )
    for leftover in usage.leftovers:
        yield here(
            kind="leftover",
            what="what a build or a removal has left behind",
            folder=leftover.path,
            frees=leftover.own_bytes,
        )
    if usage.unused_bytes:
        yield here(
            kind="cache",
            what="files that no environment shares",
            folder=site.cache,
            frees=usage.unused_bytes,
        )


def _is_idle(group: TaskGroupRecord, days: float) -> bool:
    return time.time() - _last_used(group) > days * SECONDS_PER_DAY


def _last_used(group: TaskGroupRecord) -> float:
    return group.last_used or group.created


def begin_cleaning(store: Store, found: Cleanable) -> tuple[ActivityRecord, bool]:
    """See that what was found is removed, and nothing else; task groups are deactivated.

    Files of the cache go with the environments that alone had them.

    Returns:
        The activity, and whether it is a new one.

    Raises:
        InUse: Something else is being done to the cache of that site.
    """
    site = found.site
    copies = str(kept_folder(store))
    left = [each.folder for each in found.removable if each.kind == "leftover"]
    return start(
        store,
        action="clean",
        subject=site.tasks_dir,
        request={
            "profile": site.profile_name,
            "task_groups": [
                each.task_group_id for each in found.removable if each.task_group_id is not None
            ],
            "leftovers": [folder for folder in left if folder != copies],
            "copies": copies in left,
        },
        place=place_of(site.resource_id, site.cache),
    )


def perform(doing: Doing) -> Outcome:
    """Deactivate task groups; remove leftovers, and what of the cache nothing shares."""
    store, left = doing.store, set(doing.request.get("leftovers", ()))
    site = site_of(store, store.profiles.get(doing.request["profile"]))
    _, python = site.resource.python_interpreter()
    doing.settle()
    for key in doing.request["task_groups"]:
        try:
            group = store.task_groups.get(key)
            _put_aside(store, group)
            left.add(group.folder)
        except InUse as error:
            doing.log(f"{error} It stays.")
        except NotFound:
            continue  # deleted since it was found
    for group in _without_environment(store, site):
        if group.folder in left and clear_group(site, group):
            doing.log(f"Removed {group.folder}")
    swept = sweep(site.builder, python=python, tasks_dir=site.tasks_dir, leftovers=sorted(left))
    for leftover in swept.leftovers:
        doing.log(f"Removed {leftover}")
    if swept.busy:
        doing.log("An environment is being built: the cache is left as it is. Clean again later.")
    copies = forget_unused(store) if doing.request.get("copies") else 0
    if copies:
        doing.log(f"Removed copies of {copies / 1e6:.1f} MB of files that were collected once.")
    doing.log(f"{swept.freed_bytes / 1e6:.0f} MB of leftovers and of the cache are free again.")
    return Outcome(result=asdict(swept))


def _put_aside(store: Store, group: TaskGroupRecord) -> None:
    """Deactivate a task group; raise `InUse` if it is used again since it was found unused."""
    workflows = workflows_using(store, group)
    if workflows:
        raise InUse(used_in_words(group, workflows))
    store.task_groups.deactivate(group.id)


def _without_environment(store: Store, site: Site) -> list[TaskGroupRecord]:
    """The task groups of a site that are deactivated, and that nobody is about to reactivate."""
    busy = {activity.place for activity in store.activities.active()}
    return [
        group
        for group in store.task_groups.all()
        if not group.active
        and group.origin != "custom"
        and group.resource_id == site.resource_id
        and group.folder.startswith(f"{site.tasks_dir}/")
        and group.place not in busy
        and not others_in(store, group)
    ]
