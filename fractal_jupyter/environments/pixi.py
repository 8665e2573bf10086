"""Builds the environments of pixi projects, which come as archives.

The command lines are those of pixi's documentation; they were not tried with the real pixi.
"""

from __future__ import annotations

import base64
import hashlib
import json
import posixpath
import re
import tarfile
import tomllib
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from fractal_jupyter.environments.explain import last_lines
from fractal_jupyter.environments.failures import build_error
from fractal_jupyter.environments.inspect import check_manifest
from fractal_jupyter.environments.lock import Lock
from fractal_jupyter.environments.shipping import program
from fractal_jupyter.environments.spec import BuildRequest, PackageSpec
from fractal_jupyter.environments.venv import (
    BuiltEnvironment,
    Listener,
    Log,
    Pulse,
    built_environment,
    without_passwords,
)
from fractal_jupyter.errors import CollectionError, InterpreterError, NotFound, PackageNotFound
from fractal_jupyter.hosts.base import CommandResult, Host, OnOutput
from fractal_jupyter.models.python_config import PixiConfig

__all__ = ["PixiBuilder", "PixiProject", "PixiRequest", "Run", "read_project"]

# In the order in which pixi looks for them.
_MANIFESTS = ("pixi.toml", "pyproject.toml")
_LOCK_FILE = "pixi.lock"
_STEM = re.compile(r"(?P<name>.+?)(?:-(?P<version>[0-9][^-]*))?\.tar\.gz")


class Run(Protocol):
    """Runs a command to its end: on a host, or in a job of its own."""

    def __call__(self, argv: list[str], *, stdin: bytes, on_output: OnOutput) -> CommandResult:
        """See `Host.run`."""


@dataclass(frozen=True, slots=True)
class PixiProject:
    """What the archive of a project has in it.

    Attributes:
        archive: the path of the archive on this machine.
        manifest: the path, in the archive, of the file that describes the project.
        text: the content of that file.
        has_lock: whether there is a `pixi.lock` beside it.
        packages: what the task package may be called: as the project, or as the archive.
        version: its version; None where that is not said.
    """

    archive: Path
    manifest: str
    text: str
    has_lock: bool
    packages: tuple[str, ...]
    version: str | None

    @property
    def package(self) -> str:
        """What the task package is called, as far as can be told before it is installed."""
        return self.packages[0]


def read_project(archive: Path) -> PixiProject:
    """Look into the archive of a pixi project.

    Args:
        archive: a `.tar.gz` with a `pixi.toml`, or a `pyproject.toml` that has `[tool.pixi]`, at
            its top or in its only folder.

    Raises:
        PackageNotFound: the archive cannot be read.
        CollectionError: there is no project in it, or something that has no place in an archive.
    """
    named = _STEM.fullmatch(archive.name)
    if named is None:
        raise CollectionError(
            f"{archive.name} is not the name of a project's archive; those look like "
            "my-tasks-1.0.0.tar.gz."
        )
    try:
        with tarfile.open(archive, "r:gz") as opened:
            members = opened.getmembers()
            _check_members(archive, members)
            files = {posixpath.normpath(each.name) for each in members if each.isfile()}
            manifest, text = _manifest_in(archive, opened, files)
    except OSError as error:
        raise PackageNotFound(
            f"{archive} cannot be read: {error.strerror or error}. Give the path of a .tar.gz."
        ) from error
    except (tarfile.TarError, EOFError, UnicodeDecodeError) as error:
        raise CollectionError(f"{archive} is damaged, or no .tar.gz: {error}") from error
    said = _project_table(archive, manifest, text)
    return PixiProject(
        archive=archive,
        manifest=manifest,
        text=text,
        has_lock=posixpath.join(posixpath.dirname(manifest), _LOCK_FILE) in files,
        packages=tuple(dict.fromkeys(filter(None, (said.get("name"), named["name"])))),
        version=said.get("version") or named["version"],
    )


