"""What to build: a task package, and the environment that is wanted for it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fractal_jupyter.environments.lock import Lock
from fractal_jupyter.errors import CollectionError

__all__ = ["BuildRequest", "PackageSpec", "normal_name", "parse_requirement"]

# Names and versions as PyPI has them. Nothing that a tool could take for an option, a path or a
# URL gets through.
_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
_VERSION = r"[A-Za-z0-9][A-Za-z0-9.!+_-]*"
_EXTRAS = rf"\[\s*(?P<extras>{_NAME}(?:\s*,\s*{_NAME})*)?\s*\]"
_REQUIREMENT = re.compile(
    rf"(?P<name>{_NAME})\s*(?:{_EXTRAS})?\s*(?:==\s*(?P<version>{_VERSION}))?", re.ASCII
)
_WHEEL = re.compile(rf"(?P<path>.*\.whl)\s*(?:{_EXTRAS})?", re.ASCII | re.DOTALL)
_WHEEL_NAME = re.compile(
    r"(?P<name>[A-Za-z0-9][A-Za-z0-9._]*)-(?P<version>[^-]+)"
    r"(?:-[0-9][^-]*)?-[^-]+-[^-]+-[^-]+\.whl",
    re.ASCII,
)
_FOLDER = re.compile(r"/[^\[\]\0\r\n]*")
_PINNED = re.compile(rf"{_NAME}\s*(?:{_EXTRAS})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class PackageSpec:
    """A task package: from the package index, a wheel file, or a folder with its source.

    Attributes:
        name: its name.
        version: the version; None: the newest one that fits.
        extras: the extras to install with it.
        wheel: absolute path of the wheel file on this machine; None: it comes as none.
        source: absolute path, on the host, of the source folder that is installed in editable
            mode; None: it comes as none.
    """

    name: str
    version: str | None = None
    extras: tuple[str, ...] = ()
    wheel: Path | None = None
    source: str | None = None

    def __post_init__(self) -> None:
        """Refuse what could be anything else than a name or a version."""
        if self.source is not None and not _FOLDER.fullmatch(self.source):
            raise CollectionError(
                f"{self.source!r} is not the absolute path of a folder without line breaks and "
                "square brackets, which installers take for extras."
            )
        for extra in self.extras:
            _must_match(_NAME, extra, "the name of an extra")
        _must_match(_NAME, self.name, "the name of a package")
        if self.version is not None:
            _must_match(_VERSION, self.version, "a version")

    def __str__(self) -> str:
        return self.name if self.version is None else f"{self.name} {self.version}"

    @property
    def requirement(self) -> str:
        """The requirement to install.

        Of a wheel, with `{wheel}` in place of its URL; of a source folder, what is to follow the
        option `--editable`.
        """
        extras = f"[{','.join(self.extras)}]" if self.extras else ""
        if self.source is not None:
            return f"{self.source}{extras}"
        if self.wheel is not None:
            return f"{self.name}{extras} @ {{wheel}}"
        version = f"=={self.version}" if self.version is not None else ""
        return f"{self.name}{extras}{version}"


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """An environment that is wanted.

    Attributes:
        package: the task package.
        interpreter: absolute path, on the host, of the Python to make the environment with.
        python_version: the version that it is configured as, "3.12".
        folder: absolute path, on the host, of the folder to make; it holds the environment and
            what is known of it.
        pins_before: version by package name, for what is installed with the package.
        pins_after: the same for what is installed afterwards, whatever it replaces.
        share: whether other users must be able to run it: everything is made readable, and
            bytecode is complete from the start.
        configured: the Python versions that there are interpreters for, for messages.
        lock: exactly what to install, instead of what the package and the pins come to today.
    """

    package: PackageSpec
    interpreter: str
    python_version: str
    folder: str
    pins_before: Mapping[str, str] = field(default_factory=dict)
    pins_after: Mapping[str, str] = field(default_factory=dict)
    share: bool = False
    configured: tuple[str, ...] = ()
    lock: Lock | None = None

    def __post_init__(self) -> None:
        """Refuse relative paths, and pins that are not a name and a version."""
        for path in (self.interpreter, self.folder):
            if not path.startswith("/"):
                raise CollectionError(f"{path!r} is not an absolute path.")
        for name, version in [*self.pins_before.items(), *self.pins_after.items()]:
            _must_match(_PINNED, name, "the name of a package")
            _must_match(_VERSION, version, "a version")

    @property
    def requirements(self) -> list[str]:
        """What to install: the package, what is pinned beside it, and setuptools.

        setuptools is there because the reference server always installs it, and older packages
        use it without asking for it.
        """
        pins = [f"{name}=={version}" for name, version in self.pins_before.items()]
        implied = {normal_name(name) for name in self.pins_before} | {
            normal_name(self.package.name)
        }
        return [
            self.package.requirement,
            *pins,
            *([] if "setuptools" in implied else ["setuptools"]),
        ]


def parse_requirement(text: str) -> PackageSpec:
    """Read what a user asks for.

    Args:
        text: `name`, `name==version`, `name[extra,…]==version`, or the path of a wheel file,
            also with `[extra,…]` behind it.

    Returns:
        The package, its name in the one spelling by which packages are compared.

    Raises:
        CollectionError: it is neither.
    """
    text = text.strip()
    wheel = _WHEEL.fullmatch(text)
    if wheel:
        path = Path(wheel["path"]).expanduser().absolute()
        named = _WHEEL_NAME.fullmatch(path.name)
        if not named:
            raise CollectionError(
                f"{path.name} is not the name of a wheel file; those look like "
                "my_tasks-1.0.0-py3-none-any.whl."
            )
        name = normal_name(named["name"])
        return PackageSpec(name, named["version"], _extras(wheel["extras"]), path)
    match = _REQUIREMENT.fullmatch(text)
    if not match:
        raise CollectionError(
            f"{text!r} is not a package to collect. Write a name, a name and an exact version "
            '("fractal-tasks-core==2.1.0"), with extras if you like ("name[extra]==1.0"), or '
            "the path of a wheel file; with editable=True that of a source folder."
        )
    return PackageSpec(normal_name(match["name"]), match["version"], _extras(match["extras"]))


def normal_name(name: str) -> str:
    """Return the one spelling of a package name by which packages are compared (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name.partition("[")[0].strip()).lower()


def _extras(text: str | None) -> tuple[str, ...]:
    return tuple(extra.strip() for extra in text.split(",")) if text else ()


def _must_match(pattern: str | re.Pattern[str], text: str, what: str) -> None:
    if not re.fullmatch(pattern, text):
        raise CollectionError(f"{text!r} is not {what}.")
