from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from fractal_jupyter.errors import InvalidManifest
from fractal_jupyter.models.manifest import CONVERTERS, Manifest, TaskEntry, parse_manifest

PARALLEL: dict[str, Any] = {"name": "P", "executable_parallel": "p.py"}
ONCE: dict[str, Any] = {"name": "N", "executable_non_parallel": "n.py"}
BOTH: dict[str, Any] = {**ONCE, **PARALLEL, "name": "C"}


def read(*tasks: object, **fields: object) -> Manifest:
    document = {"manifest_version": "2", "task_list": list(tasks), **fields}
    return parse_manifest(json.dumps(document), source="some-tasks 1.0")


def refusal(*tasks: object, **fields: object) -> str:
    with pytest.raises(InvalidManifest, match=r"some-tasks 1\.0") as caught:
        read(*tasks, **fields)
    return str(caught.value)


@pytest.mark.parametrize(
    ("task", "task_type", "non_parallel", "parallel", "converter"),
    [
        (PARALLEL, "parallel", False, True, False),
        (ONCE, "non_parallel", True, False, False),
        (BOTH, "compound", True, True, False),
        ({**PARALLEL, "type": None}, "parallel", False, True, False),
        ({**PARALLEL, "type": "parallel"}, "parallel", False, True, False),
        ({**ONCE, "type": "converter_non_parallel"}, "converter_non_parallel", True, False, True),
        ({**BOTH, "type": "converter_compound"}, "converter_compound", True, True, True),
    ],
)
def test_types_are_read_or_inferred(
    task: dict[str, Any], task_type: str, non_parallel: bool, parallel: bool, converter: bool
) -> None:
    (entry,) = read(task).task_list
    assert entry.type == task_type
    assert entry.has_non_parallel is non_parallel
    assert entry.has_parallel is parallel
    assert entry.is_converter is converter
    assert (entry.type in CONVERTERS) is converter


def test_fields_are_read_and_unknown_ones_left_out() -> None:
    manifest = read(
        {
            **BOTH,
            "meta_non_parallel": {"mem": 1},
            "meta_parallel": {"mem": "2G"},
            "args_schema_non_parallel": {"type": "object"},
            "args_schema_parallel": {},
            "input_types": {"is_3D": True},
            "output_types": {"is_3D": False},
            "category": "Registration",
            "modality": "HCS",
            "tags": ["2D"],
            "docs_info": "### Purpose",
            "docs_link": "https://example.org",
            "colour": "red",
        },
        has_args_schemas=True,
        args_schema_version="pydantic_v2",
        authors="Somebody",
        more=1,
    )
    (task,) = manifest.task_list
    assert manifest.authors == "Somebody"
    assert task.meta_parallel == {"mem": "2G"}
    assert task.args_schema_parallel == {}
    assert task.args_schema_version == manifest.args_schema_version == "pydantic_v2"
    assert task.input_types == {"is_3D": True}
    assert task.output_types == {"is_3D": False}
    assert task.tags == ("2D",)
    assert not hasattr(task, "colour")
    assert TaskEntry.model_validate(task.model_dump(mode="json")) == task


def test_entries_are_frozen() -> None:
    (task,) = read(PARALLEL).task_list
    with pytest.raises(ValidationError):
        task.name = "other"


@pytest.mark.parametrize(
    ("task", "line"),
    [
        ("P", "task_list[0]: found 'P'"),
        ({"executable_parallel": "p.py"}, "task_list[0].name: found nothing"),
        ({**PARALLEL, "name": " "}, "task_list[0].name: found ' '"),
        ({"name": "X"}, "has an `executable_parallel`"),
        ({**PARALLEL, "type": "serial"}, "task_list[0].type: found 'serial'"),
        ({**PARALLEL, "type": "non_parallel"}, "has an `executable_non_parallel`"),
        ({**ONCE, "type": "compound"}, "has an `executable_parallel`"),
        ({**ONCE, "type": "parallel"}, "has an `executable_parallel`"),
        ({**PARALLEL, "executable_parallel": "/bin/p.py"}, "relative to the root of the package"),
        ({**PARALLEL, "meta_non_parallel": {"mem": 1}}, "`meta_non_parallel` only beside"),
        ({**ONCE, "meta_parallel": {"mem": 1}}, "`meta_parallel` only beside"),
        ({**ONCE, "args_schema_parallel": {"type": "object"}}, "`args_schema_parallel` only"),
        ({**PARALLEL, "input_types": {"is_3D": "perhaps"}}, "task_list[0].input_types.is_3D"),
        ({**PARALLEL, "docs_link": "javascript:alert(1)"}, "an http or https URL"),
    ],
)
def test_broken_tasks_are_refused(task: object, line: str) -> None:
    assert line in refusal(task)


def test_names_are_unique() -> None:
    schema = {"type": "object", "properties": {f"argument_{k}": {} for k in range(50)}}
    large = {**PARALLEL, "args_schema_parallel": schema, "docs_info": "word " * 500}
    refused = refusal(large, ONCE, large)
    assert "several called ['P']" in refused
    assert len(refused.splitlines()[-1]) < 250


def test_schemas_are_there_if_promised() -> None:
    with_schema = {**PARALLEL, "args_schema_parallel": {"type": "object"}}
    read(with_schema, has_args_schemas=True)
    assert "'N' has no `args_schema_non_parallel`" in refusal(
        with_schema, ONCE, has_args_schemas=True
    )


def test_version_2_only() -> None:
    assert "manifest_version: found '1' (a string); allowed: '2'" in refusal(manifest_version="1")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}", "\x00"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(InvalidManifest, match=r"some-tasks 1\.0"):
        parse_manifest(text, source="some-tasks 1.0")