def _check_members(archive: Path, members: list[tarfile.TarInfo]) -> None:
    for member in members:
        target = member.name
        if member.issym():
            target = posixpath.join(posixpath.dirname(member.name), member.linkname)
        elif member.islnk():
            target = member.linkname
        places = [posixpath.normpath(each) for each in (member.name, target)]
        is_inside = not any(place.startswith(("/", "../")) or place == ".." for place in places)
        if not is_inside or not (member.isfile() or member.isdir() or member.issym()):
            raise CollectionError(
                f"{archive.name} has {member.name!r} in it, which is no file or folder of a "
                "project. Pack the project's folder alone."
            )


def _manifest_in(archive: Path, opened: tarfile.TarFile, files: set[str]) -> tuple[str, str]:
    for depth in (0, 1):
        for name in _MANIFESTS:
            for path in sorted(files):
                if path.count("/") != depth or posixpath.basename(path) != name:
                    continue
                file = opened.extractfile(next(m for m in opened if _is_at(m, path)))
                text = file.read().decode() if file else ""
                if name != "pyproject.toml" or re.search(r"^\s*\[+tool\.pixi", text, re.MULTILINE):
                    return path, text
    raise CollectionError(
        f"{archive.name} has no pixi.toml, and no pyproject.toml with [tool.pixi], at its top or "
        "in its only folder: it is no pixi project."
    )


def _is_at(member: tarfile.TarInfo, path: str) -> bool:
    return member.isfile() and posixpath.normpath(member.name) == path


def _project_table(archive: Path, manifest: str, text: str) -> Mapping[str, Any]:
    """Return the table with the name of the package that the project is; perhaps an empty one."""
    try:
        document = tomllib.loads(text)
    except ValueError as error:
        raise CollectionError(f"{manifest} in {archive.name} cannot be read: {error}") from error
    table = document.get("project" if manifest.endswith("pyproject.toml") else "package", {})
    return table if isinstance(table, dict) else {}


# What pixi has to solve


def slimmed(project: PixiProject, *, environment: str, platform: str) -> str | None:
    """Return the text of a project's manifest with what one environment needs, and no more.

    pixi solves all environments of a project, on all platforms, before it installs one. Where
    the text cannot be changed with certainty it stays.

    Args:
        project: the project.
        environment: the environment that is wanted.
        platform: the platform that it is wanted for.

    Returns:
        The text; None: the one that there is does.

    Raises:
        CollectionError: the project has no such environment, or is not made for the platform.
    """
    document = tomllib.loads(project.text)
    prefix = ("tool", "pixi") if project.manifest.endswith("pyproject.toml") else ()
    environments = _table(document, (*prefix, "environments"))
    if environment != "default" and environment not in environments:
        raise CollectionError(
            f"The project in {project.archive.name} has no environment {environment!r} "
            f"(DEFAULT_ENVIRONMENT in tasks_pixi_config); it has "
            f"{', '.join(['default', *environments])}."
        )
    expected = deepcopy(document)
    text = project.text
    dropped = [name for name in environments if name != environment]
    for name in dropped:
        del _table(expected, (*prefix, "environments"))[name]
        text = _without(text, (*prefix, "environments"), name)
    others: list[str] = []
    for header in ((*prefix, "workspace"), (*prefix, "project")):
        platforms = _table(document, header).get("platforms")
        if not isinstance(platforms, list) or not all(isinstance(p, str) for p in platforms):
            continue
        if platform not in platforms:
            raise CollectionError(
                f"The project in {project.archive.name} is made for {', '.join(platforms)}, and "
                f"not for {platform} (DEFAULT_PLATFORM in tasks_pixi_config). Add that to "
                "platforms of the project."
            )
        others += [each for each in platforms if each != platform]
        _table(expected, header)["platforms"] = [platform]
        text = _without(text, header, "platforms", instead=f"platforms = {json.dumps([platform])}")
    if text == project.text:
        return None
    # pixi refuses targets that the project is not made for.
    is_sure = not any(other in text for other in others)
    return text if is_sure and _is(text, expected) else None


