"""Builds Python environments for task packages, with uv or pip, on any host."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fractal_jupyter.environments.explain import last_lines
from fractal_jupyter.environments.failures import build_error
from fractal_jupyter.environments.inspect import check_manifest
from fractal_jupyter.environments.shipping import program
from fractal_jupyter.environments.spec import BuildRequest, PackageSpec
from fractal_jupyter.environments.uv import CarriedUv
from fractal_jupyter.errors import CollectionError, InterpreterError, PackageNotFound
from fractal_jupyter.hosts.base import CommandResult, Host

__all__ = ["BuiltEnvironment", "VenvBuilder"]

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
        freeze: all distributions with their exact versions, ordered by name.
        size_bytes: the size of all its files, shared ones included.
    """

    python: str
    package_root: str
    package_name: str
    version: str
    manifest_text: str
    freeze: tuple[str, ...]
    size_bytes: int


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
            reason, output = listener.failure["reason"], _blank(listener.failure["output"])
            raise build_error(reason, output, request)
        if listener.built is None:
            raise self._no_answer(request, result)
        try:
            check_manifest(listener.built)
        except CollectionError:
            self._host.remove(request.folder)
            raise
        return _built(listener.built)

    def _run(
        self, argv: Sequence[str], stdin: bytes, log: Log, pulse: Pulse | None
    ) -> tuple[_Listener, CommandResult]:
        """Run the program on the host to its end; return what it has told, and how it ended."""
        listener = _Listener(log, pulse)
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
        cache = self._cache_dir
        what = {
            "requirements": request.requirements,
            "pins_after": [f"{name}=={version}" for name, version in request.pins_after.items()],
            "python_version": request.python_version,
            "wheel": wheel and hashlib.sha256(wheel[1].encode()).hexdigest(),
        }
        return {
            **what,
            "identity": hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest(),
            "wheel": wheel,
            "package": request.package.name,
            "folder": request.folder,
            "share": request.share,
            "uv": self._uv.document() if isinstance(self._uv, CarriedUv) else self._uv,
            "cache_dir": cache and f"{cache}/uv",
            "pip_cache_dir": self._pip_cache_dir,
            "bytecode_store": cache and f"{cache}/bytecode",
            "wait": wait,
        }

    def _no_answer(self, request: BuildRequest, result: CommandResult) -> CollectionError:
        """Return the error for a program that ended without a result."""
        where = f"{request.interpreter} on {self._host.name}"
        said = last_lines(_blank(result.error_text or result.text))
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


class _Listener:
    """Takes the messages of the program out of its output; see `on_host.messages`."""

    def __init__(self, log: Log, pulse: Pulse | None) -> None:
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
        if self._pulse is not None:
            self._pulse()

    def _take(self, line: str) -> None:
        try:
            ((kind, content),) = json.loads(line).items()
        except (ValueError, AttributeError):
            # It comes from a child that writes to the terminal directly, or from an interpreter
            # that does not work.
            self._log(_blank(line))
            return
        if kind == "log":
            self._log(_blank(content))
        elif kind == "built":
            self.built = content
        elif kind == "failed":
            self.failure = content


def _built(facts: dict[str, Any]) -> BuiltEnvironment:
    return BuiltEnvironment(
        python=facts["python"],
        package_root=facts["root"],
        package_name=facts["name"],
        version=facts["version"],
        manifest_text=facts["manifest"],
        freeze=tuple(facts["freeze"]),
        size_bytes=facts["size"],
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


def _blank(text: str) -> str:
    """Return a text without the passwords in its URLs."""
    return _PASSWORD.sub(r"\1:****@", text)
