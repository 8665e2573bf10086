"""What is in an environment: runs on the interpreter of the environment itself."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from . import contents
from .exact import normal
from .messages import Failure, report, send

MANIFEST = "__FRACTAL_MANIFEST__.json"


def main(document: Mapping[str, Any]) -> int:
    """Tell about the package named in the request; see `inspect`."""
    request = document["request"]
    try:
        send("inspected", inspect(request["package"], request["extras"]))
    except Failure as failure:
        report(failure)
        return 1
    return 0


def inspect(package: str, extras: Sequence[str]) -> dict[str, Any]:
    """Return what there is to know of an installed task package.

    Args:
        package: its name, in any spelling.
        extras: those of its extras that were asked for.

    Returns:
        Its `name` and `version`, its `root` (the folder of the manifest), the text of its
        `manifest`, and the `lock` of the environment, see `contents`.

    Raises:
        Failure: there is no such package, it has no such extras, it has no manifest, or files are
            missing that the manifest names.
    """
    distribution = _distribution(package)
    _check_extras(distribution, extras)
    path = _manifest_path(distribution)
    if path is None:
        raise Failure("no-manifest", f"{package} {distribution.version}")
    try:
        text = path.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise Failure("broken-manifest", f"{path} is not UTF-8 text: {error}") from None
    missing = [each for each in _executables(text) if not (path.parent / each).is_file()]
    if missing:
        raise Failure("missing-executables", ", ".join(sorted(set(missing))))
    return {
        "name": distribution.metadata["Name"],
        "version": distribution.version,
        "root": str(path.parent),
        "manifest": text,
        "lock": contents.lock(),
    }


def _distribution(package: str) -> metadata.Distribution:
    for distribution in metadata.distributions():
        if normal(distribution.metadata["Name"]) == normal(package):
            return distribution
    raise Failure("not-installed", package)


def _check_extras(distribution: metadata.Distribution, asked: Sequence[str]) -> None:
    """Raise Failure for extras that a package does not have: installers only warn of them."""
    known = distribution.metadata.get_all("Provides-Extra") or []
    unknown = sorted({normal(each) for each in asked} - {normal(each) for each in known})
    if unknown:
        name = f"{distribution.metadata['Name']} {distribution.version}"
        has = f"it has {', '.join(sorted(known))}" if known else "it has none"
        raise Failure("unknown-extras", f"{name} has no extra called {', '.join(unknown)}; {has}")


def _manifest_path(distribution: metadata.Distribution) -> Path | None:
    """Return the manifest among a package's files, or beside its modules if it is editable."""
    listed = [file for file in distribution.files or () if file.name == MANIFEST]
    found = [Path(str(distribution.locate_file(file))) for file in listed]
    found = [path for path in found if path.is_file()] or list(_beside_modules(distribution))
    # One that a package carries for another is deeper than its own.
    return min(found, key=lambda path: len(path.parts), default=None)


def _beside_modules(distribution: metadata.Distribution) -> Iterator[Path]:
    names = (distribution.read_text("top_level.txt") or distribution.metadata["Name"]).split()
    for name in names:
        spec = importlib.util.find_spec(re.sub(r"[-.]+", "_", name))
        for folder in (spec and spec.submodule_search_locations) or ():
            path = Path(folder) / MANIFEST
            if path.is_file():
                yield path


def _executables(text: str) -> Iterator[str]:
    """Yield the scripts that a manifest names; what else is wrong with it is not said here."""
    try:
        tasks = json.loads(text)["task_list"]
    except (ValueError, KeyError, TypeError):
        return
    for task in tasks if isinstance(tasks, list) else ():
        for key in ("executable_non_parallel", "executable_parallel"):
            executable = task.get(key) if isinstance(task, dict) else None
            if isinstance(executable, str):
                yield executable
