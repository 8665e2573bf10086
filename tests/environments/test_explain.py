from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fractal_jupyter.environments.explain import explain, fits
from fractal_jupyter.environments.spec import BuildRequest, PackageSpec
from fractal_jupyter.errors import (
    CollectionError,
    PackageNotFound,
    ResolverConflict,
    UnsupportedPython,
)

DATA = Path(__file__).parent / "data"
OUTPUTS = sorted(DATA.glob("*.txt"))

# What each recorded output means: the error, and what must be said. The file names are those of
# the tool, its version, and the case.
EXPECTED: dict[str, tuple[type[CollectionError], str]] = {
    "no-version": (PackageNotFound, r"no version 99\.0\.0 of fractal-tasks-core "),
    "no-package": (PackageNotFound, "no package fractal-tasks-core-nonexistent-xyz"),
    "missing-dependency": (PackageNotFound, "nonexistent-xyz, which fractal-tasks-core needs"),
    "version-dependency": (PackageNotFound, r"no version 99\.0 of six, which fractal-tasks"),
    "python": (UnsupportedPython, r"fractal-czi-converters 0\.1\.2 needs Python .*>=3\.12.*3\.12"),
    "python-index": (UnsupportedPython, r"other-python.* needs Python >=3\.99"),
    "python-dependency": (UnsupportedPython, r"fractal-czi-converters.* needs Python .*>=3\.12"),
    "python-wheel": (UnsupportedPython, r"needs312.* needs Python >=3\.12"),
    "conflict": (ResolverConflict, r"numpy==1\.26\.4.*numpy==2\.0\.0"),
    "conflict-deps": (ResolverConflict, r"(?s)zarr==2\.10\.0|zarr>3"),
    "dns": (CollectionError, "package index does not answer.*Name|lookup|resolve"),
    "refused": (CollectionError, "package index does not answer.*Connection refused"),
    "tls": (CollectionError, "certificate"),
    "auth": (CollectionError, "401"),
    "http503": (CollectionError, "503"),
    "disk": (CollectionError, "disk is full"),
    "disk-cache": (CollectionError, "disk is full"),
    "badwheel": (CollectionError, "wheel file .* cannot be used"),
    "platform": (CollectionError, "made for another platform"),
    "build": (CollectionError, "pycairo.* comes as source code"),
}
# pip does not always tell that an index refused it from there being no such package.
UNTOLD = {"pip-23-auth", "pip-23-http503", "pip-26-http503", "pip-26-tls"}
# uv 0.9 looks at the Python version of a wheel before its platform.
OTHERWISE = {"uv-0.9-platform": EXPECTED["python-wheel"]}


def request_for(name: str, **more: object) -> BuildRequest:
    fields = {"configured": ("3.11", "3.12", "3.13"), **more}
    return BuildRequest(PackageSpec(name), "/python", "3.11", "/tasks/x", **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("path", OUTPUTS, ids=lambda path: path.stem)
def test_recorded_outputs(path: Path) -> None:
    case = re.sub(r"^(uv|pip)-[\d.]+-", "", path.stem)
    expected, words = OTHERWISE.get(path.stem, EXPECTED[case])
    error = explain(path.read_text(), request_for("fractal-tasks-core"))
    if path.stem in UNTOLD:
        assert type(error) is PackageNotFound
        assert "the configured index" in str(error)
    else:
        assert type(error) is expected
        assert re.search(words, str(error))


def test_each_case_was_recorded_with_both_tools() -> None:
    cases = {re.sub(r"^(uv|pip)-[\d.]+-", "", path.stem) for path in OUTPUTS}
    assert cases == set(EXPECTED)


def test_versions_that_there_are_get_named() -> None:
    output = (DATA / "pip-26-no-version.txt").read_text()
    assert "2.1.0, 2.0.2" in str(explain(output, request_for("fractal-tasks-core")))
    near = output.replace("99.0.0", "1.5.7")
    assert "1.5.6" in str(explain(near, request_for("fractal-tasks-core")))


@pytest.mark.parametrize(
    ("configured", "words"),
    [
        (("3.11", "3.12", "3.13"), "these fit: 3.12, 3.13"),
        (("3.10", "3.11"), r"None of the configured ones \(3.10, 3.11\) fits.*tasks_python_config"),
        ((), "Choose another Python version"),
    ],
)
def test_another_python_is_suggested(configured: tuple[str, ...], words: str) -> None:
    output = (DATA / "uv-0.13-python.txt").read_text()
    error = explain(output, request_for("fractal-czi-converters", configured=configured))
    assert re.search(words, str(error))


def test_pins_are_suspected_when_there_are_any() -> None:
    output = (DATA / "uv-0.13-conflict.txt").read_text()
    assert "pinned" not in str(explain(output, request_for("x")))
    assert "pinned" in str(explain(output, request_for("x", pins_before={"numpy": "1.26.4"})))


@given(st.text())
def test_whatever_else_is_said_is_handed_on(output: str) -> None:
    error = explain(output, request_for("my-tasks"))
    assert isinstance(error, CollectionError)
    assert str(error)


def test_the_last_lines_are_shown_when_nothing_is_recognised() -> None:
    output = "\n".join(f"line {i}" for i in range(100)) + "\n\nthread panicked\n\n"
    message = str(explain(output, request_for("my-tasks")))
    assert message.endswith("line 99\nthread panicked")
    assert "line 50" not in message


@pytest.mark.parametrize(
    ("wanted", "fitting"),
    [
        (">=3.12,<3.15", ["3.12", "3.13", "3.14"]),
        ("<3.15,>=3.12", ["3.12", "3.13", "3.14"]),
        (">=3.11, !=3.12.*, <4", ["3.11", "3.13", "3.14"]),
        (">=3.12.4", ["3.12", "3.13", "3.14"]),
        ("!=3.12.3,>3.11", ["3.11", "3.12", "3.13", "3.14"]),
        ("==3.12.*", ["3.12"]),
        ("~=3.12", ["3.12", "3.13", "3.14"]),
        ("~=3.12.1", ["3.12"]),
        ("<=3.12", ["3.11"]),
        ("<3.12.5", ["3.11", "3.12"]),
        ("", ["3.11", "3.12", "3.13", "3.14"]),
    ],
)
def test_which_versions_fit(wanted: str, fitting: list[str]) -> None:
    assert [each for each in ("3.11", "3.12", "3.13", "3.14") if fits(each, wanted)] == fitting
