"""The widgets, through their traits: what is typed and clicked, and what is shown then."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import ipywidgets
import pytest
from pydantic import BaseModel

from fractal_jupyter import Fractal
from fractal_jupyter.errors import Ambiguous, InvalidArguments, NotFound
from fractal_jupyter.models.described import document_schema
from fractal_jupyter.models.profile import SlurmSSHProfile
from fractal_jupyter.models.resource import LocalResource, SlurmSSHResource
from fractal_jupyter.widgets.source import call_source, python_source
from tests.toy import add_task_group, add_toy_tasks, make_dataset, wait_until

HOSTILE = "<script>alert(1)</script><img src=x onerror='alert(1)'>"


def parts(tool: Any) -> Iterator[Any]:
    """All widgets of a tool that are not hidden."""

    def below(widget: Any) -> Iterator[Any]:
        if widget.layout.display != "none":
            yield widget
            for child in getattr(widget, "children", ()):
                yield from below(child)

    return below(tool.widget)


def named(tool: Any, name: str) -> Any:
    """The part with that description."""
    return next(part for part in parts(tool) if getattr(part, "description", None) == name)


def names(tool: Any) -> list[str]:
    return [part.description for part in parts(tool) if getattr(part, "description", "")]


def said(tool: Any) -> str:
    """All markup that is shown."""
    return "\n".join(part.value for part in parts(tool) if isinstance(part, ipywidgets.HTML))


def add_task(fractal: Fractal, schema: dict[str, Any], name: str = "Mine") -> None:
    entry = {
        "name": name,
        "type": "parallel",
        "executable_parallel": "x.py",
        "args_schema_parallel": {"type": "object", **schema},
    }
    add_task_group(
        fractal._store,
        [entry],
        package="mine",
        version="2.0",
        folder="/mine",
        python="/mine/python",
    )


# --- the task form --------------------------------------------------------------------------------


def test_a_form_submits_what_was_filled_in(fractal: Fractal) -> None:
    make_dataset(fractal, 3)
    form = fractal.form("Toy Parallel")
    assert named(form, "Dataset").value == "plate"
    named(form, "seconds").value = "no number"
    assert named(form, "Submit").disabled
    assert "&#x27;no number&#x27; (a string)" in said(form)
    named(form, "seconds").value = "0"
    assert not named(form, "Submit").disabled
    named(form, "only").value = "-2.zarr"
    named(form, "behaviour").value = "raise"
    assert form.args() == {"args": {"only": "-2.zarr", "behaviour": "raise"}}
    named(form, "Submit").click()
    wait_until(lambda: form.job is not None and "Cancel the job" in names(form))
    assert form.job.wait().status == "failed"
    assert [unit.zarr_url for unit in form.job.units(status="failed")] == ["/data/plate-2.zarr"]
    wait_until(lambda: "Retry" in names(form))


def test_the_cell_does_the_same(fractal: Fractal) -> None:
    make_dataset(fractal, 1)
    form = fractal.form("Toy Parallel", "plate", args={"behaviour": 'it\'s "so"\n'})
    (statement,) = ast.parse(form.code()).body
    assert isinstance(statement, ast.Assign)
    submitted = eval(form.code().removeprefix("job = "), {"fractal": _Recorder()})
    assert submitted == (
        ("Toy Parallel", "plate"),
        {"args": {"behaviour": 'it\'s "so"\n'}, "version": "1.0", "profile": "Local profile"},
    )


class _Recorder:
    def submit(self, *args: Any, **keywords: Any) -> Any:
        return args, keywords


def test_the_json_and_the_form_are_one(fractal: Fractal) -> None:
    make_dataset(fractal, 1)
    form = fractal.form("Toy Parallel", "plate")
    named(form, "JSON").value = '{"seconds": 2, "unknown": 1}'
    assert named(form, "seconds").value == "2"
    assert "no such name" in said(form)
    assert named(form, "Submit").disabled
    named(form, "JSON").value = "{"
    assert "This is no JSON" in said(form)
    named(form, "JSON").value = "[]"
    assert "no JSON object" in said(form)
    named(form, "JSON").value = '{"seconds": 3}'
    assert form.args() == {"args": {"seconds": 3}}
    named(form, "seconds").value = ""
    assert json.loads(named(form, "JSON").value) == {}


def test_both_parts_of_a_compound_task(fractal: Fractal) -> None:
    form = fractal.form("Toy Compound")
    assert form.args() == {}
    assert "args_non_parallel" in named(form, "JSON").value


def test_a_plan_is_shown_and_runs_nothing(fractal: Fractal) -> None:
    make_dataset(fractal, 3)
    form = fractal.form("Toy Parallel")
    named(form, "Plan").click()
    wait_until(lambda: "3 units" in said(form) or "3 images" in said(form))
    assert len(fractal.jobs.list()) == 0


def test_what_goes_wrong_is_told(fractal: Fractal) -> None:
    make_dataset(fractal, 1)
    form = fractal.form("Toy Parallel")
    fractal.datasets.remove("plate")
    named(form, "Submit").click()
    wait_until(lambda: "That did not work" in said(form))
    assert "No dataset is called" in said(form)
    wait_until(lambda: not named(form, "Submit").disabled)


def test_a_form_of_what_is_not_there(fractal: Fractal) -> None:
    with pytest.raises(NotFound):
        fractal.form("Toy Parallell")
    with pytest.raises(NotFound):
        fractal.form("Toy Parallel", "plate")
    with pytest.raises(InvalidArguments):
        fractal.form("Toy Compound", args={"none": 1})


def test_every_kind_of_field_can_be_used(fractal: Fractal) -> None:
    group = {
        "type": "object",
        "title": "Group",
        "properties": {"x": {"type": "integer", "title": "X"}},
        "required": ["x"],
    }
    one = {"title": "One", "type": "object", "properties": {"t": {"const": "one"}}}
    two = {
        "title": "Two",
        "type": "object",
        "properties": {"t": {"const": "two"}, "n": {"type": "number", "title": "N"}},
    }
    add_task(
        fractal,
        {
            "properties": {
                "flag": {"type": "boolean", "default": False, "title": "Flag"},
                "choice": {"enum": ["a", "b"], "title": "Choice"},
                "group": {**group, "title": "Group"},
                "list": {"type": "array", "title": "List", "items": {"type": "integer"}},
                "names": {"type": "object", "title": "Names", "additionalProperties": {}},
                "union": {"title": "Union", "anyOf": [one, two]},
            }
        },
    )
    form = fractal.form("Mine")
    named(form, "Flag").value = True
    named(form, "Choice").value = 1
    named(form, "Add Group").click()
    named(form, "X").value = "4"
    named(form, "▸ List (0)").value = True
    named(form, "Add to List").click()
    named(form, "Add to List").click()
    named(form, "List 1").value = "1"
    named(form, "List 2").value = "2"
    named(form, "Move up").click()
    named(form, "▸ Names (0)").value = True
    named(form, "Add to Names").click()
    named(form, "name_1").value = "[1]"
    named(form, "Name").value = "other"
    named(form, "Union").value = 1
    named(form, "N").value = "0.5"
    assert form.args()["args"] == {
        "flag": True,
        "choice": "b",
        "group": {"x": 4},
        "list": [2, 1],
        "names": {"other": [1]},
        "union": {"t": "two", "n": 0.5},
    }
    assert form.problems() == []
    named(form, "Remove Group").click()
    named(form, "Flag").value = False
    named(form, "Choice").value = -1
    named(form, "Union").value = -1
    named(form, "Remove").click()
    assert form.args()["args"] == {"list": [1], "names": {"other": [1]}}


def test_a_folded_group_tells_what_is_wrong_inside(fractal: Fractal) -> None:
    add_task(
        fractal,
        {
            "properties": {
                "g": {
                    "type": "object",
                    "title": "Group",
                    "default": {"x": 1},
                    "properties": {"x": {"type": "integer", "title": "X"}},
                }
            }
        },
    )
    form = fractal.form("Mine", args={"g": {"x": "wrong"}})
    assert "X" not in names(form)
    assert "x: Found &#x27;wrong&#x27;" in said(form)
    named(form, "▸ Group").value = True
    assert named(form, "X").value == "wrong"
    named(form, "X").value = "2"
    assert form.problems() == []


def test_texts_from_outside_are_text(fractal: Fractal) -> None:
    add_task(
        fractal,
        {
            "properties": {
                HOSTILE: {
                    "type": "string",
                    "title": HOSTILE,
                    "description": HOSTILE,
                    "enum": [HOSTILE, "x"],
                },
                "b": {"type": "array", "title": HOSTILE, "default": HOSTILE},
            },
            "required": [HOSTILE],
        },
        name=f"Task {HOSTILE}",
    )
    form = fractal.form(f"Task {HOSTILE}", args={"unknown": HOSTILE})
    assert "&lt;script&gt;" in said(form)
    for markup in (said(form), form.page()):
        assert "<script" not in markup
        assert "<img" not in markup
    assert not any(getattr(part, "description_allow_html", False) for part in parts(form))


def test_a_saved_notebook_shows_something(fractal: Fractal) -> None:
    tools = (
        fractal.form("Toy Parallel"),
        fractal.resources.editor(),
        fractal.profiles.editor("Local profile"),
        make_dataset(fractal, 2).browser(),
    )
    for tool in tools:
        bundle = tool._repr_mimebundle_(include=None, exclude=None)
        assert "application/vnd.jupyter.widget-view+json" in bundle
        assert bundle["text/html"].startswith("<div")
        assert bundle["text/plain"].startswith("<")


def test_callbacks_from_two_threads_do_not_race(fractal: Fractal) -> None:
    form = fractal.form("Toy Parallel")
    seconds, gate = named(form, "seconds"), named(form, "gate")

    def type_many(box: Any) -> None:
        for n in range(20):
            box.value = str(n)

    threads = [threading.Thread(target=type_many, args=(box,)) for box in (seconds, gate)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert form.args() == {"args": {"seconds": 19, "gate": "19"}}
    assert json.loads(named(form, "JSON").value) == {"seconds": 19, "gate": "19"}


# --- editors --------------------------------------------------------------------------------------


def test_a_resource_is_changed(fractal: Fractal) -> None:
    before = fractal.resources.get("Local resource").document
    editor = fractal.resources.editor("Local resource")
    assert editor.document == before
    assert list(editor.problems()) == []
    named(editor, "jobs poll interval").value = "-1"
    assert named(editor, "Save").disabled
    named(editor, "jobs poll interval").value = "7"
    named(editor, "name").value = "Mine"
    assert ast.parse(editor.code())
    named(editor, "Save").click()
    assert "Saved resource" in said(editor)
    assert fractal.resources.get("Mine").document == {
        **before,
        "name": "Mine",
        "jobs_poll_interval": 7,
    }
    named(editor, "Check").click()
    wait_until(lambda: "disk" in said(editor) or "space" in said(editor).lower())


def test_a_resource_is_made(fractal: Fractal) -> None:
    editor = fractal.resources.editor(type="slurm_ssh")
    assert named(editor, "Check").disabled
    assert {problem.path for problem in editor.problems()} >= {"name", "host"}
    named(editor, "type").value = "local"
    assert "host" not in names(editor)
    named(editor, "JSON").value = json.dumps(
        {**fractal.resources.get("Local resource").document, "name": "Second"}
    )
    named(editor, "Save").click()
    assert [resource.name for resource in fractal.resources.list()] == ["Local resource", "Second"]
    named(editor, "name").value = "Local resource"
    named(editor, "Save").click()
    assert "That did not work" in said(editor)


def test_a_profile_is_made_and_changed(fractal: Fractal) -> None:
    editor = fractal.profiles.editor()
    named(editor, "name").value = "me"
    named(editor, "Save").click()
    assert fractal.profiles.get("me").resource == "Local resource"
    named(editor, "name").value = "I"
    named(editor, "Save").click()
    assert [profile.name for profile in fractal.profiles.list()] == ["Local profile", "I"]
    document = {**fractal.resources.get("Local resource").document, "name": "Other"}
    fractal.resources.add(document)
    with pytest.raises(Ambiguous):
        fractal.profiles.editor()
    with pytest.raises(NotFound):
        fractal.profiles.editor("nobody")


def described(schema: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The names of all fields of a document, and what is said of them."""
    for part in (schema, *schema["$defs"].values()):
        for name, field in part["properties"].items():
            yield name, field["description"]


