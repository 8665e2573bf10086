"""Builds Python environments for task packages, with uv or pip, on any host."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from fractal_jupyter.environments.explain import last_lines
from fractal_jupyter.environments.failures import build_error
from fractal_jupyter.environments.inspect import check_manifest
from fractal_jupyter.environments.lock import Lock, parse_lock
from fractal_jupyter.environments.shipping import program
from fractal_jupyter.environments.spec import BuildRequest, PackageSpec
from fractal_jupyter.environments.uv import CarriedUv
from fractal_jupyter.errors import CollectionError, InterpreterError, PackageNotFound
from fractal_jupyter.hosts.base import CommandResult, Host

__all__ = [
    "BuiltEnvironment",
    "Listener",
    "Log",
    "Pulse",
    "VenvBuilder",
    "built_environment",
    "without_passwords",
]

Log = Callable[[str], object]
Pulse = Callable[[], object]

_PASSWORD = re.compile(r"(://[^/\s:@]*):[^/\s@]*@")


@dataclass(frozen=True, slots=True)
class BuiltEnvironment:
    """A finished environment with a task package.

    Attributes:
        python: absolute path of its interpreter.
        package_root: the folder of the package's manifest; executables are relative to it.
        package_name: the package's name as it spells it itself.
        version: the version that was installed.
        manifest_text: the package's manifest, a valid one.
        lock: everything that is installed, with hashes.
        size_bytes: the size of all its files, shared ones included.
        own_bytes: the disk space that removing it would free.
    """

    python: str
    package_root: str
    package_name: str
    version: str
    manifest_text: str
    lock: Lock
    size_bytes: int
    own_bytes: int

    @property
    def freeze(self) -> tuple[str, ...]:
        """A requirement for each distribution, ordered by name."""
        return self.lock.freeze


class VenvBuilder:
    """Builds environments in folders of a host: all or nothing, and each only once.

    The environment can be used when `build` returns. Unless it is for other users too, what is
    not compiled to bytecode yet is compiled afterwards, by a process that stands back behind
    everything else; where another environment has the same file, its bytecode is shared.
    """

    def __init__(
        self,
        host: Host,
        *,
        uv: str | CarriedUv | None,
        cache_dir: str | None = None,
        pip_cache_dir: str | None = None,
    ) -> None:
        """Make a builder.

        Args:
            host: where the environments will be.
            uv: path of uv on that host, or one to bring along if it has none that runs; None:
                use pip.
            cache_dir: a folder of the host, best on the file system of the environments, so that
                they share files with it and each other; for uv's cache and for bytecode. None:
                uv's own choice, and bytecode is not shared.
            pip_cache_dir: the folder of pip's cache; None: pip's own choice.
        """
        self._host = host
        self._uv = uv
        self._cache_dir = cache_dir
        self._pip_cache_dir = pip_cache_dir

    def build(
        self, request: BuildRequest, *, log: Log, wait: bool = True, pulse: Pulse | None = None
    ) -> BuiltEnvironment:
        """Build an environment, or find it built.

        With a lock, exactly what was recorded is installed, and compared with it afterwards.

        Whatever goes wrong (an interrupt included), the folder is not there afterwards. If this
        process or the host dies in the middle, what is left is recognised and replaced by the
        next build. While another process builds the same folder, this one waits for it.

        Args:
            request: the environment that is wanted.
            log: called with each line of the log; passwords in URLs are blanked.
            wait: whether to wait for another process that builds the same; else that is an error.
            pulse: called about twice a second while the build goes on. What it or `log` raises
                stops the build, and is raised.

        Returns:
            The environment.

        Raises:
            CollectionError: it cannot be built; the class and the message say why.
            AlreadyExists: there is something else in the folder.
            HostError: the host does not do what it should.
        """
        argv, stdin = program(request.interpreter, "build", self._document(request, wait=wait))
        listener, result = self._run(argv, stdin, log, pulse)
        if listener.lacks_uv and isinstance(self._uv, CarriedUv):
            log(f"{self._host.name} has no uv: copying ours to {self._uv.path}")
            self._uv.bring(self._host, python=request.interpreter)
            listener, result = self._run(argv, stdin, log, pulse)
        if listener.failure is not None:
            reason, output = (
                listener.failure["reason"],
                without_passwords(listener.failure["output"]),
            )
            raise build_error(reason, output, request)
        if listener.built is None:
            raise self._no_answer(request, result)
        try:
            check_manifest(listener.built)
        except CollectionError:
            self._host.remove(request.folder)
            raise
        return built_environment(listener.built)

    def _run(
        self, argv: Sequence[str], stdin: bytes, log: Log, pulse: Pulse | None
    ) -> tuple[Listener, CommandResult]:
        """Run the program on the host to its end; return what it has told, and how it ended."""
        listener = Listener(log, pulse)
        result = self._host.run(
            argv,
            stdin=stdin,
            env=self._host.build_environment(),
            on_output=listener.hear,
        )
        return listener, result

    def _document(self, request: BuildRequest, *, wait: bool) -> dict[str, Any]:
        """Return the request as the program on the host wants it."""
        wheel = _wheel_document(request.package)
        if request.lock is not None:
            _check_wheel(request.lock, request.package, wheel)
        what = {
            "requirements": _requirements(request),
            "pins_after": [f"{name}=={version}" for name, version in request.pins_after.items()],
            "python_version": request.python_version,
            "wheel": wheel and hashlib.sha256(wheel[1].encode()).hexdigest(),
        }
        return {
            **what,
            "identity": hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest(),
            "wheel": wheel,
            "lock": request.lock and request.lock.to_document(),
            "source": request.package.requirement if request.package.source else None,
            "package": request.package.name,
            "extras": list(request.package.extras),
            "folder": request.folder,
            "share": request.share,
            "uv": self._uv.document() if isinstance(self._uv, CarriedUv) else self._uv,
            "cache": self._cache_dir,
            "pip_cache_dir": self._pip_cache_dir,
            "wait": wait,
        }

    def _no_answer(self, request: BuildRequest, result: CommandResult) -> CollectionError:
        """Return the error for a program that ended without a result."""
        where = f"{request.interpreter} on {self._host.name}"
        said = last_lines(without_passwords(result.error_text or result.text))
        if result.exit_code in (126, 127):
            return InterpreterError(
                f"There is no Python interpreter {where} that can be run ({said}). Correct "
                "tasks_python_config of the resource."
            )
        if result.exit_code < 0 or result.exit_code > 128:
            return CollectionError(
                f"The build of {request.package} was stopped from outside. Collect it again."
            )
        return InterpreterError(
            f"The interpreter {where} does not work (Python 3.8 or later is needed); it says:\n"
            f"{said}"
        )


class Listener:
    """Takes the messages of the program out of its output; see `on_host.messages`."""

    def __init__(self, log: Log, pulse: Pulse | None) -> None:
        """Listen; see `VenvBuilder.build` for both."""
        self.built: dict[str, Any] | None = None
        self.failure: dict[str, str] | None = None
        self._log = log
        self._pulse = pulse
        self._rest = b""

    @property
    def lacks_uv(self) -> bool:
        """Whether the host has no uv yet, and could run ours."""
        return self.failure is not None and self.failure["reason"] == "bring-uv"

    def hear(self, chunk: bytes) -> None:
        """Take in a piece of output."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            self._take(line.decode(errors="replace"))
        # What is built stays: nobody may stop it any more.
        if self._pulse is not None and self.built is None:
            self._pulse()

    def _take(self, line: str) -> None:
        try:
            ((kind, content),) = json.loads(line).items()
        except (ValueError, AttributeError):
            # It comes from a child that writes to the terminal directly, or from an interpreter
            # that does not work.
            self._log(without_passwords(line))
            return
        if kind == "log":
            self._log(without_passwords(content))
        elif kind == "built":
            self.built = content
        elif kind == "failed":
            self.failure = content


