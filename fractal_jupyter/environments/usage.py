"""What the environments of a folder take up on the disk, and removing what nothing needs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fractal_jupyter.environments.explain import last_lines
from fractal_jupyter.environments.shipping import program
from fractal_jupyter.environments.source import MARK, copy_place
from fractal_jupyter.errors import CollectionError
from fractal_jupyter.hosts import aside
from fractal_jupyter.hosts.base import Host

__all__ = ["EnvironmentUsage", "Leftover", "Swept", "Usage", "survey_usage", "sweep"]


@dataclass(frozen=True, slots=True)
class EnvironmentUsage:
    """An environment on the disk.

    Attributes:
        folder: its folder.
        complete: whether it is finished; else it is being built.
        size_bytes: what it would take up if it were alone.
        own_bytes: what removing it would free: files that nothing else has as well.
        frees_bytes: what removing it and then sweeping would free: what only the cache has as
            well is among it.
    """

    folder: str
    complete: bool
    size_bytes: int
    own_bytes: int
    frees_bytes: int


@dataclass(frozen=True, slots=True)
class Leftover:
    """What is left of a build, or of a removal, that did not get to its end.

    Attributes:
        path: the folder.
        own_bytes: what removing it would free.
    """

    path: str
    own_bytes: int


@dataclass(frozen=True, slots=True)
class Usage:
    """What is in a folder of environments; sizes are those on the disk, in bytes.

    Attributes:
        environments: its environments, ordered by folder.
        environments_bytes: what they take up together, each shared file once.
        leftovers: what was left behind there.
        cache_bytes: what the cache takes up that they share, files that they have too included.
        unused_bytes: what of that no environment has a file of; a `sweep` frees it.
    """

    environments: tuple[EnvironmentUsage, ...]
    environments_bytes: int
    leftovers: tuple[Leftover, ...]
    cache_bytes: int
    unused_bytes: int

    @property
    def saved_bytes(self) -> int:
        """What the environments would take up in addition if they shared nothing."""
        return sum(each.size_bytes for each in self.environments) - self.environments_bytes


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep has done.

    Attributes:
        freed_bytes: how much is free again.
        leftovers: the folders that were removed.
        busy: whether the cache was left as it is because an environment is being built, or
            another sweep goes on.
    """

    freed_bytes: int
    leftovers: tuple[str, ...]
    busy: bool


def survey_usage(
    host: Host,
    *,
    python: str,
    tasks_dir: str,
    cache_dir: str | None = None,
    gone: Sequence[str] = (),
) -> Usage:
    """Find out what the environments of a folder take up; nothing is changed.

    Args:
        host: where they are.
        python: absolute path of an interpreter there.
        tasks_dir: the folder that they are in, perhaps in folders by package.
        cache_dir: the cache that they share; by default `.cache` in that folder.
        gone: folders in which there should be no environment any more: what is there and is
            not whole is a leftover, too.

    Raises:
        CollectionError: the files cannot be looked at.
        HostError: the host does not do what it should.
    """
    found = _ask(host, python, "usage", tasks_dir=tasks_dir, cache_dir=cache_dir, folders=gone)
    environments = (
        EnvironmentUsage(each["folder"], each["complete"], each["size"], each["own"], each["frees"])
        for each in found["environments"]
    )
    return Usage(
        environments=tuple(sorted(environments, key=lambda each: each.folder)),
        environments_bytes=found["together"],
        leftovers=tuple(Leftover(each["path"], each["size"]) for each in found["leftovers"]),
        cache_bytes=found["cache"],
        unused_bytes=found["unused"],
    )


def sweep(
    host: Host,
    *,
    python: str,
    tasks_dir: str,
    cache_dir: str | None = None,
    leftovers: Sequence[str] | None = None,
) -> Swept:
    """Remove leftovers, and what of the shared cache no environment has a file of.

    No environment changes, and none that is being built is disturbed: while there are such, the
    cache is left as it is. Arguments and errors are those of `survey_usage`, and `leftovers` are
    those that may be removed, by default all.
    """
    found = _ask(host, python, "swept", tasks_dir=tasks_dir, cache_dir=cache_dir, folders=leftovers)
    return Swept(found["freed"], tuple(found["leftovers"]), found["busy"])


def _ask(
    host: Host,
    python: str,
    wanted: str,
    *,
    tasks_dir: str,
    cache_dir: str | None,
    folders: Sequence[str] | None,
) -> dict[str, Any]:
    """Run the program on the host; return the content of its one message."""
    request = {
        "tasks_dir": tasks_dir,
        "cache_dir": cache_dir or f"{tasks_dir}/.cache",
        "remove": wanted == "swept",
        "folders": None if folders is None else list(folders),
        "set_aside": aside.PATTERN,
        "copy_suffix": copy_place(""),
        "copy_mark": MARK,
    }
    argv, stdin = program(python, "usage", request)
    result = host.run(argv, stdin=stdin)
    told: dict[str, Any] = {}
    for line in result.text.splitlines()[-1:]:
        try:
            told = json.loads(line)
        except ValueError:
            break
    if wanted in told:
        return dict(told[wanted])
    said = told["failed"]["output"] if "failed" in told else result.error_text or result.text
    raise CollectionError(
        f"The environments in {tasks_dir} on {host.name} cannot be looked at with {python}: "
        f"{last_lines(said, 3)}. Check the interpreter, and that you may read that folder."
    )