@pytest.mark.parametrize("model", [SlurmSSHResource, LocalResource, SlurmSSHProfile])
def test_what_is_said_of_a_field_is_said_once(model: type[BaseModel]) -> None:
    for name, text in described(document_schema(model)):
        meaning, _, allowed = text.replace("number", "").partition(". ")
        twice = set(long_words(meaning)) & set(long_words(allowed))
        assert not twice, f"{name}: {text}"


def long_words(text: str) -> list[str]:
    return re.findall("[a-z]{5,}", text.lower())


# --- the dataset browser --------------------------------------------------------------------------


def test_images_are_found_by_attributes_types_and_path(fractal: Fractal) -> None:
    dataset = fractal.datasets.create("plate", zarr_dir="/data")
    dataset.add_images(
        {
            "zarr_url": f"/data/{n}.zarr",
            "attributes": {"well": f"B0{n % 3}", "n": n % 2},
            "types": {"is_3D": n % 2 == 0},
        }
        for n in range(60)
    )
    browser = dataset.browser()
    wait_until(lambda: len(browser.selected) == 60)
    wait_until(lambda: "Refresh" in names(browser))
    assert "1 to 20, page 1 of 3" in said(browser)
    assert named(browser, "Back").disabled
    named(browser, "Last").click()
    assert "41 to 60, page 3 of 3" in said(browser)
    assert "59.zarr" in said(browser)
    assert named(browser, "Further").disabled
    named(browser, "well").label = "B01"
    named(browser, "is_3D").label = "yes"
    assert browser.attribute_filters() == {"well": ["B01"]}
    assert browser.type_filters() == {"is_3D": True}
    assert [image.zarr_url for image in browser.selected][:2] == ["/data/4.zarr", "/data/10.zarr"]
    assert "10 of 60 images" in said(browser)
    named(browser, "Path contains").value = "10"
    assert len(browser.selected) == 1
    dataset.remove_images(["/data/10.zarr"])
    named(browser, "Refresh").click()
    wait_until(lambda: "0 of 59 images" in said(browser))
    assert "No image passes the filters." in said(browser)
    assert named(browser, "well").label == "B01"


