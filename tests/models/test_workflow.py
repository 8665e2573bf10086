from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fractal_jupyter.errors import InvalidDocument
from fractal_jupyter.models.workflow import StepMeta, parse_workflow

STEPS: list[dict[str, Any]] = [
    {"task": "Import OME-Zarr", "version": "2.1.0", "args": {"zarr_name": "plate.zarr"}},
    {
        "task": "Illumination Correction",
        "package": "fractal-tasks-core",
        "args_parallel": {"profiles": {"A01": None}},
        "meta_parallel": {"mem": "3G", "cpus_per_task": 2, "needs_gpu": False},
        "type_filters": {"is_3D": True, "corrected": False},
    },
    {
        "task": "Register",
        "args_non_parallel": {"reference": 0},
        "args_parallel": {},
        "meta": {"time": "1:00:00", "extra_lines": ["#SBATCH --qos=long"]},
        "meta_non_parallel": {"mem": 100},
        "meta_parallel": {"tasks_per_job": 10, "parallel_tasks_per_job": 2},
    },
]

ARGUMENTS = st.dictionaries(
    st.text(),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=5,
    ),
    max_size=3,
)
METAS = st.fixed_dictionaries(
    {},
    optional={
        "cpus_per_task": st.integers(1, 64),
        "mem": st.integers(1, 10**6) | st.sampled_from(["200M", "3G"]),
        "gres": st.just("gpu:v100:1"),
        "nodes": st.none() | st.integers(1, 4),
        "needs_gpu": st.booleans(),
        "account": st.none(),
    },
)
FILTERS = st.dictionaries(st.sampled_from(["is_3D", "plate", "mip"]), st.booleans())


def lines(*steps: object) -> list[str]:
    with pytest.raises(InvalidDocument) as caught:
        parse_workflow("w", steps)  # type: ignore[arg-type]
    title, *rest = str(caught.value).splitlines()
    assert title == "The workflow ('w') cannot be used:"
    return rest


def test_steps_come_back_as_they_were_given() -> None:
    workflow = parse_workflow("Register plates", STEPS)
    assert workflow.to_document() == {"name": "Register plates", "steps": STEPS}
    assert [step.task for step in workflow.steps] == [step["task"] for step in STEPS]
    assert workflow.steps[0].args == {"zarr_name": "plate.zarr"}
    assert workflow.steps[0].version == "2.1.0"
    assert workflow.steps[1].package == "fractal-tasks-core"
    assert workflow.steps[1].type_filters == {"is_3D": True, "corrected": False}
    assert workflow.steps[2].args_non_parallel == {"reference": 0}


def test_a_step_of_nothing_but_its_task() -> None:
    (step,) = parse_workflow("w", [{"task": "Project Image"}]).steps
    assert step.version is None
    assert step.package is None
    for field in ("args", "meta"):
        for part in ("", "_non_parallel", "_parallel"):
            assert getattr(step, field + part) == {}
    assert step.type_filters == {}


def test_a_meta_has_what_was_given_with_memory_in_mb() -> None:
    meta = {"mem": "3G", "nodes": None, "extra_lines": ["#SBATCH --qos=x"]}
    (step,) = parse_workflow("w", [{"task": "t", "meta": meta}]).steps
    assert step.meta == {"mem": 3000, "nodes": None, "extra_lines": ("#SBATCH --qos=x",)}
    assert StepMeta.model_validate(step.meta).mem == 3000


@given(ARGUMENTS, METAS, FILTERS)
def test_round_trip(args: dict[str, Any], meta: dict[str, Any], filters: dict[str, bool]) -> None:
    steps = [{"task": "t", "args": args, "meta_parallel": meta, "type_filters": filters}]
    workflow = parse_workflow("w", steps)
    assert workflow.to_document()["steps"] == steps
    assert workflow.steps[0].args == args
    assert workflow.steps[0].type_filters == filters
    assert set(workflow.steps[0].meta_parallel) == set(meta)
    document = json.loads(json.dumps(workflow.to_document()))
    assert parse_workflow(document["name"], document["steps"]) == workflow