def _table(document: Mapping[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    found: Any = document
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}


def _is(text: str, expected: Mapping[str, Any]) -> bool:
    try:
        return tomllib.loads(text) == expected
    except ValueError:
        return False


def _without(text: str, header: tuple[str, ...], key: str, *, instead: str | None = None) -> str:
    """Return a TOML text without a key of a table, or with another line in its place."""
    lines = text.splitlines()
    for first, last in _statements(lines, ".".join(header)):
        if re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*=", lines[first]):
            kept = [] if instead is None else [instead]
            return "\n".join([*lines[:first], *kept, *lines[last + 1 :], ""])
    return text


def _statements(lines: list[str], header: str) -> Iterator[tuple[int, int]]:
    """Yield the first and last line of each statement in a table."""
    inside = False
    for first, line in enumerate(lines):
        if title := re.fullmatch(r"\s*\[([^\[\]]+)\]\s*(?:#.*)?", line):
            inside = title[1].strip() == header
        elif inside and "=" in line:
            for last in range(first, len(lines)):
                if _can_be_read("\n".join(lines[first : last + 1])):
                    yield first, last
                    break


def _can_be_read(text: str) -> bool:
    try:
        tomllib.loads(text)
    except ValueError:
        return False
    return True


# Building


@dataclass(frozen=True, slots=True, kw_only=True)
class PixiRequest:
    """An environment of a pixi project that is wanted.

    Attributes:
        archive: the archive of the project on this machine.
        folder: absolute path, on the host, of the folder to make.
        interpreter: absolute path, on the host, of any Python of 3.8 or later; it does not get
            into the environment.
        config: the pixi settings of the resource.
        version: which of its versions of pixi; None: the default one.
        package: the name of the task package; None: that of the project, or of the archive.
        use_lock_file: whether to install what the `pixi.lock` in the archive says, if there is
            one; otherwise pixi solves anew.
        cache_dir: the folder of pixi's cache on the host; None: pixi's own choice.
        share: whether other users must be able to run it.
        lock: what it must consist of, exactly; None: what the project asks for.
    """

    archive: Path
    folder: str
    interpreter: str
    config: PixiConfig
    version: str | None = None
    package: str | None = None
    use_lock_file: bool = True
    cache_dir: str | None = None
    share: bool = False
    lock: Lock | None = None


class PixiBuilder:
    """Builds environments of pixi projects: all or nothing, and each only once."""

    def __init__(self, host: Host, *, run: Run | None = None) -> None:
        """Make a builder.

        Args:
            host: where the environments will be.
            run: what runs a command there; None: the host itself.
        """
        self._host = host
        self._run = run or _directly_on(host)

    def build(
        self, request: PixiRequest, *, log: Log, wait: bool = True, pulse: Pulse | None = None
    ) -> BuiltEnvironment:
        """Build an environment, or find it built; see `VenvBuilder.build`.

        Raises:
            CollectionError: it cannot be built; the message says why.
            AlreadyExists: there is something else in the folder.
            NotFound: the resource has no such version of pixi.
            SchedulerError: the job that builds it did not come to its end.
            HostError: the host does not do what it should.
        """
        project = read_project(request.archive)
        packages = (request.package,) if request.package else project.packages
        document = _document(request, project, packages=packages, wait=wait)
        argv, stdin = program(request.interpreter, "pixi", document)
        listener = Listener(log, pulse)
        result = self._run(argv, stdin=stdin, on_output=listener.hear)
        if listener.failure is not None:
            reason = listener.failure["reason"]
            output = without_passwords(listener.failure["output"])
            raise _error(reason, output, request, packages[-1])
        if listener.built is None:
            raise self._no_answer(request, result)
        try:
            check_manifest(listener.built)
        except CollectionError:
            self._host.remove(request.folder)
            raise
        return built_environment(listener.built)

    def _no_answer(self, request: PixiRequest, result: CommandResult) -> CollectionError:
        said = last_lines(without_passwords(result.error_text or result.text))
        if result.exit_code < 0 or result.exit_code > 128:
            return CollectionError(
                f"The build of {request.archive.name} was stopped from outside. Collect it again."
            )
        return InterpreterError(
            f"{request.interpreter} on {self._host.name} could not build {request.archive.name}; "
            f"Python 3.8 or later is needed. It says:\n{said}"
        )


def _directly_on(host: Host) -> Run:
    def run(argv: list[str], *, stdin: bytes, on_output: OnOutput) -> CommandResult:
        environment = host.build_environment()
        return host.run(argv, stdin=stdin, env=environment, on_output=on_output)

    return run


def _document(
    request: PixiRequest, project: PixiProject, *, packages: tuple[str, ...], wait: bool
) -> dict[str, Any]:
    """Return a request as the program on the host wants it."""
    config = request.config
    is_locked = project.has_lock and request.use_lock_file
    text = slimmed(
        project, environment=config.DEFAULT_ENVIRONMENT, platform=config.DEFAULT_PLATFORM
    )
    content = project.archive.read_bytes()
    version = request.version or config.default_version
    what = [
        *(hashlib.sha256(content).hexdigest(), packages, version, request.use_lock_file),
        *(config.DEFAULT_ENVIRONMENT, config.DEFAULT_PLATFORM),
    ]
    return {
        "identity": hashlib.sha256(json.dumps(what).encode()).hexdigest(),
        "requirements": [project.archive.name],
        "pins_after": [],
        "extras": [],
        "folder": request.folder,
        "lock": request.lock and request.lock.to_document(),
        "share": request.share,
        "wait": wait,
        **dict.fromkeys(("uv", "cache", "wheel", "source")),
        "pixi": {
            "packages": packages,
            "home": _home(config, version),
            "archive": base64.b64encode(content).decode(),
            "manifest": project.manifest,
            # What is installed from the project's own lock file is not solved, ever.
            "manifest_text": None if is_locked else text,
            "environment": config.DEFAULT_ENVIRONMENT,
            "frozen": is_locked,
            "solves": config.PIXI_CONCURRENT_SOLVES,
            "downloads": config.PIXI_CONCURRENT_DOWNLOADS,
            "threads": config.TOKIO_WORKER_THREADS,
            "cache_dir": request.cache_dir,
        },
    }


def _home(config: PixiConfig, version: str) -> str:
    if version not in config.versions:
        raise NotFound(
            f"The resource has no pixi {version}; it has {', '.join(config.versions)}. Take one "
            "of these, or add it to tasks_pixi_config of the resource."
        )
    return config.versions[version]


def _error(reason: str, output: str, request: PixiRequest, package: str) -> Exception:
    """Return the error for a failed build."""
    home = _home(request.config, request.version or request.config.default_version)
    name = request.archive.name
    if reason == "no-tool":
        return CollectionError(
            f"{home}/bin/pixi cannot be run there: {last_lines(output, 1)}. Correct "
            "tasks_pixi_config of the resource, or install that version of pixi."
        )
    if reason != "pixi":
        spec, lock = PackageSpec(package), request.lock
        asked = BuildRequest(spec, request.interpreter, "", request.folder, lock=lock)
        return build_error(reason, output, asked)
    for pattern, words in _SIGNS:
        if re.search(pattern, output):
            return CollectionError(f"The environment of {name} could not be built: {words}")
    return CollectionError(
        f"pixi could not build the environment of {name}; it says:\n{last_lines(output)}"
    )


_SIGNS: tuple[tuple[str, str], ...] = (
    (
        r"No space left on device|Disk quota exceeded",
        "the disk is full, or your quota used up. Free some space there, or in pixi's cache "
        "(pixi_cache_dir of the profile).",
    ),
    (
        r"lock.?file not up.to.date|lock.?file.{0,40}(?:version|missing|parse)",
        "pixi does not accept the pixi.lock in the archive. Make a new one with that version of "
        "pixi (pixi lock), or collect with a newer version of pixi (pixi_version=).",
    ),
    (
        r"(?i)error sending request|dns error|connection refused|timed out|failed to fetch",
        "pixi cannot reach a channel or package index from there. Check the network and the "
        "proxy (https_proxy), then try again.",
    ),
)
