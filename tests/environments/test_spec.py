from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fractal_jupyter.environments.spec import (
    BuildRequest,
    PackageSpec,
    normal_name,
    parse_requirement,
)
from fractal_jupyter.errors import CollectionError


@pytest.mark.parametrize(
    ("text", "expected", "requirement"),
    [
        ("fractal-tasks-core", PackageSpec("fractal-tasks-core"), "fractal-tasks-core"),
        (" a_b.c == 1.0 ", PackageSpec("a-b-c", "1.0"), "a-b-c==1.0"),
        ("x[napari, test]==2.1.0", PackageSpec("x", "2.1.0", ("napari", "test")), None),
        ("x[]", PackageSpec("x"), "x"),
        ("x==1!2.0.0a1.post2+local", PackageSpec("x", "1!2.0.0a1.post2+local"), None),
    ],
)
def test_reads_what_to_install(text: str, expected: PackageSpec, requirement: str | None) -> None:
    assert parse_requirement(text) == expected
    if requirement:
        assert expected.requirement == requirement


def test_reads_the_path_of_a_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    spec = parse_requirement("some folder/My_Tasks-1.0.dev1-py3-none-any.whl[napari]")
    path = tmp_path / "some folder" / "My_Tasks-1.0.dev1-py3-none-any.whl"
    assert spec == PackageSpec("my-tasks", "1.0.dev1", ("napari",), path)
    assert spec.requirement == "my-tasks[napari] @ {wheel}"


def test_a_wheel_may_be_in_the_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    spec = parse_requirement("~/x-1.0-1build-py3-none-any.whl")
    assert spec.wheel == Path("/home/someone/x-1.0-1build-py3-none-any.whl")
    assert spec.version == "1.0"


@pytest.mark.parametrize(
    "text",
    [
        *("", "x>=2", "x==", "x==1.*", "x==-1", "x==1 y==2", "x[a", "a b"),
        *("-r file", "--index-url=http://x", "x; python_version>'3'", "x @ http://y/z.whl#"),
        *("git+https://x", "/folder"),
    ],
)
def test_refuses_everything_else(text: str) -> None:
    with pytest.raises(CollectionError, match="is not a package to collect"):
        parse_requirement(text)


def test_refuses_a_wheel_with_an_impossible_name() -> None:
    with pytest.raises(CollectionError, match="not the name of a wheel file"):
        parse_requirement("/data/my tasks.whl")


@given(st.text())
def test_never_becomes_an_option(text: str) -> None:
    try:
        spec = parse_requirement(text)
    except CollectionError:
        return
    assert not spec.requirement.startswith(("-", ".", "/"))
    assert "\n" not in spec.name


def request(**more: object) -> BuildRequest:
    fields = {"interpreter": "/python", "python_version": "3.12", "folder": "/tasks/x", **more}
    return BuildRequest(PackageSpec("my-tasks", "1.0"), **fields)  # type: ignore[arg-type]


def test_setuptools_is_installed_unless_it_is_pinned() -> None:
    assert request().requirements == ["my-tasks==1.0", "setuptools"]
    pinned = request(pins_before={"Setuptools": "70.0", "numpy[x]": "1.26"})
    assert pinned.requirements == ["my-tasks==1.0", "Setuptools==70.0", "numpy[x]==1.26"]


@pytest.mark.parametrize(
    "fields",
    [
        {"interpreter": "python"},
        {"folder": "tasks"},
        {"pins_before": {"--index-url": "x"}},
        {"pins_before": {"numpy": "1.26 evil"}},
        {"pins_after": {"numpy": ">=1"}},
        {"pins_after": {"": "1"}},
    ],
)
def test_refuses_what_could_be_misunderstood(fields: dict[str, object]) -> None:
    with pytest.raises(CollectionError, match="is not"):
        request(**fields)


def test_names_are_compared_in_one_spelling() -> None:
    assert normal_name("My__Tasks.Core[extra]") == normal_name("my-tasks-core") == "my-tasks-core"


def test_a_source_folder_is_what_follows_editable() -> None:
    spec = PackageSpec("my-tasks", extras=("napari", "test"), source="/home/ann/my tasks")
    assert spec.requirement == "/home/ann/my tasks[napari,test]"


@pytest.mark.parametrize("path", ["relative", "/home/ann/[x]", "/home/\nann", ""])
def test_refuses_a_source_folder_that_could_be_misunderstood(path: str) -> None:
    with pytest.raises(CollectionError, match="is not the absolute path of a folder"):
        PackageSpec("my-tasks", source=path)
