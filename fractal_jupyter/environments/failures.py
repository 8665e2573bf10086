"""The failures that the program on the host reports, as errors for the user."""

from __future__ import annotations

import json

from fractal_jupyter.environments.explain import explain, last_lines
from fractal_jupyter.environments.lock import Lock, parse_lock
from fractal_jupyter.environments.spec import BuildRequest
from fractal_jupyter.errors import (
    AlreadyExists,
    BuildInProgress,
    CollectionError,
    FractalError,
    InterpreterError,
    ManifestBroken,
    ManifestMissing,
    PackageNotFound,
)

__all__ = ["build_error", "failure_error"]

_TOLD = 10


def build_error(reason: str, output: str, request: BuildRequest) -> FractalError:
    """Return the error for a failed build.

    Args:
        reason: the key of the failure, see `on_host`.
        output: what belongs to it: the output of a tool, a path, a version.
        request: what was wanted.
    """
    if reason == "install":
        return explain(output, request)
    if reason == "not-as-recorded" and request.lock is not None:
        return _not_as_recorded(request.lock, parse_lock(json.loads(output)), request)
    error, text = _BUILD_FAILURES.get(reason, (None, ""))
    if error is None:
        return failure_error(reason, output, package=str(request.package))
    return error(
        text.format(
            output=last_lines(output),
            package=request.package,
            folder=request.folder,
            python=request.interpreter,
            version=request.python_version,
            lock=request.lock,
        )
    )


def _not_as_recorded(lock: Lock, found: Lock, request: BuildRequest) -> CollectionError:
    """Return the error for an environment that came out otherwise than its lock says."""
    differences = lock.differences(found)
    more = f"; and {len(differences) - _TOLD} more" if len(differences) > _TOLD else ""
    return CollectionError(
        f"The environment of {request.package} could be built, but not as it was recorded: "
        f"{'; '.join(differences[:_TOLD])}{more}. What is built from source code may come out "
        "otherwise with other tools. If exactness does not matter, collect the package anew."
    )


def failure_error(reason: str, output: str, *, package: str) -> FractalError:
    """Return the error for a package in which something is missing.

    Args:
        reason: the key of the failure, see `on_host`.
        output: what belongs to it.
        package: the package that was looked for.
    """
    error, text = _PACKAGE_FAILURES.get(reason, (CollectionError, "{package}: {reason}: {output}"))
    return error(text.format(reason=reason, output=last_lines(output), package=package))


_BUILD_FAILURES: dict[str, tuple[type[FractalError], str]] = {
    "other-version": (
        InterpreterError,
        "The resource has {python} as Python {version}, but that is Python {output}. Correct "
        "tasks_python_config of the resource.",
    ),
    "venv": (
        InterpreterError,
        "No environment can be made with {python}; it says:\n{output}\nIf a part of Python is "
        "missing (ensurepip, python3-venv), install that, or switch uv on.",
    ),
    "bring-uv": (
        CollectionError,
        "uv was copied to {output}, and is not there any more. Collect again.",
    ),
    "no-tool": (CollectionError, "The installer cannot be started: {output}"),
    "other-platform": (
        CollectionError,
        "The environment of {package} was recorded on {lock.platform}, and this is {output}: its "
        "packages have other files here. Collect the package anew.",
    ),
    "in-progress": (
        BuildInProgress,
        "The same environment ({folder}) is being built by {output}. Wait for it, then try again.",
    ),
    "other-environment": (
        AlreadyExists,
        "{folder} holds another environment already ({output}). Delete that task group first, "
        "or collect another version.",
    ),
    "foreign-folder": (
        AlreadyExists,
        "{folder} exists and is no environment; it is left as it is. Remove it if it is the rest "
        "of one, move it away if not, or choose another folder for task environments.",
    ),
    "system": (
        CollectionError,
        "The environment of {package} cannot be built in {folder}: {output}. Check that you may "
        "write there.",
    ),
}

_PACKAGE_FAILURES: dict[str, tuple[type[FractalError], str]] = {
    "not-installed": (
        PackageNotFound,
        "There is no package {package} in that environment. Install it there, or check the name.",
    ),
    "unknown-extras": (PackageNotFound, "{output}. Check how it is spelt, or leave it out."),
    "no-manifest": (
        ManifestMissing,
        "{output} is no Fractal task package: it has no __FRACTAL_MANIFEST__.json.",
    ),
    "broken-manifest": (ManifestBroken, "The manifest of {package} cannot be read: {output}"),
    "missing-executables": (
        ManifestBroken,
        "The manifest of {package} names scripts that the package does not have: {output}. Tell "
        "the authors of the package, or take another version.",
    ),
    "environment-broken": (
        CollectionError,
        "The environment of {package} was built, but its Python does not work; it says:\n{output}",
    ),
}
