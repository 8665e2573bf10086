"""What fills an environment: uv, or the pip that comes with the interpreter.

Both can do the same two things. `collect` installs what a request asks for, and tells the hashes
of the archives that this came from; `rebuild` installs exactly what a lock names. With uv, to
collect is to resolve first and then to rebuild what came of it, so that its cache knows the
hashes of all that it has, and nothing is fetched again when an environment is rebuilt.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .exact import normal, read_compiled, read_report, requirement, with_hashes
from .messages import Failure, log

Hashes = dict[str, list[str]]
Run = Callable[..., None]

# pip, out of the archive in which every interpreter has it: the environment needs none.
_PIP = """\
import runpy, sys
sys.path.insert(0, sys.argv.pop(1))
runpy.run_module("pip", run_name="__main__", alter_sys=True)
"""
_WITH_REPORT = (22, 2)


class Installer:
    """What uv and pip have in common.

    Attributes:
        what: what it makes environments with.
        python: the interpreter of the environment.
    """

    what = f"Python {sys.version.split()[0]}"

    def __init__(self, request: Mapping[str, Any], folder: Path, run: Run) -> None:
        """Make an installer.

        Args:
            request: see `build.main`; its `uv` is a path, or null.
            folder: the folder that gets the environment `venv`, and the wheel if there is one.
            run: runs a command, given what it does ("venv", "install"), to its end.
        """
        self._request = request
        self._folder = folder
        self._run = run
        self.python = folder / "venv" / "bin" / "python"

    @property
    def _wheel(self) -> str | None:
        wheel = self._request["wheel"]
        return (self._folder / wheel[0]).as_uri() if wheel else None

    def _requirements(self) -> list[str]:
        """Return what the request asks for, with the URL of the wheel in its place."""
        asked = self._request["requirements"]
        return [each.replace("{wheel}", self._wheel or "") for each in asked]

    def rebuild(self, lock: Mapping[str, Any]) -> Hashes:
        """Install what a lock names, and nothing else; return the hashes that it has."""
        distributions = lock["distributions"]
        log(f"Installing exactly what was recorded: {len(distributions)} packages")
        copies = [each for each in distributions if not each["editable"]]
        self._install_exactly((requirement(each, self._wheel), each["hashes"]) for each in copies)
        for each in distributions:
            if each["editable"]:
                self._install(["--no-deps", "--editable", self._request["source"] or each["url"]])
        return {normal(each["name"]): each["hashes"] for each in distributions}

    def _install_exactly(self, wanted: Iterable[tuple[str, Sequence[str]]]) -> None:
        """Install requirements that are exact: with hashes, where they are known."""
        # Neither tool takes both kinds at once.
        hashed: list[str] = []
        others: list[str] = []
        for asked, hashes in wanted:
            (hashed if hashes else others).append(with_hashes(asked, hashes))
        for lines, options in ((hashed, ["--require-hashes"]), (others, [])):
            if lines:
                path = self._write("exact.txt", lines)
                self._install(["--no-deps", *options, "--requirement", str(path)])
                path.unlink()

    def _write(self, name: str, lines: Sequence[str]) -> Path:
        path = self._folder / name
        path.write_text("".join(lines))
        return path

    def _install(self, arguments: Sequence[str]) -> None:
        raise NotImplementedError


class Uv(Installer):
    """Installs with uv."""

    def make(self) -> None:
        """Make an empty environment."""
        command = ["venv", "--quiet", "--no-project", "--python", sys.executable]
        self._uv([*command, str(self._folder / "venv")], "venv")

    def collect(self) -> Hashes:
        """Install what the request asks for; return the hashes by normal name."""
        requirements, source = self._requirements(), self._request["source"]
        log("Installing " + ", ".join(requirements))
        try:
            resolved = self._resolve(requirements)
        except Failure as failure:
            raise self._with_newest(failure) from None
        pins = self._request["pins_after"]
        if pins:
            log("Installing " + ", ".join(pins) + ", whatever it replaces")
            resolved.update(self._resolve(pins))
        (self._folder / "resolved.txt").unlink()
        package = normal(self._request["package"])
        self._install_exactly(
            wanted for name, wanted in resolved.items() if not (source and name == package)
        )
        if source:
            self._install(["--no-deps", "--editable", source])
        return {name: hashes for name, (_, hashes) in resolved.items()}

    def _with_newest(self, failure: Failure) -> Failure:
        """Add to the failure of a version that is not there which one would be."""
        missing = re.search(r"there\s+is\s+no\s+version\s+of\s+([\w.-]+)==", failure.output)
        if missing is None:
            return failure
        name = missing[1]
        asked = self._write("newest.txt", [f"{name}\n"])
        answer = self._folder / "newest-is.txt"
        command = ["pip", "compile", "--quiet", "--no-deps", "--no-header", "--no-annotate"]
        command += ["--python", str(self.python), "--output-file", str(answer), str(asked)]
        try:
            self._uv(command, "install", stdout=False)
        except Failure:
            return failure
        newest = answer.read_text().strip().partition("==")[2]
        said = f"The newest version of {name} that fits here is {newest}"
        log(said)
        return Failure(failure.reason, f"{failure.output}\n{said}")

    def _resolve(self, requirements: Sequence[str]) -> dict[str, tuple[str, list[str]]]:
        """Find out what has to be installed, and the hashes of its archives.

        What was resolved before in this folder keeps its versions where it can.
        """
        asked = self._write("asked.txt", [f"{each}\n" for each in requirements])
        resolved = self._folder / "resolved.txt"
        command = ["pip", "compile", "--generate-hashes", "--no-header", "--no-annotate"]
        command += ["--python", str(self.python), "--output-file", str(resolved), str(asked)]
        self._uv(command, "install", stdout=False)
        asked.unlink()
        return read_compiled(resolved.read_text())

    def _install(self, arguments: Sequence[str]) -> None:
        self._uv(["pip", "install", "--python", str(self.python), *arguments], "install")

    def _uv(self, arguments: Sequence[str], step: str, *, stdout: bool = True) -> None:
        cache = self._request["cache"]
        place = [] if cache is None else [f"--cache-dir={cache}/uv"]
        self._run([self._request["uv"], *arguments, *place], step, stdout=stdout)


class Pip(Installer):
    """Installs with pip; the environment itself gets none."""

    def make(self) -> None:
        """Make an empty environment."""
        self._archive = _pip_archive()
        venv = [sys.executable, "-I", "-m", "venv", "--without-pip"]
        self._run([*venv, str(self._folder / "venv")], "venv")

    def collect(self) -> Hashes:
        """Install what the request asks for; return the hashes by normal name."""
        requirements = self._requirements()
        log("Installing " + ", ".join(requirements))
        source = self._request["source"]
        arguments = ["--", *requirements]
        if source:
            arguments = ["--editable", source, "--", *requirements[1:]]
        hashes = self._install_and_report(arguments)
        pins = self._request["pins_after"]
        if pins:
            log("Installing " + ", ".join(pins) + ", whatever it replaces")
            hashes.update(self._install_and_report(["--", *pins]))
        return hashes

    def _install_and_report(self, arguments: Sequence[str]) -> Hashes:
        """Install; return the hashes of what was installed, if this pip can tell them."""
        if _version_of(self._archive) < _WITH_REPORT:
            self._install(arguments)
            return {}
        report = self._folder / "report.json"
        self._install([f"--report={report}", *arguments])
        hashes = read_report(json.loads(report.read_text()))
        report.unlink()
        return hashes

    def _install(self, arguments: Sequence[str]) -> None:
        command = [str(self.python), "-I", "-c", _PIP, str(self._archive)]
        command += ["install", "--upgrade", "--no-compile", "--no-warn-script-location"]
        command += ["--no-input", "--progress-bar=off", "--disable-pip-version-check"]
        cache = self._request["pip_cache_dir"]
        place = [] if cache is None else [f"--cache-dir={cache}"]
        self._run([*command, *place, *arguments], "install")


def make_installer(request: Mapping[str, Any], folder: Path, run: Run) -> Uv | Pip:
    """Return the installer that a request asks for."""
    return (Pip if request["uv"] is None else Uv)(request, folder, run)


def _pip_archive() -> Path:
    """Return the archive of pip that the interpreter installs into new environments.

    Raises:
        Failure: this interpreter came without it.
    """
    try:
        import ensurepip
    except ImportError:
        raise Failure("venv", "No module named ensurepip") from None
    import sysconfig

    folders = [Path(ensurepip.__file__).with_name("_bundled")]
    # Where distributions of Linux keep it.
    elsewhere = sysconfig.get_config_var("WHEEL_PKG_DIR")
    folders += [Path(each) for each in (elsewhere, "/usr/share/python-wheels") if each]
    for folder in folders:
        found = sorted(folder.glob("pip-*.whl"), key=_version_of)
        if found:
            return found[-1]
    raise Failure("venv", f"ensurepip has no pip in {' nor '.join(map(str, folders))}")


def _version_of(archive: Path) -> tuple[int, ...]:
    version = archive.name.split("-")[1]
    return tuple(int(number) for number in re.findall(r"\d+", version)[:2])
