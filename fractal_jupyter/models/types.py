"""Kinds of values that several documents have in common.

A validator here raises `ValueError` with *what is allowed*, and nothing else: where the value was
and what was found is added by `fractal_jupyter.models.documents`, in one way for all documents.
The same words describe the kind in JSON schemas, and are told where a value of it is missing.
"""

from __future__ import annotations

import ntpath
import os
import posixpath
import re
import shlex
from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints

_ONE_LINE: Final = "text on one line, without control characters"
_PATH: Final = 'an absolute path without "..", such as "/data/jobs"'
_MEMORY: Final = 'memory in MB, such as 200, "200M", "3G" or "1T", at least 1 MB'
_ENVIRONMENT_NAME: Final = "letters A to Z, digits and underscores, not starting with a digit"
_USER: Final = "a user's name of letters, digits and . _ - + @ $ \\, no sign but _ at the start"
_HOST: Final = "the name or address of a host, without a user's name"
_SHEBANG: Final = 'an interpreter line such as "#!/bin/sh" or "#!/bin/bash -l"'
_SLURM_VALUE: Final = (
    "one word of letters, digits and . _ , : = / @ % + * & | ! ( ) [ ] -, without spaces and quotes"
)
_SLURM_TIME: Final = (
    'a time limit "minutes", "minutes:seconds", "hours:minutes:seconds", "days-hours", '
    '"days-hours:minutes", "days-hours:minutes:seconds" or "UNLIMITED"'
)
_SBATCH_LINE: Final = (
    'a line of SLURM options, such as "#SBATCH --gres=gpu:1", with quotes closed and without '
    "backslashes; commands cannot be given here"
)

RUNNER_OPTIONS: Final = (
    "--array",
    "--error",
    "--export",
    "--export-file",
    "--job-name",
    "--no-requeue",
    "--ntasks",
    "--output",
    "--requeue",
    "--test-only",
    "--wait",
)
"""Options of `sbatch` that only the runner may set."""

# the short forms of the same, alone or behind options that take no value: -Hn4 is -H -n4
_RUNNER_OPTIONS_SHORT: Final = re.compile("-[hHIkOQsuvV]*[aeJnoW]")

# characters that could start a new line, or steer a terminal, where the value is written out
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")

_MEMORY_PATTERN: Final = re.compile("([0-9]{1,15})([MGT]?)")
_MB_PER_UNIT: Final = {"": 1, "M": 1, "G": 1_000, "T": 1_000_000}


def one_line(text: str) -> str:
    """Return the text if it has no line break and no other control character.

    Raises:
        ValueError: It has one.
    """
    if _CONTROL.search(text):
        raise ValueError(_ONE_LINE)
    return text


def absolute_posix_path(path: str) -> str:
    """Return the path in its shortest spelling (`/a//b/` is `/a/b`).

    Raises:
        ValueError: It is relative, goes up with `..`, or names a folder that ends with a blank,
            which would be another one when it is read again.
    """
    if not path.startswith("/") or ".." in path.split("/"):
        raise ValueError(_PATH)
    # POSIX gives a meaning of its own to exactly two leading slashes; nobody wants it here
    short = "/" + posixpath.normpath(path).lstrip("/")
    if short != short.rstrip():
        raise ValueError(f"{_PATH}, that does not end with a blank")
    return short


def absolute_local_path(path: str, *, windows: bool = os.name == "nt") -> str:
    """Return an absolute path of this machine in its shortest spelling.

    Args:
        path: On Windows a path with a drive is absolute, too.
        windows: Whether this machine runs Windows.

    Raises:
        ValueError: It is relative, or goes up with `..`.
    """
    drive, rest = ntpath.splitdrive(path)
    if windows and drive and rest.startswith(("\\", "/")) and ".." not in re.split(r"[\\/]", rest):
        return ntpath.normpath(path)
    return absolute_posix_path(path)


def parse_memory_mb(memory: float | str) -> int:
    """Return an amount of memory in MB (1,000,000 bytes).

    Args:
        memory: MB when it is a number or has no unit; `"100M"`, `"3G"` (3,000 MB) and `"1T"`
            (1,000,000 MB) otherwise.

    Raises:
        ValueError: It is nothing of this, or less than 1 MB.
    """
    amount = memory
    if isinstance(memory, str) and (match := _MEMORY_PATTERN.fullmatch(memory.strip())):
        amount = int(match[1]) * _MB_PER_UNIT[match[2]]
    elif isinstance(memory, float) and memory.is_integer():
        amount = int(memory)
    # JSON's true is no amount of memory, although Python counts it as 1
    if isinstance(amount, bool) or not isinstance(amount, int) or amount < 1:
        raise ValueError(_MEMORY)
    return amount