def built_environment(facts: dict[str, Any]) -> BuiltEnvironment:
    """Return the environment that the program on the host has told of."""
    return BuiltEnvironment(
        python=facts["python"],
        package_root=facts["root"],
        package_name=facts["name"],
        version=facts["version"],
        manifest_text=facts["manifest"],
        lock=parse_lock(facts["lock"]),
        size_bytes=facts["size"],
        own_bytes=facts["own"],
    )


def _requirements(request: BuildRequest) -> list[str]:
    """Return what to install, as what can be resolved: of a source folder its URL."""
    package, requirements = request.package, request.requirements
    if package.source is not None:
        extras = f"[{','.join(package.extras)}]" if package.extras else ""
        requirements[0] = f"{package.name}{extras} @ {PurePosixPath(package.source).as_uri()}"
    return requirements


def _check_wheel(lock: Lock, package: PackageSpec, wheel: tuple[str, str] | None) -> None:
    """Make sure that the wheel file of a lock is there, and the one that was recorded."""
    for each in lock.distributions:
        if not each.is_from_wheel_file:
            continue
        if wheel is None:
            raise PackageNotFound(
                f"{each.name} {each.version} came from the wheel file {each.url}. To build its "
                "environment again, that file is needed."
            )
        found = hashlib.sha256(base64.b64decode(wheel[1])).hexdigest()
        if each.hashes and f"sha256:{found}" not in each.hashes:
            raise CollectionError(
                f"{package.wheel} is not the wheel file that was recorded: its SHA-256 is "
                f"{found}, and was {each.hashes[0].removeprefix('sha256:')}. Give that one."
            )


def _wheel_document(package: PackageSpec) -> tuple[str, str] | None:
    """Return the name and content of the wheel file, if there is one."""
    if package.wheel is None:
        return None
    try:
        content = package.wheel.read_bytes()
    except OSError as error:
        raise PackageNotFound(
            f"The wheel file {package.wheel} cannot be read: {error.strerror}."
        ) from error
    return package.wheel.name, base64.b64encode(content).decode()


def without_passwords(text: str) -> str:
    """Return a text without the passwords in its URLs."""
    return _PASSWORD.sub(r"\1:****@", text)
