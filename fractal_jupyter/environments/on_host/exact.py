"""What an environment consists of, exactly: requirements that make it again, and comparisons.

Pure functions over the documents of a lock; see `fractal_jupyter.environments.lock`, which has
their meaning. A distribution is

    {"name": …, "version": …, "hashes": […], "content": …, "url": …, "editable": …}
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_COMPILED = re.compile(
    r"(?P<name>[\w.-]+)(?:\[[^\]]*\])?\s*(?P<where>==\s*\S+|@\s*\S+)(?P<rest>.*)"
)
_HASH = re.compile(r"--hash[=\s](\S+)")


def normal(name: str) -> str:
    """Return the one spelling of a name by which packages are compared (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def is_file_name(url: str) -> bool:
    """Tell whether the `url` of a distribution is that of a wheel file that was handed in."""
    return "/" not in url


def requirement(distribution: Mapping[str, Any], wheel: str | None = None) -> str:
    """Return the requirement that asks for a distribution and no other, without its hashes.

    Args:
        distribution: one that is not editable.
        wheel: what stands for the URL of the wheel file that was handed in.
    """
    name, url = distribution["name"], distribution["url"]
    if url is None:
        return f"{name}=={distribution['version']}"
    return f"{name} @ {wheel if wheel is not None and is_file_name(url) else url}"


def with_hashes(requirement: str, hashes: Sequence[str]) -> str:
    """Return the lines of a requirements file that let only these archives be installed."""
    return " \\\n".join([requirement, *(f"    --hash={each}" for each in hashes)]) + "\n"


def read_compiled(text: str) -> dict[str, tuple[str, list[str]]]:
    """Read what `uv pip compile --generate-hashes` writes.

    Returns:
        Requirement and hashes, by normal name.
    """
    found = {}
    for line in text.replace("\\\n", " ").splitlines():
        match = _COMPILED.match(line)
        if match:
            where = match["where"].replace(" ", "")
            wanted = where if where.startswith("==") else f" @ {where[1:]}"
            found[normal(match["name"])] = (match["name"] + wanted, _HASH.findall(match["rest"]))
    return found


def read_report(document: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the hashes of what pip has installed, by normal name, from its report."""
    found = {}
    for each in document["install"]:
        archive = each["download_info"].get("archive_info") or {}
        found[normal(each["metadata"]["name"])] = archive_hashes(archive)
    return found


def archive_hashes(archive: Mapping[str, Any]) -> list[str]:
    """Return the hashes in what PEP 610 calls `archive_info`; old ones have one, as a text."""
    hashes = archive.get("hashes") or {}
    if not hashes and archive.get("hash"):
        hashes = dict([archive["hash"].split("=", 1)])
    return sorted(f"{algorithm}:{digest}" for algorithm, digest in hashes.items())


def differences(recorded: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """Say in words in what the environment of one lock is another than that of another.

    Args:
        recorded: the document of the lock that counts.
        found: the document of what there is.
    """
    told = [
        f"{what} is {found[key]}, and was {recorded[key]}"
        for key, what in (("python", "Python"), ("platform", "the platform"))
        if found[key] != recorded[key]
    ]
    before, after = (_by_name(each["distributions"]) for each in (recorded, found))
    for name in sorted({*before, *after}):
        if name not in after:
            told.append(f"{_named(before[name])} is missing")
        elif name not in before:
            told.append(f"{_named(after[name])} is there in addition")
        else:
            told += _changes(before[name], after[name])
    if recorded.get("pixi") != found.get("pixi"):
        told.append("pixi.lock has changed")
    return told


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Say what has become of one distribution: the first thing that explains the others."""
    if before["editable"] != after["editable"]:
        return [f"{_named(after)} is {_how(after)}, and was {_how(before)}"]
    if after["editable"]:
        # The code of a source folder is what it is at the moment.
        return []
    if before["version"] != after["version"]:
        return [f"{after['name']} is {after['version']}, and was {before['version']}"]
    if before["url"] != after["url"]:
        return [f"{_named(after)} comes from {_where(after)}, and came from {_where(before)}"]
    if before["content"] and after["content"] and before["content"] != after["content"]:
        return [f"{_named(after)} has other files than it had"]
    if before["hashes"] and after["hashes"] and not {*before["hashes"]} & {*after["hashes"]}:
        return [f"{_named(after)} comes from other archives than it did"]
    return []


def _by_name(distributions: Iterable[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    return {normal(each["name"]): each for each in distributions}


def _named(distribution: Mapping[str, Any]) -> str:
    return f"{distribution['name']} {distribution['version']}"


def _how(distribution: Mapping[str, Any]) -> str:
    return "in editable mode" if distribution["editable"] else "installed as a copy"


def _where(distribution: Mapping[str, Any]) -> str:
    return distribution["url"] or "the package index"
