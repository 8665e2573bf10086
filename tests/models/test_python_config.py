from __future__ import annotations

from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from fractal_jupyter.models.python_config import (
    PixiConfig,
    PixiSlurmConfig,
    PythonConfig,
    PythonVersion,
)

PATHS = st.from_regex("(/[a-z0-9.]{0,3}[a-z0-9]){1,3}", fullmatch=True)
PIXI_VERSIONS = st.from_regex("0[.][0-9]{1,2}[.][0-9]", fullmatch=True)


@st.composite
def python_configs(draw: st.DrawFn) -> dict[str, Any]:
    names = st.sampled_from(get_args(PythonVersion))
    versions = draw(st.dictionaries(names, PATHS, min_size=1))
    default = draw(st.sampled_from(sorted(versions)))
    return {"default_version": default, "versions": versions, "pip_cache_dir": draw(PATHS)}


@st.composite
def pixi_configs(draw: st.DrawFn) -> dict[str, Any]:
    names = draw(st.lists(PIXI_VERSIONS, min_size=1, max_size=3, unique=True))
    folder = draw(PATHS)
    return {
        "default_version": draw(st.sampled_from(names)),
        "versions": {name: f"{folder}/{name}" for name in names},
        "PIXI_CONCURRENT_SOLVES": draw(st.integers(1, 9)),
    }


@given(python_configs())
def test_python_is_what_was_given(document: dict[str, Any]) -> None:
    assert PythonConfig.model_validate(document).model_dump() == document


@given(pixi_configs())
def test_pixi_is_what_was_given(document: dict[str, Any]) -> None:
    config = PixiConfig.model_validate(document)
    assert config.model_dump(exclude_unset=True) == document
    assert (config.DEFAULT_ENVIRONMENT, config.DEFAULT_PLATFORM) == ("default", "linux-64")


@given(pixi_configs())
def test_folders_are_named_like_their_versions(document: dict[str, Any]) -> None:
    first = next(iter(document["versions"]))
    document["versions"][first] += "x"
    with pytest.raises(ValidationError, match="folders named like their versions"):
        PixiConfig.model_validate(document)


def test_a_default_that_is_not_there_is_told_with_those_that_are() -> None:
    with pytest.raises(ValidationError, match=r'a key of "versions": 3.11, 3.12'):
        PythonConfig.model_validate(
            {"versions": {"3.11": "/a", "3.12": "/b"}, "default_version": "3.13"}
        )
    with pytest.raises(ValidationError, match="there is none yet"):
        PythonConfig.model_validate({"versions": {}, "default_version": "3.13"})


@pytest.mark.parametrize("memory", [{}, {"mem": "1G", "mem_per_cpu": "1G"}, {"mem": None}])
def test_the_job_of_pixi_has_its_memory_once(memory: dict[str, str | None]) -> None:
    with pytest.raises(ValidationError, match='either "mem" or "mem_per_cpu"'):
        PixiSlurmConfig.model_validate({"partition": "p", "cpus": 1, "time": "10", **memory})
