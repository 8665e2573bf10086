"""Building the environment of a recipe, and what the store keeps of it."""

from __future__ import annotations

import json
from types import MappingProxyType
from typing import Any

from fractal_jupyter.environments.lock import Lock, parse_lock
from fractal_jupyter.environments.pixi import PixiBuilder, PixiRequest, Run
from fractal_jupyter.environments.source import (
    check_readable,
    copy_place,
    read_source,
    sync,
    take_snapshot,
)
from fractal_jupyter.environments.spec import BuildRequest, PackageSpec
from fractal_jupyter.environments.venv import BuiltEnvironment
from fractal_jupyter.errors import FileMissing, NotFound
from fractal_jupyter.hosts.local import LocalHost
from fractal_jupyter.models.manifest import parse_manifest
from fractal_jupyter.models.profile import SlurmSSHProfile
from fractal_jupyter.models.python_config import PixiConfig
from fractal_jupyter.runner.activities.doing import Doing
from fractal_jupyter.runner.activities.kept import kept_file
from fractal_jupyter.runner.activities.recipes import Recipe
from fractal_jupyter.runner.activities.site import Site
from fractal_jupyter.schedulers.slurm_once import SlurmOnce, once_options
from fractal_jupyter.store.records import TaskGroupRecord

# What a folder has in it while an environment is built there; see `environments.on_host.claim`.
CLAIM_PREFIX = ".claim-"
# What tells that a folder holds an environment; see there, too.
METADATA = "environment.json"


def build(doing: Doing, recipe: Recipe, site: Site, *, lock: Lock | None) -> BuiltEnvironment:
    """Build the environment of a recipe, or find it built.

    Args:
        doing: The activity that this is a part of.
        recipe: What to build.
        site: Where.
        lock: What it must consist of, exactly; None: what fits best now.

    Raises:
        CollectionError: With the reason in words; nothing is left behind.
        HostError: The machine that the environment is for cannot be used.
    """
    site.check_own(recipe["folder"])
    return _BUILDERS[recipe["kind"]](doing, recipe, site, lock)


def _build_venv(doing: Doing, recipe: Recipe, site: Site, lock: Lock | None) -> BuiltEnvironment:
    python_version, interpreter = site.resource.python_interpreter(recipe["python_version"])
    site.check(interpreter)
    request = BuildRequest(
        package=_package(doing, recipe, site),
        interpreter=interpreter,
        python_version=python_version,
        pins_before=recipe["pins_before"],
        pins_after=recipe["pins_after"],
        folder=recipe["folder"],
        share=site.is_shared,
        configured=tuple(site.resource.tasks_python_config.versions),
        lock=lock,
    )
    builder = site.venv_builder(uv=recipe["uv"])
    return builder.build(request, log=doing.log, pulse=doing.beat)


def _build_pixi(doing: Doing, recipe: Recipe, site: Site, lock: Lock | None) -> BuiltEnvironment:
    config = site.resource.tasks_pixi_config
    if config is None:
        raise NotFound(
            f"The resource {site.resource.name!r} has no pixi (tasks_pixi_config) any more."
        )
    _, interpreter = site.resource.python_interpreter()
    site.check(interpreter)
    request = PixiRequest(
        archive=kept_file(doing.store, recipe["archive"]),
        folder=recipe["folder"],
        interpreter=interpreter,
        config=config,
        version=recipe["pixi_version"],
        cache_dir=site.profile.pixi_cache_dir or f"{site.cache}/pixi",
        share=site.is_shared,
        lock=lock,
    )
    builder = PixiBuilder(site.builder, run=_pixi_job(doing, site, config))
    return builder.build(request, log=doing.log, pulse=doing.beat)


def _pixi_job(doing: Doing, site: Site, config: PixiConfig) -> Run | None:
    """What runs pixi in a SLURM job, where the resource wants that."""
    slurm = config.SLURM_CONFIG
    if slurm is None or not isinstance(site.profile, SlurmSSHProfile):
        return None
    return SlurmOnce(
        site.builder,
        username=site.profile.username,
        options=once_options(slurm),
        folder=f"{site.tasks_dir}/.jobs",
        preamble=slurm.preamble,
        poll_seconds=float(site.resource.jobs_poll_interval),
        name="fractal-pixi",
        advice="Change SLURM_CONFIG in tasks_pixi_config of the resource.",
        say=doing.log,
    ).run


_BUILDERS = MappingProxyType({"venv": _build_venv, "pixi": _build_pixi})


def lock_of(recipe: Recipe) -> Lock | None:
    """What the environment of a recipe must consist of, if it says so."""
    return parse_lock(recipe["lock"]) if "lock" in recipe else None


def _package(doing: Doing, recipe: Recipe, site: Site) -> PackageSpec:
    wheel = recipe["wheel"]
    return PackageSpec(
        name=recipe["package"],
        version=recipe["version"],
        extras=tuple(recipe["extras"]),
        wheel=None if wheel is None else kept_file(doing.store, wheel),
        source=_source(doing, recipe, site) if "source" in recipe else None,
    )


def _source(doing: Doing, recipe: Recipe, site: Site) -> str:
    """Where the builder finds a source folder; on another machine, that is a copy."""
    folder: str = recipe["source"]
    if isinstance(site.builder, LocalHost):
        if site.is_shared:
            check_readable(take_snapshot(folder), site.reader)
        return folder
    copy = copy_place(recipe["folder"])
    doing.log(f"Copying {folder} to {copy} on {site.builder.name}")
    sync(read_source(folder), site.builder, copy)
    return copy


def values_of(built: BuiltEnvironment) -> dict[str, Any]:
    """What of an environment is in the row of its task group, and may be another next time."""
    return {
        "python_version": ".".join(built.lock.python.split(".")[:2]),
        "python": built.python,
        "package_root": built.package_root,
        "lock": built.lock.to_document(),
        "size_bytes": built.size_bytes,
        "own_bytes": built.own_bytes,
    }


def task_entries(*, name: str, version: str | None, manifest_text: str) -> list[dict[str, Any]]:
    """The manifest's tasks with their types, which may be left to be inferred there."""
    manifest = parse_manifest(manifest_text, source=f"{name} {version}")
    raw = json.loads(manifest_text)["task_list"]
    return [
        {**entry, "type": task.type} for entry, task in zip(raw, manifest.task_list, strict=True)
    ]


def clear_group(site: Site, group: TaskGroupRecord) -> bool:
    """Do as `clear` does with the environment of a task group, and its copy of a source folder."""
    if not clear(site, group.folder):
        return False
    if "source" in group.request and not isinstance(site.builder, LocalHost):
        site.builder.remove(copy_place(group.folder))
    return True


def clear(site: Site, folder: str) -> bool:
    """Remove an environment, or what is left of one; what is neither stays.

    Returns:
        Whether it is gone; not so when somebody is building there already, or when it is
        something else: a folder outside of those of environments that does not say it is one.
    """
    try:
        names = {entry.name for entry in site.builder.list(folder)}
    except FileMissing:
        return True
    is_ours = folder.startswith(f"{site.tasks_dir}/") or METADATA in names
    if not is_ours or any(name.startswith(CLAIM_PREFIX) for name in names):
        return False
    site.builder.remove(folder)
    return True