def test_paths_in_arguments_become_strings() -> None:
    (step,) = parse_workflow("w", [{"task": "t", "args": {"folder": Path("/data")}}]).steps
    assert step.args == {"folder": "/data"}


def test_each_wrong_field_has_a_line() -> None:
    found = lines(
        {"task": "a"},
        {"tasks": "b"},
        {
            "task": "c",
            "type_filters": {"is_3D": "yes"},
            "meta": {"memory": 100, "time": 60},
            "meta_parallel": {"account": "lab", "queue": "x"},
            "args_parallel": [1],
        },
    )
    assert found[0] == (
        "  steps[1].task: found nothing; allowed: text on one line, without control characters; "
        "the field is required"
    )
    assert found[1] == (
        "  steps[1].tasks: found 'b' (a string); allowed: no field of this name; "
        'did you mean "task"?'
    )
    assert found[2] == "  steps[2].args_parallel: found [1] (a list); allowed: an object"
    assert found[3].startswith("  steps[2].meta.time: found 60 (an integer); allowed: a time limit")
    assert found[4].startswith("  steps[2].meta.memory: found 100 (an integer); allowed: no field")
    assert found[5] == (
        "  steps[2].meta_parallel.account: found 'lab' (a string); "
        "allowed: no account here: it comes with the submission, submit(…, account=…)"
    )
    assert found[6].endswith(
        "no field of this name; there are cpus_per_task, mem, time, gres, gpus, constraint, "
        "nodelist, nodes, exclude, extra_lines, tasks_per_job, parallel_tasks_per_job, needs_gpu"
    )
    assert found[7:] == [
        "  steps[2].type_filters.is_3D: found 'yes' (a string); allowed: true or false"
    ]


@pytest.mark.parametrize(
    ("step", "path"),
    [
        ({"task": ""}, "task"),
        ({"task": "a\nb"}, "task"),
        ({"task": "t", "version": 2}, "version"),
        ({"task": "t", "args": None}, "args"),
        ({"task": "t", "args": {"x": {1}}}, "args.x"),
        ({"task": "t", "args": {"x": [0.5, float("inf")]}}, "args.x[1]"),
        ({"task": "t", "type_filters": {"is_3D": 1}}, "type_filters.is_3D"),
        ({"task": "t", "type_filters": {" ": True}}, "type_filters"),
        ({"task": "t", "meta": {"mem": "3g"}}, "meta.mem"),
        ({"task": "t", "meta": {"nodes": 0}}, "meta.nodes"),
        ({"task": "t", "meta": {"needs_gpu": "perhaps"}}, "meta.needs_gpu"),
        ({"task": "t", "meta": {"extra_lines": ["id"]}}, "meta.extra_lines[0]"),
        ({"task": "t", "meta": {"extra_lines": ["#SBATCH -a 1"]}}, "meta.extra_lines[0]"),
        ({"task": "t", "meta": {"constraint": "a\n#SBATCH -a 1"}}, "meta.constraint"),
    ],
)
def test_refused_with_the_field(step: dict[str, Any], path: str) -> None:
    (line,) = lines(step)
    assert line.startswith(f"  steps[0].{path}: found ")


@pytest.mark.parametrize("steps", [[], "Project Image", None])
def test_steps_are_a_list(steps: Any) -> None:
    with pytest.raises(InvalidDocument, match=r"steps: found .*; allowed: a list"):
        parse_workflow("w", steps)


def test_a_step_is_an_object() -> None:
    assert lines("Project Image") == [
        "  steps[0]: found 'Project Image' (a string); allowed: an object"
    ]


def test_a_name_is_needed() -> None:
    with pytest.raises(InvalidDocument, match=r"name: found '' \(a string\)"):
        parse_workflow("", STEPS)