# --- the job monitor ------------------------------------------------------------------------------


def test_a_monitor_follows_a_job_to_its_end(fractal: Fractal) -> None:
    dataset = make_dataset(fractal, 20)
    job = fractal.submit("Toy Parallel", dataset, args={"behaviour": "raise", "only": "-17.zarr"})
    monitor = job.monitor()
    wait_until(lambda: "Retry" in names(monitor))
    units = named(monitor, "Unit, to see its log")
    # Buttons and units are looked at one after the other.
    wait_until(lambda: units.options and units.options[0][0].split()[:2] == ["17", "failed"])
    assert len(units.options) == 12
    units.value = 17
    assert "Traceback" in said(monitor)
    named(monitor, "Further").click()
    assert len(units.options) == 8
    assert "13 to 20 of 20 units" in said(monitor)
    named(monitor, "Units").value = "failed"
    assert [index for _, index in units.options] == [17]
    named(monitor, "Units").value = "running"
    assert units.options == ()
    named(monitor, "Retry").click()
    job.wait()
    wait_until(lambda: "Retry" in names(monitor))
    assert fractal.jobs.get(job.id).monitor().page() == monitor.page()


def test_a_job_is_cancelled_when_that_is_confirmed(fractal: Fractal) -> None:
    job = fractal.submit("Toy Parallel", make_dataset(fractal, 2), args={"seconds": 60})
    monitor = job.monitor()
    assert "Yes, cancel it" not in names(monitor)
    named(monitor, "Cancel the job").click()
    named(monitor, "Yes, cancel it").click()
    assert job.wait(30).status == "cancelled"
    wait_until(lambda: "Cancel the job" not in names(monitor))
    monitor.close()


