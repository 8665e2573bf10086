"""Builds one environment from the archive of a pixi project, all or nothing; see `main`.

The folder in the end, beside what every environment has (see `build`):

    project/       what is in the archive; pixi has its environments in there, below `.pixi`
    activate.sh    what a shell reads to be in the environment
    python         runs the interpreter of the environment, in the environment
"""

from __future__ import annotations

import base64
import io
import os
import shlex
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from . import bytecode
from .build import Build, perform
from .messages import Failure, log

# Environments belong into the project, wherever this machine has them otherwise.
_CONFIG = "detached-environments = false\n"
_WRITE_INTO = 'target=$1; shift; exec "$@" >"$target"'
_COMPILE = """\
import compileall, re, sys, sysconfig
compileall.compile_dir(sysconfig.get_paths()["purelib"], quiet=2, workers=0)
compileall.compile_dir(sys.argv[1], quiet=2, workers=0, rx=re.compile(r"/\\.pixi/"))
"""


def main(document: Mapping[str, Any]) -> int:
    """Build the environment that the request describes, or find it built already.

    The request: as that of `build`, without what is about installers; and `pixi`, with `packages`
    (the names that the task package may have) and what `Pixi` needs.
    """
    return perform(document, PixiBuild)


class PixiBuild(Build):
    """The steps of one build with pixi."""

    _installer: Pixi

    @staticmethod
    def check(request: Mapping[str, Any]) -> None:
        """Be content with any interpreter: pixi brings the one of the environment."""

    def _make_installer(self) -> Pixi:
        return Pixi(self._request, self._folder, self._run)

    def _inspect(self) -> dict[str, Any]:
        """Look for the task package by the names that it may have."""
        *first, last = self._request["pixi"]["packages"]
        for name in first:
            try:
                return self._inspect_package(name)
            except Failure as failure:
                if failure.reason != "not-installed":
                    raise
        return self._inspect_package(last)

    def _inspect_package(self, name: str) -> dict[str, Any]:
        self._request = {**self._request, "package": name}
        return super()._inspect()

    def _complete_lock(self, lock: dict[str, Any], hashes: Mapping[str, list[str]]) -> None:
        lock["pixi"] = self._installer.pixi_lock()
        super()._complete_lock(lock, hashes)

    def _finish(self) -> tuple[bytecode.Survey, list[bytecode.Source]]:
        # Our interpreter may be another version: what it would compile is of no use.
        if self._request["share"]:
            self.share()
        return bytecode.survey(str(self._installer.content)), []

    def share(self) -> None:
        """Let everybody run the environment."""
        self._installer.compile()
        bytecode.open_folder(str(self._folder.parent))
        bytecode.let_all_read(str(self._folder))


