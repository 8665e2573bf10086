from __future__ import annotations

import shlex
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from fractal_jupyter.models.types import (
    AbsolutePath,
    EnvironmentName,
    HostName,
    LocalPath,
    MemoryMB,
    NonEmptyStr,
    OneLine,
    PositiveInt,
    SbatchLine,
    ShebangLine,
    SlurmTime,
    SlurmValue,
    StrictBool,
    UserName,
    absolute_local_path,
    parse_memory_mb,
)

LINE_KINDS: list[Any] = [
    OneLine,
    AbsolutePath,
    LocalPath,
    EnvironmentName,
    UserName,
    HostName,
    SlurmValue,
    SlurmTime,
    SbatchLine,
    ShebangLine,
]

# text that is likelier to get through than any text, and to do harm when it does
TRICKY = st.text(st.sampled_from("abAZ019_-. /:;#!$`'\"\\\n\r\t\u2028é=&|()[]*%@+,")) | st.text()


def checked(kind: Any, value: object) -> Any:
    return TypeAdapter(kind).validate_python(value)


def accepted(kind: Any, value: object) -> Any | None:
    try:
        return checked(kind, value)
    except ValidationError:
        return None


@given(st.integers(1, 10**12), st.sampled_from([("", 1), ("M", 1), ("G", 10**3), ("T", 10**6)]))
def test_memory_is_the_number_times_its_unit(number: int, unit: tuple[str, int]) -> None:
    suffix, factor = unit
    assert parse_memory_mb(f"{number}{suffix}") == number * factor
    assert parse_memory_mb(number) == number
    assert checked(MemoryMB, f" {number}{suffix} ") == number * factor


@given(st.text() | st.integers() | st.floats() | st.booleans())
def test_memory_is_a_positive_number_or_refused(value: str | float) -> None:
    amount = accepted(MemoryMB, value)
    if amount is None:
        with pytest.raises(ValueError, match="memory in MB"):
            parse_memory_mb(value)
    else:
        assert type(amount) is int
        assert amount >= 1


def test_memory_of_the_contract() -> None:
    assert [parse_memory_mb(m) for m in ("100M", "3G", "1T", 200, 200.0)] == [
        100,
        3000,
        1_000_000,
        200,
        200,
    ]


@pytest.mark.parametrize("kind", LINE_KINDS)
@given(text=TRICKY)
@example(text="/ /")
def test_what_is_accepted_stays_on_its_line(kind: Any, text: str) -> None:
    value = accepted(kind, text)
    if value is not None:
        assert value
        assert value.splitlines() == [value]
        assert value.strip() == value
        assert accepted(kind, value) == value


@given(TRICKY)
def test_a_slurm_value_stays_one_word(text: str) -> None:
    value = accepted(SlurmValue, text)
    if value is not None:
        assert shlex.split(f"--option={value}", comments=True) == [f"--option={value}"]
        assert not value.startswith("-")


@given(st.lists(TRICKY, min_size=1, max_size=4))
def test_an_sbatch_line_sets_no_option_of_the_runner(words: list[str]) -> None:
    line = accepted(SbatchLine, "#SBATCH " + " ".join(words))
    if line is not None:
        for word in shlex.split(line)[1:]:
            assert not word.startswith(("-a", "-J", "-o", "-e", "-n", "--ar", "--ou", "--nt"))


@given(TRICKY)
def test_names_and_hosts_are_no_options(text: str) -> None:
    for kind in (UserName, HostName):
        value = accepted(kind, text)
        if value is not None:
            assert value[0] not in "-#+@%$"
            assert len(value.split()) == 1


@given(TRICKY)
def test_an_environment_name_can_be_exported(text: str) -> None:
    value = accepted(EnvironmentName, text)
    if value is not None:
        assert value.isascii()
        assert value.isidentifier()


@given(TRICKY)
def test_an_absolute_path_stays_below_the_root(text: str) -> None:
    path = accepted(AbsolutePath, "/" + text)
    if path is not None:
        assert path == "/" or not path.endswith("/")
        assert not {"", ".", ".."} & set(path.removeprefix("/").split("/")) or path == "/"


@pytest.mark.parametrize(
    ("path", "windows", "expected"),
    [
        ("/data//jobs/", False, "/data/jobs"),
        ("//data/jobs", False, "/data/jobs"),
        ("/", False, "/"),
        ("/data/./jobs", True, "/data/jobs"),
        ("C:\\data\\\\jobs\\", True, "C:\\data\\jobs"),
        ("C:/data/jobs", True, "C:\\data\\jobs"),
    ],
)
def test_local_paths(path: str, windows: bool, expected: str) -> None:
    assert absolute_local_path(path, windows=windows) == expected


@pytest.mark.parametrize(
    ("path", "windows"),
    [
        ("C:\\data", False),
        ("C:data", True),
        ("C:\\data\\..\\jobs", True),
        ("C:/../jobs", True),
        ("data", True),
        ("data", False),
        ("/data/..", False),
        ("~/data", False),
    ],
)
def test_paths_that_are_not_absolute(path: str, windows: bool) -> None:
    with pytest.raises(ValueError, match="an absolute path"):
        absolute_local_path(path, windows=windows)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (NonEmptyStr, "several\nlines"),
        (OneLine, "Läb «1»"),
        (StrictBool, True),
        (PositiveInt, 1),
        (UserName, "UNI\\anna"),
        (HostName, "login1.example.org"),
        (SlurmTime, "1-12:00:00"),
        (ShebangLine, "#!/bin/bash -l"),
        (SbatchLine, "#SBATCH --gres=gpu:v100:1"),
    ],
)
def test_accepted_as_it_is(kind: Any, value: object) -> None:
    assert checked(kind, value) == value


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (NonEmptyStr, " \n "),
        (StrictBool, "true"),
        (StrictBool, 1),
        (PositiveInt, 0),
        (PositiveInt, "many"),
    ],
)
def test_refused(kind: Any, value: object) -> None:
    assert accepted(kind, value) is None
