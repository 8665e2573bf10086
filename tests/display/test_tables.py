"""Images, units, tasks, resources and workflows: what each table says."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator
from typing import Any

import pytest

from fractal_jupyter.display.images import dataset_page, datasets_page, images_page
from fractal_jupyter.display.log import LogText, log_text
from fractal_jupyter.display.render_html import to_html
from fractal_jupyter.display.render_text import to_text
from fractal_jupyter.display.resources import (
    checks_page,
    profiles_page,
    resource_page,
    resources_page,
)
from fractal_jupyter.display.task_groups import task_group_page, task_groups_page
from fractal_jupyter.display.tasks import task_page, tasks_page
from fractal_jupyter.display.units import units_page
from fractal_jupyter.display.workflows import plan_page, workflow_page, workflows_page
from fractal_jupyter.models.images import Image
from fractal_jupyter.runner.checks import Check
from tests.display.samples import (
    failed_unit,
    make_dataset,
    make_group,
    make_images,
    make_plan,
    make_profile,
    make_resource,
    make_task,
    make_unit,
    make_workflow,
)


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "140")


WHERE = {"dataset": "plate", "zarr_dir": "/data/out"}


class Watched(list[Image]):
    """Images that count how many of them were asked for."""

    asked = 0

    def __iter__(self) -> Iterator[Image]:
        for image in super().__iter__():
            self.asked += 1
            yield image

    def __getitem__(self, which: Any) -> Any:
        found = super().__getitem__(which)
        self.asked += len(found) if isinstance(which, slice) else 1
        return found


def test_100_000_images_are_a_small_table() -> None:
    images = Watched(make_images(100_000))
    shown = to_html(images_page(images, total=len(images), **WHERE))
    assert images.asked < 100
    assert len(shown) < 20_000
    assert "100,000 images" in shown
    assert "99,980 more" in shown
    assert "99999" in shown


def test_the_ends_of_a_long_list_are_numbered_as_in_the_list() -> None:
    images = make_images(10)
    lines = to_text(images_page(images, total=100_000, **WHERE)).split("\n")
    assert lines[3].split()[0] == "0"
    assert "99,990 more" in lines[8]
    assert lines[-1].split()[0] == "99999"


def test_images_have_a_column_for_each_attribute_and_type() -> None:
    images = [
        Image(zarr_url="/data/out/a", origin=None, attributes={"well": "B03"}, types={"x": True}),
        Image(
            zarr_url="/data/out/b", origin="/data/out/a", attributes={"t": 3}, types={"x": False}
        ),
    ]
    lines = to_text(images_page(images, total=2, **WHERE)).split("\n")
    assert lines[2].split() == ["Image", "well", "t", "x", "Made", "from"]
    assert lines[3].split() == ["0", "a", "B03", "✓"]
    assert lines[4].split() == ["1", "b", "3", "–", "a"]


def test_very_many_attributes_do_not_make_a_wide_table() -> None:
    attributes = {f"a{k}": k for k in range(50)}
    images = [Image(zarr_url="/data/out/a", origin=None, attributes=attributes, types={})]
    assert "and 42 more" in to_html(images_page(images, total=1, **WHERE))


def test_empty_lists_say_what_to_do() -> None:
    assert ".scan()" in to_text(images_page([], total=0, **WHERE))
    assert "fractal.datasets.create" in to_text(datasets_page([]))
    assert "fractal.collect" in to_text(tasks_page([], {}))
    assert "fractal.collect" in to_text(task_groups_page([]))
    assert "fractal.workflows.create" in to_text(workflows_page([]))
    assert "fractal.resources.add" in to_text(resources_page([]))
    assert "fractal.profiles.add" in to_text(profiles_page([], {}))
    assert "No such units" in to_text(units_page([]))


def test_datasets() -> None:
    assert "100,000" in to_text(datasets_page([(make_dataset(), 100_000)]))
    assert "/data" in to_text(dataset_page(make_dataset(), make_images(2), total=2))


def test_10_000_units_are_a_small_table() -> None:
    shown = to_html(units_page([make_unit(k) for k in range(10_000)]))
    assert len(shown) < 20_000
    assert "10,000 done" in shown
    assert "9,975 more; [20:9995] of this list shows them" in shown


def test_units_say_what_they_took_and_why_they_failed() -> None:
    units = [
        make_unit(0),
        failed_unit(1, "KeyError: 'DAPI'"),
        make_unit(2, status="interrupted", error="The node died.", signal=9, exit_code=None),
    ]
    shown = to_text(units_page(units))
    assert "images below /data/out/plate.zarr/B/00/" in shown
    assert "1.2 s" in shown
    assert "180 MB" in shown
    assert "KeyError: 'DAPI'" in shown
    assert "killed by SIGKILL" in to_html(units_page(units))
    assert "exit status 1" in to_html(units_page(units))


def test_columns_that_say_nothing_are_left_out() -> None:
    here = platform.node()
    head = to_text(units_page([make_unit(0, node=here), make_unit(1, node=here)])).split("\n")[2]
    assert head.split() == ["Unit", "Image", "Status", "Took", "CPU", "time", "Peak", "memory"]
    head = to_text(units_page([make_unit(0), make_unit(1, step=1, node="other")])).split("\n")[2]
    assert "Step" in head
    assert "Node" in head
    never_started = {"started": None, "ended": None, "cpu_seconds": None, "peak_memory": None}
    head = to_text(units_page([failed_unit(0, "no", node=None, **never_started)])).split("\n")[2]
    assert head.split() == ["Unit", "Image", "Status", "Error"]


def test_one_other_node_is_worth_a_column() -> None:
    assert "Node" in to_text(units_page([make_unit(0), make_unit(1)])).split("\n")[2]


def test_peak_memory_is_shown_against_what_was_asked_for() -> None:
    units = [make_unit(0), make_unit(1, step=1)]
    shown = to_text(units_page(units, asked_mb={(0, "parallel"): 4000})).split("\n")
    assert "180 / 4,000 MB" in shown[3]
    assert "180 MB" in shown[4]


def test_units_on_object_stores_have_a_common_folder() -> None:
    units = [make_unit(k, zarr_url=f"s3://bucket/plate/{k}") for k in range(2)]
    assert "images below s3://bucket/plate/" in to_text(units_page(units))
    mixed = [make_unit(0, zarr_url="/a/b"), make_unit(1, zarr_url="s3://bucket/b")]
    assert "images below" not in to_text(units_page(mixed))


def test_tasks_are_grouped_by_package() -> None:
    tasks = [make_task(), make_task("Convert", group=2, type="converter_compound")]
    groups = {1: make_group(), 2: make_group(id=2, package="fractal-uzh-converters")}
    shown = to_text(tasks_page(tasks, groups))
    assert shown.index("fractal-tasks-core 2.1.0") < shown.index("Project Image")
    assert shown.index("fractal-uzh-converters 2.1.0") < shown.index("Convert")
    assert "is_3D → not is_3D" in shown
    assert "converter_compound" in shown


def test_a_task_says_what_arguments_it_takes() -> None:
    shown = to_text(task_page(make_task(), make_group()))
    rows = {line.split()[0]: line for line in shown.split("\n") if line.strip()}
    assert "zarr_url" not in rows
    assert "one of 'mip', 'mean'" in rows["method"]
    assert rows["method"].endswith('"mip"')
    assert rows["label"].endswith("required")
    assert rows["options"].endswith("an object:")
    assert rows["overwrite"].startswith("  overwrite")
    assert rows["overwrite"].endswith("false")
    assert "• Projects an image along z." in shown
    assert "How to project." in to_html(task_page(make_task(), make_group()))


def test_a_compound_task_has_arguments_of_two_parts() -> None:
    task = make_task(
        type="compound",
        executable_non_parallel="init.py",
        args_schema_non_parallel={"properties": {"first": {"type": "integer"}}},
    )
    shown = to_text(task_page(task, make_group()))
    assert shown.index("args_non_parallel") < shown.index("first") < shown.index("args_parallel")


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {"a": {"$ref": "#/$defs/a"}}, "$defs": {"a": {"$ref": "#/$defs/a"}}},
        {"properties": {"a": {"$ref": "#/nowhere"}, "b": True, "c": 3, "d": {"anyOf": 5}}},
        {"properties": 5},
        {"properties": {"a": {"properties": {"b": {"$ref": "#"}}}}},
        {},
    ],
)
def test_schemas_are_shown_whatever_is_in_them(schema: dict[str, object]) -> None:
    json.dumps(schema)
    assert "Arguments" in to_text(task_page(make_task(args_schema_parallel=schema), make_group()))


def test_task_groups() -> None:
    assert "1.4 GB (20 MB unshared)" in to_text(task_group_page(make_group(), [make_task()]))
    shown = to_text(task_group_page(make_group(active=False), [make_task()]))
    assert "deactivated" in shown
    assert "GB" not in shown
    assert "numpy==2.1.0" in to_html(task_group_page(make_group(), []))
    assert "fractal-tasks-core" in to_text(task_groups_page([make_group()]))


def test_resources_and_profiles() -> None:
    remote = make_resource(document={"type": "slurm_ssh", "name": "Far", "host": "far.example"})
    shown = to_text(resources_page([make_resource(), remote]))
    assert "this machine" in shown
    assert "3.11, 3.12" in shown
    assert "SLURM cluster, through SSH" in shown
    assert "far.example" in to_html(resources_page([remote]))
    fields = to_text(resource_page(make_resource()))
    assert "    parallel_tasks_per_job" not in fields
    assert "  parallel_tasks_per_job" in fields
    profile = make_profile(document={"name": "p", "resource_type": "slurm_ssh", "username": "me"})
    assert "me" in to_text(profiles_page([profile], {1: remote}))


def test_checks_have_a_cure() -> None:
    checks = [
        Check("Python 3.12", False, "no such file", "install it"),
        Check("worker", True, "ok"),
    ]
    shown = to_text(checks_page(checks))
    assert "1 problem" in shown
    assert "→ install it" in shown
    assert "all is well" in to_text(checks_page(checks[1:]))
    told = Check("accounting", True, "there is none", note=True)
    assert "all that was tried works" in to_text(checks_page([checks[1], told]))
    assert str(told) == "note accounting: there is none"


def test_workflows() -> None:
    shown = to_text(workflow_page(make_workflow()))
    assert "method = mip" in shown
    assert "mem = 8000" in shown
    assert "Project Image → Threshold Segmentation" in to_text(workflows_page([make_workflow()]))


def test_plans() -> None:
    shown = to_text(plan_page(make_plan()))
    assert "24 images that are x" in shown
    assert "24 units in 2 batches of 12, 2 at a time" in shown
    assert "as the steps before leave them" in shown
    assert "as many as the part before asks for" in shown
    assert "none: this task makes images" in shown


def test_plans_show_the_script_that_would_be_submitted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    path = "/data/" + "x" * 100
    lines = to_text(plan_page(make_plan(path))).split("\n")
    assert "  #!/bin/sh" in lines
    start = lines.index("  #!/bin/sh") + 1
    # Chopped, as terminals do: each character is there.
    shown = "".join(line[2:] for line in lines[start : start + 3])
    assert shown.startswith(f"#SBATCH --comment={path}")
    assert all(len(line) < 60 for line in lines)
    assert "  print(plan.steps[1].phases[1].script)  prints it" in lines
    page = to_html(plan_page(make_plan("x' <b>")))
    assert "<details><summary>The script for SLURM (parallel)</summary><pre" in page
    assert "#SBATCH --comment=x&#x27; &lt;b&gt;" in page


def test_a_log_is_a_string_that_reads_as_it_was_written() -> None:
    log = log_text("\x1b[31merror\x1b[0m\nline\x00\n", title="Log of unit 3")
    assert isinstance(log, str)
    assert log == "\x1b[31merror\x1b[0m\nline\x00\n"
    assert repr(log) == "error\nline\\x00\n"
    assert "Log of unit 3" in log._repr_html_()


def test_a_log_in_which_is_nothing_yet_says_so() -> None:
    log = log_text("")
    assert log == ""
    assert repr(log) == "Nothing was written."


def test_of_a_long_log_the_end_is_shown() -> None:
    log = LogText("".join(f"line {k}\n" for k in range(100_000)))
    shown = log._repr_html_()
    assert "100,000 lines" in shown
    assert "line 99999" in shown
    assert len(shown) < 100_000