def sbatch_line(line: str) -> str:
    """Return a line of `#SBATCH` options, none of which belongs to the runner.

    Raises:
        ValueError: It is something else, or sets what only the runner may set.
    """
    head, _, rest = line.partition(" ")
    try:
        words = shlex.split(rest)
    except ValueError:  # quotes that are not closed
        words = []
    # SLURM and `shlex` do not agree everywhere on what a backslash escapes
    if head != "#SBATCH" or not words or not words[0].startswith("-") or "\\" in line:
        raise ValueError(_SBATCH_LINE)
    if any(_is_the_runners(word) for word in words):
        raise ValueError(
            f"SLURM options that the runner does not set itself; it sets "
            f"{', '.join(RUNNER_OPTIONS)} (and their short forms)"
        )
    return line


def _is_the_runners(word: str) -> bool:
    if not word.startswith("--"):
        return _RUNNER_OPTIONS_SHORT.match(word) is not None
    name = word.partition("=")[0]
    # SLURM takes `--arr` for `--array`
    return name != "--" and any(option.startswith(name) for option in RUNNER_OPTIONS)


def _matches(pattern: str, allowed: str) -> AfterValidator:
    compiled = re.compile(pattern)

    def check(text: str) -> str:
        if not compiled.fullmatch(text):
            raise ValueError(allowed)
        return text

    return AfterValidator(check)


NonEmptyStr = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
"""Text that is more than white space, without the white space around it."""

# one `Field` in each kind: pydantic 2.6 takes a field whose kind has two for an optional one
_Line = Annotated[NonEmptyStr, AfterValidator(one_line)]

OneLine = Annotated[_Line, Field(description=_ONE_LINE)]
"""Text on one line: names and whatever else is shown or written in the middle of a line."""

AbsolutePath = Annotated[_Line, AfterValidator(absolute_posix_path), Field(description=_PATH)]
"""An absolute path where the computing happens (a POSIX system)."""

LocalPath = Annotated[_Line, AfterValidator(absolute_local_path), Field(description=_PATH)]
"""An absolute path on the machine where this package runs."""

StrictBool = Annotated[bool, Field(strict=True)]
"""True or false; no word or number stands for them."""

PositiveInt = Annotated[int, Field(ge=1, description="a whole number, at least 1")]
"""A whole number, at least 1."""

MemoryMB = Annotated[int, BeforeValidator(parse_memory_mb), Field(description=_MEMORY)]
"""An amount of memory; the field holds MB whatever unit the document has."""

EnvironmentName = Annotated[NonEmptyStr, _matches("[A-Za-z_][A-Za-z0-9_]*", _ENVIRONMENT_NAME)]
"""The name of an environment variable."""

UserName = Annotated[
    # what `sudo -u` and `ssh` take for a name, and neither for an option nor for a numeric id
    _Line, _matches(r"\w[\w.$@+\\-]*", _USER), Field(description=_USER)
]
"""The name of a Unix user."""

HostName = Annotated[_Line, _matches(r"[\w\[:][\w.:%\[\]-]*", _HOST), Field(description=_HOST)]
"""The name or address of a host, as `ssh` takes it."""

SlurmValue = Annotated[
    NonEmptyStr,
    _matches(r"[A-Za-z0-9_.,:=/@%+*&|!()\[\]][A-Za-z0-9_.,:=/@%+*&|!()\[\]-]*", _SLURM_VALUE),
    Field(description=_SLURM_VALUE),
]
"""The value of a SLURM option, which stays one word wherever it is written."""

SlurmTime = Annotated[
    NonEmptyStr,
    _matches("([0-9]{1,6}-)?[0-9]{1,9}(:[0-9]{1,2}){0,2}|(?i:UNLIMITED|INFINITE)", _SLURM_TIME),
    Field(description=_SLURM_TIME),
]
"""A time limit in one of the spellings of `sbatch --time`."""

SbatchLine = Annotated[_Line, AfterValidator(sbatch_line), Field(description=_SBATCH_LINE)]
"""An `#SBATCH` line with options that the runner does not set itself."""

ShebangLine = Annotated[_Line, _matches(r"#! ?/\S+( .*)?", _SHEBANG), Field(description=_SHEBANG)]
"""The first line of a job script."""
