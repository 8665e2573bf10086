"""What an environment consists of, exactly; and the file from which others make it again."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from fractal_jupyter.environments.on_host import exact
from fractal_jupyter.errors import InvalidDocument

__all__ = [
    "Distribution",
    "Lock",
    "LockFile",
    "WheelFile",
    "parse_lock",
    "read_lock_file",
    "write_lock_file",
]

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", re.ASCII)
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.!+_-]*", re.ASCII)
# Printable, and nothing that would end a line or go on with it.
_WORD = re.compile(r"[!-\[\]-~]+", re.ASCII)
_HASH = re.compile(r"[a-z0-9_]+:[0-9a-f]+", re.ASCII)
_PYTHON = re.compile(r"[0-9]+\.[0-9]+(\.[0-9]+\S*)?", re.ASCII)
_ORIGINS = ("pypi", "wheel", "editable", "pixi", "custom")


@dataclass(frozen=True, slots=True)
class Distribution:
    """A package as it is installed.

    Attributes:
        name: its name, as it spells it itself.
        version: its version.
        hashes: those of its archives, as the index has them: "sha256:…", ordered; empty where
            they are not known.
        content: the digest of the installed files; None: not known, or they may change.
        url: where it comes from, if not from the index: a URL, or the name of a wheel file.
        editable: whether it runs from a source folder.
    """

    name: str
    version: str
    hashes: tuple[str, ...] = ()
    content: str | None = None
    url: str | None = None
    editable: bool = False

    def __post_init__(self) -> None:
        """Refuse what would be something else in a requirements file."""
        _must_match(_NAME, self.name, "the name of a package")
        _must_match(_VERSION, self.version, "a version")
        for each in (*self.hashes, *([self.content] if self.content is not None else [])):
            _must_match(_HASH, each, "a hash")
        if self.url is not None:
            _must_match(_WORD, self.url, "a URL")
        if self.editable and (self.url is None or self.hashes or self.content):
            raise InvalidDocument(f"{self.name} is editable: it has a URL, and nothing else.")

    def __str__(self) -> str:
        if self.url is None:
            return f"{self.name}=={self.version}"
        return f"{self.name} @ {self.url}"

    @property
    def is_from_wheel_file(self) -> bool:
        """Whether it comes from a wheel file that somebody has handed in."""
        return self.url is not None and not self.editable and exact.is_file_name(self.url)


@dataclass(frozen=True, slots=True, repr=False)
class Lock:
    """Everything that is installed in an environment.

    Attributes:
        python: the full version of its Python, "3.11.7".
        platform: what it runs on, "linux-x86_64-glibc".
        distributions: what is installed, ordered by name.
        pixi: the text of pixi.lock, for an environment that pixi has made.
    """

    python: str
    platform: str
    distributions: tuple[Distribution, ...]
    pixi: str | None = None

    def __post_init__(self) -> None:
        """Refuse what a lock file could not say."""
        _must_match(_PYTHON, self.python, "the version of a Python")
        _must_match(_WORD, self.platform, "a platform")

    def __repr__(self) -> str:
        count = len(self.distributions)
        return (
            f"<Lock of {count:,} package{'' if count == 1 else 's'}, Python {self.python} on "
            f"{self.platform}, digest {self.digest[:12]}…>"
        )

    @property
    def freeze(self) -> tuple[str, ...]:
        """A requirement for each distribution, ordered by name."""
        return tuple(str(each) for each in self.distributions)

    @property
    def digest(self) -> str:
        """The same for equal locks, and for no others."""
        text = json.dumps(self.to_document(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def to_document(self) -> dict[str, Any]:
        """Return it in the form that `parse_lock` reads."""
        distributions = [
            {**asdict(each), "hashes": list(each.hashes)} for each in self.distributions
        ]
        return {
            "python": self.python,
            "platform": self.platform,
            "distributions": distributions,
            "pixi": self.pixi,
        }

    def differences(self, other: Lock) -> list[str]:
        """Return in words what another environment has otherwise, or nothing.

        What is editable is compared by name only. Hashes of archives differ when both sides know
        some and have none in common: an index may get further archives of a version.
        """
        return exact.differences(self.to_document(), other.to_document())


@dataclass(frozen=True, slots=True)
class WheelFile:
    """The wheel file that a package came as.

    Attributes:
        name: its file name.
        sha256: the digest of its content, in hexadecimal digits.
    """

    name: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LockFile:
    """What another machine needs to make a task group again.

    Attributes:
        package: the name of the task package.
        extras: the extras that were installed with it.
        version: its version.
        origin: where it came from: pypi, wheel, editable, pixi, custom.
        python_version: the configured version, "3.11".
        wheel: its wheel file, which has to be there, too; None: it did not come as one.
        lock: what was installed.
    """

    package: str
    extras: tuple[str, ...] = ()
    version: str
    origin: str
    python_version: str
    wheel: WheelFile | None = None
    lock: Lock

    def __post_init__(self) -> None:
        """Refuse what the file could not say."""
        for name in (self.package, *self.extras):
            _must_match(_NAME, name, "a name")
        _must_match(_VERSION, self.version, "a version")
        _must_match(_PYTHON, self.python_version, "the version of a Python")
        if self.origin not in _ORIGINS:
            raise InvalidDocument(f"{self.origin!r} is none of {', '.join(_ORIGINS)}.")
        if self.wheel is not None:
            _must_match(_WORD, self.wheel.name, "the name of a wheel file")
            _must_match(re.compile(r"[0-9a-f]{64}"), self.wheel.sha256, "a SHA-256 digest")


def parse_lock(document: Mapping[str, Any]) -> Lock:
    """Read what `Lock.to_document` has made.

    Raises:
        InvalidDocument: it is something else.
    """
    try:
        return Lock(
            python=document["python"],
            platform=document["platform"],
            distributions=tuple(
                Distribution(**{**each, "hashes": tuple(each["hashes"])})
                for each in document["distributions"]
            ),
            pixi=document["pixi"],
        )
    except (KeyError, TypeError) as error:
        raise InvalidDocument(f"This is not the lock of an environment: {error!r}") from error


# The lock file: a requirements file, with our own facts in its comments.

_TITLE = "# A Fractal task group, exactly as it was installed (format 1)."
_HELP = (
    "# Fractal makes it again: collect this file. By hand, in an empty environment:",
    "#   pip install --require-hashes --no-deps -r THIS_FILE",
)
_FACTS = (
    *("package", "extras", "version", "origin", "python-version", "wheel"),
    *("python", "platform", "digest"),
)
_HEAD = r"# (?P<name>\S+) (?P<version>\S+)(?: content=(?P<content>\S+))?"
_EDITABLE = "# editable: "
_BESIDE = "./"
_PIXI = "# pixi.lock|"


def write_lock_file(lock_file: LockFile) -> str:
    """Return the text of a lock file, which uv and pip take for a requirements file."""
    lock, wheel = lock_file.lock, lock_file.wheel
    facts = (
        *(lock_file.package, ",".join(lock_file.extras), lock_file.version, lock_file.origin),
        *(lock_file.python_version, f"{wheel.name} {wheel.sha256}" if wheel else ""),
        *(lock.python, lock.platform, lock.digest),
    )
    lines = [_TITLE, *_HELP]
    lines += [f"# {key}: {value}".rstrip() for key, value in zip(_FACTS, facts, strict=True)]
    for each in lock.distributions:
        content = f" content={each.content}" if each.content else ""
        lines += ["", f"# {each.name} {each.version}{content}", _requirement(each)]
    if lock.pixi is not None:
        lines += ["", *(_PIXI + json.dumps(line)[1:-1] for line in lock.pixi.split("\n"))]
    return "\n".join([*lines, ""])


def _requirement(distribution: Distribution) -> str:
    if distribution.editable:
        return f"{_EDITABLE}{distribution.url}"
    beside = distribution.is_from_wheel_file
    asked = f"{_BESIDE}{distribution.url}" if beside else str(distribution)
    return exact.with_hashes(asked, distribution.hashes).rstrip("\n")


def read_lock_file(text: str) -> LockFile:
    """Read what `write_lock_file` has made.

    Raises:
        InvalidDocument: it is something else, or was changed; the message says where.
    """
    lines = _Lines(text)
    try:
        return _read(lines)
    except InvalidDocument as error:
        raise InvalidDocument(
            f"This is no lock file of a task group, or it was changed: {error} (entry "
            f"{lines.number}). Export the task group again."
        ) from error


class _Lines:
    """The lines of a lock file, one after the other; those that are continued are one.

    Attributes:
        number: that of the current line, counted from 1, without empty ones.
    """

    def __init__(self, text: str) -> None:
        joined = text.replace("\r\n", "\n").replace(" \\\n", " ")
        self._lines = [line for line in joined.split("\n") if line]
        self.number = 1

    @property
    def current(self) -> str | None:
        """The current line; None at the end."""
        return self._lines[self.number - 1] if self.number <= len(self._lines) else None

    def take(self, pattern: str, expected: str) -> re.Match[str]:
        """Return the match of the current line, and go on."""
        match = re.fullmatch(pattern, self.current or "")
        if match is None:
            raise InvalidDocument(f"expected {expected}, found {self.current or 'its end'!r}")
        self.number += 1
        return match


def _read(lines: _Lines) -> LockFile:
    lines.take(re.escape(_TITLE), "the title of a lock file")
    for each in _HELP:
        lines.take(re.escape(each), f'"{each}"')
    facts = {key: lines.take(rf"# {key}:(?: (.*))?", f'"# {key}: …"')[1] or "" for key in _FACTS}
    wheel = facts["wheel"].split(" ")
    lock = Lock(
        python=facts["python"],
        platform=facts["platform"],
        distributions=tuple(_read_distributions(lines)),
        pixi=_read_pixi(lines),
    )
    if lock.digest != facts["digest"]:
        raise InvalidDocument(
            f"it lists {len(lock.distributions)} packages, which are not those that it was "
            "written with"
        )
    return LockFile(
        package=facts["package"],
        extras=tuple(filter(None, facts["extras"].split(","))),
        version=facts["version"],
        origin=facts["origin"],
        python_version=facts["python-version"],
        wheel=WheelFile(wheel[0], wheel[-1]) if facts["wheel"] else None,
        lock=lock,
    )


def _read_distributions(lines: _Lines) -> Iterator[Distribution]:
    while lines.current is not None and not lines.current.startswith(_PIXI):
        head = lines.take(_HEAD, "a name and a version")
        if (lines.current or "").startswith(_EDITABLE):
            url = lines.take(rf"{_EDITABLE}(\S+)", "a URL")[1]
            yield Distribution(head["name"], head["version"], url=url, editable=True)
            continue
        asked = re.escape(head["name"])
        pattern = (
            rf"(?:{asked}=={re.escape(head['version'])}|{asked} @ (?P<url>\S+)|\./(?P<wheel>\S+))"
            r"(?P<hashes>(?:\s+--hash=\S+)*)"
        )
        found = lines.take(pattern, f"the requirement of {head['name']}")
        yield Distribution(
            head["name"],
            head["version"],
            tuple(each.removeprefix("--hash=") for each in found["hashes"].split()),
            head["content"],
            found["url"] or found["wheel"],
        )


def _read_pixi(lines: _Lines) -> str | None:
    if lines.current is None:
        return None
    found = []
    while lines.current is not None:
        line = lines.take(re.escape(_PIXI) + "(.*)", "a line of pixi.lock")[1]
        try:
            found.append(str(json.loads(f'"{line}"')))
        except ValueError as error:
            raise InvalidDocument(f"{line!r} is not a line of pixi.lock") from error
    return "\n".join(found)


def _must_match(pattern: re.Pattern[str], text: object, what: str) -> None:
    if not isinstance(text, str) or not pattern.fullmatch(text):
        raise InvalidDocument(f"{text!r} is not {what}.")