class Pixi:
    """Installs with pixi.

    Attributes:
        what: what it makes environments with.
        python: what runs the interpreter of the environment.
        content: the folder that all of it is in.
    """

    def __init__(self, request: Mapping[str, Any], folder: Path, run: Callable[..., None]) -> None:
        """Make an installer.

        Args:
            request: its `pixi` has `home` (the folder of a version of pixi),
                `archive` (a `.tar.gz` in base64), `manifest` (the path in it of the file that
                describes the project), `manifest_text` (null, or what to put in its place),
                `environment` (the name of one of the project's), `frozen` (whether to install
                what the archive's lock file says), `solves`, `downloads` and `threads` (how many
                at a time), `cache_dir` (null: pixi's own choice).
            folder: the folder that gets the environment.
            run: runs a command, given what it does, to its end.
        """
        self._asked: Mapping[str, Any] = request["pixi"]
        self._program = f"{self._asked['home']}/bin/pixi"
        self.what = f"pixi {Path(self._asked['home']).name}"
        self._folder = folder
        self._run = run
        self._manifest = folder / "project" / str(self._asked["manifest"])
        self._lock = self._manifest.parent / "pixi.lock"
        self.content = folder / "project"
        self.python = folder / "python"

    def make(self) -> None:
        """Unpack the project."""
        if not os.access(self._program, os.X_OK):
            raise Failure("no-tool", "there is no such program")
        log("Unpacking the project")
        with tarfile.open(fileobj=io.BytesIO(base64.b64decode(self._asked["archive"]))) as archive:
            # Whoever has sent it has looked at what is in it; older Pythons know no filters.
            safely = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
            archive.extractall(str(self.content), **safely)  # type: ignore[arg-type]  # noqa: S202
        if self._asked["manifest_text"] is not None:
            self._manifest.write_text(self._asked["manifest_text"], encoding="utf-8")
        config = self._manifest.parent / ".pixi" / "config.toml"
        config.parent.mkdir(exist_ok=True)
        config.write_text(_CONFIG)

    def collect(self) -> dict[str, list[str]]:
        """Install what the project asks for; pixi.lock has all hashes, and none is returned."""
        if self._asked["frozen"]:
            log("Installing what the project's pixi.lock says")
        else:
            log("Installing what the project asks for")
            if self._lock.exists():
                self._lock.unlink()
        self._install(frozen=self._asked["frozen"])
        return {}

    def rebuild(self, lock: Mapping[str, Any]) -> dict[str, list[str]]:
        """Install what a lock names, and nothing else."""
        log("Installing exactly what was recorded in pixi.lock")
        self._lock.write_text(lock["pixi"], encoding="utf-8")
        self._install(frozen=True)
        return {}

    def pixi_lock(self) -> str:
        """Return the text of pixi.lock."""
        return self._lock.read_text(encoding="utf-8")

    def compile(self) -> None:
        """Compile everything to bytecode, by the interpreter that will read it."""
        log("Compiling to bytecode: others cannot do that later")
        self._run([str(self.python), "-I", "-c", _COMPILE, str(self.content)], "environment-broken")

    def _install(self, *, frozen: bool) -> None:
        limits = ["--concurrent-solves", str(self._asked["solves"])]
        limits += ["--concurrent-downloads", str(self._asked["downloads"])]
        self._run(self._pixi("install", *limits, frozen=frozen), "pixi")
        if not self._lock.is_file():
            raise Failure("pixi", f"pixi has not written {self._lock}")
        # From here on, pixi.lock is what counts.
        hook = self._pixi("shell-hook", "--shell", "bash", frozen=True)
        activation = self._folder / "activate.sh"
        self._run(["/bin/sh", "-c", _WRITE_INTO, "sh", str(activation), *hook], "pixi")
        self.python.write_text(_wrapper(activation))
        self.python.chmod(0o777 & ~_umask())

    def _pixi(self, verb: str, *options: str, frozen: bool) -> list[str]:
        """Return a command of pixi about the environment."""
        asked = self._asked
        credentials = f"{asked['home']}/credentials.json"
        environ = {
            "PIXI_HOME": asked["home"],
            "PIXI_NO_PROGRESS": "true",
            "TOKIO_WORKER_THREADS": str(asked["threads"]),
            **({"PIXI_CACHE_DIR": asked["cache_dir"]} if asked["cache_dir"] else {}),
            **({"RATTLER_AUTH_FILE": credentials} if Path(credentials).is_file() else {}),
        }
        command = ["env", *(f"{name}={value}" for name, value in environ.items())]
        command += [self._program, verb, *options]
        command += ["--manifest-path", str(self._manifest), "--environment", asked["environment"]]
        return [*command, *(["--frozen"] if frozen else [])]


def _wrapper(activation: Path) -> str:
    """Return the script that is called for Python: packages of conda need their activation."""
    return (
        "#!/bin/bash\n"
        f". {shlex.quote(str(activation))}\n"
        "export PYTHONNOUSERSITE=1\n"
        'exec "$CONDA_PREFIX/bin/python" "$@"\n'
    )


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
