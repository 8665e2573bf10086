"""What a task package in an environment says of itself, asked of the environment's interpreter."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from fractal_jupyter.environments.failures import failure_error
from fractal_jupyter.environments.lock import Lock, parse_lock
from fractal_jupyter.environments.shipping import program
from fractal_jupyter.errors import InterpreterError, InvalidManifest, ManifestBroken
from fractal_jupyter.hosts.base import CommandResult, Host

__all__ = ["InspectedPackage", "check_manifest", "inspect_package", "no_python"]

_TIMEOUT = 120.0


@dataclass(frozen=True, slots=True)
class InspectedPackage:
    """A task package as it is installed.

    Attributes:
        python: path of the interpreter.
        name: the name of the package as it spells it itself.
        version: its version.
        root: the folder that holds its manifest; executables are relative to it.
        manifest_text: its manifest, a valid one.
        lock: what is installed in the environment, as far as it can tell by itself: without the
            hashes of archives.
    """

    python: str
    name: str
    version: str
    root: str
    manifest_text: str
    lock: Lock


def inspect_package(host: Host, *, python: str, package: str) -> InspectedPackage:
    """Find out about a task package in an existing environment.

    Args:
        host: where the environment is.
        python: absolute path of its interpreter.
        package: the name of the package, in any spelling.

    Returns:
        What there is to know. The manifest is valid, and the scripts that it names are there.

    Raises:
        InterpreterError: the interpreter cannot be run.
        PackageNotFound: the package is not installed there.
        ManifestMissing: it is no task package.
        ManifestBroken: its manifest breaks the contract, or names scripts that are not there.
    """
    argv, stdin = program(python, "inspection", {"package": package, "extras": []})
    result = host.run(argv, stdin=stdin, timeout=_TIMEOUT)
    told = _last_message(result.text)
    if "failed" in told:
        failed = told["failed"]
        raise failure_error(failed["reason"], failed["output"], package=package)
    if "inspected" not in told:
        raise InterpreterError(
            f"The interpreter {python} on {host.name} cannot be used: {no_python(python, result)}."
        )
    inspected = told["inspected"]
    check_manifest(inspected)
    return InspectedPackage(
        python=python,
        name=inspected["name"],
        version=inspected["version"],
        root=inspected["root"],
        manifest_text=inspected["manifest"],
        lock=parse_lock(inspected["lock"]),
    )


def no_python(python: str, result: CommandResult) -> str:
    """In words, what is wrong with an interpreter that did not run the code it was given."""
    said = result.error_text.strip() or result.text.strip()
    if result.exit_code == 127 and "no such file" in said.lower():
        return f"{python} is not there"
    if result.exit_code in (126, 127) and said.startswith("cannot run"):
        return f"{python} cannot be run: {said.rpartition(': ')[2]}"
    # Another program takes our code for one of its arguments, and may say so at length.
    quotes = result.argv[-1][:10] in said and "Traceback" not in said
    refuses = "option" in said.partition("\n")[0] and "python" not in said.lower()
    if not said or quotes or refuses:
        return f"{python} is no Python"
    last = said.splitlines()[-1].strip()
    return f"{python} says {last[-200:].rstrip('.')!r}"


def check_manifest(inspected: dict[str, Any]) -> None:
    """Make sure that the manifest that was found fulfils the contract.

    Raises:
        ManifestBroken: it does not; the message lists each field that is wrong.
    """
    # Manifests are checked with pydantic, which not everybody who comes by here needs.
    from fractal_jupyter.models.manifest import parse_manifest

    source = f"{inspected['name']} {inspected['version']}"
    try:
        parse_manifest(inspected["manifest"], source=source)
    except InvalidManifest as error:
        raise ManifestBroken(str(error)) from error


def _last_message(text: str) -> dict[str, Any]:
    """Return the last line of an output that is a message; an empty dictionary without one."""
    for line in reversed(text.splitlines()):
        try:
            message = json.loads(line)
        except ValueError:
            continue
        if isinstance(message, dict):
            return message
    return {}