# --- cells ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        {"a": [1, 2.5, None, True, {"b": 'it\'s "so"\n\x7f'}], "long": ["x" * 30] * 4},
        [],
        "\U000e0001",
        {"deep": {"er": {"list": list(range(60))}}},
    ],
)
def test_source_is_the_value(value: Any) -> None:
    assert ast.literal_eval(python_source(value)) == value


def test_calls_are_as_short_as_they_can_be() -> None:
    assert call_source("f", "a", b=None, c=1) == 'f("a", c=1)'
    long = call_source("fractal.resources.add", {"name": "x" * 60, "type": "local"})
    assert long.startswith('fractal.resources.add({\n    "name"')
    assert call_source("f", "x" * 70, c=[1]).split("\n")[-2:] == ["    c=[1],", ")"]


def test_widgets_are_imported_when_they_are_asked_for() -> None:
    code = "import sys; from fractal_jupyter import Fractal; print('ipywidgets' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_a_task_of_several_versions(fractal: Fractal) -> None:
    add_toy_tasks(fractal._store, version="2.0", folder="/elsewhere")
    assert 'version="1.0"' in fractal.form("Toy Parallel", version="1.0").code()
    with pytest.raises(Ambiguous, match=r"toy-tasks 1\.0, toy-tasks 2\.0"):
        fractal.form("Toy Parallel")
